"""The converters, on tiny files in the layout of the original ones."""

import json

import cdflib.cdfwrite
import cv2
import numpy as np
import pytest
import scipy.io
import scipy.spatial

from prior import camera as cameras
from prior.mocap import human36m as motion
from prior.skeleton import LANDMARKS, MIRROR, L
from python_layers.data import annotations
from tests.poses import random_poses
from tools.convert import __main__ as convert
from tools.convert import coco, human36m, leeds, mpii

INDEX = {name: i for i, name in enumerate(LANDMARKS)}


def run(*arguments):
    return convert.main(list(map(str, arguments)))


def picture(path, size=(200, 150), grey=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), grey, np.uint8))


def missing(people, index=0):
    return {name for name, v in zip(LANDMARKS, people.visible[index], strict=True) if v == 0}


@pytest.mark.parametrize("module", [mpii, leeds, coco])
def test_the_maps_of_landmarks_keep_left_and_right(module):
    """Mirrored joints of theirs are mirrored landmarks of ours."""
    names = module.JOINTS if isinstance(module.JOINTS, tuple) else list(module.JOINTS)
    assert len(set(names)) == len(names) and set(names) <= set(LANDMARKS)
    for name in names:
        assert LANDMARKS[MIRROR[INDEX[name]]] in names


# MPII -----------------------------------------------------------------------------------------


