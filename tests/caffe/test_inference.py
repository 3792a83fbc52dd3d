"""tools/infer/estimator.py and tools/infer/predict.py on the lite networks with random weights."""

import io
import json

import caffe
import cv2
import numpy as np
import pytest

import prior
from prior.camera import LEVEL
from prior.skeleton import MIRROR, L
from python_layers import belief_maps
from python_layers.data import annotations, crop
from tests.caffe import tiny_world
from tests.poses import random_poses
from tools.caffe_io import process as caffe_process
from tools.infer import estimator as inference
from tools.infer import predict
from tools.infer.estimator import Estimator, Person
from tools.infer.views import mean_maps
from tools.lift import keypoints

MIRRORED = np.append(MIRROR, L)  # of the maps, the background last

# Random weights put some landmarks where no person can be.
pytestmark = pytest.mark.filterwarnings("ignore:.*poses could not be lifted:UserWarning")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with data/train.json, prior.npz, and deploy.prototxt and net.caffemodel of each."""
    folder = tmp_path_factory.mktemp("world")
    tiny_world.write_data(folder / "data", people=3)
    model = prior.fit(random_poses(60), components=2, basis=3, solver="closed-form")
    model.save(folder / "prior.npz")
    for name in "cpm", "lifting":
        deploy = caffe_process.ROOT / f"prototxt/lite/{name}/deploy.prototxt"
        text = tiny_world.adapt(deploy, prior=folder / "prior.npz")
        (folder / f"{name}.prototxt").write_text(text)
        caffe.set_random_seed(7)
        net = caffe.Net(str(folder / f"{name}.prototxt"), caffe.TEST)
        tiny_world.settle(net)
        for blobs in net.params.values():  # random maps that differ from place to place
            if blobs[0].data.ndim == 4:
                blobs[0].data[...] *= 3
        net.save(str(folder / f"{name}.caffemodel"))
    return folder


@pytest.fixture(scope="module")
def network(world):
    return inference.Network(world / "lifting.prototxt", world / "lifting.caffemodel")


@pytest.fixture(scope="module")
def people(world):
    known = annotations.load(world / "data/train.json")
    return [
        Person(known.image(i), known.boxes[i], known.rotations[i], known.intrinsics[i])
        for i in range(3)
    ]


@pytest.fixture(scope="module")
def model(world):
    return prior.load(world / "prior.npz")


def mirrored(person):
    """The picture in a mirror, seen by a level camera as the person is."""
    width = person.image.shape[1]
    x, y, w, h = person.box
    box = np.array([width - 1 - x - w, y, w, h])
    return Person(np.ascontiguousarray(person.image[:, ::-1]), box, LEVEL)


def test_flip_makes_the_answer_to_a_mirrored_picture_the_mirrored_answer(network, people, model):
    """Exact for any weights, and only if maps, left and right, and camera all go along."""
    level = [person._replace(rotation=LEVEL, intrinsics=None) for person in people]
    estimator = Estimator(network, scales=(0.8, 1.2), flip=True, model=model)
    plain = Estimator(network, scales=(0.8, 1.2), model=model)
    straight = list(estimator.estimates(level))
    turned = list(estimator.estimates(map(mirrored, level)))
    alone = list(plain.estimates(map(mirrored, level)))
    width = people[0].image.shape[1]
    for one, other, without in zip(straight, turned, alone, strict=True):
        expected = one.points[:, MIRROR] * [-1, 1] + [width - 1, 0]
        # The crops' pixels are interpolated on another grid, and a maximum may tip over.
        away = np.linalg.norm(other.points - expected, axis=-1)
        assert np.median(away) < 0.1 and np.mean(away < 1) > 0.9
        assert np.median(np.linalg.norm(without.points - expected, axis=-1)) > 1
        assert np.median(np.abs(other.peak / one.peak[MIRROR] - 1)) < 0.02


def test_averaged_maps_are_the_slow_mean(network, people, model):
    """Cell by cell: each input pixel asks each view's map for the value at its place there."""
    scales, person = (0.7, 1.0, 1.3), people[0]
    views = [crop.frame(person.box, 128, crop.Augmentation(scale=s)) for s in scales]
    target = crop.frame(person.box, 128)
    inputs = [
        (
            crop.input_blob(crop.warp(person.image, v)),
            crop.centre_map(v),
            crop.camera(person.rotation, v, person.intrinsics),
        )
        for v in views
    ]
    maps = network.run(inputs, ["fused_stage3"])["fused_stage3"]
    grid = np.stack(np.meshgrid(np.arange(128), np.arange(128)), axis=-1).reshape(-1, 2)
    total = 0
    for own, view in zip(maps, views, strict=True):
        there = belief_maps.to_map(crop.to_input(crop.to_image(grid, target), view), 8)
        x, y = there.astype(np.float32).T.reshape(2, 128, 128)
        total += np.stack(
            [
                cv2.remap(
                    values,
                    x,
                    y,
                    cv2.INTER_CUBIC,
                    borderMode=cv2.BORDER_CONSTANT,
                    borderValue=float(channel == L),
                )
                for channel, values in enumerate(own)
            ]
        )
    mean = mean_maps(maps, views, target, 8, MIRRORED, L)
    # OpenCV's places are multiples of 1/32 of a cell.
    np.testing.assert_allclose(mean, total / 3, atol=0.05 * np.abs(maps).max())
    (estimate,) = Estimator(network, scales=scales, model=model).estimates([person])
    points, peak = belief_maps.argmax(mean[None], subpixel=True)
    np.testing.assert_allclose(estimate.points[-1], crop.to_image(points[0], target), atol=1e-3)
    np.testing.assert_allclose(estimate.peak, peak[0], rtol=1e-5)
    camera = crop.camera(person.rotation, target, person.intrinsics)
    lifted = prior.lift(points.astype(float), model, camera=camera)
    np.testing.assert_allclose(estimate.poses[-1], lifted.pose[0], atol=0.1)


