"""The search over rotations and components: scores of many poses at once, in float32.

What this does to reference.py: its log density needs y^T Q y, a linear form in the products
y_i y_j, and the scale g^T y / mqm (weak_perspective.Systems), for each of the K R combinations of
component and rotation. All of Q, g and mqm is precomputed; Q changes smoothly with the rotation, so
the forms of all combinations are nearly of low rank (about 30 for 80 rotations of one component):
two thin matrix products take the place of a large one. All this is float32. It only rules out: the
combinations that it cannot tell from the best are decided in float64 (candidates.py).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from prior.lifting import passes
from prior.lifting.weak_perspective import Systems

# Singular values of the forms below this share of the largest are left out: the size of float32's
# rounding.
RANK_TOLERANCE = 1e-6

# Matrices of a multiple of so many rows are multiplied sooner: of 32 in four fifths of the time of
# 31. Our choice, by trial.
LANES = 4

# Log densities of this search that are closer than TIE / nu, and at least LEAST_TIE, are decided in
# float64. Errors come from the quadratic form and go with 1 / nu: at 20 mm of noise, of the best
# combinations of real poses, up to 0.002, and 0.009 between elevations 0.5 degrees apart.
TIE = 8e-6
LEAST_TIE = 1e-3

# Poses searched at once: their products and scores stay in a core's cache.
BLOCK = 256

# Stands in for a scale that is not positive (upside down): the log density then comes out far
# below any other.
TINY = np.float32(1e-12)


class ExactForms(NamedTuple):
    """What Forms are made of, in float64, for C combinations: y_i y_j -> -y^T Q y / (2 nu);
    y -> the scale s; the gain m^T Q m / (2 nu) by which s^2 lowers the cost; and a constant."""

    quadratic: Float[np.ndarray, "C products"]
    linear: Float[np.ndarray, "C D"]
    gain: Float[np.ndarray, "C"]
    constant: Float[np.ndarray, "C"]


class Forms(NamedTuple):
    """The forms of C combinations of component and rotation at one elevation and weight, float32.

    left (r, L (2L + 1)) and right (P C, r): products y_i y_j -> -y^T Q y / (2 nu), or right alone
    if left is None; linear (P C, 2L): y -> the scale s; gain and constant (P C, 1). The log density
    is constant + quadratic / s^2 - dimensions log s, and the cost of equation 4 -2 nu (quadratic +
    gain s^2). P is 1, or 2: the forms at one elevation, and their change to the next.
    """

    left: Float[np.ndarray, "r products"] | None
    right: Float[np.ndarray, "PC r"]
    linear: Float[np.ndarray, "PC D"]
    gain: Float[np.ndarray, "PC 1"]
    constant: Float[np.ndarray, "PC 1"]
    dimensions: int


def exact_forms(systems: Systems, dimensions: int, log_prior: Float[np.ndarray, "C"]) -> ExactForms:
    """The ExactForms of Systems of C combinations with these log priors."""
    Q = np.eye(systems.G.shape[1]) - systems.G @ systems.solve
    i, j = np.triu_indices(len(Q[0]))
    quadratic = np.where(i == j, -0.5, -1) * Q[:, i, j] / systems.nu[:, None]
    gain = 0.5 * systems.mqm / systems.nu
    constant = gain - 0.5 * (systems.log_det + dimensions * np.log(2 * np.pi)) + log_prior
    return ExactForms(quadratic, systems.g / systems.mqm[:, None], gain, constant)


def pack(here: ExactForms, there: ExactForms | None, dimensions: int, compress: bool) -> Forms:
    """The Forms of ExactForms and, unless it is None, of their change to those at the next
    elevation. compress: find their low rank, which costs as much as the search of thousands of
    poses."""
    if there is not None:
        here = ExactForms(*(np.concatenate([a, b - a]) for a, b in zip(here, there, strict=True)))
    left, right = None, here.quadratic
    if compress:
        u, values, v = np.linalg.svd(right, full_matrices=False)
        rank = np.count_nonzero(values > RANK_TOLERANCE * values[0])
        rank = -(-rank // LANES) * LANES
        left, right = np.ascontiguousarray(v[:rank], np.float32), u[:, :rank] * values[:rank]
    right, linear, gain, constant = (
        np.ascontiguousarray(a, np.float32)
        for a in (right, here.linear, here.gain[:, None], here.constant[:, None])
    )
    return Forms(left, right, linear, gain, constant, dimensions)


class Evaluated(NamedTuple):
    """Forms of the landmarks of n poses, float32: quadratic and scale, which is at least TINY, and
    the gain and constant that go with them (one for all poses, or one for each)."""

    quadratic: Float[np.ndarray, "C n"]
    scale: Float[np.ndarray, "C n"]
    gain: Float[np.ndarray, "C _"]
    constant: Float[np.ndarray, "C _"]
    dimensions: int


def evaluate(
    forms: Forms,
    y: Float[np.ndarray, "N 2 L"],
    rows: Int[np.ndarray, "n"],
    roll: Float[np.ndarray, "N"],
    part: Float[np.ndarray, "n"] | None = None,
) -> Evaluated:
    """The forms of these rows of landmarks y, of unit norm, turned by `roll`, radians.

    part: how far each is from the forms' first elevation to their second, float32; None for forms
    of one.
    """
    flat, products = passes.products(y, rows, roll)
    if forms.left is not None:
        products = forms.left @ products
    quadratic, scale = forms.right @ products, forms.linear @ flat
    gain, constant = forms.gain, forms.constant
    if part is not None:
        quadratic, scale, gain, constant = (
            a[: len(a) // 2] + part * a[len(a) // 2 :] for a in (quadratic, scale, gain, constant)
        )
    np.maximum(scale, TINY, out=scale)
    return Evaluated(quadratic, scale, gain, constant, forms.dimensions)


def log_densities(
    forms: Evaluated,
) -> tuple[Float[np.ndarray, "C n"], Float[np.ndarray, "n"]]:
    """Log densities of the landmarks, the prior of each combination included, and the highest of
    each image."""
    logs = np.log(forms.scale)
    return passes.densities(forms.quadratic, forms.scale, logs, forms.constant, forms.dimensions)


def negative_costs(forms: Evaluated) -> Float[np.ndarray, "C n"]:
    """Minus the costs of equation 4, over 2 nu; -inf upside down."""
    score = forms.gain * np.square(forms.scale)
    score += forms.quadratic
    return np.where(forms.scale > TINY, score, -np.inf)


def shares(
    score: Float[np.ndarray, "C n"], best: Float[np.ndarray, "n"], components: int
) -> Float[np.ndarray, "n K"]:
    """Each component's share of the density that the scores stand for, all rotations together;
    best: the highest score of each pose."""
    if components == 1:
        return np.ones((len(best), 1))
    likely = score - best
    np.exp(likely, out=likely)
    likely = likely.reshape(components, -1, len(best)).sum(axis=1).T
    return likely / likely.sum(axis=1, keepdims=True)


def peaks(score: Float[np.ndarray, "C n"], components: int, count: int) -> Bool[np.ndarray, "C n"]:
    """Where the scores have the `count` highest of their maxima over the rotations."""
    turns = score.reshape(components, -1, score.shape[1])
    peak = (turns >= np.roll(turns, 1, axis=1)) & (turns > np.roll(turns, -1, axis=1))
    peak = peak.reshape(score.shape)
    heights = np.where(peak, score, -np.inf)
    return peak & (heights >= np.partition(heights, -count, axis=0)[-count])
