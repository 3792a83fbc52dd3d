"""Alignment of poses about the vertical, and their PPCA basis (equation 1 of the paper).

Two half-steps alternate: closed-form PPCA of the poses turned back by their yaws, and the yaw and
coefficients of each pose given the PPCA. As printed, equation 1 is not a proper likelihood; the
objective here is the PPCA negative log-likelihood of the turned poses, which the text asks for and
which neither half-step can raise. The basis grows from 1 to J ("annealed"), so that what rotations
can explain never enters it.

Rotation half-step. With the coefficients eliminated, what a pose adds to the objective is a squared
Mahalanobis distance. On the ground plane, w = x + i z, turning back by the yaw multiplies w by
exp(i yaw), so the distance is a trigonometric polynomial of degree 2 (`Distances`). Ceres minimises
it as published; its global minimum also has a closed form.

Mirror images. The set contains each pose's mirror image (section 4), so its PPCA is its own mirror
image, and the image of a pose has the opposite yaw and the same distance. Their part of the
statistics is added (`_symmetric`); they are never made.
"""

from functools import partial, reduce
from typing import NamedTuple

import numpy as np

from prior import ppca
from prior.chunks import cores, each_chunk
from prior.fitting.factorisation import factorise
from prior.normalise import ROW_MIRROR, ROW_SIGN, turned_back
from prior.skeleton import L

SOLVERS = ("ceres", "closed-form")

# Alternations for each basis size below J. Our choice; the authors' released code makes 10. On real
# motion capture the end is the same from 1 to 100 of them: prior/README.md.
ALTERNATIONS = 2

# At J, the alternation has converged when it gains less than this many nats a pose. Our choice: the
# likelihood's own sampling error is larger for any set below a million poses.
TOLERANCE = 1e-4

# At most so many alternations at J, three times the most that was seen.
LIMIT = 300

# Of more poses than this, so many, evenly spread, are aligned first; from where they end the others
# take a few half-steps. Our choice: a mean of so many is known to 1 / sqrt(START), 0.3 %, of a
# standard deviation.
START = 100_000

# Ceres counts as in a worse local minimum where its objective is above the closed form's by more
# than this share.
WORSE = 1e-6

# Start angles of the closed form. A trigonometric polynomial of degree 2 has at most two minima;
# 32 samples see both unless they are within 0.2 rad, next to equal.
GRID = np.arange(32) * (2 * np.pi / 32)


class Step(NamedTuple):
    """A half-step: basis size; "ppca", "rotation" or "extrapolation"; the NLL per pose after it;
    how many poses Ceres left in a worse local minimum (None where it does not apply); of how many
    poses, all or those of the start."""

    basis: int
    half_step: str
    nll: float
    worse: int | None
    poses: int


class Alignment(NamedTuple):
    """yaw (N,) of the poses; the single PPCA of all rows turned back by theirs; the Steps; whether
    the last gain was below the tolerance."""

    yaw: np.ndarray
    ppca: ppca.PPCA
    history: list
    converged: bool


class Distances(NamedTuple):
    """Squared Mahalanobis distances of n poses as functions of their yaws.

    constant (n,); harmonics (4, n), factors of cos, sin, cos 2 yaw and sin 2 yaw.
    """

    constant: np.ndarray
    harmonics: np.ndarray

    def at(self, yaw):
        """The distances (n,) at yaw (n,)."""
        angles = np.stack([np.cos(yaw), np.sin(yaw), np.cos(2 * yaw), np.sin(2 * yaw)])
        return self.constant + np.einsum("hn,hn->n", self.harmonics, angles)

    def slope(self, yaw):
        """Their derivatives (n,) at yaw (n,)."""
        a1, b1, a2, b2 = self.harmonics
        first = b1 * np.cos(yaw) - a1 * np.sin(yaw)
        return first + 2 * (b2 * np.cos(2 * yaw) - a2 * np.sin(2 * yaw))


