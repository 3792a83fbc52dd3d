"""Caffe's files and processes."""
