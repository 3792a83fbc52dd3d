"""The rotation half-step of equation 1 by Ceres: see prior.fitting.alignment.

There are two forms, with the same minima. `JointMinimiser` is the published one: it solves for the
rotation and the coefficients of each pose together, with the residuals of equation 1 as they stand.
pyceres has no such cost built in, so Ceres calls back to Python for it. `YawMinimiser` eliminates
the coefficients. What is left is a quadratic form in the direction (cos, sin) of the yaw; pyceres
has that built in (NormalPrior), and a pose takes about an eighth of the time. In both forms the
direction is a point on Ceres' SphereManifold, so that a rotation stays a rotation.

Ceres runs in processes of its own: pyceres keeps the interpreter's lock while it solves, so threads
would not use the cores, and its logging library cannot share a process with Caffe's.
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from loky import get_reusable_executor

from prior import signals
from prior.errors import InputError
from prior.fitting.distances import Distances
from prior.normalise import turned_back
from prior.ppca import PPCA

# Relative. Ceres' own default stops where the distance of a pose still falls by 1e-6 of itself.
FUNCTION_TOLERANCE = 1e-12

# From 0.02 rad away the eliminated form takes 3 or 4, from 0.2 rad 5 to 13. The joint form takes 5
# to 16, and up to 190 for a pose that a small basis hardly explains.
ITERATIONS = 300

# Poses that share a Ceres problem in the eliminated form. 16 take half the time of one each, and
# more gain nothing. They share the trust region and the tolerance too; those that this leaves
# unfinished, from far away, are solved again, each alone.
TOGETHER = 16

# A pose is unfinished where the slope of its distance, as a share of its harmonics, is above this.
SLOPE = 1e-6


class JointSolution(NamedTuple):
    """yaw (n,), radians, and coefficients (n, J) of n poses."""

    yaw: Float[np.ndarray, "n"]
    coefficients: Float[np.ndarray, "n J"]


class YawMinimiser:
    """Minimises Distances with Ceres, in `processes` of its own; 0: in this one. What is sent to
    another process solves in that."""

    def __init__(self, processes: int) -> None:
        self._pool = _pool(processes)

    def __reduce__(self) -> tuple[type["YawMinimiser"], tuple[int]]:
        return YawMinimiser, (0,)

    def __call__(
        self,
        rows: Float[np.ndarray, "n D"],
        model: PPCA,
        curves: Distances,
        yaw: Float[np.ndarray, "n"],
    ) -> Float[np.ndarray, "n"]:
        """The yaws of the minima of equation 1 that Ceres reaches from `yaw`.

        curves: the Distances of the rows from the model. Raises InputError when Ceres finds no
        usable solution.
        """
        return self.solve(curves, yaw)

    def solve(self, curves: Distances, yaw: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """The yaws of the minima of the curves that Ceres reaches from `yaw`."""
        yaw = self._submit(curves, yaw, TOGETHER)
        slope = np.abs(curves.slope(yaw))
        unfinished = np.flatnonzero(slope > SLOPE * np.abs(curves.harmonics).sum(axis=0))
        if len(unfinished):
            yaw[unfinished] = self._submit(curves.take(unfinished), yaw[unfinished], 1)
        return yaw

    def _submit(
        self, curves: Distances, yaw: Float[np.ndarray, "n"], together: int
    ) -> Float[np.ndarray, "n"]:
        mean, covariance = _gaussians(curves, yaw)
        return _run_in(self._pool, _solve_yaws, mean, covariance, yaw, together)


class JointMinimiser:
    """Minimises equation 1 over the rotation and the coefficients of each pose with Ceres, in
    `processes` as YawMinimiser."""

    def __init__(self, processes: int) -> None:
        self._pool = _pool(processes)

    def __reduce__(self) -> tuple[type["JointMinimiser"], tuple[int]]:
        return JointMinimiser, (0,)

    def __call__(
        self,
        rows: Float[np.ndarray, "n D"],
        model: PPCA,
        curves: Distances,
        yaw: Float[np.ndarray, "n"],
    ) -> Float[np.ndarray, "n"]:
        """As YawMinimiser."""
        return self.solve(rows, model, yaw).yaw

    def solve(
        self, rows: Float[np.ndarray, "n D"], model: PPCA, yaw: Float[np.ndarray, "n"]
    ) -> JointSolution:
        """The minima that Ceres reaches from `yaw` and the best coefficients for it.

        Raises InputError when Ceres finds no usable solution.
        """
        start = best_coefficients(rows, model, yaw)
        return JointSolution(*_run_in(self._pool, _solve_jointly, rows, model, yaw, start))


def best_coefficients(
    rows: Float[np.ndarray, "n D"], model: PPCA, yaw: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n J"]:
    """The coefficients that minimise equation 1 when the poses are turned back by these yaws."""
    shrunk = 1 - model.noise_variance / model.variance
    return (turned_back(rows, yaw) - model.mean) @ model.basis.T * shrunk


def penalties(model: PPCA) -> Float[np.ndarray, "J"]:
    """sigma_j of equation 1: the inverse standard deviations of the coefficients, times that of the
    noise. The PPCA's variance_j along e_j is that of the coefficient and noise_variance."""
    noise = model.noise_variance
    # Where all of the variance is noise the coefficient is next to held at 0.
    return np.sqrt(noise / np.maximum(model.variance - noise, np.finfo(float).eps * model.variance))


