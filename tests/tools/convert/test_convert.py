"""The converters, on tiny files in the layout of the original ones."""

import json

import cv2
import numpy as np
import pytest
import scipy.io

from prior import skeleton, skeleton_file
from prior.skeleton import LANDMARKS, MIRROR, L
from python_layers.data import annotations
from python_layers.data.people import MPII_JOINTS
from tools.convert import __main__ as convert
from tools.convert import coco, leeds

INDEX = {name: i for i, name in enumerate(LANDMARKS)}


def run(*arguments):
    return convert.main(list(map(str, arguments)))


def picture(path, size=(200, 150), grey=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), grey, np.uint8))


def missing(people, index=0):
    return {name for name, v in zip(LANDMARKS, people.visible[index], strict=True) if v == 0}


@pytest.mark.parametrize("joints", [MPII_JOINTS, leeds.JOINTS, coco.JOINTS])
def test_the_maps_of_landmarks_keep_left_and_right(joints):
    """Mirrored joints of theirs are mirrored landmarks of ours."""
    names = list(joints)
    assert len(set(names)) == len(names) and set(names) <= set(LANDMARKS)
    for name in names:
        assert LANDMARKS[MIRROR[INDEX[name]]] in names


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


@pytest.mark.parametrize("extended", [False, True])
def test_a_tenth_of_leeds_is_for_validation(tmp_path, extended):
    """Every number that ends in 7, and no other; the rest is for training, and nothing in both."""
    leeds_files(tmp_path, extended, count=28)
    numbers = {}
    for split in ("train", "validation", "all"):
        assert run("leeds", tmp_path, "--split", split, "--out", tmp_path / "a.pack") == 0
        files = annotations.load(tmp_path / "a.pack").files
        numbers[split] = [int(name.removeprefix("im").removesuffix(".jpg")) for name in files]
    assert numbers["validation"] == [7, 17, 27]
    assert sorted(numbers["train"] + numbers["validation"]) == numbers["all"] == [*range(1, 29)]
    if not extended:
        split = ("--part", "test", "--split", "validation")
        assert run("leeds", tmp_path, *split, "--out", tmp_path / "a.pack") == 0
        assert annotations.load(tmp_path / "a.pack").files == ("im0017.jpg", "im0027.jpg")


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


def coco_person(image, visible=range(17), **more):
    keypoints = [[30 + 5 * i, 20 + 4 * i, 2 if i in visible else 0] for i in range(17)]
    return {
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [20, 10, 120, 130],
        "keypoints": sum(keypoints, []),
        "num_keypoints": len(visible),
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
    assert people.areas.tolist() == [5000]
    np.testing.assert_array_equal(people.points[0, INDEX["right foot"]], [30 + 80, 20 + 64])
    np.testing.assert_array_equal(people.points[0, INDEX["nose"]], [30, 20])
    np.testing.assert_array_equal(people.points[0, INDEX["hip"]], [30 + 57.5, 20 + 46])
    (other,) = people.others(0)  # the one with two landmarks is context
    assert np.count_nonzero(np.isfinite(other[:, 0])) == 2
    printed = capsys.readouterr().out
    assert "1 images, 2 people" in printed
    assert "left out: 1\n" in printed and "bbox: expected width and height > 0" in printed


def test_coco_as_it_is(coco_files, tmp_path, capsys):
    """With --skeleton: all of its keypoints, for a model of COCO's skeleton, and for no other."""
    path = tmp_path / "a.pack"
    options = ["--skeleton", "coco", "--out", path]
    assert run("coco", coco_files, tmp_path / "images", *options) == 0
    people = annotations.load(path, skeleton=skeleton.COCO)
    np.testing.assert_array_equal(people.points[0], [[30 + 5 * i, 20 + 4 * i] for i in range(17)])
    assert run("check", path, "--skeleton", "coco") == 0
    capsys.readouterr()
    assert run("check", path) == 1
    printed = capsys.readouterr().err
    assert "expected ['hip'," in printed and "got ['nose', 'left_eye'" in printed
    assert printed.count("\n") == 1


def test_a_hand_in_cocos_form_beside_people(tmp_path, capsys):
    """Keypoints by the names of a skeleton, of the one category that has them."""
    hand = {"landmarks": ["wrist", "thumb", "index"], "limb_scale_mm": [80, 500]}
    hand["parents"] = {"thumb": "wrist", "index": "wrist"}
    (tmp_path / "hand.json").write_text(json.dumps(hand))
    order = ["index", "thumb", "wrist", "tip"]
    keypoints = [60, 60, 2, 50, 50, 2, 40, 80, 1, 10, 10, 0]
    annotation = {"image_id": 1, "category_id": 4, "bbox": [30, 30, 40, 60]}
    annotation |= {"keypoints": keypoints}
    document = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "categories": [
            {"id": 1, "name": "person", "keypoints": COCO},
            {"id": 4, "name": "right hand", "keypoints": order},
        ],
        "annotations": [annotation, coco_person(1)],
    }
    source, path = tmp_path / "hands.json", tmp_path / "a.pack"
    source.write_text(json.dumps(document))
    picture(tmp_path / "images/1.jpg")
    options = ["--skeleton", tmp_path / "hand.json", "--out", path]
    assert run("coco", source, tmp_path / "images", *options) == 0
    people = annotations.load(path, skeleton=skeleton_file.read(tmp_path / "hand.json"))
    np.testing.assert_array_equal(people.points, [[[40, 80], [50, 50], [60, 60]]])
    document["categories"][1]["keypoints"] = order[:2]
    source.write_text(json.dumps(document))
    assert run("coco", source, tmp_path / "images", *options) == 1
    assert "expected one category with the keypoints wrist, thumb, index" in capsys.readouterr().err


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
    "coco's layout": (lambda f: ("coco", f / "train.json", f), "one category with the keypoints"),
    "json": (lambda f: ("json", f / "none.json"), "none.json: no such file"),
}


@pytest.mark.parametrize("command, message", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_and_no_file(native, capsys, command, message):
    folder = native.parent
    before = set(folder.rglob("*"))
    assert run(*command(folder), "--out", folder / "out.pack") == 1
    error = capsys.readouterr().err
    assert error.startswith("python -m tools.convert: ") and error.count("\n") == 1
    assert message in error
    assert set(folder.rglob("*")) == before
