"""Frames and people of files that name neither as others do: what their values tell, or is said."""

import json

import numpy as np
import pytest

from prior.landmark_sets import BODY_25, COCO
from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tools.lift import keypoints
from tools.lift.people import How, KeypointError

POINTS = files.image_points(files.walk(8))
GAPS = [0, 1, 2, 5, 6, 7, 20, 21]


def table(path, columns, points=POINTS):
    """CSV of points with these columns before them."""
    header = [*columns, *(f"{name} {axis}" for name in LANDMARKS for axis in "xy")]
    before = zip(*columns.values(), strict=True)
    lines = [
        ",".join(map(str, [*cells, *row.ravel().tolist()]))
        for cells, row in zip(before, points, strict=True)
    ]
    path.write_text("\n".join([",".join(header), *lines]))
    return path


@pytest.mark.parametrize("name", ["id", "idx", "ID", "track_id", "person"])
def test_numbers_that_count_rows_are_nobodys(tmp_path, name):
    people = keypoints.read(table(tmp_path / "t.csv", {"frame": GAPS, name: range(8)}))
    assert people.frame.tolist() == GAPS and set(people.person.tolist()) == {-1}
    # Of two people in each frame, too.
    both = np.repeat(POINTS, 2, axis=0) + np.array([[[0, 0]], [[400, 0]]] * 8)
    path = table(tmp_path / "t.csv", {"frame": np.repeat(GAPS, 2), name: range(1, 17)}, both)
    assert set(keypoints.read(path).person.tolist()) == {-1}
    # Whose number is there again is a person.
    path = table(tmp_path / "t.csv", {"frame": np.repeat(GAPS, 2), name: [4, 9] * 8}, both)
    assert keypoints.read(path).person.tolist() == [4, 9] * 8


def test_a_number_of_each_row_is_the_frame_where_nothing_else_says_it(tmp_path):
    people = keypoints.read(table(tmp_path / "t.csv", {"id": GAPS}))
    assert people.frame.tolist() == GAPS and set(people.person.tolist()) == {-1}


@pytest.mark.parametrize("order", [[1, 1, 1, 1, 2, 2, 2, 2], [1, 2] * 4])
def test_without_frames_each_person_has_rows_from_0_on(tmp_path, order):
    people = keypoints.read(table(tmp_path / "t.csv", {"person": order}))
    assert sorted(zip(people.frame.tolist(), people.person.tolist(), strict=True)) == [
        (frame, person) for frame in range(4) for person in (1, 2)
    ]
    assert "no column says the frame" in people.notes[0]


def test_empty_lines_are_no_frames(tmp_path):
    path = table(tmp_path / "t.csv", {"note": ["walks"] * 8})
    path.write_text(path.read_text().replace("\n", "\n\n"))
    assert keypoints.read(path).frame.tolist() == list(range(8))


@pytest.mark.parametrize(
    "name", ["idx_frame", "frameNo", "video_frame", "frame_nr", "FrameCount", "fr", "img_id"]
)
def test_frames_by_any_name_with_the_word(tmp_path, name):
    assert keypoints.read(table(tmp_path / "t.csv", {name: GAPS})).frame.tolist() == GAPS
    for path in both_forms(tmp_path, name, GAPS):
        assert keypoints.read(path, How(BODY_25)).frame.tolist() == GAPS


def both_forms(tmp_path, name, values):
    """A list of frames, and one of people."""
    flat = files.in_set(POINTS, BODY_25).reshape(8, -1).tolist()
    frames, people = tmp_path / "frames.json", tmp_path / "people.json"
    frames.write_text(
        json.dumps(
            [
                {name: value, "people": [{"pose_keypoints_2d": row}]}
                for value, row in zip(values, flat, strict=True)
            ]
        )
    )
    people.write_text(
        json.dumps(
            [
                {name: value, "keypoints": row, "score": 0.9, "id": i}
                for i, (value, row) in enumerate(zip(values, flat, strict=True))
            ]
        )
    )
    return frames, people


