"""What full perspective minimises, written out once more, for other solvers."""

import numpy as np

from prior.camera import perspective, vertical_rotation

SKEWED = np.array([[900.0, 12, 700], [0, 1100, 300], [0, 0, 1]])


def objective(model, camera, intrinsics, whitening, nu, points, component, yaw):
    """The residuals whose squares add up to the cost, of place (2,), s a (J,) and s, px: by the
    pinhole projection of a person at that place, or scaled orthography."""
    visible = whitening.any(axis=(1, 2))

    def residuals(unknowns):
        scale = unknowns[-1]
        shape = model.mean[component] + np.tensordot(
            unknowns[2:-1] / scale, model.basis[component], 1
        )
        world = shape @ vertical_rotation(yaw).T
        if intrinsics is None:
            projection = unknowns[:2] + scale * (world @ camera.T)[:, :2]
        else:
            depth = np.sqrt(intrinsics[0, 0] * intrinsics[1, 1]) / scale
            root = depth * np.linalg.solve(intrinsics, [*unknowns[:2], 1])
            projection = perspective(world, camera, -camera.T @ root, intrinsics)
        off = np.einsum("lab,lb->la", whitening, points - projection)[visible]
        return np.concatenate([off.ravel(), np.sqrt(nu) * unknowns[2:-1] / model.std[component]])

    return residuals
