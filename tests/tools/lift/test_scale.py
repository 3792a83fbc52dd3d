"""Coordinates of another scale than they are taken for: percentages, by the width alone, by an
image's size with width and height exchanged."""

import json

import numpy as np
import pytest

from prior.landmark_sets import BODY_25, HUMAN36M
from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tools.lift import __main__ as tool
from tools.lift import doubtful, keypoints
from tools.lift.people import How, KeypointError

POINTS = files.image_points(files.walk(40))
SIZE = np.array([640.0, 480.0])


def read(tmp_path, points, size=None):
    path = files.arrays(tmp_path / "a.npz", points)
    return keypoints.read(path, How(size=lambda _: size))


def fitted(low, high):
    """POINTS of one place and size, within these corners of an image, px."""
    low, high = np.array(low, float), np.array(high, float)
    own = POINTS - POINTS.min(axis=(0, 1))
    return low + own * ((high - low) / own.max(axis=(0, 1))).min()


@pytest.mark.parametrize("size", [None, (640, 480), (1920, 1080)])
def test_percentages_are_doubted(tmp_path, size):
    people = read(tmp_path, POINTS * 100 / SIZE, size)
    (doubt,) = people.doubts
    assert "they may be percentages of the image; if so, divide them by 100" in doubt
    assert ("--image-size" in doubt) == (size is None) and not people.notes
    # One small person, where the image is known to be far larger.
    assert bool(read(tmp_path, fitted((40, 31), (60, 74)), size).doubts) == (size is not None)


@pytest.mark.parametrize(
    ("points", "size"),
    [
        (fitted((5, 5), (95, 95)), (100, 100)),  # a crop
        (fitted((5, 5), (95, 95)), (128, 128)),
        (fitted((30, 40), (60, 80)), (100, 100)),  # a small person in it
        (fitted((30, 40), (60, 80)), None),
        (fitted((2, 3), (48, 70)), (640, 480)),  # in the image's corner
        (fitted((2, 3), (48, 70)), None),
        (fitted((2, 3), (45, 61)), None),  # px of a map of 64 x 48, turned
    ],
)
def test_small_people_and_crops_are_px(tmp_path, points, size):
    people = read(tmp_path, points, size)
    np.testing.assert_allclose(people.points, points)
    assert not people.doubts and "taken as px" in people.notes[0]


def test_dividing_percentages_by_100_is_right(tmp_path):
    people = read(tmp_path, POINTS / SIZE, (640, 480))
    np.testing.assert_allclose(people.points, POINTS)
    assert not people.doubts


def by_the_width(pixels, width, height):
    """As VideoPose3D's normalize_screen_coordinates."""
    return pixels / width * 2 - [1, height / width]


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720), (360, 640)])
def test_coordinates_by_the_width_alone_are_doubted(tmp_path, width, height):
    pixels = fitted((0.1 * width, 0.02 * height), (0.9 * width, 0.98 * height))
    shares = by_the_width(pixels, width, height)
    # Of an image that is higher than wide, landmarks are outside of it, too.
    doubt, *_ = read(tmp_path, shares, (width, height)).doubts
    assert f"stays within {height / width:.3g}" in doubt and "by the width alone" in doubt
    # What it tells to do gives px.
    x, y = shares[..., 0], shares[..., 1]
    told = np.stack([(x + 1) * width / 2, (y * width + height) / 2], axis=2)
    people = read(tmp_path, told, (width, height))
    np.testing.assert_allclose(people.points, pixels)
    assert not people.doubts


@pytest.mark.parametrize(
    ("width", "height"), [(640, 480), (1280, 720), (360, 640), (500, 500), (500, 510)]
)
def test_coordinates_by_width_and_height_are_not(tmp_path, width, height):
    pixels = fitted((0.1 * width, 0.02 * height), (0.9 * width, 0.98 * height))
    people = read(tmp_path, pixels / [width, height] * 2 - 1, (width, height))
    np.testing.assert_allclose(people.points, pixels)
    assert not people.doubts


def test_openpose_s_are_by_width_and_height(tmp_path):
    # Small people, who are within height / width of the middle.
    pixels = fitted((270, 190), (370, 290))
    rows = files.in_set(pixels, BODY_25)
    rows[..., :2] = np.where(rows[..., 2:] > 0, rows[..., :2] / (SIZE - 1) * 2 - 1, 0)
    path = tmp_path / "a.json"
    path.write_text(
        json.dumps([{"people": [{"pose_keypoints_2d": row.ravel().tolist()}]} for row in rows])
    )
    assert not keypoints.read(path, How(size=lambda _: (640, 480))).doubts


