"""What is known about a lifted pose: second moments of the truth about it.

A pose x of component k is N(mu, C), with C = e diag(std^2) e^T + noise_std^2 off the basis e, and
the points at the scale of the body are P x + detector's noise, P the weighted, centred projection.
The lifted pose is mu + K (points - mu's), K its derivative by the points at that scale (the exact
one, with the estimated scale), so that

    truth - pose = (I - K P) (x - mu) - K noise.

This is given (component, rotation); `spread` adds the law of total variance over these.
"""

import numpy as np

from prior.camera import level_camera, vertical_rotation
from prior.lifting import weak_perspective as weak
from prior.skeleton import L

# Takes the mean landmark off: where the person stands is not part of a pose.
_CENTRE = np.kron(np.eye(L) - 1 / L, np.eye(3))


def _estimate(enumeration, views, lifted):
    """Of each pose: the Systems of its component and rotation; solve (N, J, 2L), points to
    coefficients, the estimate's derivative; view (N, 2, 3) and taken (N, L, L), which make the
    projection P = view x taken of points at scale 1."""
    k, angle, weight = lifted.component, lifted.yaw + views.yaw, views.weight.T
    systems = enumeration.projector.systems(k, angle, views.elevation, weight)
    view = (level_camera(views.elevation) @ vertical_rotation(angle))[:, :2]
    taken = weight[:, :, None] * (np.eye(L) - weak.share(views.weight).T[:, None])
    # Less what a change of the estimated scale does to the coefficients.
    seen = systems.m + weak.apply(systems.G, lifted.coefficients)
    by_scale = weak.apply(systems.solve, seen)[..., None] * systems.g[:, None]
    return systems, systems.solve - by_scale / systems.mqm[:, None, None], view, taken


def given(enumeration, views, lifted):
    """Second moments (N, 3L, 3L), mm^2, given each pose's (component, rotation), by the
    Enumeration that found the Lifted in the Views; all of them ok."""
    model, k = enumeration.model, lifted.component
    _, solve, view, taken = _estimate(enumeration, views, lifted)
    basis = model.basis.reshape(model.components, -1, 3 * L)
    outside = np.stack([_CENTRE - e.T @ e for e in basis])
    prior = np.stack([(e.T * std**2) @ e for e, std in zip(basis, model.std, strict=True)])
    prior += model.noise_std[:, None, None] ** 2 * outside
    project = np.einsum("ncd,nlm->nclmd", view, taken).reshape(len(k), 2 * L, 3 * L)
    gain = basis[k].swapaxes(1, 2) @ solve
    rest = _CENTRE - gain @ project
    moments = rest @ prior[k] @ rest.swapaxes(1, 2)
    moments += enumeration.noise**2 * gain @ gain.swapaxes(1, 2)
    turn = np.kron(np.eye(L), vertical_rotation(lifted.yaw))
    return model.scale_mm**2 * turn @ moments @ turn.swapaxes(1, 2)


def variance(enumeration, views, lifted):
    """Mean squared distance (N, L) of each landmark, mm^2: sums of three of the diagonal of
    `given`, without the rest of it."""
    model, k = enumeration.model, lifted.component
    systems, solve, view, taken = _estimate(enumeration, views, lifted)
    basis = model.basis.reshape(model.components, -1, 3 * L)[k].swapaxes(1, 2)
    gain, noise = basis @ solve, model.noise_std[k] ** 2
    # C = noise centre + e (std^2 - noise) e^T, and P P^T = taken taken^T for x and for y.
    on_basis = basis - gain @ systems.G
    total = np.square(on_basis) @ (model.std[k] ** 2 - noise[:, None])[..., None]
    weight = noise[:, None, None] * taken @ taken.swapaxes(1, 2)
    weight[:, np.arange(L), np.arange(L)] += enumeration.noise**2
    each = gain.reshape(len(k), -1, L)
    total = total.reshape(len(k), L, 3).sum(axis=2)
    total += ((each @ weight) * each).reshape(len(k), L, -1).sum(axis=2)
    # (m, d, c, l): what point (c, l) does to coordinate d of landmark m, and that to the point.
    gain = gain.reshape(len(k), L, 3, 2, L)
    back = np.einsum("nmdcl,ncd->nml", gain, view)
    both = (back * taken.swapaxes(1, 2)).sum(axis=2)
    total += noise[:, None] * (3 * (1 - 1 / L) - 2 * both)
    return model.scale_mm**2 * total


def spread(row, off, density):
    """Second moments (N, 3L, 3L) of candidates off (P, 3L) the poses of rows (P,), which have
    one at least each, weighted by their log density (P,)."""
    off, weight, start = _weighted(row, off, density)
    off *= np.sqrt(weight)[:, None]
    return np.stack([a.T @ a for a in np.split(off, start[1:])])


def spread_variance(row, off, density):
    """Mean squared distance (N, L): as `spread`, for each landmark."""
    off, weight, start = _weighted(row, off, density)
    squared = np.square(off).reshape(len(off), L, 3).sum(axis=2)
    return np.add.reduceat(weight[:, None] * squared, start)


def _weighted(row, off, density):
    """The candidates by row, their weights, of sum 1 in each row, and where each row starts."""
    order = np.argsort(row, kind="stable")
    off, density = off[order], density[order]
    start = np.flatnonzero(np.diff(row[order], prepend=-1))
    count = np.diff(np.append(start, len(row)))
    weight = np.exp(density - np.repeat(np.maximum.reduceat(density, start), count))
    weight /= np.repeat(np.add.reduceat(weight, start), count)
    return off, weight, start


def deviation(moments):
    """Standard deviation (N, L) of each landmark, mm: the root of the mean squared distance in
    3D, of second moments (N, 3L, 3L)."""
    return np.sqrt(np.diagonal(moments, axis1=1, axis2=2).reshape(-1, L, 3).sum(axis=2))
