"""Section 4: from motion capture to a PriorModel."""
