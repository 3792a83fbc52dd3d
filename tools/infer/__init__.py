"""A network on images."""
