"""The search over rotations and components: log densities of many poses at once, in float32.

What the log density of y needs is y^T Q y, a linear form in the products y_i y_j, and g^T y
(weak_perspective.Systems), for each of the K R combinations of component and rotation. Q changes
smoothly with the rotation, so the forms of all combinations are nearly of low rank (about 30 for
80 rotations of one component): two thin matrix products take the place of a large one.
"""

from typing import NamedTuple

import numpy as np

from prior.skeleton import L

# Singular values of the forms below this share of the largest are left out: the size of float32's
# rounding.
RANK_TOLERANCE = 1e-6

# Log densities of this search that are closer than TIE / nu, and at least LEAST_TIE, are decided in
# float64. Errors come from the quadratic form and go with 1 / nu: at 20 mm of noise, of the best
# combinations of real poses, up to 0.002, and 0.009 between elevations 0.5 degrees apart.
TIE = 8e-6
LEAST_TIE = 1e-3

# Poses searched at once: their products and scores stay in a core's cache.
BLOCK = 512

# Stands in for a scale that is not positive (upside down): the log density then comes out far
# below any other.
TINY = np.float32(1e-12)

_I, _J = np.triu_indices(2 * L)


class Table(NamedTuple):
    """The forms of C combinations of component and rotation, at one elevation and weight.

    left (r, L (2L + 1)) and right (P C, r): products y_i y_j -> -y^T Q y / (2 nu), or right alone
    if left is None; linear (P C, 2L): y -> the scale s; constant (P C, 1); all float32. The log
    density is constant + quadratic / s^2 - dimensions log s. P is 1, or 2: the forms at one
    elevation, and their change to the next.
    """

    left: np.ndarray | None
    right: np.ndarray
    linear: np.ndarray
    constant: np.ndarray
    dimensions: int


def forms(systems, dimensions, log_prior):
    """What a Table is made of, in float64: quadratic (C, L (2L + 1)), linear (C, 2L) and constant
    (C,) of Systems of C combinations whose log priors are (C,)."""
    Q = np.eye(2 * L) - systems.G @ systems.solve
    quadratic = np.where(_I == _J, -0.5, -1) * Q[:, _I, _J] / systems.nu[:, None]
    constant = systems.mqm / systems.nu - systems.log_det - dimensions * np.log(2 * np.pi)
    return quadratic, systems.g / systems.mqm[:, None], 0.5 * constant + log_prior


def table(here, there, dimensions, compress):
    """The Table of the forms `here` and, unless it is None, of their change to `there`. compress:
    find their low rank, which costs as much as the search of thousands of poses."""
    left = None
    if there is not None:
        here = (np.concatenate([a, b - a]) for a, b in zip(here, there, strict=True))
    right, linear, constant = here
    if compress:
        u, values, v = np.linalg.svd(right, full_matrices=False)
        rank = np.count_nonzero(values > RANK_TOLERANCE * values[0])
        left, right = np.ascontiguousarray(v[:rank], np.float32), u[:, :rank] * values[:rank]
    arrays = (np.ascontiguousarray(a, np.float32) for a in (right, linear, constant[:, None]))
    return Table(left, *arrays, dimensions)


def scores(table, y, part=None):
    """Log densities (C, n), mixture weights included, of y (2L, n) float32 of unit norm.

    part (n,) float32: how far each is from the table's first elevation to its second; None for a
    table of one.
    """
    products = np.take(y, _I, axis=0, mode="clip")
    products *= np.take(y, _J, axis=0, mode="clip")
    if table.left is not None:
        products = table.left @ products
    score = table.right @ products
    scale, constant = table.linear @ y, table.constant
    if part is not None:
        score, scale, constant = (
            a[: len(a) // 2] + part * a[len(a) // 2 :] for a in (score, scale, constant)
        )
    np.maximum(scale, TINY, out=scale)
    score /= scale
    score /= scale
    logs = np.log(scale, out=scale)
    logs *= np.float32(table.dimensions)
    score -= logs
    score += constant
    return score


def shares(score, best, components):
    """Each component's share (n, K) of the density that scores (C, n) stand for, all rotations
    together; best (n,) is the highest of each. The scores are overwritten."""
    if components == 1:
        return np.ones((len(best), 1))
    score -= best
    likely = np.exp(score, out=score).reshape(components, -1, len(best)).sum(axis=1).T
    return likely / likely.sum(axis=1, keepdims=True)


def peaks(score, components, count):
    """Where scores (C, n) have the `count` highest of their maxima over the rotations: (C, n)."""
    turns = score.reshape(components, -1, score.shape[1])
    peak = (turns >= np.roll(turns, 1, axis=1)) & (turns > np.roll(turns, -1, axis=1))
    peak = peak.reshape(score.shape)
    heights = np.where(peak, score, -np.inf)
    return peak & (heights >= np.partition(heights, -count, axis=0)[-count])
