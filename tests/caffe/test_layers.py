"""What holds for every layer in Caffe: batches, memory, gradients through several, and what they
say of wrong bottoms and parameters."""

import gc
import tracemalloc

import numpy as np
import pytest

from prior import camera as cameras
from prior.skeleton import L
from python_layers import belief_maps
from tests.caffe.layer_net import (
    MAPS,
    SIGMA,
    SMALL,
    TILTED,
    H,
    N,
    W,
    fusion,
    inputs,
    lifting,
    net,
    projection,
    python_layer,
    run,
    seen_by,
)


@pytest.mark.parametrize("backward", ["scale-held", "exact"])
def test_descent_through_all_layers_pulls_the_projection_to_the_target(tmp_path, model, backward):
    """Maps -> lifting -> projection; the target is the projection of the same person, shifted."""
    stages = net(
        tmp_path,
        inputs(maps=MAPS),
        python_layer(
            "lifting",
            "LiftingLayer",
            {"model": model, "backward": backward, "sigma": SIGMA},
            ["maps"],
            ["landmarks"],
            name="lifting",
        ),
        python_layer(
            "projection",
            "ProjectionLayer",
            {"sigma": SIGMA, "backward": "central-difference"},
            ["landmarks", "maps"],
        ),
    )
    maps = seen_by(np.stack([cameras.LEVEL] * N), noise=0)
    run(stages, maps=maps)
    start = stages.blobs["landmarks"].data.copy()
    wanted = start + [1.0, -1.0]
    target = belief_maps.render(wanted, H, W, SIGMA)
    for _ in range(60):
        run(stages, {"top": stages.blobs["top"].data - target}, maps=maps)
        stages.blobs["top"].diff[...] = stages.blobs["top"].data - target
        stages.backward()
        maps = maps - 0.1 * stages.blobs["maps"].diff
    moved = stages.blobs["landmarks"].data - start
    np.testing.assert_allclose(moved.mean(axis=(0, 1)), [1, -1], atol=0.35)


LAYERS = {
    "fusion": ("fusion", "FusionLayer", {}, ["maps", "other"], ["top"]),
    "projection": (
        "projection",
        "ProjectionLayer",
        {"sigma": SIGMA, "backward": "central-difference"},
        ["landmarks", "maps"],
        ["top"],
    ),
    "lifting": (
        "lifting",
        "LiftingLayer",
        {"backward": "exact", "sigma": SIGMA},
        ["maps", "camera"],
        ["top", "pose"],
    ),
}


def one_of(kind, folder, model, size):
    """(net of the layer, values for its inputs of a batch of `size`)."""
    rng = np.random.default_rng(size)
    values = {
        "maps": belief_maps.render(rng.uniform(1, 10, (size, L, 2)), H, W, SIGMA),
        "other": rng.normal(size=(size, L + 1, H, W)),
        "landmarks": rng.uniform(1, 10, (size, L, 2)),
        "camera": np.tile(TILTED[0], (size, 1, 1)),
    }
    module, layer, parameters, bottoms, tops = LAYERS[kind]
    parameters = parameters | ({"model": model} if kind == "lifting" else {})
    shapes = {name: np.shape(values[name]) for name in bottoms}
    made = net(folder, inputs(**shapes), python_layer(module, layer, parameters, bottoms, tops))
    return made, {name: values[name] for name in bottoms}


def results(layer, values):
    """Tops and gradients of one pass; the weights' diff is put back to 0."""
    for name, value in values.items():
        layer.blobs[name].reshape(*value.shape)
    run(layer, **values)
    for name, blob in layer.blobs.items():
        if name not in values:
            blob.diff[...] = np.random.default_rng(0).normal(size=blob.diff.shape)
    for blobs in layer.params.values():
        blobs[0].diff[...] = 0
    layer.backward()
    values_of = {name: blob.data.copy() for name, blob in layer.blobs.items()}
    return values_of | {f"{name}'s": layer.blobs[name].diff.copy() for name in values}


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_takes_any_batch_and_remembers_none(tmp_path, model, kind):
    layer, _ = one_of(kind, tmp_path, model, 2)
    for size in (2, 5, 1, 3):
        fresh, values = one_of(kind, tmp_path, model, size)
        expected = results(fresh, values)
        for name, array in results(layer, values).items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("wanted", [(True, False), (False, True), (False, False)])
