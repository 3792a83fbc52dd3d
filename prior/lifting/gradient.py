"""Gradients of lifted poses with respect to the landmarks (the paper's supplement, and exact).

With rotation and component held, (s, a') is linear in the landmarks, so the way back is the
transpose of the way there: the linear maps of the tables, or of systems of the poses' own. The
supplement holds s as well. reference.py has no gradients; the tests take finite differences.
"""

import numpy as np
from jaxtyping import Float, Int

from prior.camera import turned
from prior.lifting import weak_perspective as weak
from prior.lifting.candidates import REFINED, CandidateSearch
from prior.lifting.full import FullSearch
from prior.lifting.lifted import Full, Lifted
from prior.lifting.runs import runs


def to_points(
    search: CandidateSearch,
    full: FullSearch,
    lifted: Lifted,
    projection: Float[np.ndarray, "N L 2"] | None,
    pose: Float[np.ndarray, "N L 3"] | None,
    held: bool,
) -> Float[np.ndarray, "N L 2"]:
    """Gradients with respect to the points, of a function's gradients with respect to projection
    and pose. search, full: those that lifted; held: the scale is."""
    if lifted.full is not None:
        return _full_to_points(full, lifted, lifted.full, projection, pose, held)
    images = weak.observe(lifted.inputs)
    angle = lifted.yaw + images.yaw
    L = len(search.model.skeleton)
    grads = np.empty((2 * L, len(angle)))
    for rows, table in search.tables.groups(images):
        rotation = lifted.rotation[rows]
        maps = table.maps if table.exact and (rotation != REFINED).all() else None
        combination = lifted.component[rows] * search.rotations + rotation
        order = np.argsort(lifted.component[rows] if maps is None else combination, kind="stable")
        row = rows[order]
        inner = _to_solution(search, images, lifted, row, projection, pose)
        if maps is not None:
            grads[:, row] = _by_table(maps, combination[order], inner, held)
        else:
            where = (
                lifted.component[row],
                angle[row],
                images.elevation[row],
                images.weight[row],
            )
            grads[:, row] = _by_systems(search.projector, where, inner, held)
    grads = images.weight.T * grads.reshape(2, L, -1)
    total = 0
    if projection is not None:
        total = weak.rolled(projection.T, -images.roll).sum(axis=1)
    # Centring: the landmarks' weighted mean is subtracted, and given back to the projection.
    grads += weak.share(images.weight).T * (total - grads.sum(axis=1))[:, None]
    return np.where(lifted.ok, weak.rolled(grads, images.roll), 0).transpose(2, 1, 0)


def _full_to_points(
    search: FullSearch,
    lifted: Lifted,
    known: Full,
    projection: Float[np.ndarray, "N L 2"] | None,
    pose: Float[np.ndarray, "N L 3"] | None,
    held: bool,
) -> Float[np.ndarray, "N L 2"]:
    """`to_points` for what full.py lifts."""
    grads = np.zeros(lifted.projection.shape)
    for rows in np.array_split(np.flatnonzero(lifted.ok), max(1, len(lifted) // weak.BATCH)):
        if not len(rows):
            continue
        part = lifted.take(rows)
        scale = part.scale[:, None]
        unknowns = np.concatenate([known.place[rows], part.coefficients * scale, scale], axis=1)
        views = search.views(part)
        inner = np.zeros_like(unknowns)
        if projection is not None:
            columns = search.projections.columns(views)
            jacobian = search.projections.linearise(columns, unknowns).jacobian
            inner += np.einsum("nlci,nlc->ni", jacobian, projection[rows])
        if pose is not None:
            model = search.search.model
            shape = model.scale_mm * turned(pose[rows], -part.yaw)
            by_a = np.einsum("njlc,nlc->nj", model.basis[part.component], shape) / scale
            inner[:, 2:-1] += by_a
            inner[:, -1] -= (by_a * part.coefficients).sum(axis=1)
        grads[rows] = search.projections.pull_back(views, unknowns, inner, held)
    return grads


def _to_solution(
    search: CandidateSearch,
    images: weak.Observations,
    lifted: Lifted,
    row: Int[np.ndarray, "P"],
    projection: Float[np.ndarray, "N L 2"] | None,
    pose: Float[np.ndarray, "N L 3"] | None,
) -> Float[np.ndarray, "S P"]:
    """Gradients with respect to (s, a') of rows that are sorted by component."""
    shapes, component = search.shape, lifted.component[row]
    yaw, scale = lifted.yaw[row], np.where(lifted.ok, lifted.scale, 1)[row]
    parts = list(runs(component))
    inner = np.zeros((shapes.shape[1], len(row)))
    if projection is not None:
        flat = weak.rolled(projection[row].T, -images.roll[row])
        flat -= weak.share(images.weight[row]).T * flat.sum(axis=1, keepdims=True)
        up, away = -np.cos(images.elevation[row]), np.sin(images.elevation[row])
        shape = _turned_back(flat[0], up * flat[1], away * flat[1], yaw + images.yaw[row])
        for k, part in parts:
            np.matmul(shapes[k], shape[:, part], out=inner[:, part])
    if pose is not None:
        x, y, z = pose[row].T * search.model.scale_mm
        shape = _turned_back(x, y, z, yaw)
        for k, part in parts:
            by_a = shapes[k, 1:] @ shape[:, part] / scale[part]
            inner[1:, part] += by_a
            inner[0, part] -= (by_a * lifted.coefficients[row[part]].T).sum(axis=0)
    return inner


def _turned_back(
    x: Float[np.ndarray, "L P"],
    y: Float[np.ndarray, "L P"],
    z: Float[np.ndarray, "L P"],
    angle: Float[np.ndarray, "P"],
) -> Float[np.ndarray, "V P"]:
    """Coordinates turned by -angle about the vertical."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.concatenate([cos * x - sin * z, y, sin * x + cos * z])


def _by_table(
    maps: weak.LinearMaps,
    combination: Int[np.ndarray, "P"],
    inner: Float[np.ndarray, "S P"],
    held: bool,
) -> Float[np.ndarray, "D P"]:
    """Gradients with respect to y from those with respect to (s, a'), for sorted combinations."""
    result = np.empty((maps.solution.shape[2], len(combination)))
    for i, part in runs(combination):
        own = inner[:, part]
        if held:
            own = np.concatenate([maps.by_scale[i, None] @ own[1:], own[1:]])
        np.matmul(maps.solution[i].T, own, out=result[:, part])
    return result


def _by_systems(
    projector: weak.Projector,
    where: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    inner: Float[np.ndarray, "S P"],
    held: bool,
) -> Float[np.ndarray, "D P"]:
    """The same for combinations of any component, angle, elevation and weight."""
    result = np.empty((2 * where[3].shape[1], inner.shape[1]))
    for i in range(0, inner.shape[1], weak.BATCH):
        batch = slice(i, i + weak.BATCH)
        maps, own = weak.linear_maps(projector.systems(*(a[batch] for a in where))), inner[:, batch]
        if held:
            own = np.concatenate([np.einsum("pj,jp->p", maps.by_scale, own[1:])[None], own[1:]])
        result[:, batch] = np.einsum("pji,jp->ip", maps.solution, own)
    return result
