"""The search by precisions of each pose's own, against the least squares of each combination."""

import numpy as np
import pytest

from prior.camera import decompose, level_camera, vertical_rotation
from prior.lifting import ranking
from prior.lifting.least_squares import LeastSquares
from prior.lifting.perspective import Views
from tests.prior.lifting.photographs import photographs

COUNT = 12
NU = 1e-3


@pytest.fixture
def scene(model):
    """Points, elevations of level cameras, precisions, and one landmark that is missing."""
    _, points, cameras = photographs(COUNT, noise_px=5)
    random = np.random.default_rng(0)
    axes = random.normal(size=(model.components, COUNT, 17, 2, 2)) / 2
    precision = axes @ axes.swapaxes(-1, -2) + 0.05 * np.eye(2)
    precision[:, ::2, 5] = 0
    points = points - points.mean(axis=1, keepdims=True)
    return points, decompose(cameras)[1], precision


def exactly(model, nu, rotations, points, elevation, precision):
    """Log densities and scales (K, R, N), one combination after another."""
    projections = LeastSquares(model, nu)
    density, scale = np.empty((2, model.components, rotations, COUNT))
    for k in range(model.components):
        whitening = np.zeros(precision[k].shape)
        there = precision[k].any(axis=(2, 3))
        whitening[there] = np.linalg.cholesky(precision[k][there]).swapaxes(1, 2)
        for r in range(rotations):
            turn = vertical_rotation(np.full(COUNT, 2 * np.pi * r / rotations))
            matrix = level_camera(elevation) * np.array([1, 1, 0])[:, None] @ turn
            views = Views(np.full(COUNT, k), matrix, points, whitening)
            solution = projections.solve(views, np.zeros((COUNT, model.basis_size + 3)))
            density[k, r] = solution.log_density + np.log(model.weight[k] / rotations)
            scale[k, r] = solution.unknowns[:, -1]
    return density, scale


def ranked(model, rotations, scene):
    nu = np.full(model.components, NU)
    own = ranking.Ranking(model, nu, rotations, np.log(model.weight) - np.log(rotations))
    return own.rank(*scene), exactly(model, nu, rotations, *scene)


def test_it_is_the_density_of_each_combination(model, scene):
    """With as many vectors as the model has, and no rotation interpolated."""
    assert ranking.VECTORS >= model.basis_size
    mine, (density, scale) = ranked(model, 30, scene)
    # In float32: on six models off by at most 0.013 px and 0.001 nats.
    np.testing.assert_allclose(mine.scale, scale, rtol=0, atol=0.02)
    near = density > density.max(axis=(0, 1)) - 15
    np.testing.assert_allclose(mine.log_density[near], density[near], atol=0.002)
    assert near.any(axis=1).sum() > COUNT


def test_what_is_interpolated_is_near_it(model, scene, monkeypatch):
    def off():
        mine, (density, _) = ranked(model, 80, scene)
        near = density > density.max(axis=(0, 1)) - 3
        return np.sqrt(np.square((mine.log_density - density)[near]).mean())

    usual = off()
    assert 0 < usual < 0.1  # nats, root mean square; 0.03 to 0.07 on six models
    monkeypatch.setattr(ranking, "SOLVED", 20)
    assert off() > 3 * usual


def test_fewer_vectors_still_rank(model, scene, monkeypatch):
    """The best is among those that are near the best by 8 of 12 vectors."""
    monkeypatch.setattr(ranking, "VECTORS", 8)
    points, elevation, precision = scene
    nu = np.full(model.components, NU)
    own = ranking.Ranking(model, nu, 40, np.log(model.weight) - np.log(40))
    assert (own.others > 0).all() and own.others.max() < 0.01
    there = precision.any(axis=(3, 4), keepdims=True)
    noise = NU * np.linalg.inv(np.where(there, precision, np.eye(2)))
    noise = noise + own.others[:, None, :, None, None] * np.eye(2)
    mine = own.rank(points, elevation, np.where(there, NU * np.linalg.inv(noise), 0))
    density, _ = exactly(model, nu, 40, *scene)
    mine, density = mine.log_density.reshape(-1, COUNT), density.reshape(-1, COUNT)
    near = np.where(mine > mine.max(axis=0) - 3, density, -np.inf).max(axis=0)
    assert (density.max(axis=0) - near < 0.5).mean() > 0.8
