"""Batch normalisation, whose squares tools/caffe/batch-norm.patch takes as products."""

import caffe
import numpy as np

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 dim: 5 dim: 7 } } }
layer { name: "y" type: "BatchNorm" bottom: "x" top: "y" batch_norm_param {
  use_global_stats: false eps: 1e-5 } }
force_backward: true
"""


def test_equals_numpy_in_values_gradients_and_what_is_kept(tmp_path, rng):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    net = caffe.Net(str(path), caffe.TRAIN)
    x = rng.normal([[[[-3]], [[0]], [[50]]]], [[[[2]], [[0.1]], [[7]]]], (4, 3, 5, 7))
    net.blobs["x"].data[...] = x
    net.forward()
    mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    deviation = np.sqrt(variance + 1e-5)
    y = (x - mean) / deviation
    np.testing.assert_allclose(net.blobs["y"].data, y, atol=2e-5)
    kept_mean, kept_variance, count = (blob.data for blob in net.params["y"])
    np.testing.assert_allclose(kept_mean / count, mean.ravel(), rtol=1e-5, atol=1e-6)
    of_sample = variance.ravel() * 140 / 139
    np.testing.assert_allclose(kept_variance / count, of_sample, rtol=1e-4)

    gradient = rng.normal(size=y.shape)
    net.blobs["y"].diff[...] = gradient
    net.backward()
    means = [part.mean((0, 2, 3), keepdims=True) for part in (gradient, gradient * y)]
    expected = (gradient - means[0] - means[1] * y) / deviation
    np.testing.assert_allclose(net.blobs["x"].diff, expected, atol=1e-4 * np.abs(expected).max())
