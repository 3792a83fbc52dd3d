"""What is computed from predictions; running a network is in tests/caffe/test_evaluate.py."""

import numpy as np
import pytest

from prior import metrics
from prior.skeleton import HUMAN36M
from tests.poses import random_poses
from tools.evaluate import images


def test_best_single_pose_beats_the_mean_and_its_neighbours():
    poses = random_poses(200)
    poses[:20] *= 3  # outliers pull the mean, not the median
    best = images.best_single_pose(poses, 0)

    def error(pose):
        return metrics.root_aligned(np.tile(pose, (200, 1, 1)), poses).mean()

    assert error(best) < error((poses - poses[:, :1]).mean(axis=0))
    random = np.random.default_rng(0)
    for _ in range(20):
        assert error(best) <= error(best + random.normal(size=(17, 3)) * [[3, 3, 3]]) + 1e-6
    assert best[metrics.ROOT] == pytest.approx(np.zeros(3))


def test_errors_3d_names_what_is_aligned():
    truth = random_poses(40, seed=1)
    poses = 1.2 * truth + np.random.default_rng(0).normal(size=truth.shape) * 20 + 500
    errors = images.errors_3d(poses, truth, HUMAN36M)
    assert errors["root_aligned"] == pytest.approx(metrics.root_aligned(poses, truth).mean())
    assert errors["procrustes"] < errors["mean_aligned_known_scale"] < errors["mean_aligned"]
    body = [i for i in range(17) if i not in (0, 7, 9)]
    fourteen = metrics.procrustes_aligned(poses[:, body], truth[:, body]).mean()
    assert errors["procrustes_14_landmarks"] == pytest.approx(fourteen)


def test_side_distance():
    points = np.zeros((2, 17, 2))
    points[:, [4, 5, 6, 11, 12, 13], 0] = 30  # the left landmarks
    assert images.side_distance(points, HUMAN36M) == 30
