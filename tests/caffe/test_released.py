"""tools/infer/released.py: networks with the layers of released ones, and a known answer."""

import json

import caffe
import cv2
import numpy as np
import pytest

import prior
from prior.camera import LEVEL, level_camera
from prior.errors import InputError
from prior.landmark_sets import BODY_25, CPM, OPENPOSE_COCO, OPENPOSE_MPI
from prior.skeleton import LANDMARKS, L
from python_layers.data import crop
from tests.caffe import released_nets
from tools.infer import predict
from tools.infer.estimator import Network, Person
from tools.infer.released import ReleasedEstimator, ReleasedNetwork, landmark_set
from tools.lift import keypoints

NETWORKS = {
    "cpm": (released_nets.cpm, CPM),
    "variant": (released_nets.variant, CPM),
    "coco": (lambda: released_nets.openpose(19, 38), OPENPOSE_COCO),
    "mpi": (lambda: released_nets.openpose(16, 28), OPENPOSE_MPI),
    "mpi of 4 stages": (lambda: released_nets.openpose(16, 28, stages=4), OPENPOSE_MPI),
    "body25": (released_nets.body_25, BODY_25),
}
SIDE = 368
# With a box of this size about the middle of a picture of 368 px, the input is the picture itself.
BOX_SIDE = crop.CPM_FRACTION * SIDE
MIDDLE = (SIDE - 1) / 2
BOX = np.array([MIDDLE - BOX_SIDE / 2, MIDDLE - BOX_SIDE / 2, BOX_SIDE, BOX_SIDE])


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A function: name of NETWORKS to (deploy, weights), made once."""
    made = {}

    def get(name):
        if name not in made:
            build, landmarks = NETWORKS[name]
            folder = tmp_path_factory.mktemp("network")
            made[name] = released_nets.write(folder, build(), len(landmarks.names))
        return made[name]

    return get


@pytest.fixture(scope="module")
def ready():
    return prior.load()


def shown(model, yaw=0.6, size=150.0):
    """A person seen by a level camera: pose (17, 3), mm, and cells (17, 2) of the maps."""
    pose = model.mean[0] * model.scale_mm
    cos, sin = np.cos(yaw), np.sin(yaw)
    pose = pose @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T
    points = (pose @ LEVEL.T)[:, :2]
    points *= size / np.ptp(points[:, 1])
    return pose, np.round((points + MIDDLE - 3.5) / 8)


def cells_of(their_set, cells):
    """The cells (S, 2) of a set's landmarks, where ours are at `cells`; the others lie about."""
    theirs = np.array([[3.0 + k, 44.0] for k in range(len(their_set.names))])
    for ours, name in their_set.direct.items():
        theirs[their_set.names.index(name)] = cells[LANDMARKS.index(ours)]
    return theirs


def to_ours(their_set, cells, factor=1.0):
    """What is to come out, px of the image: points (17, 2) and confidence (17,)."""
    points = factor * (8 * cells + 3.5) + (factor - 1) / 2
    ours, sure = their_set.to_ours(points[None], np.isfinite(cells[None, :, 0]).astype(float))
    return ours[0], sure[0]


def run(paths, image, out, *more):
    arguments = [*paths, image, "--out", out, *more]
    return predict.main([str(value) for value in arguments])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_photo_in_and_3d_out(name, released, ready, tmp_path, capsys):
    _, their_set = NETWORKS[name]
    truth, cells = shown(ready)
    theirs = cells_of(their_set, cells)
    picture = released_nets.picture(theirs, len(theirs))
    # Twice as large, and to the right in a wider photo.
    photo = cv2.copyMakeBorder(
        picture.repeat(2, axis=0).repeat(2, axis=1),
        0,
        0,
        100,
        0,
        cv2.BORDER_CONSTANT,
        value=[128] * 3,
    )
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    box = 2 * BOX + [100.5, 0.5, 0, 0]
    out = tmp_path / "out.json"
    assert run(released(name), tmp_path / "photo.png", out, "--box", *box) == 0
    printed = capsys.readouterr().out
    assert "missing: " in printed
    written = json.loads(out.read_text())
    assert written.pop("landmark_names") == list(LANDMARKS)
    (written,) = written.values()
    points, there = to_ours(their_set, theirs, 2)
    points += [100, 0]
    for got, expected in zip(written["landmarks"], points, strict=True):
        if np.isfinite(expected).all():
            np.testing.assert_allclose(got, expected, atol=0.01)
        else:
            assert got is None
    np.testing.assert_allclose(written["confidence"], there, atol=0.02)
    covariance = covariance_of(written)
    lifted = prior.lift(points[None], ready, camera=LEVEL, covariance=covariance)
    np.testing.assert_allclose(written["pose_mm"], lifted.pose[0], atol=0.5)
    # A cell is 8 px of a person 150 px tall, some 90 mm; seen from one side, in depth more.
    error = np.linalg.norm(np.array(written["pose_mm"]) - truth, axis=1)
    assert error.mean() < 100
    read = keypoints.read(out)
    np.testing.assert_allclose(read.points[0], points, atol=0.01)
    assert (read.confidence[0] > 0).tolist() == (there > 0).tolist()


