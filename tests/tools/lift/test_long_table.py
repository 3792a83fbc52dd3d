"""CSV with a row for each landmark."""

import csv
import re

import numpy as np
import pytest

from prior.landmark_sets import MEDIAPIPE
from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tests.landmark_tables import long_columns
from tools.lift import keypoints
from tools.lift.people import KeypointError

POINTS = files.image_points(files.walk(6))


def written(path, header, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def ours(points=POINTS, frame=lambda i: i):
    """Rows frame, name, x, y of our 17 landmarks."""
    return [
        [frame(i), name, *xy]
        for i, pose in enumerate(points.tolist())
        for name, xy in zip(LANDMARKS, pose, strict=True)
    ]


@pytest.mark.parametrize(
    "header",
    [
        ["frame", "name", "x", "y"],
        ["Frame", "Joint", "X", "Y"],
        ["image_id", "keypoint_name", "x", "y"],
        ["frame_idx", "bodypart", "x", "y"],
    ],
)
def test_columns_by_many_names_and_rows_in_any_order(tmp_path, header):
    rows = ours()
    order = np.random.default_rng(0).permutation(len(rows))
    people = keypoints.read(written(tmp_path / "a.csv", header, [rows[i] for i in order]))
    np.testing.assert_allclose(people.points, POINTS)
    assert people.frame.tolist() == list(range(6)) and not people.left


def test_gaps_times_and_missing_landmarks(tmp_path):
    rows = [row for row in ours(frame=lambda i: i / 25 * (1 if i < 3 else 2)) if row[1] != "nose"]
    knee = LANDMARKS.index("left knee")
    rows[knee][2] = rows[knee][3] = ""
    people = keypoints.read(written(tmp_path / "a.csv", ["time_s", "landmark", "x", "y"], rows))
    assert people.rate == 25 and people.frame.tolist() == [0, 1, 2, 6, 8, 10]
    assert not people.confidence[:, LANDMARKS.index("nose")].any()
    assert people.confidence[:, knee].tolist() == [0, 1, 1, 1, 1, 1]


def test_landmarks_by_number(tmp_path):
    rows = [
        [i, k, *xyc]
        for i, pose in enumerate(files.in_set(POINTS, MEDIAPIPE).tolist())
        for k, xyc in enumerate(pose)
    ]
    header = ["frame", "landmark_id", "x", "y", "visibility"]
    people = keypoints.read(written(tmp_path / "a.csv", header, rows[::-1]))
    assert people.set_name == MEDIAPIPE.name and "by their numbers, 0 to 32" in people.notes[0]
    assert np.nanmax(np.abs(people.points - POINTS)) < 1e-9
    # Where some are left out, or they count from 1, the number says no landmark for certain.
    for wrong in ([row for row in rows if row[1] > 10], [[f, k + 1, *xyc] for f, k, *xyc in rows]):
        with pytest.raises(KeypointError, match="by their names, or all numbers from 0 on"):
            keypoints.read(written(tmp_path / "a.csv", header, wrong))


def test_a_name_beside_a_number_says_more(tmp_path):
    rows = [[i // 17, i % 17 + 3, *row[1:]] for i, row in enumerate(ours())]
    header = ["frame", "keypoint_id", "keypoint", "x", "y"]
    people = keypoints.read(written(tmp_path / "a.csv", header, rows))
    np.testing.assert_allclose(people.points, POINTS)


def test_two_people_without_a_column_for_them_are_refused(tmp_path):
    both = [row for pair in zip(ours(), ours(POINTS + [200, 0]), strict=True) for row in pair]
    header = ["frame", "name", "x", "y"]
    with pytest.raises(KeypointError, match="a landmark twice in one pose: line 3: hip"):
        keypoints.read(written(tmp_path / "a.csv", header, both))
    # In one frame alone the others are read.
    people = keypoints.read(written(tmp_path / "a.csv", header, [*ours(), ours()[20]]))
    assert people.frame.tolist() == [0, 2, 3, 4, 5]
    assert [part.count for part in people.left] == [1]


def test_people_have_their_names(tmp_path):
    path = long_columns(tmp_path / "a.csv", np.repeat(POINTS, 2, axis=0), 2)
    people = keypoints.read(path)
    assert people.person.tolist() == [0, 1] * 6 and not people.left


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([[5, "hip"]], "not a row of 4 cells .first: line 104: got 2 cells"),
        ([[6, name, "left", 1] for name in LANDMARKS], "not a row of numbers .first: line 104"),
        ([["", name, 1, 2] for name in LANDMARKS], "no frame .first: line 104"),
    ],
)
def test_damaged_rows_are_counted(tmp_path, rows, why):
    path = written(tmp_path / "a.csv", ["frame", "name", "x", "y"], [*ours(), *rows])
    people = keypoints.read(path)
    (left,) = people.left
    assert len(people.frame) == 6 and left.count == 1 and re.search(why, str(left))


def test_what_cannot_be_a_table_of_landmarks_is_refused(tmp_path):
    for header, rows, why in (
        (["name", "x", "y"], [["hip", 1, 2]], "expected a column 'frame' or 'time'"),
        (["frame", "name", "x", "y"], [], "expected rows with a landmark's name, got none"),
        (["frame", "name", "x", "y"], [[0, f"p{i}", i, i] for i in range(9)], "by their names"),
        (["frame", "name", "x"], [[0, "hip", 1]], "got text: 'frame,name,x'"),
    ):
        with pytest.raises(KeypointError, match=why):
            keypoints.read(written(tmp_path / "a.csv", header, rows))