def test_a_layer_honours_propagate_down(tmp_path, model, kind, wanted):
    """A gradient that is not asked for is not written. Below each bottom is a layer that learns."""
    _, values = one_of(kind, tmp_path, model, 2)
    module, layer, parameters, bottoms, tops = LAYERS[kind]
    parameters = parameters | ({"model": model} if kind == "lifting" else {})
    below = "".join(
        f'layer {{ name: "{b}" type: "Bias" bottom: "{b}" top: "{b}_" bias_param {{ axis: 0 '
        "num_axes: 0 } }\n"
        for b in bottoms
    )
    extra = " ".join(f"propagate_down: {str(each).lower()}" for each in wanted)
    extra += " loss_weight: 1" * len(tops)  # Caffe skips what is under no loss
    made = net(
        tmp_path,
        inputs(**{name: values[name].shape for name in bottoms}),
        below,
        python_layer(module, layer, parameters, [f"{b}_" for b in bottoms], tops, extra),
        to_inputs=False,
    )
    for name in bottoms:
        made.blobs[f"{name}_"].diff[...] = 7
    run(made, {name: np.ones(made.blobs[name].shape) for name in tops}, **values)
    for name, each in zip(bottoms, wanted, strict=True):
        written = (made.blobs[f"{name}_"].diff != 7).any()
        assert written == each, name


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layers_memory_does_not_grow(tmp_path, model, kind):
    """No array's data and no Python object stays behind. All traced bytes would also count the
    interpreter's lists of free objects, which keep growing for hundreds of passes."""

    def kept():
        gc.collect()
        arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
        traces = tracemalloc.take_snapshot().filter_traces([arrays]).traces
        return sum(trace.size for trace in traces), len(gc.get_objects())

    layer, values = one_of(kind, tmp_path, model, 3)
    tracemalloc.start()
    try:
        for _ in range(3):
            results(layer, values)
        bytes_before, objects_before = kept()
        for _ in range(20):
            results(layer, values)
        bytes_after, objects_after = kept()
    finally:
        tracemalloc.stop()
    assert bytes_after <= bytes_before
    assert objects_after < objects_before + 20  # one a pass would be a leak


WRONG_SHAPES = {
    "fusion": lambda f, m: net(
        f,
        inputs(b=(1, 2, 3, 3), bhat=(1, 2, 3, 4)),
        python_layer("fusion", "FusionLayer", {}, ["b", "bhat"]),
    ),
    "projection's landmarks": lambda f, m: projection(f, landmarks=(N, L, 3)),
    "projection's maps": lambda f, m: projection(f, maps=(N, L, H, W)),
    "lifting's maps": lambda f, m: lifting(f, {"model": m}, maps=(N, L + 2, H, W)),
    "lifting's camera": lambda f, m: lifting(f, {"model": m}, camera=True, size=4),
}


@pytest.mark.parametrize("make", WRONG_SHAPES.values(), ids=WRONG_SHAPES)
def test_wrong_shapes(tmp_path, model, make):
    with pytest.raises(ValueError, match=r"^\w+Layer: bottom \d.*expected shape .*, got \("):
        make(tmp_path, model)


def test_wrong_number_of_bottoms(tmp_path):
    with pytest.raises(ValueError, match="FusionLayer: expected 2 bottoms, got 1"):
        net(tmp_path, inputs(b=SMALL), python_layer("fusion", "FusionLayer", {}, ["b"]))


BAD_PARAMETERS = [
    (fusion, '{"initial": 0.5,}', "FusionLayer: param_str: expected strict JSON"),
    (fusion, "{'initial': 0.5}", "FusionLayer: param_str: expected strict JSON"),
    (fusion, "[]", "FusionLayer: param_str: expected a JSON object"),
    (fusion, '{"initail": 0.5}', "FusionLayer: param_str: initail: unknown key.*initial"),
    (fusion, '{"initial": 0.5, "initial": 0.6}', "FusionLayer: param_str: initial: given twice"),
    (fusion, '{"initial": "0.5"}', 'initial: expected float, got "0.5"'),
    (fusion, '{"initial": NaN}', "NaN"),
    (fusion, '{"initial": 1e999}', "initial: expected float"),
    (fusion, '{"initial": 1.5}', r"FusionLayer: param_str: initial: .*\[0, 1\]"),
    (fusion, '{"per_landmark": 1}', "per_landmark: expected bool, got 1"),
    (projection, "{}", "ProjectionLayer: param_str: sigma: missing key"),
    (projection, {"sigma": 0}, "ProjectionLayer: param_str: sigma: expected > 0"),
    (projection, {"sigma": True}, "sigma: expected float, got true"),
    (projection, {"sigma": 1, "backward": "yes"}, 'backward: expected "none" or "central-diff'),
    (lifting, "{}", "LiftingLayer: param_str: model: missing key"),
    (lifting, {"model": 3}, "model: expected str, got 3"),
    (lifting, {"model": "no/such.npz"}, "LiftingLayer: .*no/such.npz"),
    (lifting, {"model": "MODEL", "rotations": 2}, "LiftingLayer: rotations"),
    (lifting, {"model": "MODEL", "rotations": 80.5}, "rotations: expected int, got 80.5"),
    (lifting, {"model": "MODEL", "noise_mm": -1}, "LiftingLayer: noise_mm"),
    (lifting, {"model": "MODEL", "noise_mm": "a"}, "noise_mm: expected float or null"),
    (lifting, {"model": "MODEL", "backward": "held"}, 'expected "none" or "scale-held" or "ex'),
]


@pytest.mark.parametrize("make, parameters, message", BAD_PARAMETERS)
def test_bad_parameters(tmp_path, model, make, parameters, message):
    if isinstance(parameters, dict) and parameters.get("model") == "MODEL":
        parameters = parameters | {"model": model}
    with pytest.raises(ValueError, match=message) as caught:
        make(tmp_path, parameters)
    assert "\n" not in str(caught.value)