@pytest.mark.parametrize("name", ["variant", "body25"])
def test_views_are_averaged(name, released, ready):
    _, their_set = NETWORKS[name]
    network = ReleasedNetwork(*released(name))
    for index, other in enumerate(network.mirror):
        side, across = their_set.names[index], their_set.names[other]
        assert across == ({"L": "R", "R": "L"}[side[0]] + side[1:] if side[0] in "LR" else side)
    theirs = cells_of(their_set, shown(ready)[1])
    person = Person(released_nets.picture(theirs, len(theirs)), BOX, LEVEL)
    (estimate,) = ReleasedEstimator(network, scales=(1.0, 1.0)).estimates([person])
    points, there = to_ours(their_set, theirs)
    np.testing.assert_allclose(estimate.points[0], points, atol=0.6)
    np.testing.assert_allclose(estimate.peak, there, atol=0.1)
    assert estimate.poses is None

    # What is a left landmark in the picture is a right one in its mirror image.
    theirs[[name.startswith("R") for name in their_set.names]] = np.nan
    person = person._replace(image=released_nets.picture(theirs, len(theirs)))
    (estimate,) = ReleasedEstimator(network, flip=True).estimates([person])
    points, _ = to_ours(their_set, theirs)
    for i, landmark in enumerate(LANDMARKS):
        if landmark.startswith(("left", "right")):
            place = points[LANDMARKS.index(landmark.replace("right", "left"))]
            np.testing.assert_allclose(estimate.points[0, i], place, atol=0.6)
            assert estimate.peak[i] == pytest.approx(0.5, abs=0.05)


def test_missing_landmarks_are_left_out(released, ready, tmp_path, capsys):
    _, cells = shown(ready)
    theirs = cells_of(CPM, cells)
    gone = [CPM.names.index(name) for name in ("Lwri", "Rank", "head")]
    theirs[gone] = np.nan
    cv2.imwrite(str(tmp_path / "photo.png"), released_nets.picture(theirs, len(theirs)))
    out = tmp_path / "out.json"
    assert run(released("cpm"), tmp_path / "photo.png", out, "--box", *BOX) == 0
    written = json.loads(out.read_text())[str(tmp_path / "photo.png")]
    missing = {n for n, p in zip(LANDMARKS, written["landmarks"], strict=True) if p is None}
    assert missing == {"left wrist", "right foot", "head top", "spine", "nose"}
    points, there = to_ours(CPM, theirs)
    lifted = prior.lift(points[None], ready, camera=LEVEL, covariance=covariance_of(written))
    np.testing.assert_allclose(written["pose_mm"], lifted.pose[0], atol=0.5)
    # With too few of them there is no pose.
    theirs[5:] = np.nan
    cv2.imwrite(str(tmp_path / "few.png"), released_nets.picture(theirs, len(theirs)))
    capsys.readouterr()
    assert run(released("cpm"), tmp_path / "few.png", out, "--box", *BOX) == 3
    assert "few.png: not lifted: only 3 landmarks" in capsys.readouterr().err
    assert "pose_mm" not in json.loads(out.read_text())[str(tmp_path / "few.png")]


