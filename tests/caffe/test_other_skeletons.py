"""Networks of other landmarks than Human3.6M's: data, training, prediction and evaluation."""

import json
from dataclasses import replace
from pathlib import Path

import caffe
import cv2
import numpy as np
import pytest

import prior
from prior.camera import LEVEL
from prior.errors import InputError
from prior.skeleton import COCO
from prototxt import generate
from python_layers import belief_maps
from python_layers.data import annotations, crop
from tests.caffe import tiny_world
from tests.caffe.layer_net import net, python_layer
from tests.caffe.seven_people import FIXED, TOPS
from tests.caffe.tiny_world import adapt
from tests.hands import HAND, random_hands
from tools.caffe_io.files import copy_weights, read_name
from tools.evaluate import __main__ as evaluate
from tools.infer import export, predict
from tools.infer.estimator import Estimator, Network
from tools.infer.onnx_network import OnnxNetwork

SIDE, COUNT = 96, 6
# Nothing says which way a hand is up.
ANY_WAY = replace(HAND, vertical=False)


def write_people(folder, skeleton, points, poses=None):
    """Drawings of the landmarks `points` (n, L, 2), px, each of its own brightness, and their
    annotations, with poses (n, L, 3), mm, if there are any. The file's path."""
    images, people = [], []
    for i, person in enumerate(points):
        image = np.full((SIDE, SIDE, 3), 60, np.uint8)
        for j, point in enumerate(person):
            colour = 255 * (j + 1) / len(skeleton)
            cv2.circle(image, point.round().astype(int).tolist(), 2, (colour, 255, 255), -1)
        cv2.imwrite(str(folder / f"{i}.png"), image)
        images.append({"id": i, "file_name": f"{i}.png", "width": SIDE, "height": SIDE})
        keypoints = np.column_stack([person, np.full(len(skeleton), 2)])
        people.append(
            {"image_id": i, "bbox": [8, 8, 80, 80], "keypoints": keypoints.ravel().tolist()}
            | ({} if poses is None else {"pose_mm": poses[i].tolist()})
        )
    document = {
        "categories": [{"keypoints": list(skeleton.landmarks)}],
        "images": images,
        "annotations": people,
    }
    path = folder / "train.json"
    path.write_text(json.dumps(document))
    return path


def hand_points():
    points = random_hands(COUNT, seed=1, turns="all")[..., :2] * [1, -1]
    points -= points.mean(axis=1, keepdims=True)
    return points / np.abs(points).max() * 36 + SIDE / 2


@pytest.fixture(scope="module")
def hands(tmp_path_factory):
    """(annotated drawings of hands, a prior of hands in any rotation): paths."""
    folder = tmp_path_factory.mktemp("hands")
    model = prior.fit(random_hands(40), skeleton=ANY_WAY, components=1, basis=2)
    model.save(folder / "hand.npz")
    return write_people(folder, HAND, hand_points()), folder / "hand.npz"


def data_layer(folder, source, model, **parameters):
    parameters = {"source": str(source), "batch_size": COUNT, "input_size": 64} | parameters
    parameters |= {"model": str(model), "workers": 0}
    layer = python_layer("pose_data", "PoseDataLayer", parameters, (), TOPS, FIXED, "people")
    return net(folder, layer)


def solver(folder, network, batch):
    """Caffe's solver of a generated network with batches of that size, made in this process."""
    text = adapt(network / "train.prototxt", batch_size=batch, workers=0)
    # Few rotations: the search over all of them is slow while the tests check shapes.
    (network / "train.prototxt").write_text(text.replace('"rotations": 80', '"rotations": 20'))
    path = folder / "solver.prototxt"
    path.write_text(
        f'net: "{network}/train.prototxt" type: "Adam" base_lr: 2e-3 momentum: 0.9 '
        'momentum2: 0.999 lr_policy: "fixed" max_iter: 12 random_seed: 1 '
        "snapshot_after_train: false"
    )
    return caffe.get_solver(str(path))


@pytest.mark.slow
def test_networks_of_21_landmarks_learn(tmp_path, hands):
    """From --prior alone: generated, and trained by Caffe's solver for a few iterations."""
    source, model = hands
    options = ["--prior", str(model), "--data", str(source), "--out", str(tmp_path)]
    assert generate.main(options) == 0
    machine = solver(tmp_path, tmp_path / "lite/cpm", COUNT)
    losses = []
    for _ in range(12):
        machine.step(1)
        losses.append(float(machine.net.blobs["loss_stage3"].data))
    assert losses[-1] < 0.6 * losses[0]

    whole = solver(tmp_path, tmp_path / "lite/lifting", 1)
    whole.step(2)
    blobs = whole.net.blobs
    assert blobs["label"].data.shape == blobs["fused_stage3"].data.shape == (1, 22, 16, 16)
    # The lifting of a stage is that of the prior of hands, by every rotation.
    cells, _ = belief_maps.argmax(blobs["beliefs_stage1"].data, True, landmarks=21)
    lifted = prior.lift(cells, prior.load(model), rotations=20)
    np.testing.assert_allclose(blobs["landmarks_stage1"].data, lifted.projection, atol=1e-3)
    deploy = caffe.Net(str(tmp_path / "lite/lifting/deploy.prototxt"), caffe.TEST)
    assert "camera" not in deploy.blobs and deploy.blobs["pose"].data.shape == (1, 21, 3)


