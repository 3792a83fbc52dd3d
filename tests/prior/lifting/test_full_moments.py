"""How sure what is lifted by full perspective is."""

import numpy as np

import prior
from prior.camera import LEVEL, look_at, perspective, vertical_rotation
from prior.lifting import posterior
from tests.poses import random_poses


def test_deviation_is_that_of_weak_perspective_from_afar(lifter):
    truth = random_poses(12, seed=3)
    truth -= truth.mean(axis=1, keepdims=True)
    camera = look_at([0, 300e3, 4000e3], np.zeros(3))
    lens = np.array([[1e6, 0, 0], [0, 1e6, 0], [0, 0, 1]])
    points = perspective(truth, camera, [0, 300e3, 4000e3], lens)
    points += np.random.default_rng(0).normal(size=points.shape) * 4
    points[0, 3] = np.nan
    weak, full = (lifter.lift(points, camera=camera, intrinsics=k) for k in (None, lens))
    for spread in (False, True):
        np.testing.assert_allclose(
            lifter.deviation(full, spread), lifter.deviation(weak, spread), rtol=0.02
        )
    moments = lifter.posterior(full)
    np.testing.assert_allclose(posterior.deviation(moments), lifter.deviation(full))
    np.testing.assert_allclose(moments, lifter.posterior(weak), atol=0.02 * moments.max())


def test_moments_near_the_camera_are_those_of_the_linearised_projection(model):
    """A twin of dense matrices: the gain by gradients, which finite differences check, and the
    projection's derivatives by differences of the pinhole projection."""
    lens = np.array([[600.0, 0, 500], [0, 600, 500], [0, 0, 1]])
    truth = random_poses(3, seed=8)
    truth -= truth.mean(axis=1, keepdims=True)
    place = np.array([300.0, 200, 1800])
    points = np.stack([perspective(t, LEVEL, -LEVEL.T @ place, lens) for t in truth])
    lifter = prior.Lifter(model, rotations=24, noise_mm=30)
    lifted = lifter.lift(points, intrinsics=lens)
    moments = lifter.posterior(lifted, spread=False)
    gain = np.stack(
        [
            lifter.vjp(lifted, pose=np.broadcast_to(unit, (3, 17, 3))).reshape(3, -1)
            for unit in np.eye(51).reshape(51, 17, 3)
        ],
        axis=1,
    )
    centre = np.kron(np.eye(17) - 1 / 17, np.eye(3))
    for i in range(3):
        position = -LEVEL.T @ lifted.translation[i]

        def seen_from(pose, position=position):
            return perspective(pose.reshape(17, 3), LEVEL, position, lens).ravel()

        pose = lifted.pose[i].ravel()
        steps = 0.01 * np.eye(51)
        project = np.stack([(seen_from(pose + s) - seen_from(pose - s)) / 0.02 for s in steps], 1)
        k = lifted.component[i]
        basis = model.basis[k].reshape(12, 51)
        spread = (basis.T * model.std[k] ** 2) @ basis
        spread += model.noise_std[k] ** 2 * (centre - basis.T @ basis)
        turn = np.kron(np.eye(17), vertical_rotation(lifted.yaw[i]))
        spread = model.scale_mm**2 * turn @ spread @ turn.T
        noise_px = 30 / model.scale_mm * lifted.scale[i]
        rest = centre - gain[i] @ project
        expected = rest @ spread @ rest.T + noise_px**2 * gain[i] @ gain[i].T
        np.testing.assert_allclose(moments[i], expected, atol=1e-6 * expected.max())
