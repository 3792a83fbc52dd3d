import json

import numpy as np
import pytest

from prior.landmark_names import find_set
from prior.landmark_sets import BODY_25, COCO, LANDMARK_SETS, MPII
from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tools.lift import keypoints, tracks
from tools.lift.people import How, KeypointError

POINTS = files.image_points(files.walk(5))
INDEX = {name: i for i, name in enumerate(LANDMARKS)}
WRITERS = {
    "openpose": files.openpose,
    "results.json": files.coco_results,
    "annotations.json": files.coco_annotations,
    "mpii.json": files.mpii,
    "table.csv": files.table,
    "arrays.npz": files.arrays,
}
MISSING = {
    "openpose": {"spine", "head top"},
    "results.json": {"spine", "head top"},
    "annotations.json": {"spine", "head top"},
    "mpii.json": {"spine", "nose"},
    "table.csv": set(),
    "arrays.npz": set(),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_landmarks_that_were_written(tmp_path, name):
    people = keypoints.read(WRITERS[name](tmp_path / name, POINTS))
    there = np.array([landmark not in MISSING[name] for landmark in LANDMARKS])
    np.testing.assert_allclose(people.points[:, there], POINTS[:, there], atol=1e-8)
    assert np.isnan(people.points[:, ~there]).all() and not people.confidence[:, ~there].any()
    assert (people.confidence[:, there] > 0).all()
    assert people.frame.tolist() == list(range(5)) and len(people.frames) == 5
    assert not people.left and not people.notes and not people.doubts


def test_sets_are_sets():
    for landmark_set in LANDMARK_SETS.values():
        assert len(set(landmark_set.names)) == len(landmark_set.names)
        assert set(landmark_set.table) <= set(LANDMARKS)
        assert find_set([name.upper() for name in landmark_set.names]) is landmark_set
    # Right is right: the mirrored entry of the table is the mirrored name.
    for landmark_set, left, right in (
        (COCO, "left", "right"),
        (MPII, "left", "right"),
        (BODY_25, "L", "R"),
    ):
        for ours, theirs in landmark_set.direct.items():
            if ours.startswith("left"):
                other = landmark_set.direct[ours.replace("left", "right")]
                assert other == theirs.replace(left, right, 1)


def test_a_point_between_two_needs_both():
    rows = files.in_set(POINTS, COCO)
    rows[0, COCO.names.index("left_hip"), 2] = 0
    rows[1, COCO.names.index("left_hip"), 2] = 0.3
    points, confidence = COCO.to_ours(rows[..., :2], rows[..., 2])
    assert confidence[:2, INDEX["hip"]].tolist() == [0, 0.3]
    assert np.isnan(points[0, INDEX["hip"]]).all()
    np.testing.assert_allclose(points[1:, INDEX["hip"]], POINTS[1:, INDEX["hip"]])


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


def test_people_keep_their_numbers():
    # Two walk past each other and change places in the file; one comes late, after a gap.
    one, two = POINTS + [0, 0], POINTS + [400, 0]
    points, frame = [], []
    for i in range(5):
        pair = [one[i] + [30 * i, 0], two[i] - [30 * i, 0]]
        points += pair if i % 2 else pair[::-1]
        frame += [i, i]
    points.append(POINTS[4] + [0, 900])
    person = tracks.link(np.array(points), np.array([*frame, 4]), np.full(11, -1))
    assert person.tolist() == [0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 2]


def test_openpose_of_15_landmarks_is_its_mpi_model(tmp_path):
    rows = np.random.default_rng(0).uniform(10, 300, (15, 2))
    values = np.column_stack([rows, np.ones(15)]).ravel().tolist()
    path = tmp_path / "openpose.json"
    path.write_text(json.dumps({"people": [{"pose_keypoints_2d": values}]}))
    (points,) = keypoints.read(path).points
    np.testing.assert_allclose(points[LANDMARKS.index("head top")], rows[0])
    np.testing.assert_allclose(points[LANDMARKS.index("left wrist")], rows[7])


def test_people_of_arrays_keep_their_numbers(tmp_path):
    person = np.array([4, 4, 4, 9, 9, 9][:5])
    people = keypoints.read(files.arrays(tmp_path / "a.npz", POINTS, person=person))
    assert people.person.tolist() == person.tolist()