def test_labels_are_of_the_models_landmarks(tmp_path, hands):
    layer = data_layer(tmp_path, *hands)
    layer.forward()
    label = layer.blobs["label"].data
    assert label.shape == (COUNT, 22, 8, 8) and layer.blobs["mask"].data.all()
    view = crop.frame([8, 8, 80, 80], 64)
    for person, maps in zip(hand_points(), label, strict=True):
        points = (crop.to_input(person, view) - 3.5) / 8
        expected = belief_maps.render(points[None], 8, 8, 7 * 64 / 368 / 8)[0]
        np.testing.assert_allclose(maps, expected, atol=1e-4)


def test_a_hand_is_never_mirrored(tmp_path, hands):
    """A mirrored right hand is a left hand, of which the model knows nothing."""
    with pytest.raises(Exception, match='no pairs, left and right.*expected "flip": 0'):
        data_layer(tmp_path, *hands, augment=True)
    still = {"scale": [1, 1], "degrees": 0, "shift": 0, "flip": 0}
    augmented = data_layer(tmp_path, *hands, augment=still, shuffle=False)
    plain = data_layer(tmp_path, *hands)
    for layer in augmented, plain:
        layer.forward()
    np.testing.assert_array_equal(augmented.blobs["label"].data, plain.blobs["label"].data)


def test_a_flip_swaps_cocos_left_and_right(tmp_path):
    points = np.random.default_rng(2).uniform(20, 76, (COUNT, 17, 2))
    source = write_people(tmp_path, COCO, points)
    model = tmp_path / "coco.npz"
    poses = np.random.default_rng(3).normal(0, 300, (60, 17, 3))
    options = {"components": 1, "basis": 2, "solver": "closed-form"}
    prior.fit(poses, skeleton=COCO, **options).save(model)
    wide = {"sigma": 8.0, "shuffle": False}
    flipped = {"scale": [1, 1], "degrees": 0, "shift": 0, "flip": 1}
    mirrored = data_layer(tmp_path, source, model, augment=flipped, **wide)
    plain = data_layer(tmp_path, source, model, **wide)
    for layer in mirrored, plain:
        layer.forward()
    # COCO's nose, then eyes, ears, shoulders ... by pairs, left first; the background last.
    swapped = [0] + [i + 1 if i % 2 else i - 1 for i in range(1, 17)] + [17]
    got, expected = (layer.blobs["label"].data for layer in (mirrored, plain))
    np.testing.assert_allclose(got, expected[:, swapped, :, ::-1], atol=1e-3)
    assert np.abs(got - expected[..., ::-1]).max() > 0.5


def test_people_of_other_landmarks_than_the_models_are_refused(tmp_path, hands):
    """17 keypoints of COCO fit the shape of Human3.6M's, and mean something else."""
    points = np.full((1, 17, 2), 40.0)
    coco = write_people(tmp_path, COCO, points)
    with pytest.raises(Exception, match=r"PoseDataLayer: source: .*expected \['wrist', 'thumb 1'"):
        data_layer(tmp_path, coco, hands[1])
    with pytest.raises(annotations.AnnotationError, match="expected .'hip', .*name a model"):
        annotations.load(coco)
    with pytest.raises(Exception, match="PoseDataLayer: model: .*none.npz"):
        data_layer(tmp_path, coco, tmp_path / "none.npz")


def write_networks(folder, model):
    """The lite networks of a pose model with random weights. {kind: (deploy, weights)}."""
    assert generate.main(["--prior", str(model), "--out", str(folder)]) == 0
    networks = {}
    for kind in ("cpm", "lifting"):
        deploy = folder / f"lite/{kind}/deploy.prototxt"
        deploy.write_text(deploy.read_text().replace('"rotations": 80', '"rotations": 8'))
        caffe.set_random_seed(7)
        machine = caffe.Net(str(deploy), caffe.TEST)
        tiny_world.settle(machine)
        machine.save(str(folder / f"{kind}.caffemodel"))
        networks[kind] = deploy, folder / f"{kind}.caffemodel"
    return networks


@pytest.fixture(scope="module")
def of_hands(tmp_path_factory, hands):
    return write_networks(tmp_path_factory.mktemp("networks"), hands[1])


