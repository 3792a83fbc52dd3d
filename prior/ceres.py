"""The rotation half-step of equation 1 by Ceres, as published: see prior.alignment."""

import numpy as np
import pyceres

# Poses that share a Ceres problem, and its iterations. Sharing makes the call from C++ to Python
# five times cheaper a pose, but shares the trust region too: poses that this leaves unfinished are
# solved again, each alone.
PASSES = ((16, 30), (1, 100))


class _RotationCost(pyceres.CostFunction):
    """Residuals factor ((cos yaw, sin yaw) - centre) of some poses: two for each.

    factor (n, 2, 2), centre (n, 2). With factor^T factor = G's lower block and centre its minimum
    over the plane, half their squares are u^T G u / 2 less a constant; without the constant the
    residuals are the smallest possible, and Gauss-Newton steps the best.
    """

    def __init__(self, factor, centre):
        super().__init__()
        self.factor, self.offset = factor, np.einsum("nab,nb->na", factor, centre)
        self.set_num_residuals(2 * len(factor))
        self.set_parameter_block_sizes([len(factor)])

    def Evaluate(self, parameters, residuals, jacobians):
        cos, sin = np.cos(parameters[0])[:, None], np.sin(parameters[0])[:, None]
        by_cos, by_sin = self.factor[..., 0], self.factor[..., 1]
        residuals[:] = (by_cos * cos + by_sin * sin - self.offset).ravel()
        if jacobians is not None and jacobians[0] is not None:
            count = len(cos)
            each = np.arange(count)
            block = np.zeros((count, 2, count))
            block[each, :, each] = by_sin * cos - by_cos * sin
            jacobians[0][:] = block.ravel()
        return True


def minimise(form, yaw):
    """Yaw (N,) at the minimum of u^T G u that Ceres reaches from `yaw`.

    Raises RuntimeError when Ceres finds no usable solution.
    """
    plane = form[:, 1:, 1:]
    factor = np.linalg.cholesky(plane).swapaxes(1, 2)
    centre = -np.linalg.solve(plane, form[:, 1:, :1])[..., 0]
    result = np.array(yaw, dtype=float)
    pending = np.arange(len(form))
    for size, iterations in PASSES:
        options = pyceres.SolverOptions()
        options.linear_solver_type = pyceres.LinearSolverType.DENSE_QR
        options.logging_type = pyceres.LoggingType.SILENT
        options.num_threads = 1  # a Python cost holds the interpreter's lock
        options.function_tolerance = 1e-12
        options.max_num_iterations = iterations
        for i in range(0, len(pending), size):
            block = pending[i : i + size]
            # Ceres needs a contiguous writeable array that outlives the solve.
            angles = result[block]
            problem = pyceres.Problem()
            problem.add_residual_block(_RotationCost(factor[block], centre[block]), None, [angles])
            summary = pyceres.SolverSummary()
            pyceres.solve(options, problem, summary)
            if not summary.IsSolutionUsable():
                raise RuntimeError(f"Ceres: poses {block[0]} to {block[-1]}: {summary.message}")
            result[block] = angles
        pending = pending[~_stationary(form[pending], result[pending])]
    return result


def _stationary(form, yaw):
    """Whether u^T G u has no slope at yaw (N,), up to Ceres' tolerances."""
    u = np.stack([np.ones_like(yaw), np.cos(yaw), np.sin(yaw)], axis=-1)
    du = np.stack([np.zeros_like(yaw), -np.sin(yaw), np.cos(yaw)], axis=-1)
    slope = np.einsum("na,nab,nb->n", du, form, u)
    return np.abs(slope) <= 1e-6 * np.trace(form[:, 1:, 1:], axis1=1, axis2=2)
