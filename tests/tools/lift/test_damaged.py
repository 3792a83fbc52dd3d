"""Damaged records beside good ones, and archives that are refused."""

import json
import time
import tracemalloc

import numpy as np
import pytest

from prior.landmark_sets import COCO
from tests import landmark_files as files
from tests.landmark_formats import videopose3d
from tools.lift import calibration, keypoints
from tools.lift.cameras.raw import CalibrationError
from tools.lift.people import KeypointError

POINTS = files.image_points(files.walk(6))


def damaged(rows):
    """Records with pieces missing, doubled, of other types, infinite, huge."""
    good = [row.ravel().tolist() for row in rows]
    return [
        ({"image_id": 0, "keypoints": good[0][:-1]}, "50 numbers, unlike the others"),
        ({"image_id": 0, "keypoints": good[0] * 2}, "102 numbers, unlike the others"),
        ({"image_id": 0, "keypoints": ["a"] * 51}, "not numbers"),
        ({"image_id": 0, "keypoints": {"nose": 1}}, "not numbers"),
        ({"image_id": 0, "keypoints": [1e400] * 51}, "beyond 1e+09"),
        ({"image_id": 0, "keypoints": [*good[0][:-3], 1e300, *good[0][-2:]]}, "beyond 1e+09"),
        ({"image_id": 0, "keypoints": [10**400] * 51}, "not numbers"),
        ({"image_id": 0, "keypoints": []}, "without landmarks"),
        ({"image_id": 0}, "without landmarks"),
        ({"keypoints": good[0]}, "does not say its image"),
        ({"image_id": {"a": 1}, "keypoints": good[0]}, "does not say its image"),
        (7, "not an object"),
        (None, "not an object"),
    ]


@pytest.mark.parametrize("index", range(13))
def test_one_damaged_record_leaves_the_others(tmp_path, index):
    rows = files.in_set(np.tile(POINTS, (4, 1, 1)), COCO)
    record, why = damaged(rows)[index]
    path = files.results(tmp_path / "a.json", rows)
    path.write_text(json.dumps([*json.loads(path.read_text()), record]))
    people = keypoints.read(path)
    assert len(people.frame) == 24 and why in str(people.left[0])
    assert sum(part.count for part in people.left) == 1


def test_several_videos_in_one_archive_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    points = files.in_set(POINTS, COCO)[..., :2]
    np.savez(path, positions_2d={"a.mp4": {"custom": [points]}, "b.mp4": {"custom": [points]}})
    with pytest.raises(KeypointError, match="expected one video of one camera, got 2: a.mp4"):
        keypoints.read(path)


def test_an_archive_that_would_run_something_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return print, ("run",)

    path = videopose3d(tmp_path / "a.npz", POINTS)
    np.savez(path, positions_2d=np.array({"a": Harmful()}, dtype=object))
    with pytest.raises(KeypointError, match="positions_2d: expected arrays, got .*print"):
        keypoints.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scorer,a\nindividuals,b\nbodyparts,c,d\ncoords,x,y\n0,1,2\n", "got 2, 3 and 3 cells"),
        ("scorer,a\n,\nbodyparts,b\ncoords,x\n0,1\n", "'coords' before all others"),
    ],
)
def test_heads_of_a_table_that_do_not_fit_are_refused(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(KeypointError, match=message):
        keypoints.read(tmp_path / "a.csv")


def test_lists_are_no_names_of_frames(tmp_path):
    document = {"points": POINTS.tolist(), "frame": [0] * len(POINTS), "frames": [["a"]]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(KeypointError, match="expected names of images"):
        keypoints.read(tmp_path / "a.json")


def test_cocos_ids_may_be_anything(tmp_path):
    path = files.coco_annotations(tmp_path / "a.json", POINTS)
    document = json.loads(path.read_text())
    document["annotations"][0]["image_id"] = {}
    document["annotations"][1]["category_id"] = [1]
    path.write_text(json.dumps(document | {"categories": 1.5}))
    people = keypoints.read(path)
    assert len(people.frame) + sum(part.count for part in people.left) == len(POINTS)
    assert "its image_id is not among" in str(people.left[0])


def test_a_million_names_of_landmarks_are_refused(tmp_path):
    names = np.full(1_000_000, "nose")
    np.savez_compressed(tmp_path / "a.npz", points=POINTS, landmarks=names)
    with pytest.raises(KeypointError, match="a.npz: names of landmarks: .* 1,000 joints"):
        keypoints.read(tmp_path / "a.npz")


def test_a_score_of_400_digits_is_none(tmp_path):
    path = files.coco_results(tmp_path / "a.json", POINTS)
    document = json.loads(path.read_text())
    document[0]["score"] = 10**400
    path.write_text(json.dumps(document))
    assert len(keypoints.read(path).frame) == len(POINTS)


@pytest.mark.slow
def test_columns_are_compared_in_no_more_time_than_they_take_to_read(tmp_path):
    path = tmp_path / "a.csv"
    head = ",".join(f"p{i} x,p{i} y" for i in range(50_000))
    path.write_text(f"{head}\n{','.join(['1'] * 100_000)}\n")
    began = time.process_time()
    with pytest.raises(KeypointError, match="at most 1,000 joints"):
        keypoints.read(path)
    assert time.process_time() - began < 10  # each with all before it: minutes


@pytest.mark.parametrize("name", ["a.", "'a=' . "])
def test_names_that_dots_join_are_limited(tmp_path, name):
    path = tmp_path / "a.toml"
    path.write_text(name * 5000 + "b = 1")
    tracemalloc.start()
    try:
        with pytest.raises(CalibrationError, match="expected a camera"):
            calibration.read(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6  # by their square: 90 MB
    finally:
        tracemalloc.stop()
