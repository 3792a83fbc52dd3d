"""The converter of MPII's annotations, on a tiny file in their layout."""

import numpy as np
import pytest
import scipy.io

from python_layers.data import annotations
from tests.tools.convert.test_convert import INDEX, missing, picture, run


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
    assert "left out: 1\n" in printed and "gone.jpg: cannot be read" in printed


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


def mpii_release(image, marks=1):
    return struct({"annolist": struct(image), "img_train": np.ones((1, marks))})


FAR = {"annopoints": struct({"point": struct({"x": "far", "y": 2, "id": 3})})}
MPII_WRONG = {
    "a number": 3,
    "no lists": struct({"annolist": 3, "img_train": np.ones((1, 2))}),
    "no marks": struct({"annolist": struct(mpii_image("a.jpg", mpii_person(50, 40)))}),
    "more marks than images": mpii_release(mpii_image("a.jpg", mpii_person(50, 40)), marks=2),
    "a point of words": mpii_release(mpii_image("a.jpg", mpii_person(50, 40) | FAR)),
    "no image": mpii_release({"annorect": struct(mpii_person(50, 40))}),
}


@pytest.mark.parametrize("release", MPII_WRONG.values(), ids=MPII_WRONG)
def test_mpii_s_structures_that_are_otherwise_are_one_line(tmp_path, capsys, release):
    scipy.io.savemat(tmp_path / "a.mat", {"RELEASE": release})
    assert run("mpii", tmp_path / "a.mat", tmp_path, "--out", tmp_path / "a.pack") == 1
    error = capsys.readouterr().err
    assert "a.mat: expected" in error and error.count("\n") == 1 and len(error) < 400
    assert not (tmp_path / "a.pack").exists()
