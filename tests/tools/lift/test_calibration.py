"""One camera in the files of every program: the same rotation, matrix and distortion."""

import json

import cv2
import numpy as np
import pytest

from prior.camera import compose, look_at
from tests import landmark_files as files
from tools.lift import __main__ as tool
from tools.lift import calibration, lifted
from tools.lift.cameras.raw import CalibrationError

POSITION = np.array([1000.0, 1500, 5000])
ROTATION = look_at(POSITION, [0.0, 900, 0])
K = np.array([[1100.0, 0, 640], [0, 1120, 360], [0, 0, 1]])
DISTORTION = np.array([-0.2, 0.05, 0.001, 0.002, 0.01])
# Of a lens without the fifth coefficient.
FOUR = [*DISTORTION[:4], 0]


def theirs(up):
    """The same camera in a world of which `up` is up: rotation (3, 3), Rodrigues' vector, and the
    translation, mm."""
    rotation = ROTATION @ calibration.UP[up]
    return rotation, cv2.Rodrigues(rotation)[0].ravel(), -ROTATION @ POSITION


def storage(path, **values):
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, value in values.items():
        file.write(name, value)
    file.release()
    return path


def opencv_yaml(path, up):
    rotation = theirs(up)[0]
    return storage(path, camera_matrix=K, distortion_coefficients=DISTORTION, R=rotation)


def opencv_json(path, up):
    return storage(path, cameraMatrix=K, dist_coeffs=DISTORTION, rvec=theirs(up)[1])


def plain_json(path, up):
    values = {"K": K.tolist(), "dist": DISTORTION.tolist(), "R": theirs(up)[0].tolist()}
    path.write_text(json.dumps(values))
    return path


def npz(path, up):
    np.savez(path, mtx=K, dist=DISTORTION[None], rvec=theirs(up)[1][:, None])
    return path


def openpose_xml(path, up):
    """3d/camera_parameters/... of OpenPose: [R | t], and eight coefficients."""
    rotation, _, shift = theirs(up)
    eight = np.concatenate([DISTORTION, np.zeros(3)])[:, None]
    pose = np.concatenate([rotation, shift[:, None]], axis=1)
    return storage(path, CameraMatrix=pose, Intrinsics=K, Distortion=eight)


def anipose_toml(path, up):
    """aniposelib's CameraGroup.dump; Pose2Sim's has fisheye too."""

    def text(values):
        return json.dumps(np.asarray(values).tolist())

    lines = []
    for name, matrix in (("left", K + np.diag([1, 1, 0])), ("right", K)):
        lines += [
            f"[cam_{name}]",
            f'name = "{name}"',
            "size = [ 1280.0, 720.0]",
            f"matrix = {text(matrix)}",
            f"distortions = {text(FOUR[:4])}",
            f"rotation = {text(theirs(up)[1])}",
            f"translation = {text(theirs(up)[2])}",
            "fisheye = false",
            "",
        ]
    path.write_text("\n".join([*lines, "[metadata]", "adjusted = false", "error = 0.0", ""]))
    return path


def easymocap(path, up):
    """intri.yml and extri.yml in one folder."""
    rotation, vector, shift = theirs(up)
    head = '%YAML:1.0\n---\nnames:\n  - "left"\n  - "right"\n'

    def matrix(name, values):
        rows, cols = values.shape
        data = ", ".join(f"{v:.15g}" for v in values.ravel())
        return (
            f"{name}: !!opencv-matrix\n  rows: {rows}\n  cols: {cols}\n  dt: d\n  data: [{data}]\n"
        )

    intrinsic = "".join(
        matrix(f"K_{name}", K + np.diag([i, i, 0])) + matrix(f"dist_{name}", DISTORTION[None])
        for i, name in enumerate(("right", "left"))
    )
    extrinsic = "".join(
        matrix(f"R_{name}", vector[:, None])
        + matrix(f"Rot_{name}", rotation)
        + matrix(f"T_{name}", shift[:, None])
        for name in ("left", "right")
    )
    (path.parent / "extri.yml").write_text(head + extrinsic)
    intri = path.parent / "intri.yml"
    intri.write_text(head + intrinsic)
    return intri


def panoptic(path, up):
    rotation, _, shift = theirs(up)
    cameras = [
        {
            "name": name,
            "type": "hd",
            "resolution": [1280, 720],
            "K": (K + np.diag([i, i, 0])).tolist(),
            "distCoef": DISTORTION.tolist(),
            "R": rotation.tolist(),
            "t": (shift[:, None] / 10).tolist(),
        }
        for i, name in enumerate(("right", "left"))
    ]
    path.write_text(json.dumps({"calibDataSource": "x", "cameras": cameras}))
    return path


