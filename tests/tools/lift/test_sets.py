"""Which landmarks a file has: by their names, their number, and a person's proportions."""

import json

import numpy as np
import pytest

from prior.landmark_sets import COCO, HUMAN36M, LANDMARK_SETS, MPII
from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tools.lift import keypoints
from tools.lift.people import How, KeypointError

POINTS = files.image_points(files.walk(6))


# Human3.6M's landmarks, left before right, as MMPose's configuration names them, and by others.
HUMAN36M_NAMES = (
    "root left_hip left_knee left_foot right_hip right_knee right_foot spine thorax neck_base head "
    "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist"
)


OURS = (
    "hip,left hip,left knee,left foot,right hip,right knee,right foot,spine,neck,nose,head top,"
    "left shoulder,left elbow,left wrist,right shoulder,right elbow,right wrist"
).split(",")


@pytest.mark.parametrize("root", ["root", "pelvis", "Hip"])
def test_categories_are_read_by_their_names(tmp_path, root):
    names = HUMAN36M_NAMES.replace("root", root).split()
    order = [LANDMARKS.index(name) for name in OURS]
    rows = np.concatenate([POINTS, np.full((6, 17, 1), 2.0)], axis=2)[:, order]
    document = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(6)],
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
        "annotations": [
            {"image_id": i, "category_id": 1, "keypoints": row.ravel().tolist()}
            for i, row in enumerate(rows)
        ],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    people = keypoints.read(path)
    np.testing.assert_allclose(people.points, POINTS)
    assert people.set_name == HUMAN36M.name and not people.doubts


def test_joints_of_an_unknown_set_are_known_by_their_names(tmp_path):
    names = [*COCO.names, "left_hand", "belt"]
    order = np.random.default_rng(1).permutation(len(names))
    rows = np.concatenate([files.in_set(POINTS, COCO), np.ones((6, 2, 3))], axis=1)[:, order]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"points": rows.tolist(), "landmarks": [names[i] for i in order]}))
    people = keypoints.read(path)
    there = np.isfinite(people.points).all(axis=2)
    np.testing.assert_allclose(people.points[there], POINTS[there])
    assert set(people.lacks) == {"spine", "head top"}
    assert "without counterpart" in people.notes[0] and "belt" in people.notes[0]


# AP-10K's keypoints.
ANIMAL = (
    "left_eye right_eye nose neck root_of_tail left_shoulder left_elbow left_front_paw "
    "right_shoulder right_elbow right_front_paw left_hip left_knee left_back_paw right_hip "
    "right_knee right_back_paw"
)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (ANIMAL.split(), "left_eye, right_eye, nose, neck"),
        ([f"kp{i}" for i in range(17)], "kp0, kp1"),
        (["nose"] * 17, "nose, nose"),
        (COCO.names[:16], "got 16 for 17"),
    ],
)
def test_other_names_are_refused_with_these(tmp_path, names, message):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"points": POINTS.tolist(), "landmarks": list(names)}))
    with pytest.raises(KeypointError) as caught:
        keypoints.read(path)
    assert message in str(caught.value) and "--landmarks" in str(caught.value)


def test_an_order_that_no_person_has_is_refused(tmp_path):
    # Without names 17 landmarks of results are COCO's, and of plain arrays Human3.6M's.
    rows = np.concatenate([POINTS, np.ones((6, 17, 1))], axis=2)
    path = files.results(tmp_path / "h36m.json", rows)
    with pytest.raises(KeypointError, match=r"like those of Human3.6M 17 rather than COCO 17"):
        keypoints.read(path)
    np.testing.assert_allclose(keypoints.read(path, How(HUMAN36M)).points, POINTS)
    plain = tmp_path / "coco.npz"
    np.savez(plain, points=files.in_set(POINTS, COCO))
    with pytest.raises(KeypointError, match="--landmarks coco or human36m"):
        keypoints.read(plain)
    assert keypoints.read(plain, How(COCO)).set_name == COCO.name


@pytest.mark.parametrize("count", [14, 15])
def test_an_ambiguous_number_of_landmarks_is_asked_for(tmp_path, count):
    alike = [key for key, s in LANDMARK_SETS.items() if len(s.names) == count]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"points": np.ones((2, count, 2)).tolist()}))
    with pytest.raises(KeypointError) as caught:
        keypoints.read(path)
    assert len(alike) > 2 and all(key in str(caught.value) for key in alike)


def test_a_number_of_landmarks_that_one_set_has_is_that_set(tmp_path):
    people = keypoints.read(files.results(tmp_path / "a.json", files.in_set(POINTS, MPII)))
    assert people.set_name == MPII.name
