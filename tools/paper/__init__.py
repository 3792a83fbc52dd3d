"""The paper's experiments: what their stages need and take."""
