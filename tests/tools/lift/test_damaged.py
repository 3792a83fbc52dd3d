"""Damaged records beside good ones, and archives that are refused."""

import json

import numpy as np
import pytest

from prior.landmark_sets import COCO
from tests import landmark_files as files
from tests.landmark_formats import videopose3d
from tools.lift import keypoints
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
        ({"image_id": 0, "keypoints": [1e400] * 51}, "infinite"),
        ({"image_id": 0, "keypoints": [10**400] * 51}, "not numbers"),
        ({"image_id": 0, "keypoints": []}, "without landmarks"),
        ({"image_id": 0}, "without landmarks"),
        ({"keypoints": good[0]}, "does not say its image"),
        ({"image_id": {"a": 1}, "keypoints": good[0]}, "does not say its image"),
        (7, "not an object"),
        (None, "not an object"),
    ]


@pytest.mark.parametrize("index", range(12))
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