@pytest.fixture(scope="module")
def of_coco(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    poses = np.random.default_rng(3).normal(0, 300, (60, 17, 3))
    model = prior.fit(poses, skeleton=COCO, components=1, basis=2, solver="closed-form")
    model.save(folder / "coco.npz")
    return write_networks(folder, folder / "coco.npz")


def predicted(network, tmp_path, image, *options):
    out = tmp_path / "predicted.json"
    arguments = [*map(str, network), str(image), "--out", str(out), "--workers", "0", *options]
    assert predict.main(arguments) == 0
    document = json.loads(out.read_text())
    return document["landmark_names"], document[str(image)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cpm", "lifting", "onnx"])
def test_hands_are_predicted_by_their_own_names(of_hands, hands, tmp_path, kind):
    network = of_hands["cpm" if kind == "cpm" else "lifting"]
    image, model = hands[0].parent / "0.png", hands[1]
    options = ["--prior", str(model)] if kind == "cpm" else []
    if kind == "onnx":
        assert export.main([*map(str, network), "--out", str(tmp_path / "onnx")]) == 0
        network = [tmp_path / "onnx"]
        assert OnnxNetwork(network[0]).skeleton == ANY_WAY
    names, hand = predicted(network, tmp_path, image, "--box", "8", "8", "80", "80", *options)
    assert tuple(names) == HAND.landmarks and len(hand["landmarks"]) == 21
    # The most probable hand in any rotation, in the axes of a level camera, of landmarks that the
    # file has rounded: of a network that has hardly learned two hands may be as probable.
    points, covariance = np.array(hand["landmarks"]), np.array(hand["covariance"])
    rounded = np.random.default_rng(0).uniform(-0.005, 0.005, (40, *points.shape))
    covariance = np.broadcast_to(covariance, (40, *covariance.shape))
    lifted = prior.lift(points + rounded, prior.load(model), covariance=covariance)
    expected = lifted.pose @ (LEVEL.T @ lifted.camera).swapaxes(1, 2)
    off = np.abs(hand["pose_mm"] - expected).max(axis=(1, 2))
    assert off.min() < 1.5 and np.ptp(lifted.log_likelihood) < 0.2


@pytest.mark.slow
def test_hands_are_evaluated_with_what_has_a_meaning_for_them(of_hands, hands, tmp_path, capsys):
    poses = random_hands(COUNT, seed=1, turns="all")
    source = write_people(tmp_path, HAND, hand_points(), poses)
    files = [*map(str, of_hands["cpm"]), "--data", str(source), "--prior", str(hands[1])]
    assert evaluate.main([*files, "--workers", "0", "--out", str(tmp_path / "eval")]) == 0
    said = capsys.readouterr().out
    assert "not measured: pckh, pckh_0.2 (there is no neck and no head top)" in said
    errors = json.loads((tmp_path / "eval/errors.json").read_text())
    arrays = np.load(tmp_path / "eval/predictions.npz")
    assert tuple(arrays["landmarks"]) == tuple(errors["landmarks"]) == HAND.landmarks
    off = np.linalg.norm(arrays["points"][-1] - hand_points(), axis=2)
    assert errors["error_2d_px"] == pytest.approx(off.mean(), abs=1e-3)
    assert errors["pckh"] is None and errors["mpjpe_mm"] > 0


@pytest.mark.slow
def test_networks_weights_and_models_of_several_skeletons_are_refused(
    of_hands, of_coco, hands, tmp_path
):
    with pytest.raises(InputError, match=r"cpm.caffemodel: expected the skeleton of .* wrist"):
        Network(of_hands["cpm"][0], of_coco["cpm"][1])
    # 17 landmarks, but COCO's.
    nameless = tmp_path / "deploy.prototxt"
    text = of_coco["cpm"][0].read_text()
    nameless.write_text("\n".join(line for line in text.splitlines() if "name: '" not in line))
    with pytest.raises(InputError, match=r"hip, right hip.* got nose, left_eye"):
        Network(nameless, of_coco["cpm"][1])
    deploy = tmp_path / "lifting.prototxt"
    text = of_coco["lifting"][0].read_text()
    deploy.write_text(text.replace(str(of_coco["cpm"][1].parent / "coco.npz"), str(hands[1])))
    with pytest.raises(InputError, match=r"hand.npz: expected the skeleton of .* nose"):
        Network(deploy, of_coco["lifting"][1])
    with pytest.raises(InputError, match="no mirror image"):
        Estimator(Network(*of_hands["cpm"]), flip=True)


def test_people_of_others_are_not_evaluated(of_coco, tmp_path, capsys):
    human = tiny_world.write_data(tmp_path)
    files = [*map(str, of_coco["cpm"]), "--data", str(human), "--out", str(tmp_path / "eval")]
    assert evaluate.main(files) == 1
    assert "expected ['nose', 'left_eye'" in capsys.readouterr().err


def test_copied_weights_keep_the_name(of_coco, tmp_path):
    source = of_coco["cpm"][1]
    copy_weights(tmp_path / "copy.caffemodel", (source, {"conv1_stage1"}))
    assert read_name(tmp_path / "copy.caffemodel") == read_name(source) != ""
    assert Path(source).stat().st_size > (tmp_path / "copy.caffemodel").stat().st_size