def human36m(path, up):
    rotation, _, shift = theirs(up)
    pose = {"R": rotation.tolist(), "t": shift[:, None].tolist()}
    lens = {"calibration_matrix": K.tolist(), "distortion": DISTORTION.tolist()}
    other = lens | {"calibration_matrix": (K + np.diag([1, 1, 0])).tolist()}
    document = {
        "intrinsics": {"right": lens, "left": other},
        "extrinsics": {"S1": {"left": pose, "right": pose}, "S5": {"left": pose}},
    }
    path.write_text(json.dumps(document))
    return path


# By a file's name: who writes it, the axis of its world that is up, and the coefficients.
FORMATS = {
    "opencv.yaml": (opencv_yaml, "z", DISTORTION),
    "opencv.xml": (opencv_yaml, "y", DISTORTION),
    "opencv.json": (opencv_json, "-z", DISTORTION),
    "plain.json": (plain_json, "z", DISTORTION),
    "camera.npz": (npz, "-y", DISTORTION),
    "openpose.xml": (openpose_xml, "-y", [*DISTORTION, 0, 0, 0]),
    "anipose.toml": (anipose_toml, "z", FOUR[:4]),
    "easymocap.yml": (easymocap, "z", DISTORTION),
    "panoptic.json": (panoptic, "-y", DISTORTION),
    "human36m.json": (human36m, "z", DISTORTION),
}
SEVERAL = ("anipose.toml", "easymocap.yml", "panoptic.json", "human36m.json")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("said", [True, False])
def test_every_format_gives_the_same_camera(tmp_path, name, said):
    write, up, distortion = FORMATS[name]
    chosen = "right" if name in SEVERAL else None
    camera = calibration.read(write(tmp_path / name, up), up if said else None, chosen)
    np.testing.assert_allclose(camera.rotation, ROTATION, atol=1e-9)
    np.testing.assert_allclose(camera.intrinsics, K)
    np.testing.assert_allclose(camera.distortion, distortion)
    # Which axis is up is said, unless the user says it.
    assert (f"{up} points up" in camera.note) is not said


@pytest.mark.parametrize("name", SEVERAL)
def test_which_of_several_cameras_is_asked_for(tmp_path, name):
    write, up, _ = FORMATS[name]
    path = write(tmp_path / name, up)
    for wrong in (None, "middle"):
        with pytest.raises(CalibrationError, match=r"expected --camera-name, one of .*right") as e:
            calibration.read(path, up, wrong)
        assert "\n" not in str(e.value)


def test_cameras_of_a_subject_have_both_names(tmp_path):
    path = human36m(tmp_path / "h.json", "z")
    assert calibration.read(path, "z", "S1/left").intrinsics[0, 0] == K[0, 0] + 1
    with pytest.raises(CalibrationError, match="one of S1/left, S5/left, got left"):
        calibration.read(path, "z", "left")


ROS = """image_width: 1280
image_height: 720
camera_name: head_camera
distortion_model: plumb_bob
camera_matrix:
  rows: 3
  cols: 3
  data: [1100.0, 0.0, 640.0, 0.0, 1120.0, 360.0, 0.0, 0.0, 1.0]
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.2, 0.05, 0.001, 0.002, 0.01]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
"""
ECHOED = """header:
  frame_id: "camera"
height: 720
width: 1280
distortion_model: "plumb_bob"
D: [-0.2, 0.05, 0.001, 0.002, 0.01]
K: [1100.0, 0.0, 640.0, 0.0, 1120.0, 360.0, 0.0, 0.0, 1.0]
R: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
P: [1100.0, 0.0, 640.0, 0.0, 0.0, 1120.0, 360.0, 0.0, 0.0, 0.0, 1.0, 0.0]
binning_x: 0
---
"""


