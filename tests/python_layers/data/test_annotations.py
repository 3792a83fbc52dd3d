import copy
import json

import cv2
import numpy as np
import pytest

from prior import camera as cameras
from prior import skeleton
from python_layers.data import annotations
from python_layers.data.annotations import AnnotationError


def document():
    keypoints = [[10.0 + i, 20.0 + i, 2] for i in range(skeleton.L)]
    keypoints[3] = [0, 0, 0]
    keypoints[4][2] = 1
    pose = [[i, 2 * i, 3 * i] for i in range(skeleton.L)]
    return {
        "info": {},
        "categories": [{"id": 1, "keypoints": list(skeleton.LANDMARKS)}],
        "cameras": {
            "S1/54138969": {
                "rotation": cameras.look_at([0, 1000, 5000], [0, 1000, 0]).tolist(),
                "position_mm": [0, 1000, 5000],
                "intrinsics": [[1100, 0, 40], [0, 1100, 30], [0, 0, 1]],
            }
        },
        "images": [
            {
                "id": 7,
                "file_name": "images/a.jpg",
                "width": 80,
                "height": 60,
                "subject": "S1",
                "action": "Walking",
                "camera": "S1/54138969",
                "frame": 12,
            },
            {"id": 8, "file_name": "images/b.jpg", "width": 80, "height": 60},
        ],
        "annotations": [
            {
                "image_id": 8,
                "bbox": [1, 2, 30, 40],
                "keypoints": [v for point in keypoints for v in point],
            },
            {
                "image_id": 7,
                "bbox": [5, 6, 7, 8],
                "pose_mm": pose,
                "keypoints": [v for point in keypoints for v in point],
            },
        ],
    }


@pytest.fixture
def write(tmp_path):
    (tmp_path / "images").mkdir()
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"images/{name}.jpg"), np.zeros((60, 80, 3), np.uint8))

    def write(content):
        path = tmp_path / "train.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_records_are_joined_with_their_image_and_camera(write, tmp_path):
    people = annotations.load(write(document()))
    assert len(people) == 2
    assert people.files == (str(tmp_path / "images/b.jpg"), str(tmp_path / "images/a.jpg"))
    np.testing.assert_array_equal(people.image_sizes, [[80, 60]] * 2)
    assert people.points.shape == (2, skeleton.L, 2)
    np.testing.assert_array_equal(people.points[0, 5], [15, 25])
    assert np.isnan(people.points[:, 3]).all() and not np.isnan(people.points[:, 4]).any()
    assert people.visible[0, 3] == 0 and people.visible[0, 4] == 1
    np.testing.assert_array_equal(people.boxes, [[1, 2, 30, 40], [5, 6, 7, 8]])
    assert people.subjects == (None, "S1") and people.frames == (None, 12)
    assert people.actions == (None, "Walking")


def test_without_a_camera_it_is_level_and_unknown(write):
    people = annotations.load(write(document()))
    assert [people.has_camera(i) for i in range(2)] == [False, True]
    np.testing.assert_array_equal(people.rotations[0], cameras.LEVEL)
    assert np.isnan(people.intrinsics[0]).all() and np.isnan(people.poses_mm[0]).all()
    np.testing.assert_array_equal(people.poses_mm[1, 2], [2, 4, 6])
    np.testing.assert_allclose(people.positions_mm[1], [0, 1000, 5000])
    assert people.camera_names == (None, "S1/54138969")


def test_a_lens_has_the_coefficients_that_are_said(write):
    said = document()
    said["cameras"]["S1/54138969"]["distortion"] = [-0.2, 0.1, 0.001, 0, 0.05]
    people = annotations.load(write(said))
    np.testing.assert_array_equal(people.distortions[1], [-0.2, 0.1, 0.001, 0, 0.05, *[0] * 9])
    assert not people.distortions[0].any()


def change(*keys, to):
    """A document with one value changed; None as `to` removes it."""
    result = document()
    *path, last = keys
    inner = result
    for key in path:
        inner = inner[key]
    if to is None:
        del inner[last]
    else:
        inner[last] = copy.deepcopy(to)
    return result


