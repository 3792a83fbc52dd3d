"""Errors under the paper's protocols: python -m tools.evaluate."""