@pytest.mark.parametrize("text", [ROS, ECHOED])
def test_ros_says_no_direction(tmp_path, text):
    # Its R turns a stereo pair's images, and is no rotation from the world.
    path = tmp_path / "camera_info.yaml"
    path.write_text(text)
    camera = calibration.read(path)
    assert camera.rotation is None
    np.testing.assert_array_equal(camera.intrinsics, K)
    np.testing.assert_allclose(camera.distortion, DISTORTION)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", ROS.replace("plumb_bob", "equidistant"), "got equidistant: undistort"),
        ("a.yaml", ROS.replace("1100.0", "-1100.0"), "positive focal lengths"),
        ("a.yaml", ROS.replace("0.002, 0.01]", "0.002, .nan]"), "distortion"),
        ("a.json", '{"K": [[1, 0], [0, 1]]}', "camera matrix: expected 3 x 3"),
        ("a.json", '{"K": [[1, 0, 2], [0, 1, 2], [0, 0, "a"]]}', "expected numbers"),
        ("a.json", '{"R": [[1, 0, 0], [0, 1, 0], [0, 0, 2]]}', "rotation"),
        ("a.json", '{"R": [[[1, 0, 0], [0, 1, 0], [0, 0, 1]]]}', "rotation: expected 3 x 3"),
        ("a.json", '{"lenses": [1, 2], "name": "x"}', "got an object with lenses: a list"),
        ("a.json", '{"K": ', "expected JSON"),
        ("a.json", "", "expected a camera"),
        ("a.toml", "[cam_0]\nname = ", "expected a camera"),
        ("a.xml", "<?xml version='1.0'?><a>", "expected a camera"),
        ("a.txt", "some words", "expected a camera"),
        ("a.npz", "PK\3\4", "zip"),
    ],
)
def test_bad_files_are_one_line(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(CalibrationError) as caught:
        calibration.read(path, "y")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7])
def test_coefficients_that_are_left_out_are_0(tmp_path, count):
    lens = np.linspace(-0.2, 0.01, count)
    (tmp_path / "a.json").write_text(json.dumps({"K": K.tolist(), "dist": lens.tolist()}))
    camera = calibration.read(tmp_path / "a.json")
    assert camera.distortion.tolist() == [*lens, *[0] * (len(camera.distortion) - count)]
    ahead = np.array([[0.1, -0.2, 1], [0, 0.1, 1]])
    bent = cv2.projectPoints(ahead, np.zeros(3), np.zeros(3), K, camera.distortion)[0][:, 0]
    straight = (ahead @ K.T)[:, :2]
    np.testing.assert_allclose(camera.undistorted(bent[None])[0], straight, atol=0.01)


def tilted(tmp_path, elevation, up):
    """A file of a camera that looks down by `elevation`, degrees, where `up` is up."""
    rotation = compose(0.0, np.deg2rad(elevation), 0.3) @ calibration.UP[up]
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({"K": K.tolist(), "R": rotation.tolist()}))
    return path, rotation @ calibration.UP[up].T


@pytest.mark.parametrize("up", calibration.UP)
@pytest.mark.parametrize("elevation", [-8, 0, 40, 58])
def test_which_axis_is_up_is_seen(tmp_path, up, elevation):
    path, rotation = tilted(tmp_path, elevation, up)
    np.testing.assert_allclose(calibration.read(path).rotation, rotation, atol=1e-9)


@pytest.mark.parametrize("up", calibration.UP)
def test_a_camera_that_looks_steeply_down_does_not_say(tmp_path, up):
    path, rotation = tilted(tmp_path, 75, up)
    with pytest.raises(CalibrationError, match="expected --up"):
        calibration.read(path)
    np.testing.assert_allclose(calibration.read(path, up).rotation, rotation, atol=1e-9)


@pytest.mark.parametrize(("up", "wrong"), [("y", "-y"), ("-y", "y"), ("z", "-z"), ("-z", "z")])
def test_a_camera_on_its_head_is_refused(tmp_path, up, wrong):
    path, _ = tilted(tmp_path, 10, up)
    with pytest.raises(CalibrationError, match=f"stands on its head: try --up={up}"):
        calibration.read(path, wrong)


def test_up_with_a_dash_is_an_argument(tmp_path):
    path, _ = tilted(tmp_path, 10, "-y")
    points = files.arrays(tmp_path / "p.npz", files.image_points(files.walk(2)))
    outs = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for words, out in ((["--up", "-y"], outs[0]), (["--up=-y"], outs[1])):
        arguments = [points, "--camera", path, *words, "--out", out, "--no-deviation"]
        assert tool.main([str(a) for a in arguments]) in (0, 3)
    np.testing.assert_array_equal(*(lifted.read(out).pose_mm for out in outs))


@pytest.mark.parametrize(
    "text",
    [
        '<?xml version="1.0"?>\n<opencv_storage>' + "<a>" * 50_000,
        "%YAML:1.0\n---\na: " + "[" * 50_000,
        "%YAML:1.0\n---\n" + "".join(" " * i + "a:\n" for i in range(5000)),
        "{" * 50_000,
        '{"a":' * 50_000,
    ],
    ids=["xml", "yaml", "indented", "json", "keys"],
)
def test_files_nested_deeply_are_refused_where_opencv_crashes(tmp_path, text):
    path = tmp_path / "camera.yml"
    path.write_text(text)
    with pytest.raises(calibration.CalibrationError, match="camera.yml: expected"):
        calibration.read(path)