def test_the_mean_of_views_of_one_label_is_the_label():
    """Maps as if the network were perfect, at every scale and mirrored."""
    rng = np.random.default_rng(0)
    box, points = np.array([40, 20, 60, 110]), rng.uniform([50, 40], [90, 110], size=(L, 2))
    variants = [crop.Augmentation(scale=s, flip=f) for s in (0.7, 1.0, 1.3) for f in (False, True)]
    views = [crop.frame(box, 368, v) for v in variants]
    maps = np.concatenate(
        [
            belief_maps.render(belief_maps.to_map(crop.landmarks(points, v)[None], 8), 46, 46, 1.2)
            for v in views
        ]
    )
    target = crop.frame(box, 368)
    maxima, _ = belief_maps.argmax(mean_maps(maps, views, target, 8, MIRRORED, L)[None], True)
    np.testing.assert_allclose(crop.to_image(maxima[0], target), points, atol=0.15)


def test_one_view_and_the_same_view_averaged_agree(network, people, model):
    estimator = Estimator(network, model=model)
    averaging = Estimator(network, scales=(1.0, 1.0), model=model)
    for one, other in zip(estimator.estimates(people), averaging.estimates(people), strict=True):
        assert one.points.shape == other.points.shape and one.poses.shape == other.poses.shape
        # Half a cell, in px of the image.
        scale = 128 * crop.person_fraction(128) / people[0].box[2:].max()
        assert np.median(np.linalg.norm(one.points - other.points, axis=-1)) < 4 / scale


def test_a_baseline_has_no_pose_and_needs_no_prior(world, people):
    network = inference.Network(world / "cpm.prototxt", world / "cpm.caffemodel")
    for scales in ((1.0,), (0.8, 1.2)):
        estimates = list(Estimator(network, scales=scales).estimates(people))
        assert len(estimates) == 3 and all(estimate.poses is None for estimate in estimates)
        np.testing.assert_array_equal(estimates[0].points, estimates[0].beliefs)


def test_sizes_that_nobody_is_shown_at_are_refused(network):
    for scales in (), (0,), (np.nan,):
        with pytest.raises(ValueError, match="scales: expected numbers of 0.1 to 10"):
            Estimator(network, scales=scales)


@pytest.mark.parametrize("centre", [None, (20.0, 70.0)])
@pytest.mark.parametrize("size", [368, 128])
def test_the_whole_image_is_in_the_input(size, centre):
    view = crop.frame(inference.whole_image((96, 160, 3), size, centre), size)
    corners = crop.to_input([[0, 0], [159, 95]], view)
    assert (corners > -0.5).all() and (corners < size - 0.5).all()
    # And no larger than needed: it touches a border.
    assert min(corners.min(), size - 1 - corners.max()) < size / 120
    middle = crop.to_input(centre or (79.5, 47.5), view)
    np.testing.assert_allclose(middle, (size - 1) / 2)


MIDDLE = ("--centre", 47.5, 47.5)  # a network with random weights finds nobody by itself


def run(world, *more, network="lifting"):
    arguments = [
        world / f"{network}.prototxt",
        world / f"{network}.caffemodel",
        world / "data/0.png",
        world / "data/1.png",
        "--out",
        world / "out.json",
    ]
    return predict.main([str(value) for value in (*arguments, *more)])


