"""Alignment of poses about the vertical, and their PPCA basis (equation 1 of the paper).

Two half-steps alternate: closed-form PPCA of the poses turned back by their yaws, and the yaw and
coefficients of each pose given the PPCA. As printed, equation 1 is not a proper likelihood; the
objective here is the PPCA negative log-likelihood of the turned poses, which the text asks for and
which neither half-step can raise. The basis grows from 1 to J ("annealed"), so that what rotations
can explain never enters it.

With the coefficients eliminated, the yaw's part of the objective is a squared Mahalanobis distance.
A turned pose is linear in (1, cos, sin) of its yaw, so this distance is u^T G u, u = (1, cos, sin),
with a 3 x 3 matrix G for each pose. Ceres minimises it as published; being a trigonometric
polynomial of degree 2 it also has a closed form, which finds the global minimum.
"""

from typing import NamedTuple

import numpy as np

from prior import ppca
from prior.camera import turned
from prior.factorisation import factorise
from prior.skeleton import LANDMARKS

SOLVERS = ("ceres", "closed-form")

# A basis size is done when an alternation gains less than this many nats a pose. Our choice: the
# likelihood's own sampling error is larger for any set below a million poses.
TOLERANCE = 1e-3

# At most this many alternations for each basis size, the count of the authors' released code.
ALTERNATIONS = 10

# Ceres counts as in a worse local minimum where its objective is above the closed form's by more
# than this share.
WORSE = 1e-6

# Start angles of the closed form. A trigonometric polynomial of degree 2 has at most two minima;
# 32 samples see both unless they are within 0.2 rad, next to equal. The tests found none missed.
GRID = 32

CHUNK = 8192


class Step(NamedTuple):
    """A half-step: basis size, "ppca" or "rotation", the NLL per pose after it, and how many
    poses Ceres left in a worse local minimum (None where it does not apply)."""

    basis: int
    half_step: str
    nll: float
    worse: int | None


class Alignment(NamedTuple):
    """poses (N, L, 3) turned back by yaw (N,), their single PPCA, and the history of Steps."""

    poses: np.ndarray
    yaw: np.ndarray
    ppca: ppca.PPCA
    history: list


def face_forward(mean):
    """Angle that turns a mean pose (L, 3) so that it faces +z, its left along +x.

    A common turn of all poses changes nothing in equation 1; this settles it.
    """
    sides = {side: [LANDMARKS.index(f"{side} {part}") for part in ("hip", "shoulder")]
             for side in ("left", "right")}  # fmt: skip
    x, _, z = mean[sides["left"]].mean(axis=0) - mean[sides["right"]].mean(axis=0)
    return np.arctan2(z, x)


def distance_form(poses, model):
    """The matrices G (N, 3, 3): squared Mahalanobis distance u^T G u of each pose turned back by
    its yaw, u = (1, cos yaw, sin yaw), from the model, a PPCA with coefficients eliminated."""
    white = ppca.whitening(model).reshape(-1, 3, model.mean.size)
    white_x, white_y, white_z = np.ascontiguousarray(white.swapaxes(0, 1))
    offset = model.mean @ white.reshape(model.mean.size, -1)
    form = np.empty((len(poses), 3, 3))
    for i in range(0, len(poses), CHUNK):
        x, y, z = np.ascontiguousarray(np.moveaxis(poses[i : i + CHUNK], -1, 0))
        # Turned back: x' = x cos - z sin, z' = z cos + x sin.
        parts = (y @ white_y - offset, x @ white_x + z @ white_z, x @ white_z - z @ white_x)
        for a in range(3):
            for b in range(a, 3):
                form[i : i + CHUNK, a, b] = np.einsum("nd,nd->n", parts[a], parts[b])
                form[i : i + CHUNK, b, a] = form[i : i + CHUNK, a, b]
    return form


