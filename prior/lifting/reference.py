"""Section 5.3 for one image, by loops and library calls. Read this first.

Equation 4, with all that it leaves to the text: a person whose pose is mu + sum_j a_j e_j stands
turned by R about the vertical, and a camera E sees, through the orthographic projection Pi,

    y = s Pi E R (mu + sum_j a_j e_j) + translation + noise,
    a_j ~ N(0, std_j^2),  noise ~ N(0, s^2 nu),  nu = noise_std^2 + (noise_mm / scale_mm)^2.

R is enumerated. For each R and component of the mixture, scale s and s a are linear least squares
with a ridge. Equation 4 takes the R of least cost; since s is free, that is not the R under which
the landmarks have the highest density, which is more often the true one. Of the components, the
most probable is the answer.

lifter.py and the files that it uses give the same answers, thousands of times faster; the tests
compare both.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import block_diag, lstsq, null_space
from scipy.stats import multivariate_normal

from prior.camera import decompose, vertical_rotation
from prior.model import PriorModel


class Answer(NamedTuple):
    """log_likelihood, with the prior of component and rotation; pose, mm, world frame; projection,
    px; component; scale, px per unit of limb scale."""

    log_likelihood: float
    pose: Float[np.ndarray, "L 3"] | None = None
    projection: Float[np.ndarray, "L 2"] | None = None
    component: int = 0
    scale: float = 0.0


def lift_slowly(
    points: Float[np.ndarray, "L 2"],
    model: PriorModel,
    camera: Float[np.ndarray, "3 3"],
    weight: Float[np.ndarray, "L"],
    rotations: int,
    noise_mm: float,
    criterion: Literal["density", "cost"] = "density",
) -> Answer:
    """The pose of landmarks, px, by a camera, world to camera. weight: of each landmark's residual,
    0 where it is missing; criterion: what R is best by. log_likelihood is -inf if there is none."""
    visible = weight > 0
    share = (weight**2 / np.sum(weight**2))[:, None]
    points = np.where(visible[:, None], points, 0)
    place = np.sum(share * points, axis=0)
    yaw = decompose(camera)[2]  # R = 0 is toward the camera
    best = Answer(-np.inf)

    def centred(flat: Float[np.ndarray, "L 2"]) -> Float[np.ndarray, "D"]:
        """Without the translation, and weighted."""
        return (weight[:, None] * (flat - np.sum(share * flat, axis=0))).ravel()

    for k, std in enumerate(model.std):
        nu = model.noise_std[k] ** 2 + (noise_mm / model.scale_mm) ** 2
        highest, best_of_component = -np.inf, Answer(-np.inf)
        for r in range(rotations):
            turn = vertical_rotation(2 * np.pi * r / rotations - yaw)
            project = (camera @ turn)[:2].T
            mean, basis = model.mean[k] @ project, model.basis[k] @ project
            columns = np.stack([centred(mean), *map(centred, basis)], axis=1)
            ridge = np.diag([0.0, *(np.sqrt(nu) / std)])[1:]
            data = np.append(centred(points), np.zeros(len(std)))
            system = np.vstack([columns, ridge])
            solution = lstsq(system, data)[0]
            s, scaled = solution[0], solution[1:]
            if s <= 0:  # upside down
                continue
            # The density with a integrated out, of differences that no translation changes.
            contrast = null_space(np.ones((1, visible.sum()))).T
            by_a = np.concatenate([contrast @ basis[:, visible, i].T for i in range(2)])
            noise = contrast @ np.diag(nu / weight[visible] ** 2) @ contrast.T
            covariance = by_a @ np.diag(std**2) @ by_a.T + block_diag(noise, noise)
            residual = (contrast @ (points - s * mean)[visible]).T.ravel()
            density = multivariate_normal(cov=s**2 * covariance).logpdf(residual)
            cost = np.sum((system @ solution - data) ** 2)
            height = density if criterion == "density" else -cost
            if height > highest:
                highest = height
                shape = model.mean[k] + np.tensordot(scaled, model.basis[k], 1) / s
                flat = s * shape @ project
                best_of_component = Answer(
                    density + np.log(model.weight[k] / rotations),
                    model.scale_mm * shape @ turn.T,
                    place + flat - np.sum(share * flat, axis=0),
                    k,
                    s,
                )
        if best_of_component.log_likelihood > best.log_likelihood:
            best = best_of_component
    return best