@pytest.mark.parametrize("name", ["frame_rate", "frame_width", "total_frames", "n_frames"])
def test_other_numbers_with_the_word_are_no_frames(tmp_path, name):
    people = keypoints.read(table(tmp_path / "t.csv", {name: [30] * 8}))
    assert people.frame.tolist() == list(range(8)) and not people.doubts


def test_a_field_of_unknown_name_that_goes_up_is_said(tmp_path):
    (doubt,) = keypoints.read(table(tmp_path / "t.csv", {"counter": GAPS})).doubts
    assert "'counter' goes up (0, 1, 2, 5, ...)" in doubt and "call it 'frame'" in doubt
    for path in both_forms(tmp_path, "counter", GAPS):
        (doubt,) = keypoints.read(path, How(BODY_25)).doubts
        assert "'counter' goes up" in doubt
    assert "all poses are of one image" in doubt
    # Frames that are all there are the same by their order, and other values are no frames.
    frames, _ = both_forms(tmp_path, "counter", range(3, 11))
    assert not keypoints.read(frames, How(BODY_25)).doubts
    for values in ([5, 2, 9, 4, 4, 4, 4, 4], ["a"] * 8, [0.5 * i for i in range(8)]):
        assert not keypoints.read(table(tmp_path / "t.csv", {"counter": values})).doubts


def test_the_name_of_the_video_is_no_frame(tmp_path):
    people = keypoints.read(table(tmp_path / "t.csv", {"file": ["a.mp4"] * 8, "frame": GAPS}))
    assert people.frame.tolist() == GAPS


def test_the_ids_of_records_are_people_where_they_are_there_again(tmp_path):
    row = files.in_set(POINTS, COCO)
    (tmp_path / "a.json").write_text(
        json.dumps(
            [
                {
                    "frame": i,
                    "people": [
                        {"id": 7 - k, "keypoints": (row[i] + [400 * k, 0, 0]).ravel().tolist()}
                        for k in range(2)
                    ],
                }
                for i in range(8)
            ]
        )
    )
    people = keypoints.read(tmp_path / "a.json", How(COCO))
    assert people.person.tolist() == [7, 6] * 8


def test_columns_in_camel_case(tmp_path):
    header = [
        f"{name.title().replace(' ', '')}{axis}"
        for name in COCO.names
        for axis in ("X", "Y", "Score")
    ]
    rows = files.in_set(POINTS, COCO).reshape(8, -1).tolist()
    lines = [",".join(map(str, [i, *row])) for i, row in enumerate(rows)]
    (tmp_path / "t.csv").write_text("\n".join([",".join(["frame", *header]), *lines]))
    people = keypoints.read(tmp_path / "t.csv")
    there = people.confidence > 0
    np.testing.assert_allclose(people.points[there], POINTS[there])
    assert set(people.confidence[there]) == {0.9}


@pytest.mark.parametrize("weak", [0.0, 0.05])
def test_weak_people_with_sure_landmarks_are_said(tmp_path, weak):
    rows = files.in_set(POINTS, COCO)
    rows[:, 13:, 2] = 0.9
    (doubt,) = keypoints.read(
        files.results(tmp_path / "a.json", rows, score=[0.9] * 6 + [weak] * 2)
    ).doubts
    assert "2 of 8 people have a score below 0.2" in doubt and "in 6)" in doubt
    csv = table(tmp_path / "t.csv", {"frame": GAPS, "instance.score": [0.9] * 7 + [weak]})
    assert "1 of 8 people have a score" in keypoints.read(csv).doubts[0]
    # What all have says nothing, nor does a score of weak landmarks.
    assert not keypoints.read(files.results(tmp_path / "a.json", rows, score=[weak] * 8)).doubts
    rows[6:, :, 2] = 0.1
    path = files.results(tmp_path / "a.json", rows, score=[0.9] * 6 + [weak] * 2)
    assert not keypoints.read(path).doubts