def evaluate_form(form, yaw):
    """u^T G u for each pose: (N,), or (N, M) for yaw (N, M)."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    g = form.reshape(-1, *(1,) * (np.ndim(yaw) - 1), 3, 3)
    linear = g[..., 0, 0] + 2 * (g[..., 0, 1] * cos + g[..., 0, 2] * sin)
    return linear + g[..., 1, 1] * cos**2 + g[..., 2, 2] * sin**2 + 2 * g[..., 1, 2] * cos * sin


def minimise_closed_form(form):
    """Yaw (N,) at the global minimum of u^T G u."""
    grid = np.arange(GRID) * (2 * np.pi / GRID)
    basis = np.stack([np.ones(GRID), np.cos(grid), np.sin(grid),
                      np.cos(2 * grid), np.sin(2 * grid)])  # fmt: skip
    g = form
    coefficients = np.stack(
        [
            g[:, 0, 0] + (g[:, 1, 1] + g[:, 2, 2]) / 2,
            2 * g[:, 0, 1],
            2 * g[:, 0, 2],
            (g[:, 1, 1] - g[:, 2, 2]) / 2,
            g[:, 1, 2],
        ],
        axis=-1,
    )
    values = coefficients @ basis
    valley = (values <= np.roll(values, 1, axis=1)) & (values <= np.roll(values, -1, axis=1))
    ranked = np.argpartition(np.where(valley, values, np.inf), 1, axis=1)[:, :2]
    candidates = np.stack([_polish(coefficients, grid[start]) for start in ranked.T], axis=1)
    best = evaluate_form(form, candidates).argmin(axis=1)
    return candidates[np.arange(len(form)), best]


def _polish(coefficients, angle):
    """Newton's method on the derivative from a point next to a minimum."""
    _, a1, b1, a2, b2 = coefficients.T
    limit = 2 * np.pi / GRID
    for _ in range(5):  # quadratic convergence from within 0.1 rad: 4 steps reach rounding
        cos, sin, cos2, sin2 = np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)
        slope = b1 * cos - a1 * sin + 2 * (b2 * cos2 - a2 * sin2)
        curvature = -a1 * cos - b1 * sin - 4 * (a2 * cos2 + b2 * sin2)
        # Where the curvature is negative the step would climb: go downhill by a bounded step.
        step = np.where(curvature > 0, slope / np.where(curvature > 0, curvature, 1),
                        np.sign(slope) * limit / 2)  # fmt: skip
        angle = angle - np.clip(step, -limit, limit)
    return angle


def rotation_half_step(poses, yaw, model, solver="ceres"):
    """The yaws that minimise the NLL of the turned poses under the model, a PPCA.

    Returns (yaw (N,), NLL per pose, count of poses in a worse local minimum or None).
    """
    form = distance_form(poses, model)
    best = minimise_closed_form(form)
    worse = None
    if solver == "ceres":
        # Only here: Ceres' logging library must not enter a process that runs Caffe, which has one.
        from prior import ceres

        lowest = evaluate_form(form, best)
        best = ceres.minimise(form, yaw)
        worse = int(np.count_nonzero(evaluate_form(form, best) > lowest * (1 + WORSE)))
    distance = evaluate_form(form, best).mean()
    constant = ppca.log_determinant(model) + model.mean.size * np.log(2 * np.pi)
    return best, float(distance + constant) / 2, worse


def align(poses, basis, solver="ceres", *, yaw=None, annealed=True, tolerance=TOLERANCE,
          alternations=ALTERNATIONS, progress=None):  # fmt: skip
    """Minimise equation 1 over yaws, mean, basis and standard deviations.

    poses: (N, L, 3), normalised; basis: J; yaw: (N,) to start from, Tomasi-Kanade's by default;
    annealed: basis sizes 1..J, or J at once; progress: called with each Step.
    Returns an Alignment whose mean faces +z. Raises ValueError when J exceeds the data's rank.
    """
    if solver not in SOLVERS:
        raise ValueError(f"solver: expected one of {', '.join(SOLVERS)}, got {solver!r}")
    history = []

    def record(*step):
        history.append(Step(*step))
        if progress:
            progress(history[-1])

    if yaw is None:
        _, yaw = factorise(poses)
    _fit(poses, yaw, basis)  # an impossible basis size is an error now, not after the smaller ones
    for size in range(1, basis + 1) if annealed else [basis]:
        before = np.inf
        for _ in range(alternations):
            model = _fit(poses, yaw, size)
            record(size, "ppca", _nll(model), None)
            yaw, nll, worse = rotation_half_step(poses, yaw, model, solver)
            record(size, "rotation", nll, worse)
            if before - nll < tolerance:
                break
            before = nll
    yaw = yaw - face_forward(turned(poses, -yaw).mean(axis=0))
    aligned = turned(poses, -yaw)
    model = _fit(poses, yaw, basis)
    record(basis, "ppca", _nll(model), None)
    return Alignment(aligned, np.angle(np.exp(1j * yaw)), model, history)


def _fit(poses, yaw, size):
    return ppca.fit(ppca.moments(turned(poses, -yaw).reshape(len(poses), -1)), size)


def _nll(model):
    """NLL per pose of the data that the PPCA was fitted to: at the optimum the mean squared
    Mahalanobis distance is the dimension."""
    dimensions = model.mean.size
    return float(ppca.log_determinant(model) + dimensions * (1 + np.log(2 * np.pi))) / 2