def test_predict_writes_what_the_estimator_says(world, network, people, capsys):
    box = people[0].box.tolist()
    assert run(world, "--box", *box, "--elevation", 10) == 0
    written = json.loads((world / "out.json").read_text())
    camera = prior.camera.level_camera(np.deg2rad(10))
    (expected,) = Estimator(network).estimates([Person(people[0].image, box, camera)])
    first = written[str(world / "data/0.png")]
    np.testing.assert_allclose(first["landmarks"], expected.points[-1], atol=0.01)
    np.testing.assert_allclose(first["covariance"], expected.covariance[-1], atol=0.01)
    lifted = prior.lift(
        expected.points[-1:],
        prior.load(world / "prior.npz"),
        camera=camera,
        covariance=expected.covariance[-1:],
    )
    np.testing.assert_allclose(first["pose_mm"], lifted.pose[0], atol=0.1)
    assert run(world, "--box", *box, "--elevation", 10, "--as-published") == 0
    own = json.loads((world / "out.json").read_text())[str(world / "data/0.png")]["pose_mm"]
    np.testing.assert_allclose(own, expected.poses[-1], atol=0.1)
    assert run(world, "--box", *box, "--fov", 200) == 1
    assert len(written["landmark_names"]) == len(first["confidence"]) == L
    more = ("--flip", "--scales", 0.8, 1, "--prior", world / "prior.npz", "--no-subpixel")
    # Of random weights the averaged landmarks may fit only people who are upside down: 3, and said.
    status = run(world, *more, *MIDDLE)
    assert status == 0 or "no upright person fits the landmarks" in capsys.readouterr().err
    with_prior = (world / "out.json").read_text()
    assert run(world, *more[:4], "--no-subpixel", *MIDDLE) == status  # the layer names its model
    assert (world / "out.json").read_text() == with_prior
    assert run(world, "--flip", *MIDDLE, network="cpm") == 0
    assert "pose_mm" not in json.loads((world / "out.json").read_text())[str(world / "data/1.png")]
    assert run(world, "--flip", "--prior", world / "prior.npz", network="cpm") == 0
    assert "pose_mm" in json.loads((world / "out.json").read_text())[str(world / "data/1.png")]


def test_predict_stays_open_and_answers_as_it_writes(world, capsys, monkeypatch):
    assert run(world, *MIDDLE) in (0, 3)
    written = json.loads((world / "out.json").read_text())
    names = [str(world / "data/1.png"), str(world / "absent.png"), str(world / "data/0.png")]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{name}\n" for name in names)))
    capsys.readouterr()
    network = (str(world / "lifting.prototxt"), str(world / "lifting.caffemodel"))
    assert predict.main([*network, "-", "--out", "-", *map(str, MIDDLE)]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for name, answer in zip(names, answers, strict=True):
        assert answer.pop("landmark_names") == written["landmark_names"]
        assert answer == ({name: written[name]} if name in written else {})


def test_predict_takes_folders_and_leaves_out_what_is_damaged(world, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("0.png", "1.png"):
        (folder / name).write_bytes((world / "data" / name).read_bytes())
    (folder / "2.jpg").write_bytes(b"no image")
    arguments = [
        world / "lifting.prototxt",
        world / "lifting.caffemodel",
        "--out",
        tmp_path / "o.json",
    ]
    assert predict.main([str(v) for v in (*arguments[:2], folder, *arguments[2:], *MIDDLE)]) == 3
    printed = capsys.readouterr()
    assert "2 images; left out: 1" in printed.out and "2.jpg" in printed.err
    assert run(world, *MIDDLE) == 0
    readable, whole = (json.loads(p.read_text()) for p in (tmp_path / "o.json", world / "out.json"))
    assert list(readable.values()) == list(whole.values())
    points = keypoints.read(tmp_path / "o.json").points
    np.testing.assert_allclose(points[0], readable[str(folder / "0.png")]["landmarks"])
    # Nothing that can be read: nothing is written.
    alone = tmp_path / "alone.json"
    assert predict.main([str(v) for v in (*arguments[:2], folder / "2.jpg", "--out", alone)]) == 1
    assert not alone.exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--scales", "0"), "scales: expected"),
        (("--box", "1", "2", "0", "4"), "box: expected"),
        (("--prior", "none.npz"), "none.npz: no such file"),
    ],
)
def test_bad_input_is_one_line(world, capsys, more, message):
    (world / "out.json").unlink(missing_ok=True)
    assert run(world, *more) == 1
    error = capsys.readouterr().err
    line = [
        line for line in error.splitlines() if line.startswith("python -m tools.infer.predict: ")
    ]
    assert len(line) == 1 and message in line[0] and "Traceback" not in error
    assert not (world / "out.json").exists()