def equation_1(
    rows: Float[np.ndarray, "n D"], model: PPCA, solution: JointSolution
) -> Float[np.ndarray, "n"]:
    """||R^T P - mu - a . e||^2 + sum_j (a_j sigma_j)^2 of each pose: noise_variance times its
    Mahalanobis distance where the coefficients are the best ones."""
    residual = turned_back(rows, solution.yaw) - model.mean - solution.coefficients @ model.basis
    penalty = solution.coefficients * penalties(model)
    return (residual**2).sum(axis=1) + (penalty**2).sum(axis=1)


def _pool(processes: int) -> Any:
    """Processes that start with their first task; None: this process."""
    if not processes:
        return None
    with signals.without_interrupts():
        return get_reusable_executor(
            processes, initializer=signals.begin_worker, initargs=(os.getpid(),)
        )


def _run_in(pool: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """function(*arguments) in a process of the pool."""
    if pool is None:
        return function(*arguments)
    with signals.without_interrupts():
        future = pool.submit(function, *arguments)
    return future.result()


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


def _options(pyceres: Any) -> Any:
    options = pyceres.SolverOptions()
    options.linear_solver_type = pyceres.LinearSolverType.DENSE_NORMAL_CHOLESKY
    options.logging_type = pyceres.LoggingType.SILENT
    options.num_threads = 1
    options.function_tolerance = FUNCTION_TOLERANCE
    options.max_num_iterations = ITERATIONS
    return options


def _run(pyceres: Any, options: Any, problem: Any) -> None:
    summary = pyceres.SolverSummary()
    pyceres.solve(options, problem, summary)
    if not summary.IsSolutionUsable():
        raise InputError(
            f"Ceres found no minimum for a pose ({summary.message}); try the solver closed-form"
        )


def _solve_yaws(
    mean: Float[np.ndarray, "n 2"],
    covariance: Float[np.ndarray, "n 2 2"],
    yaw: Float[np.ndarray, "n"],
    together: int,
) -> Float[np.ndarray, "n"]:
    """The yaws at the minima that Ceres reaches from `yaw`, `together` poses in each problem."""
    import pyceres  # here only: in the process that solves

    options = _options(pyceres)
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
        _run(pyceres, options, problem)
    return np.arctan2(directions[:, 1], directions[:, 0])


def _solve_jointly(
    rows: Float[np.ndarray, "n D"],
    model: PPCA,
    yaw: Float[np.ndarray, "n"],
    coefficients: Float[np.ndarray, "n J"],
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n J"]]:
    """Yaws and coefficients at the minima that Ceres reaches from these, a problem for each pose.

    The residuals are R^T P - mu - a . e and a_j sigma_j. They are linear in (cos, sin) of the yaw
    and in a, so the Jacobians are constant: one (D + J, 2) for each pose, one (D + J, J) for all.
    """
    import pyceres  # here only: in the process that solves

    size = len(model.variance)

    class Equation1(pyceres.CostFunction):
        def __init__(
            self, turning: Float[np.ndarray, "R 2"], fixed: Float[np.ndarray, "R"]
        ) -> None:
            super().__init__()
            self.set_num_residuals(len(fixed))
            self.set_parameter_block_sizes([2, size])
            self._turning, self._fixed = turning, fixed

        def Evaluate(self, parameters: Any, residuals: Any, jacobians: Any) -> bool:
            direction, a = parameters
            residuals[:] = self._turning @ direction + linear @ a + self._fixed
            if jacobians is not None:
                for jacobian, constant in zip(jacobians, (self._turning, linear), strict=True):
                    if jacobian is not None:
                        jacobian[:] = constant.ravel()
            return True

    linear = np.concatenate([-model.basis.T, np.diag(penalties(model))])
    count = rows.shape[1] // 3
    turning = np.zeros((len(rows), len(linear), 2))
    fixed = np.zeros((len(rows), len(linear)))
    # As normalise.turned_back: x cos - z sin, z cos + x sin; heights do not turn.
    x, z, y = np.split(rows, 3, axis=1)
    turning[:, : 2 * count, 0] = rows[:, : 2 * count]
    turning[:, :count, 1], turning[:, count : 2 * count, 1] = -z, x
    fixed[:, 2 * count : 3 * count] = y
    fixed[:, : 3 * count] -= model.mean

    options = _options(pyceres)
    circle = pyceres.SphereManifold(2)
    # Ceres needs contiguous writeable arrays that outlive the solve.
    directions = np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
    coefficients = np.array(coefficients, order="C")
    for k in range(len(rows)):
        problem = pyceres.Problem()
        cost, direction, a = Equation1(turning[k], fixed[k]), directions[k], coefficients[k]
        problem.add_parameter_block(direction, 2, circle)
        problem.add_parameter_block(a, size)
        problem.add_residual_block(cost, None, [direction, a])
        _run(pyceres, options, problem)
    return np.arctan2(directions[:, 1], directions[:, 0]), coefficients