def test_the_options_reach_the_lifting(released, ready, tmp_path):
    _, cells = shown(ready)
    theirs = cells_of(CPM, cells)
    cv2.imwrite(str(tmp_path / "photo.png"), released_nets.picture(theirs, len(theirs)))
    out = tmp_path / "out.json"
    other = prior.fit(shown_poses(ready), components=1, basis=4, solver="closed-form")
    other.save(tmp_path / "other.npz")
    more = ("--elevation", 12, "--prior", tmp_path / "other.npz", "--min-confidence", 0.5)
    assert run(released("variant"), tmp_path / "photo.png", out, "--box", *BOX, *more) == 0
    written = json.loads(out.read_text())[str(tmp_path / "photo.png")]
    points, there = to_ours(CPM, theirs)
    camera = level_camera(np.deg2rad(12))
    model, covariance = prior.load(tmp_path / "other.npz"), covariance_of(written)
    expected = prior.lift(points[None], model, camera=camera, covariance=covariance).pose[0]
    np.testing.assert_allclose(written["pose_mm"], expected, atol=0.5)
    assert (
        run(released("variant"), tmp_path / "photo.png", out, "--box", *BOX, *more, "--fov", 60)
        == 0
    )
    lens = json.loads(out.read_text())[str(tmp_path / "photo.png")]
    # 60 degrees across a picture whose height is its width.
    focal = SIDE / 2 * np.sqrt(3)
    matrix = np.array([[focal, 0, (SIDE - 1) / 2], [0, focal, (SIDE - 1) / 2], [0, 0, 1]])
    expected = prior.lift(
        points[None], model, camera=camera, covariance=covariance, intrinsics=matrix
    )
    np.testing.assert_allclose(lens["pose_mm"], expected.pose[0], atol=0.5)
    np.testing.assert_allclose(lens["translation_mm"], expected.translation[0], atol=5)
    published = ("--elevation", 12, "--prior", tmp_path / "other.npz", "--as-published")
    assert run(released("variant"), tmp_path / "photo.png", out, "--box", *BOX, *published) == 0
    expected = prior.lift(points[None], model, camera=camera, noise_mm=0, criterion="cost").pose[0]
    pose = json.loads(out.read_text())[str(tmp_path / "photo.png")]["pose_mm"]
    np.testing.assert_allclose(pose, expected, atol=0.5)
    assert run(released("variant"), tmp_path / "photo.png", out, "--min-confidence", 1.5) == 3


def covariance_of(written):
    """(1, 17, 2, 2), px^2, NaN where a landmark is missing."""
    missing = np.full((2, 2), np.nan).tolist()
    return np.array([[own or missing for own in written["covariance"]]])


def shown_poses(model):
    rng = np.random.default_rng(0)
    return model.mean[0] * model.scale_mm + rng.normal(0, 30, (60, L, 3))


def test_openpose_looks_in_the_box_alone(released, ready):
    """It finds everyone; CPM is told the centre."""
    _, cells = shown(ready)
    theirs = cells_of(BODY_25, cells)
    picture = released_nets.picture(theirs, len(theirs))
    # Somebody else's nose comes first in row order.
    picture[7, 7] = released_nets.colours(25)[0]
    network = ReleasedNetwork(*released("body25"))
    person = Person(picture, BOX, LEVEL)
    points, _ = to_ours(BODY_25, theirs)
    (estimate,) = ReleasedEstimator(network, in_box=True).estimates([person])
    np.testing.assert_allclose(estimate.points[0], points, atol=0.01)
    (estimate,) = ReleasedEstimator(network).estimates([person])
    np.testing.assert_allclose(estimate.points[0, LANDMARKS.index("nose")], [3.5, 3.5], atol=0.01)


def test_inputs_are_the_releases(released):
    """x / 256 - 0.5, in BGR, and CPM's centre map in a fourth channel."""
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    for name in "cpm", "coco":
        network = ReleasedNetwork(*released(name))
        list(ReleasedEstimator(network).estimates([Person(picture, BOX, LEVEL)]))
        blob = network.net.blobs[network.image].data
        assert blob.shape == (1, 4 if name == "cpm" else 3, SIDE, SIDE)
        expected = picture.transpose(2, 0, 1) / 256 - 0.5
        np.testing.assert_allclose(blob[0, :3], expected, atol=1e-6)
        assert network.stride == 8
        if name == "cpm":
            y, x = np.mgrid[:SIDE, :SIDE] - MIDDLE
            gaussian = np.exp(-(x**2 + y**2) / (2 * 21**2))
            # CPM's labels end where the Gaussian is down to 0.01.
            np.testing.assert_allclose(blob[0, 3], gaussian, atol=0.0101)