def distances(rows, model):
    """The Distances of rows (n, 3L) from the model, a PPCA, coefficients eliminated."""
    noise, size = model.noise_variance, len(model.variance)
    # The distance is ||row - mean||^2 / noise - sum_j coefficient_j^2, the basis scaled to what the
    # variance along it takes off. Of the turned row, coefficient_j = Re(turning_j exp(i yaw)) +
    # fixed_j; the mean is one more such direction.
    basis = np.sqrt(1 / noise - 1 / model.variance)[:, None] * model.basis
    x, z, y = np.concatenate([basis, model.mean[None]]).reshape(-1, 3, L).swapaxes(0, 1)
    turning = rows[:, : 2 * L] @ np.block([[x.T, -z.T], [z.T, x.T]])
    real, to_mean_real = turning[:, :size], turning[:, size]
    imaginary, to_mean_imaginary = turning[:, size + 1 : -1], turning[:, -1]
    fixed = rows[:, 2 * L :] @ y.T
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


def _dot(a, b):
    return np.einsum("nj,nj->n", a, b)


def minimise_closed_form(curves):
    """Yaw (n,) at the global minimum of Distances."""
    # The grid only finds where to start, and float32 does for that.
    basis = np.stack([np.cos(GRID), np.sin(GRID), np.cos(2 * GRID), np.sin(2 * GRID)])
    values = curves.harmonics.T.astype(np.float32) @ basis.astype(np.float32)
    start = values.argmin(axis=1)
    yaw = _polish(curves.harmonics, GRID[start])
    lowest = curves.at(yaw) - curves.constant
    # Another valley may be the lower one if its lowest sample is at most what a minimum can lie
    # below its nearest sample: half the largest curvature times half a step squared.
    curvature = np.hypot(*curves.harmonics[:2]) + 4 * np.hypot(*curves.harmonics[2:])
    reach = lowest + curvature * ((GRID[1] / 2) ** 2 / 2 + 1e-6)
    rows = np.flatnonzero(np.count_nonzero(values <= reach[:, None].astype(np.float32), axis=1) > 1)
    near = values[rows]
    valley = (near < np.roll(near, 1, axis=1)) & (near <= np.roll(near, -1, axis=1))
    valley[np.arange(len(rows)), start[rows]] = False
    near = np.where(valley, near, np.inf)
    second = near.argmin(axis=1)
    open_ = near[np.arange(len(rows)), second] <= reach[rows]
    rows, second = rows[open_], second[open_]
    other = _polish(curves.harmonics[:, rows], GRID[second])
    part = Distances(curves.constant[rows], curves.harmonics[:, rows])
    yaw[rows] = np.where(part.at(other) < part.at(yaw[rows]), other, yaw[rows])
    return yaw


def _polish(harmonics, yaw):
    """Newton's method on the derivative, from next to a minimum."""
    a1, b1, a2, b2 = harmonics
    cos, sin = np.cos(yaw), np.sin(yaw)
    limit = GRID[1]
    for _ in range(5):  # quadratic convergence from within 0.1 rad: 4 steps reach rounding
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


def rotation_half_step(poses, yaw, model, minimise=None):
    """The yaws that minimise the NLL of the poses turned back by them, under the model, a PPCA.

    poses: rows (N, 3L), an array or NormalisedPoses; yaw: (N,), where `minimise` starts: a function
    of Distances and yaws (n,) that returns yaws, by default the closed form.
    Returns (yaw (N,), NLL per pose, count of poses in a worse minimum or None, and the
    ppca.Moments of the turned poses and their mirror images).
    """
    parts = list(
        each_chunk(
            partial(_rotate, poses, np.asarray(yaw, dtype=float), model, minimise), len(poses)
        )
    )
    yaws, totals, worse, stats = zip(*parts, strict=True)
    dimensions = model.mean.size
    constant = ppca.log_determinant(model) + dimensions * np.log(2 * np.pi)
    nll = float(sum(totals) / len(poses) + constant) / 2
    worse = None if minimise is None else sum(worse)
    return np.concatenate(yaws), nll, worse, _symmetric(reduce(ppca.merge, stats))


def _rotate(poses, yaw, model, minimise, where):
    """A chunk's part of rotation_half_step."""
    rows = poses[where]
    curves = distances(rows, model)
    found, worse = minimise_closed_form(curves), 0
    if minimise is not None:
        lowest = curves.at(found)
        found = minimise(curves, yaw[where])
        worse = int(np.count_nonzero(curves.at(found) > lowest * (1 + WORSE)))
    return found, curves.at(found).sum(), worse, ppca.chunk_moments(turned_back(rows, found))