def struct(*rows):
    """An array of MATLAB structures, of the same fields each."""
    result = np.zeros((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for i, row in enumerate(rows):
        for name, value in row.items():
            result[0, i][name] = value
    return result


def mpii_person(x, y, joints=range(16), scale=0.5):
    points = [
        # Empty for the upper neck and the head top, text elsewhere, as in the release.
        {
            "x": x + 2.0 * i,
            "y": y + 3.0 * i,
            "id": i,
            "is_visible": np.zeros((0, 0)) if i in (8, 9) else str(int(i != 2)),
        }
        for i in joints
    ]
    return {
        "x1": 1,
        "y1": 2,
        "x2": 3,
        "y2": 4,
        "annopoints": struct({"point": struct(*points)}),
        "scale": scale,
        "objpos": struct({"x": x + 20, "y": y + 30}),
    }


def mpii_image(name, *people):
    people = struct(*people) if people else np.zeros((0, 0))
    return {"image": struct({"name": name}), "annorect": people, "frame_sec": [], "vididx": []}


@pytest.fixture
def mpii_files(tmp_path):
    without = mpii_person(1, 1) | {"annopoints": np.zeros((0, 0)), "scale": [], "objpos": []}
    release = {
        "annolist": struct(
            mpii_image("015601864.jpg", mpii_person(50, 40), mpii_person(150, 60, range(6))),
            mpii_image("test.jpg", mpii_person(50, 40)),
            mpii_image("nobody.jpg"),
            mpii_image("gone.jpg", mpii_person(50, 40)),
            mpii_image("unlabelled.jpg", without),
            mpii_image("small.jpg", mpii_person(60, 40, scale=0.1)),
        ),
        "img_train": np.array([[1, 0, 1, 1, 1, 1]]),
        "version": "12",
    }
    path = tmp_path / "mpii_human_pose_v1_u12_1.mat"
    scipy.io.savemat(path, {"RELEASE": struct(release)})
    for name in "015601864", "test", "unlabelled", "small":
        picture(tmp_path / f"images/{name}.jpg")
    return path


def test_mpii(mpii_files, tmp_path, capsys):
    out = tmp_path / "out/mpii.pack"
    assert run("mpii", mpii_files, tmp_path / "images", "--out", out) == 0
    people = annotations.load(out)
    # The image with two, in which "small" is too small to be a sample, and has nobody else.
    assert people.files == ("015601864.jpg",) * 2
    assert missing(people) == {"spine", "nose"}
    # From 1 to 0 for the first pixel; joint 2 of theirs, hidden, is the right hip.
    np.testing.assert_array_equal(people.points[0, INDEX["right hip"]], [49 + 4, 39 + 6])
    np.testing.assert_array_equal(people.points[0, INDEX["neck"]], [49 + 14, 39 + 21])
    assert people.visible[0, INDEX["right hip"]] == 1 and people.visible[0, INDEX["neck"]] == 2
    np.testing.assert_array_equal(people.boxes[0], [49 + 20 - 50, 39 + 30 - 50, 100, 100])
    np.testing.assert_array_equal(people.others(0)[0], people.points[1])
    assert not people.has_camera(0) and np.isnan(people.poses_mm).all()
    printed = capsys.readouterr().out
    assert "2 images, 3 people" in printed
    assert "left out: 1\n" in printed and "gone.jpg: expected an image" in printed


def test_landmarks_outside_the_image_are_missing_and_counted(tmp_path, capsys):
    path = tmp_path / "a.mat"
    release = {
        "annolist": struct(mpii_image("a.jpg", mpii_person(185, 40)), mpii_image("b.jpg")),
        "img_train": np.array([[1, 1]]),
    }
    scipy.io.savemat(path, {"RELEASE": struct(release)})
    picture(tmp_path / "a.jpg")
    assert run("mpii", path, tmp_path, "--out", tmp_path / "a.pack") == 0
    people = annotations.load(tmp_path / "a.pack")
    assert np.nanmax(people.points[0, :, 0]) == 198  # joint 7; joint 8 is at 200
    assert missing(people) >= {"head top", "left wrist"} and "neck" not in missing(people)
    assert "7 landmarks outside their image" in capsys.readouterr().out


# Leeds ----------------------------------------------------------------------------------------


def leeds_files(folder, extended, count=4):
    rng = np.random.default_rng(0)
    points = rng.uniform(20, 120, size=(count, 14, 2))
    flag = np.ones((count, 14)) if extended else np.zeros((count, 14))
    flag[0, 3] = 1 - flag[0, 3]
    joints = np.concatenate([points, flag[..., None]], axis=2)
    joints = joints.transpose(1, 2, 0) if extended else joints.transpose(2, 1, 0)
    assert joints.shape == ((14, 3, count) if extended else (3, 14, count))
    scipy.io.savemat(folder / "joints.mat", {"joints": joints})
    for i in range(count):
        digits = 5 if extended else 4
        picture(folder / f"images/im{i + 1:0{digits}}.jpg")
    return points


@pytest.mark.parametrize("extended", [False, True])
def test_leeds(tmp_path, extended):
    points = leeds_files(tmp_path, extended)
    assert run("leeds", tmp_path, "--out", tmp_path / "a.pack") == 0
    people = annotations.load(tmp_path / "a.pack")
    assert len(people) == 4 and people.files[0] == ("im00001.jpg" if extended else "im0001.jpg")
    np.testing.assert_allclose(people.points[1, INDEX["right foot"]], points[1, 0] - 1)
    np.testing.assert_allclose(people.points[1, INDEX["head top"]], points[1, 13] - 1)
    middle = points[1, [2, 3]].mean(axis=0) - 1
    np.testing.assert_allclose(people.points[1, INDEX["hip"]], middle)
    assert missing(people, 1) == {"spine", "nose"}
    # Joint 3, the left hip, is hidden in the one and missing in the other.
    assert people.visible[0, INDEX["left hip"]] == (0 if extended else 1)
    assert ("hip" in missing(people)) == extended


def test_the_halves_of_leeds(tmp_path, capsys):
    leeds_files(tmp_path, extended=False)
    for part, names in (("train", ("im0001.jpg", "im0002.jpg")), ("test", ("im0003.jpg",))):
        assert run("leeds", tmp_path, "--part", part, "--out", tmp_path / "a.pack") == 0
        assert annotations.load(tmp_path / "a.pack").files[: len(names)] == names
    leeds_files(tmp_path, extended=True)
    assert run("leeds", tmp_path, "--part", "test", "--out", tmp_path / "b.pack") == 1
    assert "--part all" in capsys.readouterr().err


# COCO -----------------------------------------------------------------------------------------

COCO = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
]


def coco_person(image, seen=range(17), **more):
    keypoints = [[30 + 5 * i, 20 + 4 * i, 2 if i in seen else 0] for i in range(17)]
    return {
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [20, 10, 120, 130],
        "keypoints": sum(keypoints, []),
        "num_keypoints": len(seen),
        "id": 9,
        "area": 5000,
    } | more


@pytest.fixture
def coco_files(tmp_path):
    document = {
        "images": [
            {"id": 7, "file_name": "000000000007.jpg", "width": 200, "height": 150},
            {"id": 8, "file_name": "000000000008.jpg", "width": 200, "height": 150},
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": COCO, "skeleton": []}],
        "annotations": [
            coco_person(7),
            coco_person(7, [5, 6]),
            coco_person(7, [], num_keypoints=0),
            coco_person(7, iscrowd=1),
            coco_person(8, bbox=[20, 10, 0, 130]),
        ],
    }
    path = tmp_path / "person_keypoints_train2017.json"
    path.write_text(json.dumps(document))
    for name in 7, 8:
        picture(tmp_path / f"images/00000000000{name}.jpg")
    return path


def test_coco(coco_files, tmp_path, capsys):
    assert run("coco", coco_files, tmp_path / "images", "--out", tmp_path / "a.pack") == 0
    people = annotations.load(tmp_path / "a.pack")
    assert len(people) == 1 and missing(people) == {"spine", "neck", "head top"}
    np.testing.assert_array_equal(people.points[0, INDEX["right foot"]], [30 + 80, 20 + 64])
    np.testing.assert_array_equal(people.points[0, INDEX["nose"]], [30, 20])
    np.testing.assert_array_equal(people.points[0, INDEX["hip"]], [30 + 57.5, 20 + 46])
    (other,) = people.others(0)  # the one with two landmarks is context
    assert np.count_nonzero(np.isfinite(other[:, 0])) == 2
    printed = capsys.readouterr().out
    assert "1 images, 2 people" in printed
    assert "left out: 1\n" in printed and "bbox: expected width and height > 0" in printed


# Human3.6M ------------------------------------------------------------------------------------

SIZE, FRAMES = 1000, 12
JOINTS = list(motion.LANDMARK_JOINTS)


def write_pose(path, joints):
    """Pose (1, F, 32 axes) in a CDF file, as the data set has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = joints.reshape(len(joints), -1).astype(np.float32)
    file = cdflib.cdfwrite.CDF(path)
    spec = {
        "Variable": "Pose",
        "Data_Type": file.CDF_FLOAT,
        "Num_Elements": 1,
        "Rec_Vary": True,
        "Dim_Sizes": list(flat.shape),
    }
    file.write_var(spec, var_data=flat[None])
    file.close()


def rotation(angles):
    """Rx Ry Rz, by scipy."""
    return scipy.spatial.transform.Rotation.from_euler("XYZ", angles).as_matrix()


@pytest.fixture
def human(tmp_path):
    """Subject 1 walking before camera 55011271, the second: (folder, angles, points)."""
    rng = np.random.default_rng(0)
    w0 = rng.uniform(-1, 1, size=300)
    # World z up: a camera 5 m away at a height of 1.5 m, looking along y, a little down and turned.
    angles, position = np.array([np.pi / 2 + 0.1, 0.03, -0.2]), np.array([900.0, -5000, 1500])
    w0[6 * 11 : 6 * 12] = [*angles, *position]
    lens = [1145.5, 1144.8, 514.9, 501.9, -0.2, 0.24, -0.002, -0.0009, -0.0016]
    w0[264:] = np.tile(lens, 4) + np.repeat(np.arange(4) - 1, 9)  # the second is exact
    numbers = " ".join(f"{value:.12g}" for value in w0)
    (tmp_path / "metadata.xml").write_text(f"<metadata><w0>[{numbers}]</w0></metadata>")
    # Somebody standing near the origin; z up there.
    poses = random_poses(FRAMES) + [0, 900, 0]
    joints = np.zeros((FRAMES, 32, 3))
    joints[:, JOINTS] = poses @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    seen = (joints - position) @ rotation(angles).T
    points, _ = cv2.projectPoints(
        seen.reshape(-1, 3),
        np.zeros(3),
        np.zeros(3),
        np.array([[lens[0], 0, lens[2]], [0, lens[1], lens[3]], [0, 0, 1]]),
        np.array([lens[4], lens[5], lens[7], lens[8], lens[6]]),
    )
    points = points.reshape(FRAMES, 32, 2)
    features = tmp_path / "S1/MyPoseFeatures"
    write_pose(features / "D2_Positions/Walking 1.55011271.cdf", points)
    write_pose(features / "D3_Positions/Walking 1.cdf", joints)
    video = tmp_path / "S1/Videos/Walking 1.55011271.mp4"
    video.parent.mkdir(parents=True)
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"mp4v"), 50, (SIZE, SIZE))
    for i in range(FRAMES):
        frame = np.full((SIZE, SIZE, 3), 20 * i, np.uint8)
        for x, y in points[i, JOINTS]:
            cv2.circle(frame, (int(x), int(y)), 4, (255, 255, 255), -1)
        writer.write(frame)
    writer.release()
    return tmp_path, poses, points[:, JOINTS]


def convert_human(folder, *more):
    return run(
        "human36m",
        folder,
        "--metadata",
        folder / "metadata.xml",
        "--subjects",
        "S1",
        "--out",
        folder / "a.pack",
        *more,
    )


def test_human36m(human):
    folder, poses, points = human
    assert convert_human(folder) == 0
    people = annotations.load(folder / "a.pack")
    assert people.frames == (0, 5, 10)  # 10 of 50 frames a second
    assert set(people.subjects) == {"S1"} and set(people.actions) == {"Walking 1"}
    assert set(people.camera_names) == {"S1/55011271"}
    assert people.files[1] == "S1/Walking 1.55011271.000005.jpg"
    np.testing.assert_allclose(people.poses_mm, poses[::5], atol=0.01)
    for i in range(3):
        crop = people.image(i)
        assert max(crop.shape) < 1000
        background = np.median(crop)
        assert abs(background - 100 * i) < 8
        # The picture, its 2D landmarks and the camera belong together.
        for x, y in people.points[i].astype(int):
            assert crop[y, x].min() > background + 60 or background > 190
        flat = cameras.perspective(
            people.poses_mm[i], people.rotations[i], people.positions_mm[i], people.intrinsics[i]
        )
        away = np.linalg.norm(flat - people.points[i], axis=1)
        assert away.max() < 25  # the lens, strongest at the border
    assert (people.visible == 2).all()
    shift = points[::5] - people.points
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1], shift.shape), atol=1e-3)
    assert convert_human(folder, "--step", "1") == 0
    assert len(annotations.load(folder / "a.pack")) == FRAMES


def test_the_camera_is_that_of_the_subject(human):
    folder, *_ = human
    found = human36m.cameras(folder / "metadata.xml")
    assert len(found) == 44
    camera = found["S1/55011271"]
    np.testing.assert_allclose(camera.position, [900, 1500, 5000])
    assert camera.rotation[1] @ [0, 1, 0] < -0.9  # y of the image goes down
    assert camera.rotation[2] @ [0, 0, -1] > 0.9  # it looks at the origin
    cameras.check_rotation(np.stack([c.rotation for c in found.values()]))


def test_positions_of_another_camera_are_left_out(human, capsys):
    folder, *_ = human
    name = "Walking 1.{}"
    for below, end in (("MyPoseFeatures/D2_Positions", "cdf"), ("Videos", "mp4")):
        path = folder / "S1" / below / f"{name.format('55011271')}.{end}"
        path.rename(path.with_name(f"{name.format('58860488')}.{end}"))
    assert convert_human(folder) == 1
    error = capsys.readouterr().err
    assert "px away from its 2D ones" in error and error.count("\n") == 1
    assert not (folder / "a.pack").exists()


def test_a_video_cut_short_gives_the_frames_that_it_has(human, capsys):
    folder, *_ = human
    video = folder / "S1/Videos/Walking 1.55011271.mp4"
    reader = cv2.VideoCapture(str(video))
    frames = [reader.read()[1] for _ in range(7)]
    reader.release()
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"mp4v"), 50, (SIZE, SIZE))
    for frame in frames:
        writer.write(frame)
    writer.release()
    assert convert_human(folder) == 0
    assert annotations.load(folder / "a.pack").frames == (0, 5)
    assert "ends at frame 7 of 12" in capsys.readouterr().out


# Our own, and what goes wrong -----------------------------------------------------------------


@pytest.fixture
def native(tmp_path):
    keypoints = [[30 + 4 * i, 20 + 5 * i, 2] for i in range(L)]
    person = {"bbox": [20, 10, 120, 130], "keypoints": sum(keypoints, [])}
    document = {
        "categories": [{"keypoints": LANDMARKS}],
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 150} for i in range(3)
        ],
        "annotations": [{"image_id": i} | person for i in (0, 2)],
    }
    for i in range(3):
        picture(tmp_path / f"{i}.jpg", grey=50 * i)
    path = tmp_path / "train.json"
    path.write_text(json.dumps(document))
    return path


def test_our_own_json(native, tmp_path):
    assert run("json", native, "--out", tmp_path / "a.pack") == 0
    one, other = annotations.load(native), annotations.load(tmp_path / "a.pack")
    np.testing.assert_array_equal(one.points, other.points)
    for i in range(2):
        np.testing.assert_array_equal(one.image(i), other.image(i))


def test_check_names_a_damaged_image(native, tmp_path, capsys):
    path = tmp_path / "a.pack"
    assert run("json", native, "--out", path) == 0
    assert run("check", path) == 0
    assert "2 images, 2 people" in capsys.readouterr().out
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert run("check", path) == 1
    error = capsys.readouterr().err
    assert "image 0 (0.jpg): damaged" in error and error.count("\n") == 1
    assert run("check", native) == 1
    assert "expected a packed file" in capsys.readouterr().err


WRONG = {
    "mpii": (lambda f: ("mpii", f / "none.mat", f), "none.mat: cannot be read"),
    "mpii's damage": (lambda f: ("mpii", f / "train.json", f), "expected a .mat file"),
    "leeds": (lambda f: ("leeds", f), "joints.mat: cannot be read"),
    "coco": (lambda f: ("coco", f / "none.json", f), "none.json: cannot be read"),
    "coco's layout": (lambda f: ("coco", f / "train.json", f), "expected COCO's person keypoints"),
    "cameras": (lambda f: ("human36m", f, "--metadata", f / "none.xml"), "none.xml: cannot be"),
    "numbers": (lambda f: ("human36m", f, "--metadata", f / "a.xml"), "expected 300 numbers"),
    "json": (lambda f: ("json", f / "none.json"), "none.json: no such file"),
}


@pytest.mark.parametrize("command, message", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_and_no_file(native, capsys, command, message):
    folder = native.parent
    (folder / "a.xml").write_text("<metadata><w0>[1 2 3]</w0></metadata>")
    before = set(folder.rglob("*"))
    assert run(*command(folder), "--out", folder / "out.pack") == 1
    error = capsys.readouterr().err
    assert (
        message in error
        and error.startswith("python -m tools.convert: ")
        and error.count("\n") == 1
    )
    assert set(folder.rglob("*")) == before
