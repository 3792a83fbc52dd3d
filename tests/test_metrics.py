import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prior import metrics
from prior.skeleton import limb_scale, mirrored
from tests.poses import random_poses


@pytest.fixture
def pair():
    truth = random_poses(30, seed=1)
    return truth + np.random.default_rng(0).normal(size=truth.shape) * 40 + 100, truth


def test_against_loops(pair):
    poses, truth = pair
    for n, (a, b) in enumerate(zip(poses, truth, strict=True)):
        root = np.mean([np.linalg.norm((a[i] - a[0]) - (b[i] - b[0])) for i in range(17)])
        mean = np.mean([
            np.linalg.norm((a[i] - sum(a) / 17) - (b[i] - sum(b) / 17)) for i in range(17)
        ])
        assert metrics.root_aligned(poses, truth)[n] == pytest.approx(root)
        assert metrics.mean_aligned(poses, truth)[n] == pytest.approx(mean)


def test_known_answers():
    truth = random_poses(2)
    moved = truth + [10, 20, 30]
    assert metrics.root_aligned(moved, truth).max() < 1e-9
    one = truth.copy()
    one[:, 5] += [0, 17, 0]
    np.testing.assert_allclose(metrics.root_aligned(one, truth), 1)
    scaled = metrics.with_scale_of(3 * truth, truth)
    np.testing.assert_allclose(limb_scale(scaled), limb_scale(truth))


def test_procrustes_recovers_a_planted_similarity(pair):
    _, truth = pair
    turn = Rotation.random(len(truth), random_state=0).as_matrix()
    planted = 0.7 * truth @ turn + [100, -50, 3]
    np.testing.assert_allclose(metrics.procrustes(planted, truth), truth, atol=1e-6)
    assert metrics.procrustes_aligned(planted, truth, scaling=False).min() > 1


def test_procrustes_uses_no_reflection(pair):
    _, truth = pair
    reflected = truth * [-1, 1, 1]
    assert metrics.procrustes_aligned(reflected, truth).min() > 1
    assert metrics.procrustes_aligned(mirrored(truth), truth).mean() > 1


def test_procrustes_is_the_least_squares_optimum(pair):
    poses, truth = pair
    best = np.sum((metrics.procrustes(poses, truth) - truth) ** 2, axis=(1, 2))
    random = np.random.default_rng(3)
    for size in (1e-3, 1e-1):
        turn = Rotation.from_rotvec(random.normal(size=(len(truth), 3)) * size).as_matrix()
        other = metrics.procrustes(poses, truth)
        centre = truth.mean(axis=1, keepdims=True)
        other = (other - centre) @ turn * (1 + random.normal() * size) + centre
        assert (np.sum((other - truth) ** 2, axis=(1, 2)) >= best).all()


def test_pckh_counts_in_head_lengths():
    truth = np.zeros((1, 17, 2))
    truth[0, 10] = [0, -100]
    points = truth + [49, 0]
    points[0, 3] += [2, 0]
    assert metrics.pckh(points, truth).sum() == 16
    assert metrics.pckh(points, truth, share=0.4).sum() == 0
