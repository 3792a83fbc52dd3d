"""The fusion layer in Caffe (equation 7): values and gradients."""

import caffe
import numpy as np
import pytest

from tests.caffe.layer_net import SMALL, differences, fusion, inputs, net, python_layer, run


@pytest.mark.parametrize("per_landmark", [False, True])
def test_fusion_and_its_gradients(tmp_path, rng, per_landmark):
    layer = fusion(tmp_path, {"initial": 0.25, "per_landmark": per_landmark})
    weight = layer.params["layer"][0]
    assert weight.data.shape == ((3,) if per_landmark else (1,))
    np.testing.assert_allclose(weight.data, 0.25)
    if per_landmark:
        weight.data[...] = [0.1, 0.5, 0.9]
    w = weight.data.astype(float)
    values = {name: rng.normal(size=SMALL) for name in ("b", "bhat")}
    g = rng.normal(size=SMALL)
    run(layer, {"top": g}, **values)
    share = w[:, None, None]
    expected = share * values["b"] + (1 - share) * values["bhat"]
    np.testing.assert_allclose(layer.blobs["top"].data, expected, rtol=1e-5, atol=1e-6)
    got = {name: layer.blobs[name].diff.copy() for name in values}
    got_weight = weight.diff.copy()

    def loss(name, value):
        run(layer, **(values | {name: value}))
        return float((g * layer.blobs["top"].data).sum())

    def loss_of_weight(value):
        weight.data[...] = value
        run(layer, **values)
        return float((g * layer.blobs["top"].data).sum())

    # The layer is linear in each, so a large step costs nothing but float32's rounding.
    for name, value in values.items():
        numeric = differences(lambda v, name=name: loss(name, v), value, 0.5)
        np.testing.assert_allclose(got[name], numeric, atol=1e-5)
    np.testing.assert_allclose(got_weight, differences(loss_of_weight, w, 0.05), atol=1e-4)


def test_fusion_adds_up_the_weights_gradient_and_honours_propagate_down(tmp_path, rng):
    layer = net(
        tmp_path,
        inputs(b=SMALL, bhat=SMALL, label=SMALL),
        python_layer("fusion", "FusionLayer", {}, ["b", "bhat"]),
        'layer { name: "loss" type: "EuclideanLoss" bottom: "top" bottom: "label" top: "loss" }',
        to_inputs=False,
    )
    layer.blobs["b"].diff[...] = layer.blobs["bhat"].diff[...] = 7
    run(layer, {"loss": 1}, **{name: rng.normal(size=SMALL) for name in ("b", "bhat", "label")})
    once = layer.params["layer"][0].diff.copy()
    assert once.any()
    layer.backward()
    np.testing.assert_allclose(layer.params["layer"][0].diff, 2 * once, rtol=1e-6)
    assert (layer.blobs["b"].diff == 7).all() and (layer.blobs["bhat"].diff == 7).all()


@pytest.mark.parametrize("stepped, kept", [(1.7, 1), (-0.2, 0), (0.3, 0.3)])
def test_fusion_puts_the_weight_back_into_its_range(tmp_path, rng, stepped, kept):
    layer = fusion(tmp_path)
    layer.params["layer"][0].data[...] = stepped
    run(layer, b=1, bhat=0)
    np.testing.assert_allclose(layer.blobs["top"].data, kept)
    np.testing.assert_allclose(layer.params["layer"][0].data, kept)


def test_fusion_learns_which_map_is_right(tmp_path):
    (tmp_path / "train.prototxt").write_text(
        "".join(
            f'layer {{ name: "{name}" type: "DummyData" top: "{name}" dummy_data_param {{ '
            f"shape {{ dim: 2 dim: 3 dim: 2 dim: 2 }} data_filler {{ value: {value} }} }} }}\n"
            for name, value in (("b", 0.2), ("bhat", 0.9), ("label", 1.0))
        )
        + python_layer("fusion", "FusionLayer", {}, ["b", "bhat"])
        + 'layer { name: "loss" type: "EuclideanLoss" bottom: "top" bottom: "label" top: "loss" }'
    )
    (tmp_path / "solver.prototxt").write_text(
        f'net: "{tmp_path}/train.prototxt" base_lr: 0.05 lr_policy: "fixed" display: 0\n'
        f'max_iter: 50 snapshot_prefix: "{tmp_path}/s" snapshot_after_train: false'
    )
    solver = caffe.SGDSolver(str(tmp_path / "solver.prototxt"))
    solver.step(50)
    solver.net.forward()
    assert solver.net.params["layer"][0].data[0] == 0  # all of bhat, which is nearer, not more
    np.testing.assert_allclose(solver.net.blobs["top"].data, 0.9, rtol=1e-6)
