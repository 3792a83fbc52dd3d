"""Equation 1 for one pose, as a function of its yaw alone, and its lowest point in closed form.

Given the PPCA, the best coefficients of a pose at each yaw are known. With these put in, what the
pose adds to the objective is a squared Mahalanobis distance. On the ground plane, w = x + i z, and
turning back by the yaw multiplies w by exp(i yaw); so the distance is a trigonometric polynomial of
degree 2 in the yaw, five numbers for each pose. Such a polynomial has two valleys at most.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from prior.ppca import PPCA

# Start angles of the closed form. 32 samples show both valleys unless these are within 0.2 rad of
# each other, and then next to equal.
GRID = np.arange(32) * (2 * np.pi / 32)

# Newton's steps from a sample to the bottom of its valley. Convergence is quadratic: from within
# 0.1 rad four steps reach rounding.
NEWTON_STEPS = 5


class Distances(NamedTuple):
    """Squared Mahalanobis distances of n poses as functions of their yaws.

    constant (n,); harmonics (4, n), the factors of cos, sin, cos 2 yaw and sin 2 yaw.
    """

    constant: Float[np.ndarray, "n"]
    harmonics: Float[np.ndarray, "4 n"]

    def at(self, yaw: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """The distances at these yaws, radians."""
        angles = np.stack([np.cos(yaw), np.sin(yaw), np.cos(2 * yaw), np.sin(2 * yaw)])
        return self.constant + np.einsum("hn,hn->n", self.harmonics, angles)

    def slope(self, yaw: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """The derivatives of the distances at these yaws."""
        a1, b1, a2, b2 = self.harmonics
        first = b1 * np.cos(yaw) - a1 * np.sin(yaw)
        return first + 2 * (b2 * np.cos(2 * yaw) - a2 * np.sin(2 * yaw))

    def take(self, rows: Int[np.ndarray, "m"] | Bool[np.ndarray, "n"]) -> "Distances":
        """The Distances of these poses: indices, or a mask."""
        return Distances(self.constant[rows], self.harmonics[:, rows])


def distances(rows: Float[np.ndarray, "n D"], model: PPCA) -> Distances:
    """The Distances of rows (normalise.to_rows) from the model, coefficients eliminated."""
    noise, size = model.noise_variance, len(model.variance)
    # The distance is ||row - mean||^2 / noise - sum_j coefficient_j^2. The basis is scaled so that
    # the square of a coefficient is what variance along its vector saves. Of the turned row,
    # coefficient_j = Re(turning_j exp(i yaw)) + fixed_j; the mean is one more such direction.
    basis = np.sqrt(1 / noise - 1 / model.variance)[:, None] * model.basis
    x, z, y = np.concatenate([basis, model.mean[None]]).reshape(size + 1, 3, -1).swapaxes(0, 1)
    ground, height = np.split(rows, [2 * x.shape[1]], axis=1)
    turning = ground @ np.block([[x.T, -z.T], [z.T, x.T]])
    real, to_mean_real = turning[:, :size], turning[:, size]
    imaginary, to_mean_imaginary = turning[:, size + 1 : -1], turning[:, -1]
    fixed = height @ y.T
    to_mean = fixed[:, size]
    fixed = fixed[:, :size] - basis @ model.mean
    cosine, sine = _dot(real, real), _dot(imaginary, imaginary)
    harmonics = np.stack(
        [
            -2 * (_dot(fixed, real) + to_mean_real / noise),
            2 * (_dot(fixed, imaginary) + to_mean_imaginary / noise),
            (sine - cosine) / 2,
            _dot(real, imaginary),
        ]
    )
    constant = (_dot(rows, rows) + model.mean @ model.mean - 2 * to_mean) / noise
    return Distances(constant - _dot(fixed, fixed) - (cosine + sine) / 2, harmonics)


def _dot(a: Float[np.ndarray, "n D"], b: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n"]:
    return np.einsum("nj,nj->n", a, b)


def minimise_closed_form(curves: Distances) -> Float[np.ndarray, "n"]:
    """The yaw at the global minimum of each distance."""
    # The samples only tell where to start, and float32 does for that.
    basis = np.stack([np.cos(GRID), np.sin(GRID), np.cos(2 * GRID), np.sin(2 * GRID)])
    samples = curves.harmonics.T.astype(np.float32) @ basis.astype(np.float32)
    lowest = samples.argmin(axis=1)
    yaw = _to_bottom(curves.harmonics, GRID[lowest])
    rows, sample = _other_valleys(curves, samples, lowest, curves.at(yaw) - curves.constant)
    others = curves.take(rows)
    other = _to_bottom(others.harmonics, GRID[sample])
    yaw[rows] = np.where(others.at(other) < others.at(yaw[rows]), other, yaw[rows])
    return yaw


def _other_valleys(
    curves: Distances,
    samples: Float[np.ndarray, "n G"],
    lowest: Int[np.ndarray, "n"],
    depth: Float[np.ndarray, "n"],
) -> tuple[Int[np.ndarray, "m"], Int[np.ndarray, "m"]]:
    """Which poses have a second valley that may be the lower one, and the sample to start from.

    samples: the distances on GRID, less the constants; lowest: the sample from which the first
    valley's bottom was reached; depth: the distances there, less the constants.
    """
    # A minimum lies below its nearest sample by half the largest curvature times half a step
    # squared, at most: a valley whose lowest sample is higher than that above the bottom that is
    # known cannot be lower.
    curvature = np.hypot(*curves.harmonics[:2]) + 4 * np.hypot(*curves.harmonics[2:])
    reach = depth + curvature * ((GRID[1] / 2) ** 2 / 2 + 1e-6)
    within = np.count_nonzero(samples <= reach[:, None].astype(np.float32), axis=1)
    rows = np.flatnonzero(within > 1)
    near = samples[rows]
    valley = (near < np.roll(near, 1, axis=1)) & (near <= np.roll(near, -1, axis=1))
    each = np.arange(len(rows))
    valley[each, lowest[rows]] = False
    near = np.where(valley, near, np.inf)
    second = near.argmin(axis=1)
    undecided = near[each, second] <= reach[rows]
    return rows[undecided], second[undecided]


def _to_bottom(
    harmonics: Float[np.ndarray, "4 n"], yaw: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """The bottom of the valley that each yaw is in: Newton's method on the derivative."""
    a1, b1, a2, b2 = harmonics
    cos, sin = np.cos(yaw), np.sin(yaw)
    limit = GRID[1]
    for _ in range(NEWTON_STEPS):
        cos2, sin2 = cos * cos - sin * sin, 2 * cos * sin
        slope = b1 * cos - a1 * sin + 2 * (b2 * cos2 - a2 * sin2)
        bend = -(a1 * cos + b1 * sin) - 4 * (a2 * cos2 + b2 * sin2)
        # Where it bends down the step would climb: go downhill by a bounded step.
        step = np.where(bend > 0, -slope / np.where(bend > 0, bend, 1), -np.sign(slope) * limit / 2)
        step = np.clip(step, -limit, limit)
        # Rotate by the step to third order, then back onto the circle: no trigonometry.
        ahead, side = 1 - step * step / 2, step * (1 - step * step / 6)
        cos, sin = cos * ahead - sin * side, sin * ahead + cos * side
        length = np.sqrt(cos * cos + sin * sin)
        cos, sin = cos / length, sin / length
    return np.arctan2(sin, cos)