def test_landmarks_that_fit_an_image_of_the_exchanged_size_are_doubted():
    sure = np.ones(POINTS.shape[:2])
    size = [(480.0, 640.0)] * len(POINTS)
    # One in ten people is where an image of 640 x 480 px has room, and one of 480 x 640 has none.
    points = fitted((100, 100), (300, 400))
    points[::10, :, 0] += 300
    (doubt,) = doubtful.outside(points, sure, size)
    assert "outside the image of 480 x 640 px" in doubt
    assert "width and height were exchanged, and it had 640 x 480 px" in doubt
    assert not doubtful.outside(points, sure, [(640.0, 480.0)] * len(POINTS))
    # They are in neither: people who leave the image.
    points[::10, :, 0] += 300
    assert not doubtful.outside(points, sure, size)
    # Legs of people who are cut off are outside, but most of their landmarks are not.
    legs = [LANDMARKS.index(f"{s} {p}") for s in ("left", "right") for p in ("knee", "foot")]
    points = fitted((100, 100), (300, 400))
    points[:, legs, 0] += 300
    assert not doubtful.outside(points, sure, size)


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (720, 1280)])
def test_shares_scaled_by_the_exchanged_size_are_doubted(tmp_path, width, height):
    pixels = fitted((0.1 * width, 0.02 * height), (0.9 * width, 0.98 * height))
    shares = pixels / [width, height]
    (doubt,) = read(tmp_path, shares, (height, width)).doubts
    assert f"less of a person's proportions than scaled to {width} x {height}" in doubt
    assert not read(tmp_path, shares, (width, height)).doubts


def test_a_file_s_own_size_of_other_proportions_than_said_is_doubted(tmp_path):
    row = files.in_set(fitted((100, 20), (500, 460)), BODY_25)[0].ravel().tolist()
    path = tmp_path / "a.json"
    frame = {"canvas_width": 640, "canvas_height": 480, "people": [{"pose_keypoints_2d": row}]}
    path.write_text(json.dumps([frame]))
    (doubt,) = keypoints.read(path, How(size=lambda _: (480, 640))).doubts
    assert "the file says 640 x 480 px for an image, --image-size or --images 480 x 640" in doubt
    assert not keypoints.read(path, How(size=lambda _: (1280, 960))).doubts


def test_each_of_the_doubts_ends_the_program_with_3(tmp_path):
    by_width = by_the_width(POINTS, 640, 480)
    for points, size, status in (
        (POINTS, (640, 480), 0),
        (POINTS / SIZE * 100, (640, 480), 3),
        (by_width, (640, 480), 3),
    ):
        path = files.arrays(tmp_path / "a.npz", points[:3])
        out = ("--out", str(tmp_path / "o.npz"), "--elevation", "10", "--no-deviation")
        assert tool.main([str(path), *out, "--image-size", *map(str, size)]) == status


def test_cells_with_spaces_between_them(tmp_path):
    header = ["frame", *(f"{n.replace(' ', '_')}_{a}" for n in LANDMARKS for a in "xy")]
    cells = [[f"{v:.3f}" for v in row] for row in POINTS.reshape(len(POINTS), -1)]
    rows = [header, *([str(3 * i), *row] for i, row in enumerate(cells))]
    path = tmp_path / "a.csv"
    quoted = [[f'"{name.replace("_", " ")}"' for name in header], *rows[1:]]
    comma = [header, *([one.replace(".", ",") for one in row] for row in rows[1:])]
    aligned = [[one.rjust(20) for one in row] for row in rows]
    for table in (rows, quoted, comma, aligned):
        path.write_text("\n".join(" ".join(row) for row in table))
        people = keypoints.read(path)
        np.testing.assert_allclose(people.points, POINTS, atol=6e-4)
        assert people.frame.tolist() == list(range(0, 120, 3)) and not people.left
    # An empty cell is missing.
    rows[2][5] = ""
    path.write_text("\n".join(" ".join(row) for row in rows))
    assert np.argwhere(np.isnan(keypoints.read(path).points[..., 0])).tolist() == [[1, 2]]
    # Spaces in names, too, part cells: nobody knows which.
    path.write_text("\n".join(" ".join(row).replace("_", " ") for row in rows))
    with pytest.raises(KeypointError, match="commas, semicolons or tabs between all cells"):
        keypoints.read(path)


@pytest.mark.parametrize("text", ["None", "nan", "NaN", "null", "", " N/A "])
@pytest.mark.parametrize("form", ["points", "flat", "whole", "objects"])
def test_text_for_numbers_that_are_missing(tmp_path, text, form):
    rows = [[[x, y, 0.9] for x, y in pose] for pose in POINTS[:4].tolist()]
    rows[1][3] = text if form == "whole" else [text, text, 0.9]
    if form == "flat":
        rows = [[value for point in pose for value in point] for pose in rows]
    if form == "objects":
        rows = [[dict(zip(("x", "y", "score"), p, strict=True)) for p in pose] for pose in rows]
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"frame": i, "keypoints": row} for i, row in enumerate(rows)]))
    people = keypoints.read(path, How(HUMAN36M))
    assert np.argwhere(people.confidence == 0).tolist() == [[1, 3]] and not people.left
    there = people.confidence > 0
    np.testing.assert_allclose(people.points[there], POINTS[:4][there])


def test_text_for_confidences_that_are_missing_and_other_text(tmp_path):
    points, sure = POINTS[:4].tolist(), np.full((4, 17), 0.9).tolist()
    sure[2][5] = "None"
    path = tmp_path / "a.json"
    content = {"points": points, "confidence": sure, "landmarks": list(LANDMARKS)}
    path.write_text(json.dumps(content))
    assert np.argwhere(keypoints.read(path).confidence == 0).tolist() == [[2, 5]]
    points[0][0][0] = "left"
    path.write_text(json.dumps(content))
    (left,) = keypoints.read(path).left
    assert "not numbers" in str(left)
