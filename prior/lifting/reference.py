"""The slow, obvious twin of prior.lift: what its tests and its benchmark compare with."""

import numpy as np
from scipy.linalg import block_diag, lstsq, null_space
from scipy.stats import multivariate_normal

from prior.camera import decompose, vertical_rotation


def lift_slowly(points, model, camera, weight, rotations, noise_mm):
    """Section 5.3 for one image, by loops, dense matrices and library calls.

    points (17, 2), camera (3, 3), weight (17,). Returns log likelihood, pose, projection,
    component, scale.
    """
    seen = weight > 0
    contrast = null_space(np.ones((1, seen.sum())))
    _, _, camera_yaw = decompose(camera)
    best = (-np.inf,)
    for k in range(model.components):
        nu = model.noise_std[k] ** 2 + (noise_mm / model.scale_mm) ** 2
        for r in range(rotations):
            turn = vertical_rotation(2 * np.pi * r / rotations - camera_yaw)
            view = (camera @ turn)[:2]
            mean, basis = model.mean[k] @ view.T, model.basis[k] @ view.T
            share = (weight**2 / np.sum(weight**2))[:, None]

            def centred(points, share=share):
                return weight[:, None] * (points - np.sum(share * points, axis=-2, keepdims=True))

            y = np.where(seen[:, None], points, 0)
            middle = np.sum(share * y, axis=0)
            columns = np.stack([centred(mean).ravel(), *(centred(b).ravel() for b in basis)], 1)
            penalty = np.diag([0.0, *(np.sqrt(nu) / model.std[k])])[1:]
            solution = lstsq(
                np.vstack([columns, penalty]), np.append(centred(y).ravel(), np.zeros(len(penalty)))
            )[0]
            s, a = solution[0], solution[1:] / solution[0]
            if s <= 0:
                continue
            # Density of the points up to translation, with the coefficients integrated out.
            M = np.concatenate([(basis[:, seen, c] @ contrast).T for c in range(2)])
            noise = contrast.T @ np.diag(nu / weight[seen] ** 2) @ contrast
            covariance = s**2 * (M @ np.diag(model.std[k] ** 2) @ M.T + block_diag(noise, noise))
            value = np.concatenate([contrast.T @ y[seen, c] for c in range(2)])
            expected = s * np.concatenate([contrast.T @ mean[seen, c] for c in range(2)])
            score = multivariate_normal(expected, covariance).logpdf(value)
            score += np.log(model.weight[k] / rotations)
            if score > best[0]:
                shape = model.mean[k] + np.tensordot(a, model.basis[k], 1)
                flat = shape @ view.T
                projection = middle + s * (flat - np.sum(share * flat, axis=0))
                best = score, shape @ turn.T * model.scale_mm, projection, k, s
    return best
