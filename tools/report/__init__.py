"""Pages and figures: python -m tools.report."""
