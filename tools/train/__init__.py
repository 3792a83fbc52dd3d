"""Training by the caffe program: python -m tools.train."""
