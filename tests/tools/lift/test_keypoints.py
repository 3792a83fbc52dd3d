"""2D landmarks of files: damaged and empty ones, bad ones, and sets that are named."""

import json
import os

import numpy as np
import pytest

from prior.landmark_sets import COCO, MEDIAPIPE
from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tests.landmark_formats import posenet
from tools.lift import keypoints
from tools.lift.people import How, KeypointError

POINTS = files.image_points(files.walk(5))


def test_frames_without_people_and_damaged_ones(tmp_path):
    folder = files.openpose(tmp_path / "frames", [POINTS[0], None, POINTS[2]])
    (folder / "clip_5_keypoints.json").write_text('{"people": [')
    (folder / "clip_6_keypoints.json").write_text(
        json.dumps({"people": [{"pose_keypoints_2d": [1, 2]}, {"pose_keypoints_2d": None}]})
    )
    people = keypoints.read(folder)
    # The names count the frames: 3 and 4 are not there.
    assert people.frame.tolist() == [0, 2] and len(people.frames) == 7 and people.listed == 5
    left = [(part.what, part.count, part.first) for part in people.left]
    assert left == [
        (
            "frames",
            1,
            "clip_5_keypoints.json: expected JSON, got Expecting value: line 1 column 13 (char 12)",
        ),
        ("people", 1, "clip_6, person 1"),
        ("people", 1, "clip_6, person 0"),
    ]
    assert people.frames[0] == "clip_000000000000"


def test_what_is_no_file_of_a_folder_leaves_the_others(tmp_path):
    folder = files.openpose(tmp_path / "frames", [POINTS[0], POINTS[1]])
    (folder / "clip_5_keypoints.json").symlink_to("nowhere")
    (folder / "clip_6_keypoints.json").mkdir()
    os.mkfifo(folder / "clip_7_keypoints.json")
    people = keypoints.read(folder)
    assert people.frame.tolist() == [0, 1] and people.listed == 5
    ((what, count, _, first),) = people.left
    assert (what, count) == ("frames", 3) and "clip_5_keypoints.json" in first


