"""People whom only an upside-down body would fit, against a slow twin that solves every
combination."""

import numpy as np
import pytest

import prior
from prior.camera import level_camera, vertical_rotation
from prior.lifting.least_squares import LeastSquares
from prior.lifting.perspective import Views
from prior.lifting.weak_perspective import Inputs, observe
from tests.prior.lifting.photographs import photographs

COUNT = 40
COVARIANCE = 16.0 * np.eye(2)
# People who stand have about -160 nats. What is below this is on the edge of being upside down, and
# which side it is on depends on how often the scale is iterated.
IMPROBABLE = -400.0


@pytest.fixture(scope="module")
def turned_over():
    """Points of photographs turned by half a turn, with the cameras as if they were not."""
    _, points, cameras = photographs(COUNT, noise_px=4)
    return 2 * points.mean(axis=1, keepdims=True) - points, cameras


def every_combination(lifter, points, cameras):
    """Log densities (K R, N) of all combinations, -inf upside down: the least squares again and
    again, each time with the covariance at the scale of the time before."""
    search, model = lifter.search, lifter.model
    projections = LeastSquares(model, search.nu)
    images = observe(Inputs(points, cameras, False))
    upright = vertical_rotation(images.roll)[:, ::2, ::2]
    points = points @ upright.swapaxes(1, 2)
    density = np.empty((len(search.component), COUNT))
    for i, (k, angle) in enumerate(zip(search.component, search.angle, strict=True)):
        turn = vertical_rotation(np.full(COUNT, angle))
        matrix = level_camera(images.elevation) * np.array([1, 1, 0])[:, None] @ turn
        noise = np.full(COUNT, model.noise_std[k] ** 2)
        for _ in range(6):
            root = np.sqrt(search.nu[k] / noise)[:, None, None, None]
            views = Views(np.full(COUNT, k), matrix, points, root * np.tile(np.eye(2), (17, 1, 1)))
            solution = projections.solve(views, np.zeros((COUNT, model.basis_size + 3)))
            noise = COVARIANCE[0, 0] / solution.unknowns[:, -1] ** 2 + model.noise_std[k] ** 2
        density[i] = solution.log_density + search.log_prior[k]
    return density


# The ranking solves all of 24 rotations, and interpolates half of 80.
@pytest.mark.slow
@pytest.mark.parametrize("rotations", [24, 80])
def test_it_is_said_where_no_combination_is_upright_and_there_alone(model, turned_over, rotations):
    points, cameras = turned_over
    lifter = prior.Lifter(model, rotations=rotations)
    best = every_combination(lifter, points, cameras).max(axis=0)
    covariance = np.tile(COVARIANCE, (17, 1, 1))
    with pytest.warns(UserWarning, match=f"of {COUNT} poses could not be lifted.*upside down"):
        lifted = lifter.lift(points, camera=cameras, covariance=covariance)
    nothing, fits = best == -np.inf, best > IMPROBABLE
    assert nothing.sum() > 5 and fits.sum() > 10 and (nothing | fits).mean() > 0.8
    assert not lifted.ok[nothing].any() and lifted.ok[fits].all()
    off = np.abs(best[fits] - lifted.log_likelihood[fits])
    # Nats. Of models by which fewer of these poses are probable, some are off by 2 or 4.
    assert np.median(off) < 0.1
    if rotations == 24:
        assert off.max() < 1
    # One stands for all that are as bad: solving them all in full would be of no use.
    all_covariances = np.tile(covariance, (COUNT, 1, 1, 1))
    inputs = Inputs(points, cameras, False, covariance=all_covariances).take(nothing)
    assert len(lifter.full.candidates(inputs, reach=5.0).row) == nothing.sum()


def test_the_upright_are_lifted_as_without_the_others(lifter, turned_over):
    points, cameras = turned_over
    covariance = np.tile(COVARIANCE, (17, 1, 1))
    with pytest.warns(UserWarning, match="could not be lifted"):
        together = lifter.lift(points, camera=cameras, covariance=covariance)
    ok = together.ok
    alone = lifter.lift(points[ok], camera=cameras[ok], covariance=covariance)
    assert alone.ok.all() and 5 < ok.sum() < COUNT - 5
    # The scale by which px are of the body is from the ranking, in float32.
    np.testing.assert_allclose(alone.pose, together.pose[ok], atol=0.02)
