"""The network for photographs: its trunk is EfficientNet-Lite0, with that network's weights."""

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from prior.errors import InputError
from prototxt import networks, sizes
from prototxt.machines import SMALL
from tests.tools.train.torch_files import lite0_state, write
from tools.caffe_io.files import read_weights
from tools.train import lite0_weights, torch_file

# Typed in from tensorflow/tpu, models/official/efficientnet/efficientnet_builder.py: the rows
# r1_k3_s11_e1_i32_o16, r2_k3_s22_e6_i16_o24, r2_k5_s22_e6_i24_o40, r3_k3_s22_e6_i40_o80 and
# r3_k5_s11_e6_i80_o112 as (repeats, kernel, stride, expansion, in, out).
ROWS = [(1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80),
        (3, 5, 1, 6, 80, 112)]  # fmt: skip


def layers(train):
    network = networks.network(SMALL, lifting=False, train=train)
    return {layer.name: layer for layer in network.layer}


def test_the_trunk_is_that_of_efficientnet_lite0():
    names = iter(range(11))
    net = layers(train=False)
    for repeats, kernel, stride, expansion, incoming, channels in ROWS:
        for repeat in range(repeats):
            i = next(names)
            inside = incoming * expansion
            depth = net[f"conv{i}_depth"].convolution_param
            assert (depth.kernel_size[0], depth.group, depth.num_output) == (kernel, inside, inside)
            assert (depth.stride[0] if depth.stride else 1) == (1 if repeat else stride)
            assert depth.pad[0] == kernel // 2
            assert net[f"conv{i}_project"].convolution_param.num_output == channels
            assert (f"conv{i}_expand" in net) == (expansion > 1)
            assert (f"conv{i}_sum" in net) == (repeat > 0)
            incoming = channels


def test_frozen_layers_stay_and_released_ones_learn_slower():
    net = layers(train=True)
    rates = {k: v.param[0].lr_mult for k, v in net.items() if v.type == "Convolution"}
    frozen = {k for k, rate in rates.items() if rate == 0}
    blocks = {f"conv{i}_{part}" for i in range(3) for part in ("expand", "depth", "project")}
    assert frozen == (blocks | {"conv_stem"}) - {"conv0_expand"}
    slow = {k for k, rate in rates.items() if rate == pytest.approx(0.15)}
    assert slow == {f"conv{i}_{p}" for i in range(3, 11) for p in ("expand", "depth", "project")}
    assert all(rates[k] == 1 for k in rates.keys() - frozen - slow)
    assert net["conv_double"].param[0].lr_mult == 0