SWAPPED = [*skeleton.LANDMARKS[:1], "left hip", *skeleton.LANDMARKS[2:]]
CAMERA = ("cameras", "S1/54138969")
BAD = {
    "empty": ("", "expected JSON"),
    "not json": ("{", "expected JSON"),
    "deep": ("[" * 100_000, "at most 100 levels"),
    "a huge number": (change("images", 0, "width", to=10**30), "size: expected finite numbers"),
    "a number of 400 digits": (change("annotations", 0, "bbox", to=[10**400, 0, 1, 1]), "bbox"),
    "half a pixel": (change("images", 0, "width", to=64.5), "whole numbers"),
    "a long name": (change("images", 0, "subject", to="S" * 400_000), "up to 1024 characters"),
    "a list": ([], '"categories"'),
    "no annotations": (change("annotations", to=[]), '"annotations"'),
    "images of the wrong type": (change("images", to={"a": 1}), '"images"'),
    "order of landmarks": (change("categories", 0, "keypoints", to=SWAPPED), "keypoints"),
    "reflection": (
        change(*CAMERA, "rotation", to=np.diag([1, 1, -1]).tolist()),
        "transposed, or left-handed",
    ),
    "rotation's shape": (change(*CAMERA, "rotation", to=[1, 2, 3]), r"shape \(3, 3\)"),
    "no position": (change(*CAMERA, "position_mm", to=None), "position_mm"),
    "focal length": (change(*CAMERA, "intrinsics", 0, 0, to=-5), "focal lengths > 0"),
    "a lens of six": (
        change(*CAMERA, "distortion", to=[0.1] * 6),
        "expected 4, 5, 8, 12, 14 numbers in OpenCV's order",
    ),
    "a lens in words": (change(*CAMERA, "distortion", to="fisheye"), "in OpenCV's order"),
    "a lens of words": (change(*CAMERA, "distortion", to=["a"] * 4), "distortion: expected"),
    "unknown camera": (change("images", 0, "camera", to="S2/1"), "images/a.jpg: expected a camera"),
    "camera's type": (change("images", 0, "camera", to=["S2"]), "expected a camera"),
    "image's size": (change("images", 1, "height", to=0), "width and height > 0"),
    "image's file": (change("images", 1, "file_name", to=3), "file_name"),
    "two of one id": (change("images", 1, "id", to=7), "id of its own"),
    "unhashable id": (change("images", 1, "id", to=[7]), "id of its own"),
    "outside": (
        change("annotations", 1, "keypoints", 0, to=79.6),
        "inside the image, got the hip at .79.6, 20.0.; mark it as missing",
    ),
    "frame": (change("images", 0, "frame", to="12"), "expected a frame >= 0"),
    "subject": (change("images", 0, "subject", to=[1]), "expected a subject"),
    "offset": (change("images", 0, "offset", to=[1]), r"offset: .*shape \(2,\)"),
    "context": (change("annotations", 1, "context", to=1), "context: expected a bool"),
    "missing image": (change("annotations", 0, "image_id", to=99), "got 99"),
    "unhashable image": (change("annotations", 0, "image_id", to=[9]), "image_id"),
    "short keypoints": (change("annotations", 1, "keypoints", to=[1, 2, 2]), "keypoints"),
    "text keypoints": (change("annotations", 1, "keypoints", 0, to="x"), "keypoints"),
    "infinite": (change("annotations", 1, "keypoints", 0, to=float("inf")), "finite"),
    "visibility": (change("annotations", 1, "keypoints", 2, to=5), "v of 0, 1 or 2"),
    "box": (change("annotations", 0, "bbox", to=[1, 2, 0, 4]), "width and height > 0"),
    "pose": (change("annotations", 1, "pose_mm", to=[[1, 2, 3]]), "pose_mm"),
    "area": (change("annotations", 1, "area", to=0), "area: expected px.2 > 0, got 0"),
    "area's type": (change("annotations", 1, "area", to="large"), "area: expected"),
    "file not there": (change("images", 0, "file_name", to="images/c.jpg"), "1 of 2 images"),
}


@pytest.mark.parametrize("content, message", BAD.values(), ids=BAD)
def test_bad_files_say_what_is_wrong(write, content, message):
    path = write(content)
    with pytest.raises(AnnotationError, match=message) as caught:
        annotations.load(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_missing_file_names_the_job(tmp_path):
    with pytest.raises(AnnotationError, match="no such file.*make data"):
        annotations.load(tmp_path / "none.json")


def test_image_files_need_not_be_checked(write):
    content, _ = BAD["file not there"]
    assert len(annotations.load(write(content), check_images=False)) == 2
