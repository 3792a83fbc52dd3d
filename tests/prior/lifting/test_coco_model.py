"""A model of COCO's keypoints, learned from motion capture of Human3.6M's landmarks, takes COCO's
detections as they come."""

import numpy as np
import pytest

import prior
from prior import landmark_sets, metrics
from prior.mocap import coco, motion
from prior.simulation import room
from prior.skeleton import COCO, HUMAN36M

HOW = {"components": 1, "basis": 12, "solver": "closed-form"}


def poses_of(split, count):
    poses = np.concatenate([clip.poses for clip in motion.load(split)])
    return poses[np.linspace(0, len(poses) - 1, count).astype(int)]


@pytest.mark.slow
def test_cocos_detections_are_lifted_as_they_come_as_well_as_converted_ones():
    train, held_out = poses_of("training", 3000), poses_of("test", 300)
    ours = prior.fit(train, **HOW)
    theirs = prior.fit(coco.from_human36m(train), skeleton=COCO, **HOW)
    assert theirs.skeleton == COCO
    images = room(coco.from_human36m(held_out), seed=0)
    points = images.noisy_points(4.0)
    direct = prior.lift(points, theirs, camera=images.cameras)
    converted, confidence = landmark_sets.COCO.to_ours(points, np.ones(points.shape[:2]))
    by_ours = prior.lift(converted, ours, camera=images.cameras, confidence=confidence)
    # The landmarks that both have, both at the scale that fits them best.
    shared = landmark_sets.COCO.direct
    at_coco = [COCO.landmarks.index(name) for name in shared.values()]
    at_ours = [HUMAN36M.landmarks.index(name) for name in shared]
    truth = images.truth[:, at_coco]
    errors = [
        metrics.mean_aligned(metrics.with_best_scale(pose, truth), truth).mean()
        for pose in (direct.pose[:, at_coco], by_ours.pose[:, at_ours])
    ]
    assert errors[0] < 100  # mm
    assert errors[0] < 1.05 * errors[1]
