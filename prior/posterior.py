"""What is known about a lifted pose: second moments of the truth about it.

A pose x of component k is N(mu, C), with C = e diag(std^2) e^T + noise_std^2 off the basis e, and
the points at the scale of the body are P x + detector's noise, P the weighted, centred projection.
The lifted pose is mu + K (points - mu's), K its derivative by the points at that scale (the exact
one, with the estimated scale), so that

    truth - pose = (I - K P) (x - mu) - K noise.

This is given (component, rotation); `spread` adds the law of total variance over these.
"""

import numpy as np

from prior import weak_perspective as weak
from prior.camera import level_camera, vertical_rotation
from prior.skeleton import L

# Takes the mean landmark off: where the person stands is not part of a pose.
_CENTRE = np.kron(np.eye(L) - 1 / L, np.eye(3))


def given(enumeration, views, lifted):
    """Second moments (N, 3L, 3L), mm^2, given each pose's (component, rotation), by the
    Enumeration that found the Lifted in the Views; all of them ok."""
    model, k = enumeration.model, lifted.component
    count = len(k)
    angle, weight = lifted.yaw + views.yaw, views.weight.T
    systems = enumeration.projector.systems(k, angle, views.elevation, weight)
    basis = model.basis.reshape(model.components, -1, 3 * L)
    outside = np.stack([_CENTRE - e.T @ e for e in basis])
    prior = np.stack([(e.T * std**2) @ e for e, std in zip(basis, model.std, strict=True)])
    prior += model.noise_std[:, None, None] ** 2 * outside
    view = (level_camera(views.elevation) @ vertical_rotation(angle))[:, :2]
    taken = weight[:, :, None] * (np.eye(L) - weak.share(views.weight).T[:, None])
    project = np.einsum("ncd,nlm->nclmd", view, taken).reshape(count, 2 * L, 3 * L)
    # The gain: solve, less what a change of the estimated scale does to the coefficients.
    seen = systems.m + weak.apply(systems.G, lifted.coefficients)
    by_scale = weak.apply(systems.solve, seen)[..., None] * systems.g[:, None]
    solve = systems.solve - by_scale / systems.mqm[:, None, None]
    gain = basis[k].swapaxes(1, 2) @ solve
    rest = _CENTRE - gain @ project
    moments = rest @ prior[k] @ rest.swapaxes(1, 2)
    moments += enumeration.noise**2 * gain @ gain.swapaxes(1, 2)
    turn = np.kron(np.eye(L), vertical_rotation(lifted.yaw))
    return model.scale_mm**2 * turn @ moments @ turn.swapaxes(1, 2)


def spread(row, off, density):
    """Second moments (N, 3L, 3L) of candidates off (P, 3L) the poses of rows (P,), which have
    one at least each, weighted by their log density (P,)."""
    order = np.argsort(row, kind="stable")
    off, density = off[order], density[order]
    start = np.flatnonzero(np.diff(row[order], prepend=-1))
    count = np.diff(np.append(start, len(row)))
    weight = np.exp(density - np.repeat(np.maximum.reduceat(density, start), count))
    weight /= np.repeat(np.add.reduceat(weight, start), count)
    off *= np.sqrt(weight)[:, None]
    return np.stack([a.T @ a for a in np.split(off, start[1:])])


def deviation(moments):
    """Standard deviation (N, L) of each landmark, mm: the root of the mean squared distance in
    3D, of second moments (N, 3L, 3L)."""
    return np.sqrt(np.diagonal(moments, axis1=1, axis2=2).reshape(-1, L, 3).sum(axis=2))
