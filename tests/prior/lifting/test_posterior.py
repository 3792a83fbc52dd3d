import dataclasses

import numpy as np
import pytest

import prior
from prior.camera import LEVEL, vertical_rotation
from prior.lifting import posterior
from tests.prior.lifting.photographs import photographs


def test_deviation_is_that_of_poses_drawn_from_the_model(model):
    # One component of strong modes, so that the rotation is found; body noise and detector's.
    small = dataclasses.replace(
        model,
        mean=model.mean[:1],
        basis=model.basis[:1, :6],
        std=model.std[:1, :6],
        noise_std=model.noise_std[:1],
        weight=np.ones(1),
    )
    random = np.random.default_rng(0)
    count, noise = 1500, 10 / small.scale_mm
    a = random.normal(size=(count, 6)) * small.std[0]
    off = random.normal(size=(count, 17, 3)) * small.noise_std[0]
    off -= off.mean(axis=1, keepdims=True)
    flat = small.basis[0].reshape(6, -1)
    off -= (off.reshape(count, -1) @ flat.T @ flat).reshape(off.shape)
    shape = small.mean[0] + np.tensordot(a, small.basis[0], 1) + off
    yaw = 2 * np.pi * random.integers(0, 24, count) / 24
    turn = vertical_rotation(yaw).swapaxes(1, 2)
    points = (shape @ turn @ LEVEL.T)[..., :2] + noise * random.normal(size=(count, 17, 2))
    lifter = prior.Lifter(small, rotations=24, noise_mm=10)
    lifted = lifter.lift(100 * points)
    right = np.abs(np.angle(np.exp(1j * (lifted.yaw - yaw)))) < 1e-6
    assert right.mean() > 0.3
    rows = np.flatnonzero(right)
    moments = lifter.posterior(lifted.take(rows), spread=False)
    error = (shape @ turn * small.scale_mm - lifted.pose)[rows]
    expected = posterior.deviation(moments)
    rms = np.sqrt(np.square(error).sum(axis=2).mean(axis=0))
    np.testing.assert_allclose(rms, np.sqrt(np.square(expected).mean(axis=0)), rtol=0.15)
    # And all of the covariance: normalised errors have unit variance in every direction.
    directions = random.normal(size=(20, 51))
    across = error.reshape(len(rows), -1) @ directions.T
    variance = np.einsum("di,nij,dj->nd", directions, moments, directions)
    np.testing.assert_allclose((across**2 / variance).mean(), 1, atol=0.15)


def test_posterior_spreads_over_what_else_is_probable(lifter):
    _, points, cameras = photographs(12, noise_px=5)
    points[3] = 5.0
    with pytest.warns(UserWarning, match="1 of 12"):
        lifted = lifter.lift(points, camera=cameras)
    conditional = lifter.posterior(lifted, spread=False)
    spread = lifter.posterior(lifted)
    assert np.isnan(spread[3]).all() and np.isnan(conditional[3]).all()
    keep = lifted.ok
    assert (np.linalg.eigvalsh(conditional[keep]) > -1e-6).all()
    assert (np.linalg.eigvalsh((spread - conditional)[keep]) > -1e-6).all()
    assert (posterior.deviation(spread[keep]) > posterior.deviation(conditional[keep])).any()
    np.testing.assert_allclose(lifter.deviation(lifted), posterior.deviation(spread))
    assert np.isnan(lifter.deviation(lifted.take(slice(3, 4)))).all()
    # Missing landmarks are known less well.
    points[:, 13] = np.nan
    fewer = dataclasses.replace(lifted, inputs=lifted.inputs._replace(points=points))
    less = posterior.deviation(lifter.posterior(fewer, spread=False))[keep]
    more = posterior.deviation(conditional)[keep]
    assert (less > 0.9 * more).all() and np.median(less[:, 13] / more[:, 13]) > 1.1
