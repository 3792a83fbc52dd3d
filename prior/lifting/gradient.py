"""Gradients of lifted poses with respect to the points (the paper's supplement, and exact).

With rotation and component held, (s, a') is linear in the points, so the way back is the transpose
of the way there. The supplement holds s as well.
"""

import numpy as np

from prior.lifting import weak_perspective as weak
from prior.lifting.candidates import BATCH, linear_maps, runs
from prior.skeleton import L


def to_points(enumeration, views, lifted, projection, pose, held):
    """Gradients (N, L, 2) with respect to the points of a function's gradients with respect to
    projection (N, L, 2) and pose (N, L, 3), either of them None.

    views, lifted: the points' Views, and Lifted by the Enumeration; held: s is.
    """
    angle = lifted.yaw + views.yaw
    grads = np.empty((2 * L, len(angle)))
    for rows, table in enumeration.groups(views):
        turns = angle[rows] * (enumeration.rotations / (2 * np.pi))
        turn = np.round(turns).astype(int)
        if not np.allclose(turns, turn, rtol=0, atol=1e-9):
            table = None  # refined angles are not in it
        combination = lifted.component[rows] * enumeration.rotations + turn % enumeration.rotations
        order = np.argsort(combination, kind="stable")
        row = rows[order]
        inner = _to_solution(enumeration, views, lifted, row, projection, pose)
        if table is not None and table.solution is not None:
            back = _by_table(table, combination[order], inner, held)
        else:
            where = lifted.component[row], angle[row], views.elevation[row], views.weight[:, row].T
            back = _by_systems(enumeration.projector, where, inner, held)
        grads[:, row] = back
    grads = views.weight * grads.reshape(2, L, -1)
    total = 0
    if projection is not None:
        total = weak.rolled(projection.T, -views.roll).sum(axis=1)
    # Centring: the points' weighted mean is taken off, and given back to the projection.
    grads += weak.share(views.weight) * (total - grads.sum(axis=1))[:, None]
    return np.where(lifted.ok, weak.rolled(grads, views.roll), 0).transpose(2, 1, 0)


def _to_solution(enumeration, views, lifted, row, projection, pose):
    """Gradients with respect to (s, a') (1 + J, P) of rows (P,), sorted by component."""
    shapes, component = enumeration.shape, lifted.component[row]
    yaw, scale = lifted.yaw[row], np.where(lifted.ok, lifted.scale, 1)[row]
    parts = list(runs(component))
    inner = np.zeros((shapes.shape[2], len(row)))
    if projection is not None:
        flat = weak.rolled(projection[row].T, -views.roll[row])
        flat -= weak.share(views.weight[:, row]) * flat.sum(axis=1, keepdims=True)
        up, away = -np.cos(views.elevation[row]), np.sin(views.elevation[row])
        shape = _turned_back(flat[0], up * flat[1], away * flat[1], yaw + views.yaw[row])
        for k, part in parts:
            np.matmul(shapes[k].T, shape[:, part], out=inner[:, part])
    if pose is not None:
        shape = _turned_back(*(pose[row].T * enumeration.model.scale_mm), yaw)
        for k, part in parts:
            by_a = shapes[k][:, 1:].T @ shape[:, part] / scale[part]
            inner[1:, part] += by_a
            inner[0, part] -= (by_a * lifted.coefficients[row[part]].T).sum(axis=0)
    return inner


def _turned_back(x, y, z, angle):
    """Coordinates (L, P) turned by -angle (P,) about the vertical: (3L, P)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.concatenate([cos * x - sin * z, y, sin * x + cos * z])


def _by_table(table, combination, inner, held):
    """Gradients with respect to y (2L, P) from those with respect to (s, a'), which change."""
    result = np.empty((2 * L, len(combination)))
    for i, part in runs(combination):
        if held:
            inner[0, part] = table.by_m[i] @ inner[1:, part]
        np.matmul(table.solution[i].T, inner[:, part], out=result[:, part])
    return result


def _by_systems(projector, where, inner, held):
    """The same for combinations of any angle, elevation and weight."""
    result = np.empty((2 * L, inner.shape[1]))
    for i in range(0, inner.shape[1], BATCH):
        batch = slice(i, i + BATCH)
        solution, by_m, _ = linear_maps(projector.systems(*(a[batch] for a in where)))
        if held:
            inner[0, batch] = np.einsum("pj,jp->p", by_m, inner[1:, batch])
        result[:, batch] = np.einsum("pji,jp->ip", solution, inner[:, batch])
    return result