def convolve(x, weights, stride):
    """(C, H, W), (out, in / group, k, k): depthwise where in / group is 1 and C is not."""
    k = weights.shape[-1]
    padded = np.pad(x, ((0, 0), (k // 2,) * 2, (k // 2,) * 2))
    size = (x.shape[1] + 2 * (k // 2) - k) // stride + 1
    y = np.zeros((len(weights), size, size))
    depthwise = weights.shape[1] == 1 and len(x) > 1
    for i in range(size):
        for j in range(size):
            view = padded[:, i * stride : i * stride + k, j * stride : j * stride + k]
            y[:, i, j] = (
                (view * weights[:, 0]).sum((1, 2))
                if depthwise
                else np.tensordot(weights, view, ([1, 2, 3], [0, 1, 2]))
            )
    return y


def test_the_first_blocks_compute_what_the_weights_mean(tmp_path, rng):
    """Twin: their layers as they are published, normalisation by itself, on their input."""
    state = lite0_state(rng)
    write(tmp_path / "lite0.pth", state)
    lite0_weights.main([str(tmp_path / "lite0.pth"), "--out", str(tmp_path / "w.caffemodel")])
    image = rng.integers(0, 256, (3, 32, 32))  # BGR

    net = networks.network(SMALL._replace(input=32), lifting=False, train=False)
    (tmp_path / "net.prototxt").write_text(text_format.MessageToString(net))
    ours = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    ours.copy_from(str(tmp_path / "w.caffemodel"))
    ours.blobs["data"].data[...] = (image - 128) / 256
    ours.forward()

    def normalised(y, norm):
        gamma, beta, mean, variance = (
            state[f"{norm}.{name}"][:, None, None]
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        return gamma * (y - mean) / np.sqrt(variance + 1e-3) + beta

    def relu6(y):
        return np.minimum(np.maximum(y, 0), 6)

    theirs = (image[::-1] - 127) / 128
    x = relu6(normalised(convolve(theirs, state["_conv_stem.weight"], 2), "_bn0"))
    # The border has zeros beyond it, which are not the same grey in both inputs.
    inner = ours.blobs["clip_stem"].data[0][:, 1:-1, 1:-1]
    np.testing.assert_allclose(inner, x[:, 1:-1, 1:-1], atol=1e-4)
    x = ours.blobs["clip_stem"].data[0]
    x = convolve(x, state["_blocks.0._depthwise_conv.weight"], 1)
    x = relu6(normalised(x, "_blocks.0._bn1"))
    x = normalised(convolve(x, state["_blocks.0._project_conv.weight"], 1), "_blocks.0._bn2")
    np.testing.assert_allclose(ours.blobs["conv0_project"].data[0], x, atol=1e-3)
    assert (ours.blobs["clip_stem"].data == 6).any()  # or the clipping was not tested


def test_a_merge_adds_doubled_features_to_earlier_ones(tmp_path, rng):
    """Twin: bilinear doubling by hand, away from the border, which has zeros beyond it."""
    net = networks.network(SMALL._replace(input=64), lifting=False, train=False)
    (tmp_path / "net.prototxt").write_text(text_format.MessageToString(net))
    ours = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    for norm in "norm_deep", "norm_fine":
        ours.params[norm][1].data[...] = ours.params[norm][2].data[...] = 1
    ours.blobs["data"].data[...] = rng.normal(size=ours.blobs["data"].shape)
    ours.forward()
    deep, fine = (ours.blobs[name].data[0] for name in ("conv_deep", "conv_fine"))
    merged = ours.blobs["merge"].data[0]
    assert deep.std() > 0 and merged.shape == (96, 8, 8) and deep.shape == (96, 4, 4)
    for i in range(1, 7):
        for j in range(1, 7):
            # The centre of cell i lies at i / 2 - 1 / 4 of the smaller map.
            y, x = i / 2 - 0.25, j / 2 - 0.25
            top, left = int(y), int(x)
            v, u = y - top, x - left
            square = deep[:, top : top + 2, left : left + 2]
            doubled = square @ [1 - u, u] @ [1 - v, v]
            np.testing.assert_allclose(merged[:, i, j], doubled + fine[:, i, j], atol=1e-4)


def test_a_deconvolution_counts_by_its_input(tmp_path):
    (tmp_path / "deploy.prototxt").write_text(
        """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 4 dim: 5 } } }
layer { name: "y" type: "Deconvolution" bottom: "x" top: "y" convolution_param {
  num_output: 3 group: 3 kernel_size: 4 stride: 2 pad: 1 bias_term: false } }
"""
    )
    size = sizes.size(tmp_path / "deploy.prototxt")
    assert size == (3 * 16, 3 * 16 * 4 * 5)


def test_all_released_weights_are_written_and_fit(tmp_path, rng):
    write(tmp_path / "lite0.pth", lite0_state(rng))
    layers_of = lite0_weights.convert(torch_file.read(tmp_path / "lite0.pth"))
    lite0_weights.write(tmp_path / "w.caffemodel", layers_of)
    weights = read_weights(tmp_path / "w.caffemodel")
    net = caffe_pb2.NetParameter()
    net.CopyFrom(networks.network(SMALL, lifting=False, train=True))
    released = {
        layer.name
        for layer in net.layer
        if layer.type == "Convolution" and layer.param[0].lr_mult < 1
    }
    assert set(weights) == released
    assert weights["conv10_depth"][0].shape == (672, 1, 5, 5)


def test_weights_of_another_network_are_refused(tmp_path, rng):
    state = lite0_state(rng)
    del state["_blocks.3._bn1.bias"]
    write(tmp_path / "w.pth", state)
    with pytest.raises(InputError, match=r"EfficientNet-Lite0, without '_blocks.3._bn1.bias'"):
        lite0_weights.convert(torch_file.read(tmp_path / "w.pth"))