# The layer is not that of a release, though its blob has the name.
OTHER = """
name: "other"
input: "data"
input_dim: 1
input_dim: 4
input_dim: 64
input_dim: 64
layer {
  name: "conv" type: "Convolution" bottom: "data" top: "Mconv7_stage6"
  convolution_param { num_output: 15 kernel_size: 8 stride: 8 }
}
"""


@pytest.fixture
def other(tmp_path):
    def make(text=OTHER):
        (tmp_path / "other.prototxt").write_text(text)
        net = caffe.Net(str(tmp_path / "other.prototxt"), caffe.TEST)
        net.save(str(tmp_path / "other.caffemodel"))
        cv2.imwrite(str(tmp_path / "photo.png"), np.full((64, 64, 3), 90, np.uint8))
        return tmp_path / "other.prototxt", tmp_path / "other.caffemodel"

    return make


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        (OTHER, (), "its outputs are Mconv7_stage6 (15 channels); expected beliefs_stage1"),
        (OTHER, ("--landmarks", "body25"), "expected one output with a map for each of 25"),
        (OTHER, ("--landmarks", "nobody"), "expected one of human36m, coco"),
        (
            OTHER.replace("input_dim: 4", "input_dim: 7"),
            ("--landmarks", "cpm"),
            "data (7 channels)",
        ),
    ],
)
def test_an_unknown_network_is_one_line(other, text, more, message, tmp_path, capsys):
    assert run(other(text), tmp_path / "photo.png", tmp_path / "out.json", *more) == 1
    error = capsys.readouterr().err
    (line,) = [line for line in error.splitlines() if line]
    assert message in line
    assert not (tmp_path / "out.json").exists()


def test_only_predict_takes_networks_that_are_not_ours(other):
    with pytest.raises(InputError, match="expected a network of prototxt/"):
        Network(*other())


def test_an_unknown_network_is_told_its_landmarks(other, tmp_path, capsys):
    paths = other()
    names = ",".join(["right wrist", "-", "hip", "nose"])
    out = tmp_path / "out.json"
    assert run(paths, tmp_path / "photo.png", out, "--landmarks", "cpm") == 3  # it sees nobody
    assert run(paths, tmp_path / "photo.png", out, "--landmarks", names) == 3
    assert "missing: right hip" in capsys.readouterr().out


def test_a_known_network_may_have_other_landmarks(released):
    """Somebody's own training of a released plan: his landmarks, in his order."""
    named = landmark_set("nose,-,left wrist,hip")
    network = ReleasedNetwork(*released("cpm"), named)
    cells = np.array([[10.0, 9.0], [20, 20], [30, 12], [25, 40]])
    picture = released_nets.picture([*cells, *np.full((10, 2), np.nan)], 14)
    (estimate,) = ReleasedEstimator(network).estimates([Person(picture, BOX, LEVEL)])
    places = {"nose": cells[0], "left wrist": cells[2], "hip": cells[3]}
    for i, landmark in enumerate(LANDMARKS):
        if landmark in places:
            np.testing.assert_allclose(estimate.points[0, i], 8 * places[landmark] + 3.5, atol=0.01)
        else:
            assert np.isnan(estimate.points[0, i]).all()
    with pytest.raises(InputError, match="a map for each of 25 landmarks"):
        ReleasedNetwork(*released("cpm"), BODY_25)


def test_a_network_of_ours_has_its_landmarks(tmp_path, capsys):
    deploy = "prototxt/lite/cpm/deploy.prototxt"
    paths = (deploy, tmp_path / "none.caffemodel")
    assert run(paths, tmp_path / "photo.png", tmp_path / "out.json", "--landmarks", "cpm") == 1
    assert "a network of ours" in capsys.readouterr().err
