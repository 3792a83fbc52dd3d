"""A dataset in Human3.6M's layout, rendered from motion capture: `python -m tools.rendered`."""
