import numpy as np
import pytest

import prior
from prior.camera import LEVEL
from prior.lifting import search, weak_perspective
from tests.poses import random_poses


@pytest.fixture(scope="module")
def model():
    return prior.fit(random_poses(300), components=2, basis=12, solver="closed-form")


@pytest.fixture(scope="module")
def images():
    points = random_poses(200, seed=3)[..., :2] * [0.2, -0.2]
    points += np.random.default_rng(0).normal(size=points.shape) * 4
    return weak_perspective.observe(weak_perspective.validate(points, LEVEL, None))


def _exact(candidates, images, elevation):
    """Log densities and negative costs over 2 nu, each (K R, N), in float64, combination by
    combination."""
    y = images.flat
    scores, costs = [], []
    for k in range(candidates.model.components):
        for angle in 2 * np.pi * np.arange(candidates.rotations) / candidates.rotations:
            systems = candidates.projector.systems(
                np.array([k]), np.array([angle]), np.array([elevation]), np.ones((1, 17))
            )
            s = y @ systems.g[0] / systems.mqm
            a = (y - s[:, None] * systems.m) @ systems.solve[0].T
            cost = 1 - np.sum(y * (s[:, None] * systems.m + a @ systems.G[0].T), axis=1)
            score = cost / (systems.nu * s**2) + systems.log_det + 32 * np.log(2 * np.pi * s**2)
            score = np.where(s > 0, -0.5 * score, -np.inf)
            scores.append(score + np.log(candidates.model.weight[k] / candidates.rotations))
            costs.append(np.where(s > 0, -cost / (2 * systems.nu), -np.inf))
    return np.array(scores), np.array(costs)


@pytest.mark.parametrize("noise_mm", [2.0, 20.0, 60.0])
@pytest.mark.parametrize("kind", ["compressed", "whole", "interpolated"])
def test_errors_are_below_half_a_tie(model, images, noise_mm, kind):
    candidates = prior.Lifter(model, rotations=16, noise_mm=noise_mm).search
    elevation = 0.2
    if kind == "interpolated":
        table = candidates.tables.table(elevation - 0.5 * np.deg2rad(0.5), np.ones(17), False, 1)
        part = np.full(200, 0.5, dtype=np.float32)
    else:
        count = 1000 if kind == "compressed" else 1
        table, part = candidates.tables.table(elevation, np.ones(17), True, count), None
        assert (table.forms.left is not None) == (kind == "compressed")
    forms = search.evaluate(table.forms, images.y, np.arange(200), np.zeros(200), part)
    density, cost = _exact(candidates, images, elevation)
    # Costs are compared among the rotations of one component.
    score, best = search.log_densities(forms)
    np.testing.assert_array_equal(best, score.max(axis=0))
    pairs = [(score, density)]
    for k in range(2):
        of = slice(16 * k, 16 * k + 16)
        pairs.append((search.negative_costs(forms)[of], cost[of]))
    for approximate, exact in pairs:
        near = exact > exact.max(axis=0) - 3
        error = np.abs(approximate[near] - exact[near])
        assert error.max() < candidates.tie(table) / 2
        # What is far below the best stays there.
        best = np.broadcast_to(exact.max(axis=0), near.shape)
        assert (approximate[~near] < best[~near] - 2).all()


def test_shares_are_of_all_rotations():
    random = np.random.default_rng(0)
    score = random.normal(size=(12, 5)).astype(np.float32)
    expected = np.exp(score).reshape(3, 4, 5).sum(axis=1).T
    expected /= expected.sum(axis=1, keepdims=True)
    before = score.copy()
    np.testing.assert_allclose(search.shares(score, score.max(axis=0), 3), expected, 1e-5)
    np.testing.assert_array_equal(score, before)
    np.testing.assert_array_equal(search.shares(score, score.max(axis=0), 1), np.ones((5, 1)))


def test_peaks_are_the_highest_maxima_of_each_component():
    turns = np.array([[5, 1, 3, 1, 0, 4], [0, 9, 8, 7, 8, 1.0]], dtype=np.float32)
    expected = [[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 1, 0]]
    score = turns.reshape(12, 1)
    np.testing.assert_array_equal(search.peaks(score, 2, 3)[:, 0], np.ravel(expected))
    np.testing.assert_array_equal(np.flatnonzero(search.peaks(score, 2, 1)), [7])
    assert search.peaks(score, 2, 12).sum() == 4