def test_texts_that_go_up_are_said(tmp_path):
    codes = [f"00:00:{n // 8:02d}:{n % 8:02d}" for n in GAPS]
    (doubt,) = keypoints.read(table(tmp_path / "t.csv", {"timecode": codes})).doubts
    assert "'timecode' goes up (00:00:00:00, " in doubt
    names = ["walk", "run", "sit", "lie", "fall", "jump", "turn", "wave"]
    for values in (sorted(names), ["a1", "a2"] * 4):
        assert not keypoints.read(table(tmp_path / "t.csv", {"action": values})).doubts


@pytest.mark.parametrize("form", [0, 1])
def test_frames_of_several_cameras_in_a_field_are_refused(tmp_path, form):
    path = both_forms(tmp_path, "frame", GAPS)[form]
    records = json.loads(path.read_text())
    path.write_text(json.dumps([{"camera": c, **r} for c in ("left", "right") for r in records]))
    with pytest.raises(KeypointError, match="got 2 in the column 'camera': left, right; split"):
        keypoints.read(path, How(BODY_25))
    path.write_text(json.dumps([{"camera": "left", **r} for r in records]))
    assert keypoints.read(path, How(BODY_25)).frame.tolist() == GAPS


def test_a_pose_that_is_twice_in_a_frame_is_one_person(tmp_path):
    rows = np.repeat(files.in_set(POINTS, COCO), 2, axis=0)
    path = files.results(tmp_path / "a.json", rows, image_id=np.repeat(GAPS, 2).tolist())
    people = keypoints.read(path)
    assert people.frame.tolist() == GAPS
    (left,) = people.left
    assert str(left) == "8 people: the same pose twice in one frame (first: record 1)"


@pytest.mark.parametrize("absent", [None, []])
def test_points_that_are_null_are_missing(tmp_path, absent):
    rows = files.in_set(POINTS, COCO)
    path = tmp_path / "a.json"
    points = [[p if p[2] else absent for p in row.tolist()] for row in rows]
    path.write_text(json.dumps([{"frame": i, "keypoints": p} for i, p in enumerate(points)]))
    people = keypoints.read(path)
    there = people.confidence > 0
    np.testing.assert_allclose(people.points[there], POINTS[there])
    assert (there == (keypoints.read(files.coco_results(path, POINTS)).confidence > 0)).all()


@pytest.mark.parametrize("form", ["objects", "lists"])
def test_landmarks_by_name_in_an_object(tmp_path, form):
    records = [
        {
            "frame": frame,
            "keypoints": {
                name: {"x": x, "y": y, "score": c} if form == "objects" else [x, y, c]
                for name, (x, y, c) in reversed(list(zip(COCO.names, row, strict=True)))
            },
        }
        for frame, row in zip(GAPS, files.in_set(POINTS, COCO).tolist(), strict=True)
    ]
    (tmp_path / "a.json").write_text(json.dumps(records))
    people = keypoints.read(tmp_path / "a.json")
    there = people.confidence > 0
    np.testing.assert_allclose(people.points[there], POINTS[there])
    assert people.frame.tolist() == GAPS and set(people.confidence[there]) == {0.9}


def test_numbers_by_the_order_in_a_frame_are_said(tmp_path):
    """A detector's order, in which two people change places in every frame."""
    row = files.in_set(POINTS, COCO)
    records = [
        {
            "frame": i,
            "person": k,
            "keypoints": (row[i] + [400 * (k ^ i % 2), 0, 0]).ravel().tolist(),
        }
        for i in range(8)
        for k in range(2)
    ]
    (tmp_path / "a.json").write_text(json.dumps(records))
    (doubt,) = keypoints.read(tmp_path / "a.json").doubts
    assert "people 0 and 1 exchange places" in doubt and "in 6 more frames" in doubt
    assert not keypoints.read(tmp_path / "a.json", How(by_place=True)).doubts
