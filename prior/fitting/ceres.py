"""The rotation half-step of equation 1 by Ceres, as published: see prior.fitting.alignment.

The yaw of each pose is a direction on the circle (SphereManifold), and its cost a quadratic one
that pyceres has built in, so that Ceres runs without calls back to Python. It runs in processes of
its own: pyceres keeps the interpreter's lock while it solves, so threads would not use the
cores, and its logging library cannot share a process with Caffe's.
"""

import os
import signal
import threading
import time

import numpy as np
from loky import get_reusable_executor

# Relative; Ceres' own default stops where a pose's distance still falls by 1e-6 of itself.
FUNCTION_TOLERANCE = 1e-12

# From 0.02 rad away Ceres takes 3 or 4, from 0.2 rad 5 to 13.
ITERATIONS = 100

# Poses that share a Ceres problem: half the time of one each, and nothing gained by more. They
# share the trust region and the tolerance too; those that this leaves unfinished, from far away,
# are solved again, each alone.
TOGETHER = 16

# Of the slope of a distance, as a share of its harmonics: above this a pose is unfinished.
SLOPE = 1e-6


class Minimiser:
    """Minimises alignment.Distances with Ceres, in `processes` of its own."""

    def __init__(self, processes):
        self._pool = get_reusable_executor(processes, initializer=_begin, initargs=(os.getpid(),))

    def __call__(self, curves, yaw):
        """Yaw (n,) at the minima that Ceres reaches from `yaw`.

        Raises RuntimeError when Ceres finds no usable solution.
        """
        yaw = self._pool.submit(_solve, *_gaussians(curves, yaw), yaw, TOGETHER).result()
        slope = np.abs(curves.slope(yaw))
        rows = np.flatnonzero(slope > SLOPE * np.abs(curves.harmonics).sum(axis=0))
        if len(rows):
            rest = type(curves)(curves.constant[rows], curves.harmonics[:, rows])
            alone = self._pool.submit(_solve, *_gaussians(rest, yaw[rows]), yaw[rows], 1)
            yaw[rows] = alone.result()
        return yaw


def _begin(parent):
    """A process begins: it ends with its parent, however that ends, and leaves Ctrl-C, which
    reaches every process of a terminal, to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _gaussians(curves, yaw):
    """mean (n, 2) and covariance (n, 2, 2): the distance is the squared Mahalanobis distance of
    (cos, sin) yaw from these, and a constant."""
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


def _solve(mean, covariance, yaw, together):
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
            raise RuntimeError(f"Ceres, poses {i} to {k} of a chunk: {summary.message}")
    return np.arctan2(directions[:, 1], directions[:, 0])
