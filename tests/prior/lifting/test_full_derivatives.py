"""Gradients of what is lifted by full perspective, against finite differences."""

import dataclasses

import numpy as np
import pytest
from scipy.optimize import least_squares

from prior.camera import perspective, vertical_rotation
from tests.prior.lifting.exact_projection import SKEWED, objective
from tests.prior.lifting.photographs import covariances, photographs


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("perspective", marks=pytest.mark.slow),
        "covariance",
        pytest.param("both", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("scale", ["exact", "held"])
def test_derivatives_against_finite_differences(model, lifter, kind, scale):
    _, points, cameras = photographs(4, noise_px=6)
    points[0, 5] = np.nan
    intrinsics = None if kind == "covariance" else SKEWED
    covariance = None if kind == "perspective" else covariances(4)
    lifted = lifter.lift(points, camera=cameras, intrinsics=intrinsics, covariance=covariance)
    random = np.random.default_rng(2)
    to_projection, to_pose = random.normal(size=(4, 17, 2)), random.normal(size=(4, 17, 3))
    gradient = lifter.vjp(lifted, projection=to_projection, pose=to_pose, scale=scale)
    assert (gradient[0, 5] == 0).all()
    views = lifter.full.views(lifted)

    def value(i, points):
        """The function at the minimum of another solver, with rotation, component, W and, if held,
        the scale kept."""
        residuals = objective(
            model,
            cameras[i],
            intrinsics,
            views.whitening[i],
            lifter.search.nu[lifted.component[i]],
            np.nan_to_num(points),
            lifted.component[i],
            lifted.yaw[i],
        )
        s = lifted.scale[i]
        start = np.concatenate([lifted.full.place[i], lifted.coefficients[i] * s, [s]])
        held = scale == "held"
        free = residuals if not held else (lambda x: residuals(np.append(x, s)))
        x = least_squares(
            free, start[: -1 if held else None], jac="3-point", xtol=3e-16, ftol=3e-16, gtol=3e-16
        ).x
        x = np.append(x, s) if held else x
        one = dataclasses.replace(model)
        shape = one.mean[lifted.component[i]] + np.tensordot(
            x[2:-1] / x[-1], one.basis[lifted.component[i]], 1
        )
        world = shape @ vertical_rotation(lifted.yaw[i]).T
        if intrinsics is None:
            projection = x[:2] + x[-1] * (world @ cameras[i].T)[:, :2]
        else:
            depth = np.sqrt(intrinsics[0, 0] * intrinsics[1, 1]) / x[-1]
            root = depth * np.linalg.solve(intrinsics, [*x[:2], 1])
            projection = perspective(world, cameras[i], -cameras[i].T @ root, intrinsics)
        pose = model.scale_mm * world
        return np.sum(to_projection[i] * projection) + np.sum(to_pose[i] * pose)

    for i in range(4):
        for landmark, axis in ((0, 0), (3, 1), (10, 0), (16, 1)):
            step = np.zeros((17, 2))
            step[landmark, axis] = 0.2
            slope = (value(i, points[i] + step) - value(i, points[i] - step)) / 0.4
            assert gradient[i, landmark, axis] == pytest.approx(slope, rel=2e-3, abs=2e-3)
