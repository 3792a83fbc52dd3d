import numpy as np
import pytest

from prior.camera import LEVEL, vertical_rotation
from prior.lifting import lifter as lifting
from prior.lifting import weak_perspective
from tests.prior.lifting.photographs import photographs


@pytest.mark.parametrize("kind", ["one camera", "cameras", "weighted", "refined"])
@pytest.mark.parametrize("scale", ["exact", "held"])
def test_derivatives_against_finite_differences(lifter, scale, kind):
    _, points, cameras = photographs(6, noise_px=3)
    weighted, refine = kind == "weighted", kind == "refined"
    if kind == "one camera":
        cameras = cameras[0]
    random = np.random.default_rng(2)
    confidence = random.uniform(0.3, 1, (6, 17)) if weighted else np.ones((6, 17))
    confidence[:, 4] = 0 if weighted else 1
    lifted = lifter.lift(points, camera=cameras, confidence=confidence, refine=refine)
    to_projection, to_pose = random.normal(size=(6, 17, 2)), random.normal(size=(6, 17, 3))

    def value(points):
        """The function with rotation, component and, if held, scale kept."""
        images = weak_perspective.observe(weak_perspective.validate(points, cameras, confidence))
        systems = lifter.search.projector.systems(
            lifted.component, lifted.yaw + images.yaw, images.elevation, images.weight
        )
        y = images.flat * images.size[:, None]
        s = np.einsum("ni,ni->n", systems.g, y) / systems.mqm
        if scale == "held":
            s = lifted.scale
        a = np.einsum("nji,ni->nj", systems.solve, y - s[:, None] * systems.m) / s[:, None]
        shape = lifter.model.mean[lifted.component] + np.einsum(
            "nj,njlc->nlc", a, lifter.model.basis[lifted.component]
        )
        pose = lifter.model.scale_mm * shape @ vertical_rotation(lifted.yaw).swapaxes(1, 2)
        flat = pose / lifter.model.scale_mm @ np.swapaxes(cameras, -1, -2)
        flat = s[:, None, None] * flat[..., :2]
        share = (confidence**2 / np.sum(confidence**2, axis=1, keepdims=True))[..., None]
        projection = flat + np.sum(share * (points - flat), axis=1, keepdims=True)
        return np.sum(to_projection * projection, (1, 2)) + np.sum(to_pose * pose, (1, 2))

    # The function differentiated is the one that lift computes.
    whole = np.sum(to_projection * lifted.projection, (1, 2))
    whole += np.sum(to_pose * lifted.pose, (1, 2))
    np.testing.assert_allclose(value(points), whole, rtol=1e-9)

    gradient = lifter.vjp(lifted, projection=to_projection, pose=to_pose, scale=scale)
    for landmark in (0, 3, 4, 10, 16):
        for axis in range(2):
            step = np.zeros_like(points)
            step[:, landmark, axis] = 1e-3
            slope = (value(points + step) - value(points - step)) / 2e-3
            np.testing.assert_allclose(gradient[:, landmark, axis], slope, rtol=1e-6, atol=1e-6)


def test_held_derivative_of_the_projection_is_the_supplements(lifter):
    _, points, _ = photographs(1)
    lifted = lifter.lift(points)
    k = lifted.component[0]
    view = LEVEL[:2] @ vertical_rotation(lifted.yaw[0])
    E = np.stack([(b @ view.T).ravel() for b in lifter.model.basis[k]], axis=1)
    nu = lifter.model.noise_std[k] ** 2 + (lifting.NOISE_MM / lifter.model.scale_mm) ** 2
    jacobian = E @ np.linalg.inv(E.T @ E + nu * np.diag(lifter.model.std[k] ** -2.0)) @ E.T
    jacobian = jacobian + np.kron(np.ones((17, 17)) / 17, np.eye(2))  # the mean goes through
    for i in (0, 9, 33):
        unit = np.eye(34)[i].reshape(1, 17, 2)
        row = lifter.vjp(lifted, projection=unit, scale="held")
        # The basis, of seven digits, is orthonormal to these alone.
        np.testing.assert_allclose(row.ravel(), jacobian[i], atol=1e-6)
