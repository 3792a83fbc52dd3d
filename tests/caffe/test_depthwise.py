"""Convolutions of each channel by itself, which tools/caffe/depthwise.patch makes fast."""

import caffe
import numpy as np
import pytest

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: %d dim: %d dim: %d } } }
layer { name: "y" type: "Convolution" bottom: "x" top: "y" convolution_param {
  num_output: %d group: %d kernel_h: %d kernel_w: %d stride_h: %d stride_w: %d
  pad_h: %d pad_w: %d dilation: %d bias_term: %s } }
force_backward: true
"""


def twin(x, weights, stride, pad, dilation):
    """(N, C, H, W) and (C, kh, kw) -> (N, C, H', W'), cell by cell."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2))
    reach = [dilation * (k - 1) + 1 for k in weights.shape[1:]]
    sizes = zip(padded.shape[2:], reach, stride, strict=True)
    rows, columns = ((size - r) // step + 1 for size, r, step in sizes)
    y = np.zeros((*x.shape[:2], rows, columns))
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride[0], j * stride[1]
            view = padded[:, :, top : top + reach[0] : dilation, left : left + reach[1] : dilation]
            y[:, :, i, j] = (view * weights).sum((2, 3))
    return y


SHAPES = [
    (size, kernel, stride, pad, dilation)
    for size in [(7, 9), (8, 6), (1, 1), (2, 13)]
    for kernel in [(1, 1), (3, 3), (5, 3)]
    for stride, pad, dilation in [
        ((1, 1), (1, 1), 1),
        ((2, 2), (2, 1), 1),
        ((2, 1), (2, 3), 1),
        ((1, 2), (4, 4), 2),
    ]
    # There is an output.
    if all(s + 2 * p > dilation * (k - 1) for s, p, k in zip(size, pad, kernel, strict=True))
]


@pytest.mark.parametrize(("size", "kernel", "stride", "pad", "dilation"), SHAPES)
@pytest.mark.parametrize("channels", [1, 5])
def test_equals_a_slow_twin_in_values_and_gradients(
    tmp_path, rng, size, kernel, stride, pad, dilation, channels
):
    bias = "true" if channels == 5 else "false"
    path = tmp_path / "net.prototxt"
    numbers = (channels, *size, channels, channels, *kernel, *stride, *pad, dilation)
    path.write_text(NET % (*numbers, bias))
    net = caffe.Net(str(path), caffe.TEST)
    x = rng.normal(size=net.blobs["x"].shape).astype(np.float32)
    weights = rng.normal(size=net.params["y"][0].shape).astype(np.float32)
    net.blobs["x"].data[...], net.params["y"][0].data[...] = x, weights
    net.forward()
    expected = twin(x, weights[:, 0], stride, pad, dilation)
    np.testing.assert_allclose(net.blobs["y"].data, expected, rtol=1e-4, atol=1e-5)

    # The output is bilinear in input and weights: its gradients are the outputs of unit arguments.
    diff = rng.normal(size=expected.shape)
    net.blobs["y"].diff[...] = diff
    before = rng.normal(size=weights.shape).astype(np.float32)
    net.params["y"][0].diff[...] = before
    net.backward()
    for place in rng.integers(0, weights.size, 6):
        unit = np.zeros(weights.size)
        unit[place] = 1
        with_unit = twin(x, unit.reshape(weights.shape)[:, 0], stride, pad, dilation)
        added = net.params["y"][0].diff.ravel()[place] - before.ravel()[place]
        assert added == pytest.approx((diff * with_unit).sum(), rel=1e-3, abs=1e-3)
    for place in rng.integers(0, x.size, 6):
        unit = np.zeros(x.size)
        unit[place] = 1
        with_unit = twin(unit.reshape(x.shape), weights[:, 0], stride, pad, dilation)
        value = net.blobs["x"].diff.ravel()[place]
        assert value == pytest.approx((diff * with_unit).sum(), rel=1e-3, abs=1e-4)