def test_csv_has_empty_cells(tmp_path):
    path = files.table(tmp_path / "t.csv", POINTS)
    lines = path.read_text().splitlines()
    cells = lines[2].split(",")
    cells[1], cells[-2], cells[-1] = "", "", ""
    path.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]))
    people = keypoints.read(path)
    assert np.flatnonzero(people.confidence[1] == 0).tolist() == [0, 16]
    assert (people.confidence[2] == 1).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"\x89PNG\r\n\x1a\n", "got a PNG image"),
        ("a.json", b"", "got an empty file"),
        ("a.json", b"HIERARCHY\nROOT", "got BVH motion"),
        ("a.json", b'{"people": [', "got damaged JSON"),
        ("a.json", b'{"annotations": [{"bbox": [1]}]}', "without any"),
        (
            "a.json",
            b'{"shapes": []}',
            "got an object with shapes: a list (0); expected 2D landmarks",
        ),
        ("a.json", b"3", "got text: '3'"),
        ("a.json", b'[{"image_id": 1, "keypoints": [1, 2, 3]}]', "expected the 17 landmarks of"),
        ("a.json", b'{"points": [[[1, 2], [3]]]}', "not numbers x, y, confidence"),
        ("a.json", b'{"points": [[[1, 2], [3, 4]]]}', "no known set has as many"),
        (
            "a.json",
            b'{"points": [[[1, 2]]], "landmarks": ["a"]}',
            "known set by their names, got 1 for 1: a",
        ),
        ("a.npz", b"PK\x03\x04", "File is not a zip file"),
        ("a.npz", b"\xff\xd8\xff", "got a JPEG image"),
        ("a.csv", b"1,2,3\n", "got text: '1,2,3'"),
        ("a.csv", b"hip x,hip y\n1,a\n", "not a row of numbers"),
    ],
)
def test_bad_files_say_what_they_look_like(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(KeypointError) as caught:
        keypoints.read(path)
    assert message in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_set_than_said_is_named(tmp_path):
    path = files.openpose(tmp_path / "frames", POINTS)
    with pytest.raises(KeypointError, match="got 25, as OpenPose BODY_25 has"):
        keypoints.read(path, How(COCO))


def test_openpose_of_15_landmarks_is_its_mpi_model(tmp_path):
    rows = np.random.default_rng(0).uniform(10, 300, (15, 2))
    values = np.column_stack([rows, np.ones(15)]).ravel().tolist()
    path = tmp_path / "openpose.json"
    path.write_text(json.dumps({"people": [{"pose_keypoints_2d": values}]}))
    (points,) = keypoints.read(path).points
    np.testing.assert_allclose(points[LANDMARKS.index("head top")], rows[0])
    np.testing.assert_allclose(points[LANDMARKS.index("left wrist")], rows[7])


@pytest.mark.parametrize(
    "odd",
    ["123456", {"1": 0, "2": 0, "3": 0}, [1, [2, 3], 3], None],
    ids=["text", "object", "ragged", "nothing"],
)
def test_a_person_who_is_no_list_of_numbers_is_left_out_among_many(tmp_path, odd):
    rows = files.in_set(POINTS, COCO)
    path = files.results(tmp_path / "r.json", np.concatenate([rows, rows, rows]))
    records = json.loads(path.read_text())
    records[7]["keypoints"] = odd
    path.write_text(json.dumps(records))
    people = keypoints.read(path)
    assert len(people.frame) == 14 and [part.count for part in people.left] == [1]
    np.testing.assert_allclose(people.points[:5], keypoints.read(path).points[:5])
    shoulder = LANDMARKS.index("left shoulder")
    np.testing.assert_allclose(people.points[:5, shoulder], POINTS[:, shoulder])


def test_a_header_of_deeplabcut_alone_has_nobody(tmp_path):
    path = tmp_path / "a.csv"
    header = [("scorer", "me"), ("bodyparts", "nose"), ("coords", "x")]
    path.write_text("\n".join(",".join([one, *[two] * 3]) for one, two in header))
    people = keypoints.read(path)
    assert not len(people.frame) and not people.listed


def test_results_of_other_categories_are_left_out(tmp_path):
    rows = files.in_set(np.concatenate([POINTS, POINTS + [400, 0]]), COCO)
    path = tmp_path / "results.json"
    for categories, kept, left in (([1, 18], 1, 1), ([1, None], 2, 0), ([3, 3], 2, 0)):
        each = [category for category in categories for _ in POINTS]
        images = [*range(len(POINTS))] * 2
        people = keypoints.read(files.results(path, rows, image_id=images, category_id=each))
        assert len(people.frame) == kept * len(POINTS)
        assert sum(part.count for part in people.left) == left * len(POINTS)
        assert all("another category" in part.why for part in people.left)


def test_an_annotation_of_a_category_without_landmarks_is_left_out(tmp_path):
    path = files.coco_annotations(tmp_path / "a.json", POINTS)
    document = json.loads(path.read_text())
    document["categories"] = [
        {"id": 1, "name": "person", "keypoints": list(COCO.names)},
        {"id": 18, "name": "dog"},
    ]
    for i, annotation in enumerate(document["annotations"]):
        annotation["category_id"] = 18 if i == 2 else 1
    path.write_text(json.dumps(document))
    people = keypoints.read(path)
    assert len(people.frame) == len(POINTS) - 1
    assert [part.why for part in people.left] == ["of another category"]


def mediapipe(row):
    """MediaPipe's landmarks of an image of 640 x 480 px, as its solutions give them."""
    return [{"x": x / 640, "y": y / 480, "z": -0.1, "visibility": v} for x, y, v in row]


@pytest.mark.parametrize("key", ["landmarks", "pose_landmarks"])
def test_mediapipe_s_objects(tmp_path, key):
    rows = files.in_set(POINTS, MEDIAPIPE)
    path = tmp_path / "video.json"
    path.write_text(json.dumps([{"frame": 3 * i, key: mediapipe(r)} for i, r in enumerate(rows)]))
    with pytest.raises(KeypointError, match="--image-size"):
        keypoints.read(path)
    people = keypoints.read(path, How(size=lambda _: (640, 480)))
    there = people.confidence[0] > 0
    np.testing.assert_allclose(people.points[:, there], POINTS[:, there], atol=1e-6)
    assert people.set_name == MEDIAPIPE.name and people.frame.tolist() == [
        3 * i for i in range(len(rows))
    ]


def test_names_that_are_otherwise_for_one_person_leave_it_out(tmp_path):
    path = posenet(tmp_path / "a.json", POINTS)
    document = json.loads(path.read_text())
    names = [landmark["name"] for landmark in document[2][0]["keypoints"]]
    for landmark, name in zip(document[2][0]["keypoints"], reversed(names), strict=True):
        landmark["name"] = name
    path.write_text(json.dumps(document))
    people = keypoints.read(path)
    assert people.frame.tolist() == [i for i in range(len(POINTS)) if i != 2]
    assert "other names" in people.left[0].why


@pytest.mark.parametrize(
    "values",
    [
        {"x": [1, 2], "y": [1]},
        {"x": 1, "y": 2},
        {"x": [1.0] * 17, "y": 7.0, "visible": [0.9] * 17},
        {"x": [1.0] * 17, "y": [2.0] * 17, "visible": [0.9] * 16},
        {"x": [1], "z": [1]},
        [{"x": 1}],
        [{"position": 3}],
        [{"x": None, "y": [2]}] * 17,
        [{"x": 1, "y": 2}, 3],
    ],
)
def test_objects_that_are_no_landmarks_are_left_out(tmp_path, values):
    path = posenet(tmp_path / "a.json", POINTS)
    document = json.loads(path.read_text())
    document[1][0]["keypoints"] = values
    path.write_text(json.dumps(document))
    people = keypoints.read(path)
    assert people.frame.tolist() == [i for i in range(len(POINTS)) if i != 1]
    assert sum(part.count for part in people.left) == 1


def test_a_confidence_that_is_null_is_a_missing_landmark_and_none_at_all_a_sure_one(tmp_path):
    path = posenet(tmp_path / "a.json", POINTS)
    document = json.loads(path.read_text())
    landmarks = document[1][0]["keypoints"]
    at = [landmark["name"] for landmark in landmarks].index("left_knee")
    before = keypoints.read(path).confidence
    landmarks[at]["score"] = None
    path.write_text(json.dumps(document))
    after = keypoints.read(path).confidence
    knee = LANDMARKS.index("left knee")
    assert before[1, knee] > 0 and after[1, knee] == 0
    np.testing.assert_array_equal(np.delete(after, knee, axis=1), np.delete(before, knee, axis=1))


def test_objects_with_the_same_fields_are_read_as_those_with_different_ones(tmp_path):
    path = posenet(tmp_path / "a.json", POINTS)
    expected = keypoints.read(path)
    frames = json.loads(path.read_text())
    for i, frame in enumerate(frames):
        landmarks = frame[0]["keypoints"]
        landmarks[i]["z"] = 1.0  # one has a field more
        landmarks[3] = dict(reversed(landmarks[3].items()))
    path.write_text(json.dumps(frames))
    people = keypoints.read(path)
    np.testing.assert_array_equal(people.points, expected.points)
    np.testing.assert_array_equal(people.confidence, expected.confidence)
    assert people.set_name == expected.set_name and not people.left
    # Without confidences all are there, in either form.
    for frame in frames:
        for landmark in frame[0]["keypoints"]:
            del landmark["score"]
    path.write_text(json.dumps(frames))
    mixed = keypoints.read(path)
    for i, frame in enumerate(frames):
        frame[0]["keypoints"][i].pop("z")
        frame[0]["keypoints"] = [
            {k: v[k] for k in ("name", "x", "y")} for v in frame[0]["keypoints"]
        ]
    path.write_text(json.dumps(frames))
    alike = keypoints.read(path)
    np.testing.assert_array_equal(alike.points, mixed.points)
    np.testing.assert_array_equal(alike.confidence, mixed.confidence)
