"""The layers in Caffe: values, gradients, and what they say of wrong bottoms and parameters."""

import shutil
import tracemalloc

import caffe
import numpy as np
import pytest

import prior
from prior import camera as cameras
from prior.skeleton import L
from python_layers import belief_maps
from tests import poses
from tests.caffe.layer_net import inputs, net, python_layer

N, H, W, SIGMA = 2, 14, 12, 1.2
MAPS = (N, L + 1, H, W)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A prior's path."""
    path = tmp_path_factory.mktemp("prior") / "prior.npz"
    prior.fit(poses.random_poses(300), components=2, basis=6, solver="closed-form").save(path)
    return str(path)


def run(net, gradients=None, **values):
    """Forward with `values` in the inputs, then backward with `gradients` in the layer's tops."""
    for name, value in values.items():
        net.blobs[name].data[...] = value
    net.forward()
    for name, gradient in (gradients or {}).items():
        net.blobs[name].diff[...] = gradient
    if gradients:
        net.backward()


def differences(function, value, step):
    """Gradient of a scalar function at `value` by central differences."""
    result = np.zeros(value.shape)
    for index in np.ndindex(value.shape):
        ends = []
        for sign in 1, -1:
            moved = value.copy()
            moved[index] += sign * step
            ends.append(function(moved))
        result[index] = (ends[0] - ends[1]) / (2 * step)
    return result


# Fusion, eq. 7 --------------------------------------------------------------------------------

SMALL = (2, 3, 2, 2)


def fusion(folder, given=None, to_inputs=True):
    layer = python_layer("fusion", "FusionLayer", given or {}, ["b", "bhat"])
    return net(folder, inputs(b=SMALL, bhat=SMALL), layer, to_inputs=to_inputs)


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


# Projection, eq. 6 ----------------------------------------------------------------------------


def projection(folder, given=None, landmarks=(N, L, 2), maps=MAPS):
    return net(
        folder,
        inputs(landmarks=landmarks, maps=maps),
        python_layer(
            "projection", "ProjectionLayer", given or {"sigma": SIGMA}, ["landmarks", "maps"]
        ),
    )


def test_projection_renders(tmp_path, rng):
    layer = projection(tmp_path)
    landmarks = rng.uniform(0, 11, size=(N, L, 2)).astype(np.float32)
    run(layer, landmarks=landmarks, maps=5)
    expected = belief_maps.render(landmarks, H, W, SIGMA)
    np.testing.assert_array_equal(layer.blobs["top"].data, expected)


@pytest.mark.parametrize("backward", ["none", "central-difference"])
def test_projection_backward(tmp_path, rng, backward):
    layer = projection(tmp_path, {"sigma": SIGMA, "backward": backward})
    landmarks = rng.uniform(2, 10, size=(N, L, 2)).astype(np.float32)
    gradient = rng.normal(size=MAPS).astype(np.float32)
    layer.blobs["landmarks"].diff[...] = layer.blobs["maps"].diff[...] = 7
    run(layer, {"top": gradient}, landmarks=landmarks)
    expected = belief_maps.render_vjp(landmarks, gradient, SIGMA)
    assert np.abs(expected).min() > 0
    np.testing.assert_array_equal(
        layer.blobs["landmarks"].diff, 0 if backward == "none" else expected
    )
    assert not layer.blobs["maps"].diff.any()


def test_projection_descends_to_the_target(tmp_path):
    layer = projection(tmp_path, {"sigma": SIGMA, "backward": "central-difference"})
    target = belief_maps.render(np.tile([6.0, 5.0], (N, L, 1)), H, W, SIGMA)
    landmarks = np.tile(np.float32([5.0, 6.5]), (N, L, 1))
    for _ in range(200):
        run(layer, landmarks=landmarks)
        layer.blobs["top"].diff[...] = layer.blobs["top"].data - target
        layer.backward()
        landmarks = landmarks - 0.1 * layer.blobs["landmarks"].diff
    np.testing.assert_allclose(landmarks[0, 0], [6, 5], atol=0.05)


# Lifting, eqs. 4 and 5 ------------------------------------------------------------------------


def lifting(folder, given, *, camera=False, pose=False, maps=MAPS, size=3):
    bottoms = ["maps", "camera"] if camera else ["maps"]
    shapes = {"maps": maps} | ({"camera": (N, size, size)} if camera else {})
    tops = ["landmarks", "pose"] if pose else ["landmarks"]
    return net(
        folder, inputs(**shapes), python_layer("lifting", "LiftingLayer", given, bottoms, tops)
    )