def _symmetric(stats):
    """The Moments of rows and their mirror images from those of the rows."""
    mean = stats.mean[ROW_MIRROR] * ROW_SIGN
    scatter = stats.scatter[np.ix_(ROW_MIRROR, ROW_MIRROR)] * np.outer(ROW_SIGN, ROW_SIGN)
    return ppca.merge(stats, ppca.Moments(stats.weight, mean, scatter))


def _turned_stats(poses, yaw):
    """The Moments of the poses turned back by yaw and their mirror images."""

    def part(where):
        return ppca.chunk_moments(turned_back(poses[where], yaw[where]))

    return _symmetric(reduce(ppca.merge, each_chunk(part, len(poses))))


def _extrapolate(start, first, second):
    """Where two alternations' yaws, from start to first to second, are heading: SQUAREM's squared
    extrapolation (Varadhan and Roland 2008, step length S3)."""
    step = _wrapped(first - start)
    bend = _wrapped(second - first) - step
    length = np.linalg.norm(step) / max(np.linalg.norm(bend), np.finfo(float).tiny)
    length = max(length, 1.0)  # 1 is where the alternations themselves are
    return start + 2 * length * step + length**2 * bend


def _wrapped(angle):
    return np.angle(np.exp(1j * angle))


def align(
    poses,
    basis,
    solver="ceres",
    *,
    yaw=None,
    annealed=True,
    alternations=ALTERNATIONS,
    tolerance=TOLERANCE,
    limit=LIMIT,
    progress=None,
):
    """Minimise equation 1 over yaws, mean, basis and standard deviations.

    poses: rows (N, 3L), an array or NormalisedPoses; their mirror images are part of the set.
    basis: J; yaw: (N,) to start from, Tomasi-Kanade's by default; annealed: `alternations` at each
    basis size from 1 to J - 1 come first; tolerance: at J, the gain of an alternation in nats a
    pose at which to stop; limit: at most so many; progress: called with each Step.

    Convergence at J is slow and linear, so every two alternations are followed by an extrapolation
    of the yaws, kept if it lowers the objective.
    Returns an Alignment whose mean has its left along +x. Raises ValueError when J exceeds the
    data's rank.
    """
    if solver not in SOLVERS:
        raise ValueError(f"solver: expected one of {', '.join(SOLVERS)}, got {solver!r}")
    minimise = None
    if solver == "ceres":
        from prior.fitting.ceres import Minimiser

        minimise = Minimiser(cores())
    history = []

    def record(*step):
        history.append(Step(*step, len(poses)))
        if progress:
            progress(history[-1])

    def alternate(yaw, model):
        size = len(model.variance)
        yaw, nll, worse, stats = rotation_half_step(poses, yaw, model, minimise)
        record(size, "rotation", nll, worse)
        model = ppca.fit(stats, size)
        record(size, "ppca", ppca.nll(model), None)
        return yaw, model, stats

    if yaw is None:
        _, yaw = factorise(poses)
    if len(poses) > START:
        part = np.linspace(0, len(poses) - 1, START).astype(int)
        start = align(
            poses[part],
            basis,
            solver,
            yaw=yaw[part],
            annealed=annealed,
            alternations=alternations,
            tolerance=tolerance,
            limit=limit,
            progress=progress,
        )
        history += start.history
        yaw, model, _ = alternate(yaw, start.ppca)
    else:
        stats = _turned_stats(poses, yaw)
        ppca.fit(stats, basis)  # an impossible basis size is an error now, not after smaller ones
        for size in range(1, basis) if annealed else ():
            model = ppca.fit(stats, size)
            record(size, "ppca", ppca.nll(model), None)
            for _ in range(alternations):
                yaw, model, stats = alternate(yaw, model)
        model = ppca.fit(stats, basis)
        record(basis, "ppca", ppca.nll(model), None)
    converged = False
    for _ in range(0, limit, 2):
        before = history[-1].nll
        first, model, _ = alternate(yaw, model)
        second, model, _ = alternate(first, model)
        ahead = _extrapolate(yaw, first, second)
        yaw = second
        extrapolated = ppca.fit(_turned_stats(poses, ahead), basis)
        if ppca.nll(extrapolated) < history[-1].nll:
            yaw, model = ahead, extrapolated
            record(basis, "extrapolation", ppca.nll(model), None)
        converged = before - history[-1].nll < 2 * tolerance
        if converged:
            break
    return Alignment(_wrapped(yaw), model, history, converged)
