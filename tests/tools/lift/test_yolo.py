"""YOLO's text files of poses: what its lines may be, and what they are not."""

import re

import numpy as np
import pytest

from prior.landmark_sets import COCO, HALPE_26
from tests import landmark_files as files
from tests.landmark_formats import SIZE, yolo
from tools.lift import keypoints
from tools.lift.people import How, KeypointError

POINTS = files.image_points(files.walk(6))
HOW = How(size=lambda _: SIZE)


def line_of(row, tail=(), size=SIZE):
    """A person (S, 2 or 3) as shares of the image, with the class and the box."""
    there = row[row.any(axis=1), :2]
    box = [*(there.min(axis=0) + there.max(axis=0)) / 2 / size, *np.ptp(there, axis=0) / size]
    shares = row / ([*size, 1] if row.shape[1] == 3 else size)
    return " ".join(f"{value:g}" for value in [0, *box, *shares.ravel(), *tail])


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("tail", [(), (0.87,), (4,), (0.87, 4)])
def test_a_confidence_and_a_track_after_the_landmarks(tmp_path, width, tail):
    people = keypoints.read(yolo(tmp_path / "labels", POINTS, 1, tail, width), HOW)
    there = np.isfinite(people.points).all(axis=2)
    np.testing.assert_allclose(people.points[there], POINTS[there], atol=1e-3)
    assert there.sum() == 6 * 15 and people.set_name == COCO.name
    assert set(people.person.tolist()) == ({4} if 4 in tail else {-1})
    assert not people.left and not people.doubts


def test_flags_of_visibility_are_no_coordinates(tmp_path):
    row = files.in_set(POINTS, COCO)[0]
    row[:, 2] = 2
    row[3] = 0  # not labelled
    row[4, 2] = 1  # hidden
    (tmp_path / "a.txt").write_text(line_of(row))
    people = keypoints.read(tmp_path / "a.txt", HOW)
    assert people.frames == ("a",) and people.confidence.max() == 1
    assert np.nanmax(np.abs(people.points - POINTS[0])) < 1


def test_other_sets_are_told_by_the_box(tmp_path):
    # 26 landmarks as pairs are as many numbers as COCO's 17 with a confidence of the box.
    row = files.in_set(POINTS, HALPE_26)[0, :, :2]
    row[(row == 0).all(axis=1)] = row[0]
    (tmp_path / "a.txt").write_text(line_of(row))
    people = keypoints.read(tmp_path / "a.txt", HOW)
    assert people.set_name == HALPE_26.name and not people.notes[1:]


def test_where_the_box_does_not_tell_it_is_said(tmp_path):
    row = files.in_set(POINTS, COCO)[0]
    row[:, 2] = np.where(row[:, 2] > 0, 0.9, 0)
    cells = line_of(row, (0.87,)).split()
    cells[1:5] = "0.5", "0.5", "1", "1"
    (tmp_path / "a.txt").write_text(" ".join(cells))
    people = keypoints.read(tmp_path / "a.txt", HOW)
    assert people.set_name == COCO.name
    assert "57 numbers in a line: taken as 17 landmarks of 3, not as 26 of 2" in people.notes


def test_images_without_anybody_are_frames(tmp_path):
    folder = yolo(tmp_path / "labels", POINTS)
    (folder / "clip_2.txt").write_text("")
    (folder / "clip_4.txt").unlink()
    people = keypoints.read(folder, HOW)
    assert people.frame.tolist() == [0, 1, 3, 5] and len(people.frames) == 6
    assert people.listed == 5 and not people.left


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda cells: ["1", *cells[1:]], "of another class than 0, a person .first: line 1: 1"),
        (lambda cells: [*cells[:7], "none", *cells[8:]], "not a line of numbers .first: line 1"),
        (lambda cells: cells[:-4], "not a box and a known set's landmarks in it"),
        (lambda cells: [*cells[:3], "0.1", "0.1", *cells[5:]], "not a box and a known set"),
        (
            lambda cells: [c if i < 1 else str(640 * float(c)) for i, c in enumerate(cells)],
            "shares",
        ),
    ],
    ids=["another class", "text", "too short", "outside the box", "px"],
)
def test_lines_of_something_else_are_left_out_with_the_reason(tmp_path, change, why):
    good = line_of(files.in_set(POINTS, COCO)[0])
    bad = " ".join(change(good.split()))
    (tmp_path / "a.txt").write_text(f"{bad}\n{good}\n")
    people = keypoints.read(tmp_path / "a.txt", HOW)
    (left,) = people.left
    assert len(people.frame) == 1 and left.count == 1 and re.search(why, str(left))
    # Nothing else in the file: an error with the same reason.
    (tmp_path / "a.txt").write_text(bad)
    with pytest.raises(KeypointError, match=why if "line 1" not in why else "a.txt"):
        keypoints.read(tmp_path / "a.txt", HOW)


def test_the_size_of_the_image_is_asked_for(tmp_path):
    with pytest.raises(KeypointError, match="--image-size WIDTH HEIGHT or --images .*clip_0"):
        keypoints.read(yolo(tmp_path / "labels", POINTS))


def test_other_texts_are_described(tmp_path):
    folder = yolo(tmp_path / "labels", POINTS)
    (folder / "classes.txt").write_text("person\n")
    people = keypoints.read(folder, HOW)
    assert len(people.frame) == 6 and "classes.txt" in str(people.left[0])
    boxes = tmp_path / "boxes.txt"
    boxes.write_text("0 0.5 0.5 0.2 0.4\n")
    with pytest.raises(KeypointError, match="got text: '0 0.5 0.5 0.2 0.4'.*YOLO's"):
        keypoints.read(boxes)


def test_nothing_at_the_corner_though_a_landmark_is_outside_the_image(tmp_path):
    folder = tmp_path / "labels"
    folder.mkdir()
    for i, row in enumerate(files.in_set(POINTS, COCO)[..., :2]):
        row[7] = 0  # an elbow that is missing
        row[9, 0] = -2.0  # a wrist
        (folder / f"clip_{i}.txt").write_text(line_of(row))
    people = keypoints.read(folder, HOW)
    assert np.nanmin(people.points, axis=(0, 1))[1] > 20 and not people.left
    # Of 15 landmarks one is missing.
    assert np.isfinite(people.points).all(axis=2).sum() == 6 * 14


def test_a_confidence_of_one_is_no_track(tmp_path):
    rows = files.in_set(POINTS, COCO)
    lines = [
        line_of(row, (tail,)) for row, tail in zip(rows, (0.9, 1, 0.8, 1, 1, 0.7), strict=True)
    ]
    folder = tmp_path / "labels"
    folder.mkdir()
    for i, line in enumerate(lines):
        (folder / f"clip_{i}.txt").write_text(line)
    assert set(keypoints.read(folder, HOW).person.tolist()) == {-1}


def test_the_lines_of_an_earlier_run_are_not_more_people(tmp_path):
    folder = yolo(tmp_path / "labels", POINTS)
    file = folder / "clip_3.txt"
    file.write_text(2 * file.read_text())
    people = keypoints.read(folder, HOW)
    assert people.frame.tolist() == list(range(6))
    assert "the same pose twice in one frame (first: clip_3.txt, line 2)" in str(people.left[0])