def seen_by(rotations, seed=1, noise=0.3):
    """Belief maps (N, L + 1, H, W) of people in front of cameras (N, 3, 3)."""
    rng = np.random.default_rng(seed)
    people = poses.random_poses(N, seed=seed)
    people = people - people.mean(axis=1, keepdims=True)
    points = (people @ np.swapaxes(rotations, -1, -2))[..., :2]
    points = points / np.abs(points).max() * 4.5 + [(W - 1) / 2, (H - 1) / 2]
    return belief_maps.render(points + noise * rng.normal(size=points.shape), H, W, SIGMA)


TILTED = np.stack(
    [cameras.look_at([2000, 1500, 4000], [0, 0, 0]), cameras.look_at([0, 300, -4000], [0, 0, 0])]
)


def test_layers_of_one_model_share_their_tables_and_another_file_is_read_anew(tmp_path, model):
    copy = tmp_path / "prior.npz"
    shutil.copy(model, copy)

    def lifter(**more):
        made = lifting(tmp_path, {"model": str(copy)} | more)
        return made.layers[list(made._layer_names).index("layer")].lifter

    first = lifter()
    assert lifter() is first and lifter(rotations=20) is not first
    prior.fit(poses.random_poses(50), components=1, basis=2, solver="closed-form").save(copy)
    assert lifter().model.components == 1


@pytest.mark.parametrize("subpixel", [False, True])
def test_lifting_is_argmax_then_lift(tmp_path, model, subpixel):
    layer = lifting(tmp_path, {"model": model, "subpixel": subpixel}, camera=True, pose=True)
    maps = seen_by(TILTED)
    run(layer, maps=maps, camera=TILTED)
    points, _ = belief_maps.argmax(maps, subpixel)
    lifted = prior.lift(points, prior.load(model), camera=TILTED.astype(np.float32))
    assert lifted.ok.all()
    np.testing.assert_allclose(layer.blobs["landmarks"].data, lifted.projection, atol=1e-4)
    np.testing.assert_allclose(layer.blobs["pose"].data, lifted.pose, atol=0.1)


def test_lifting_without_a_camera_takes_a_level_one(tmp_path, model):
    maps = seen_by(np.stack([cameras.LEVEL] * N))
    alone = lifting(tmp_path, {"model": model}, pose=True)
    run(alone, maps=maps)
    with_camera = lifting(tmp_path, {"model": model}, camera=True, pose=True)
    run(with_camera, maps=maps, camera=cameras.LEVEL)
    for top in "landmarks", "pose":
        np.testing.assert_array_equal(alone.blobs[top].data, with_camera.blobs[top].data)
    run(with_camera, maps=maps, camera=TILTED)
    assert np.abs(alone.blobs["pose"].data - with_camera.blobs["pose"].data).max() > 10


@pytest.mark.parametrize("backward, scale", [("scale-held", "held"), ("exact", "exact")])
@pytest.mark.parametrize("pose", [False, True])
def test_lifting_backward_is_the_chain_of_both_gradients(
    tmp_path, model, rng, backward, scale, pose
):
    given = {"model": model, "backward": backward, "sigma": SIGMA, "noise_mm": 15}
    layer = lifting(tmp_path, given, camera=True, pose=pose)
    maps = seen_by(TILTED)
    gradients = {"landmarks": rng.normal(size=(N, L, 2))}
    if pose:
        gradients["pose"] = rng.normal(size=(N, L, 3)) / 100
    run(layer, gradients, maps=maps, camera=TILTED)
    lifter = prior.Lifter(prior.load(model), noise_mm=15)
    points, _ = belief_maps.argmax(maps)
    on_points = lifter.vjp(
        points,
        lifter.lift(points, TILTED),
        TILTED,
        projection=gradients["landmarks"],
        pose=gradients.get("pose"),
        scale=scale,
    )
    expected = belief_maps.argmax_vjp(points, on_points, H, W, SIGMA)
    np.testing.assert_allclose(layer.blobs["maps"].diff, expected, atol=1e-3)
    assert not layer.blobs["camera"].diff.any()


