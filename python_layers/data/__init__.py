"""What the data layer reads, and how."""
