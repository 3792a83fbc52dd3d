"""The rotation half-step of equation 1 by Ceres, as published: see prior.fitting.alignment.

The yaw of each pose is a direction on the circle (SphereManifold), and its cost is a quadratic form
that pyceres has built in, so that Ceres runs without calls back to Python. It runs in processes of
its own: pyceres keeps the interpreter's lock while it solves, so threads would not use the cores,
and its logging library cannot share a process with Caffe's.
"""

import os
import signal
import threading
import time

import numpy as np
from jaxtyping import Float
from loky import get_reusable_executor

from prior.errors import InputError
from prior.fitting.distances import Distances

# Relative. Ceres' own default stops where the distance of a pose still falls by 1e-6 of itself.
FUNCTION_TOLERANCE = 1e-12

# From 0.02 rad away Ceres takes 3 or 4, from 0.2 rad 5 to 13.
ITERATIONS = 100

# Poses that share a Ceres problem. 16 take half the time of one each, and more gain nothing. They
# share the trust region and the tolerance too; those that this leaves unfinished, from far away,
# are solved again, each alone.
TOGETHER = 16

# A pose is unfinished where the slope of its distance, as a share of its harmonics, is above this.
SLOPE = 1e-6


class CeresMinimiser:
    """Minimises Distances with Ceres, in `processes` of its own."""

    def __init__(self, processes: int) -> None:
        self._pool = get_reusable_executor(processes, initializer=_begin, initargs=(os.getpid(),))

    def __call__(self, curves: Distances, yaw: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """The yaws of the minima that Ceres reaches from `yaw`.

        Raises InputError when Ceres finds no usable solution.
        """
        yaw = self._solve(curves, yaw, TOGETHER)
        slope = np.abs(curves.slope(yaw))
        rows = np.flatnonzero(slope > SLOPE * np.abs(curves.harmonics).sum(axis=0))
        if len(rows):
            yaw[rows] = self._solve(curves.take(rows), yaw[rows], 1)
        return yaw

    def _solve(
        self, curves: Distances, yaw: Float[np.ndarray, "n"], together: int
    ) -> Float[np.ndarray, "n"]:
        mean, covariance = _gaussians(curves, yaw)
        return self._pool.submit(_solve, mean, covariance, yaw, together).result()


def _begin(parent: int) -> None:
    """Set up a process: it ends when its parent does, however that ends, and leaves Ctrl-C, which
    reaches every process of a terminal, to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _gaussians(
    curves: Distances, yaw: Float[np.ndarray, "n"]
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2 2"]]:
    """mean (n, 2) and covariance (n, 2, 2) of a Gaussian for each pose: its distance is the squared
    Mahalanobis distance of (cos, sin) yaw from this Gaussian, and a constant."""
    a1, b1, a2, b2 = curves.harmonics
    # Any k will do that leaves the form P = [[k + a2, b2], [b2, k - a2]] definite: what it adds is
    # constant on the circle. Gauss-Newton's matrix is the true second derivative where
    # k = -(first harmonic) / 2 - second harmonic; that, at the start, takes the fewest steps.
    first = a1 * np.cos(yaw) + b1 * np.sin(yaw)
    second = a2 * np.cos(2 * yaw) + b2 * np.sin(2 * yaw)
    # P's eigenvalues are k -+ |(a2, b2)|: this keeps both well above 0, even where the distance
    # hardly depends on the yaw, or not at all (a pose without extent on the ground).
    least = 1.01 * np.hypot(a2, b2) + 1e-6 * np.hypot(a1, b1) + np.finfo(np.float32).tiny
    k = np.maximum(-first / 2 - second, least)
    inverse = np.array([[k - a2, -b2], [-b2, k + a2]]) / (k * k - a2 * a2 - b2 * b2)
    covariance = np.ascontiguousarray(np.moveaxis(inverse, -1, 0))
    return -np.einsum("nab,bn->na", covariance, curves.harmonics[:2]) / 2, covariance


def _solve(
    mean: Float[np.ndarray, "n 2"],
    covariance: Float[np.ndarray, "n 2 2"],
    yaw: Float[np.ndarray, "n"],
    together: int,
) -> Float[np.ndarray, "n"]:
    """The yaws at the minima that Ceres reaches from `yaw`, `together` poses in each problem."""
    import pyceres  # here only: in the process that solves

    options = pyceres.SolverOptions()
    options.linear_solver_type = pyceres.LinearSolverType.DENSE_NORMAL_CHOLESKY
    options.logging_type = pyceres.LoggingType.SILENT
    options.num_threads = 1
    options.function_tolerance = FUNCTION_TOLERANCE
    options.max_num_iterations = ITERATIONS
    circle = pyceres.SphereManifold(2)
    # Ceres needs contiguous writeable arrays that outlive the solve.
    directions = np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
    for i in range(0, len(yaw), together):
        problem = pyceres.Problem()
        for k in range(i, min(i + together, len(yaw))):
            direction = directions[k]
            cost = pyceres.factors.NormalPrior(mean[k], covariance[k])
            # Not set_manifold, which loses 32 bytes at each call.
            problem.add_parameter_block(direction, 2, circle)
            problem.add_residual_block(cost, None, [direction])
        summary = pyceres.SolverSummary()
        pyceres.solve(options, problem, summary)
        if not summary.IsSolutionUsable():
            raise InputError(
                f"Ceres found no minimum for one of poses {i} to {k} of a chunk "
                f"({summary.message}); try the solver closed-form"
            )
    return np.arctan2(directions[:, 1], directions[:, 0])
