"""prior/landmark_sets.py against the orders that were published, typed in a second time."""

import numpy as np
import pytest

from prior.landmark_names import find_set
from prior.landmark_sets import BODY_25, COCO, CPM, LANDMARK_SETS, MPII, OPENPOSE_COCO, OPENPOSE_MPI
from prior.skeleton import LANDMARKS
from tests import landmark_files as files

# testing/config.m of github.com/shihenw/convolutional-pose-machines-release: models 1, 2 and 3.
CPM_ORDER = "head neck Rsho Relb Rwri Lsho Lelb Lwri Rhip Rkne Rank Lhip Lkne Lank"
# src/openpose/pose/poseParameters.cpp of github.com/CMU-Perceptual-Computing-Lab/openpose.
MPI_ORDER = (
    "Head Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle "
    "Chest"
)
COCO_ORDER = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle "
    "REye LEye REar LEar"
)
BODY_25_ORDER = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee "
    "LAnkle REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
)
# Where ours are in an order: right hip, knee, foot; left; left shoulder, elbow, wrist; right.
LIMBS = "right hip,right knee,right foot,left hip,left knee,left foot,left shoulder,left elbow"
LIMBS = f"{LIMBS},left wrist,right shoulder,right elbow,right wrist".split(",")
AFTER_NECK = dict(zip(LIMBS, (8, 9, 10, 11, 12, 13, 5, 6, 7, 2, 3, 4), strict=True))
AFTER_HIP = dict(zip(LIMBS, (9, 10, 11, 12, 13, 14, 5, 6, 7, 2, 3, 4), strict=True))


@pytest.mark.parametrize(
    ("landmark_set", "order", "single", "between", "missing"),
    [
        (CPM, CPM_ORDER, AFTER_NECK | {"head top": 0}, {"hip": (8, 11), "neck": (2, 5)}, "nose"),
        (
            OPENPOSE_MPI,
            MPI_ORDER,
            AFTER_NECK | {"head top": 0},
            {"hip": (8, 11), "neck": (2, 5)},
            "nose",
        ),
        (
            OPENPOSE_COCO,
            COCO_ORDER,
            AFTER_NECK | {"nose": 0, "neck": 1},
            {"hip": (8, 11)},
            "head top",
        ),
        (BODY_25, BODY_25_ORDER, AFTER_HIP | {"nose": 0, "neck": 1, "hip": 8}, {}, "head top"),
    ],
    ids=["CPM", "MPI", "COCO", "BODY_25"],
)
def test_detectors_landmarks_become_ours(landmark_set, order, single, between, missing):
    assert landmark_set.names == tuple(order.split())
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 300, (1, len(landmark_set.names), 2))
    confidence = rng.uniform(0.3, 1, (1, len(landmark_set.names)))
    ours, sure = landmark_set.to_ours(points, confidence)
    for i, landmark in enumerate(LANDMARKS):
        if landmark in single:
            at = single[landmark]
            np.testing.assert_array_equal(ours[0, i], points[0, at])
            assert sure[0, i] == confidence[0, at]
        elif landmark in between:
            a, b = between[landmark]
            np.testing.assert_allclose(ours[0, i], (points[0, a] + points[0, b]) / 2)
            assert sure[0, i] == min(confidence[0, a], confidence[0, b])
        else:
            assert landmark in (missing, "spine")
            assert np.isnan(ours[0, i]).all() and sure[0, i] == 0


def test_covariances_become_ours_as_those_of_drawn_points():
    """Of independent landmarks; a midpoint has half the variance, and what is missing NaN."""
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(len(CPM.names), 2, 2))
    off = np.einsum("sab,nsb->nsa", roots, rng.normal(size=(20000, len(CPM.names), 2)))
    ours, _ = CPM.to_ours(off, np.ones(off.shape[:2]))
    drawn = np.einsum("nla,nlb->lab", ours, ours) / len(off)
    covariance = CPM.covariance_to_ours((roots @ roots.swapaxes(1, 2))[None])[0]
    np.testing.assert_allclose(covariance, drawn, atol=0.2)
    assert np.isnan(covariance[LANDMARKS.index("nose")]).all()


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
    poses = files.image_points(files.walk(5))
    rows = files.in_set(poses, COCO)
    rows[0, COCO.names.index("left_hip"), 2] = 0
    rows[1, COCO.names.index("left_hip"), 2] = 0.3
    hip = LANDMARKS.index("hip")
    points, confidence = COCO.to_ours(rows[..., :2], rows[..., 2])
    assert confidence[:2, hip].tolist() == [0, 0.3]
    assert np.isnan(points[0, hip]).all()
    np.testing.assert_allclose(points[1:, hip], poses[1:, hip])