def test_exact_gradient_of_the_landmarks_by_finite_differences(tmp_path, model, rng):
    """Through Caffe and the lifter's API as the layer calls it: maxima moved by subpixels."""
    given = {"model": model, "subpixel": True, "backward": "exact", "sigma": SIGMA}
    layer = lifting(tmp_path, given, camera=True)
    points, _ = belief_maps.argmax(seen_by(TILTED), subpixel=True)
    points = np.clip(points, 1, [W - 2, H - 2])
    g = rng.normal(size=(N, L, 2))

    def loss(points):
        run(layer, maps=belief_maps.render(points, H, W, SIGMA), camera=TILTED)
        return float((g * layer.blobs["landmarks"].data).sum())

    python = layer.layers[list(layer._layer_names).index("layer")]
    numeric = differences(loss, points.astype(float), 0.02)
    run(layer, maps=belief_maps.render(points, H, W, SIGMA), camera=TILTED)
    analytic = python.lifter.vjp(
        python.points, python.lifted, python.camera, projection=g, scale="exact"
    )
    np.testing.assert_allclose(analytic, numeric, atol=0.02 * np.abs(analytic).max())


def test_lifting_without_backward_gives_zeros(tmp_path, model, rng):
    layer = lifting(tmp_path, {"model": model})
    layer.blobs["maps"].diff[...] = 7
    run(layer, {"landmarks": np.ones((N, L, 2))}, maps=seen_by(np.stack([cameras.LEVEL] * N)))
    assert not layer.blobs["maps"].diff.any()


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


def test_maps_without_a_person_do_not_stop_a_training(tmp_path, model):
    layer = lifting(tmp_path, {"model": model, "backward": "exact"}, pose=True)
    run(layer, {"landmarks": np.ones((N, L, 2)), "pose": np.ones((N, L, 3))}, maps=0)
    for blob in layer.blobs.values():
        assert np.isfinite(blob.data).all() and np.isfinite(blob.diff).all()


def test_maps_that_diverged_stop_it_in_words(tmp_path, model):
    layer = lifting(tmp_path, {"model": model})
    with pytest.raises(ValueError, match="LiftingLayer: bottom 1.*diverged.*base_lr"):
        run(layer, maps=np.nan)


# Batches and memory ---------------------------------------------------------------------------

LAYERS = {
    "fusion": ("fusion", "FusionLayer", {}, ["maps", "other"], ["top"]),
    "projection": (
        "projection", "ProjectionLayer", {"sigma": SIGMA, "backward": "central-difference"},
        ["landmarks", "maps"], ["top"],
    ),
    "lifting": (
        "lifting", "LiftingLayer", {"backward": "exact", "sigma": SIGMA},
        ["maps", "camera"], ["top", "pose"],
    ),
}  # fmt: skip


def one_of(kind, folder, model, size):
    """(net of the layer, values for its inputs of a batch of `size`)."""
    rng = np.random.default_rng(size)
    values = {
        "maps": belief_maps.render(rng.uniform(1, 10, (size, L, 2)), H, W, SIGMA),
        "other": rng.normal(size=(size, L + 1, H, W)),
        "landmarks": rng.uniform(1, 10, (size, L, 2)),
        "camera": np.tile(TILTED[0], (size, 1, 1)),
    }
    module, layer, given, bottoms, tops = LAYERS[kind]
    given = given | ({"model": model} if kind == "lifting" else {})
    shapes = {name: np.shape(values[name]) for name in bottoms}
    made = net(folder, inputs(**shapes), python_layer(module, layer, given, bottoms, tops))
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
    found = {name: blob.data.copy() for name, blob in layer.blobs.items()}
    return found | {f"{name}'s": layer.blobs[name].diff.copy() for name in values}


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
    module, layer, given, bottoms, tops = LAYERS[kind]
    given = given | ({"model": model} if kind == "lifting" else {})
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
        python_layer(module, layer, given, [f"{b}_" for b in bottoms], tops, extra),
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
    layer, values = one_of(kind, tmp_path, model, 3)
    for _ in range(3):
        results(layer, values)
    tracemalloc.start()
    try:
        results(layer, values)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            results(layer, values)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20_000  # bytes: less than a single map of one image for each pass


# What is said of wrong bottoms and parameters -------------------------------------------------

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


@pytest.mark.parametrize("make, given, message", BAD_PARAMETERS)
def test_bad_parameters(tmp_path, model, make, given, message):
    if isinstance(given, dict) and given.get("model") == "MODEL":
        given = given | {"model": model}
    with pytest.raises(ValueError, match=message) as caught:
        make(tmp_path, given)
    assert "\n" not in str(caught.value)
