"""The search where poses have precisions of their own: missing landmarks, weights, covariances.

What this does to reference.py: the tables of search.py serve poses whose landmarks weigh alike.
Here the least squares of each combination of component and rotation are set up for each pose, from
tabled products of mean and basis, which a rotation enters by its cosine and sine alone. One
Cholesky factor then has scale, cost and determinant in it. Since a density is a smooth
function of the angle, some of the rotations are enough, and the others are interpolated. The last
vectors of the basis, which move a body least, count as noise of the landmarks. All that only ranks:
its tables are of float32.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from prior.lifting.compiled import compiled
from prior.lifting.newton import PLACE, ROUNDING
from prior.model import PriorModel

# At least so many rotations are solved, 9 degrees apart of 80. Our choice: the surer the landmarks,
# the steeper is their density, and half as many are not enough for a cubic of detectors' noise.
SOLVED = 40

# Vectors of the basis that are solved for. Our choice, of the 25 of the models that are carried:
# fewer lose more of the best combinations, and more take longer.
VECTORS = 16

# Log densities further below the best count as so far below it, nats: a steep flank would let the
# interpolation overshoot.
FLANK = 20.0

# Poses ranked at once: what is tabled of them stays near the processor. Our choice.
BLOCK = 128


class Ranked(NamedTuple):
    """Log densities of n poses' landmarks, with the prior of each combination, of component,
    rotation and pose. What is upside down has -inf, or, beside what is upright and interpolated,
    FLANK less than the best. scale (K, R, n), of the nearest rotation that was solved; unit as that
    of the points."""

    log_density: Float[np.ndarray, "K R n"]
    scale: Float[np.ndarray, "K R n"]


class Ranking:
    """Ranks the combinations of a model's components and `rotations`. nu (K,): as in
    weak_perspective.Projector; log_prior (K,): of a combination of each component."""

    def __init__(
        self,
        model: PriorModel,
        nu: Float[np.ndarray, "K"],
        rotations: int,
        log_prior: Float[np.ndarray, "K"],
    ) -> None:
        self._nu, self._log_prior = nu, log_prior
        size = self._size = min(VECTORS, model.basis_size)
        self._ridge = nu[:, None] / model.std[:, :size] ** 2
        self._log_std = np.log(model.std[:, :size]).sum(axis=1)
        # Variance of each landmark along an axis by the other vectors, limb scale^2.
        others = np.square(model.basis[:, size:]).mean(axis=3)
        self.others = np.einsum("kjl,kj->kl", others, np.square(model.std[:, size:]))
        self._step = next((s for s in (4, 2) if rotations % s == 0 and rotations // s >= SOLVED), 1)
        angle = np.arange(0, rotations, self._step) * (2 * np.pi / rotations)
        turn = np.stack([np.cos(angle), np.sin(angle), np.ones(len(angle))])
        first, second = np.triu_indices(3)
        self._turn = np.concatenate([turn, turn[first] * turn[second]])
        shape = np.concatenate([model.basis[:, :size], model.mean[:, None]], axis=1)
        single = [_single(s).astype(np.float32) for s in shape]
        self._single = [s.T.copy() for s in single]
        self._double = [_double(s).T.copy() for s in single]

    def rank(
        self,
        points: Float[np.ndarray, "n L 2"],
        elevation: Float[np.ndarray, "n"],
        precision: Float[np.ndarray, "K n L 2 2"],
    ) -> Ranked:
        """The Ranked of points, upright, by weak perspective with cameras of this elevation,
        radians. precision: nu times the inverse of the covariance of each landmark's noise and
        `others`, limb scale^2, 0 where it is missing; three at least are there."""
        turns = self._turn.shape[1]
        density, scale = np.empty((2, len(self._nu), len(points), turns))
        for k in range(len(self._nu)):
            for i in range(0, len(points), BLOCK):
                block = slice(i, i + BLOCK)
                asked = points[block], elevation[block], precision[k, block]
                density[k, block], scale[k, block] = self._solved(k, *asked)
        density, scale = density.swapaxes(1, 2), scale.swapaxes(1, 2)
        best = density.max(axis=(0, 1))
        upright = np.isfinite(best)
        for _ in range({1: 0, 2: 1, 4: 2}[self._step]):
            density = _halved(density, np.where(upright, best, 0))
        density[..., ~upright] = -np.inf
        return Ranked(density, np.repeat(scale, self._step, axis=1))

    def _solved(
        self,
        k: int,
        points: Float[np.ndarray, "n L 2"],
        elevation: Float[np.ndarray, "n"],
        precision: Float[np.ndarray, "n L 2 2"],
    ) -> tuple[Float[np.ndarray, "n R"], Float[np.ndarray, "n R"]]:
        """Log densities and scales of a component."""
        n, L = points.shape[:2]
        across, pairs = np.empty((n, 3, 3, L), np.float32), np.empty((n, 6, L), np.float32)
        rest, scale, value = np.empty((n, 6)), *np.empty((2, n, self._turn.shape[1]))
        weigh(points, elevation, np.ascontiguousarray(precision), across, pairs, rest)
        # As least_squares.Solution has it: the place has a flat prior.
        numbers, volume = 2 * rest[:, 4] - 2, rest[:, 5]
        volume = volume - (numbers - self._size) * np.log(self._nu[k]) - 2 * self._log_std[k]
        highest = self._log_prior[k] + 0.5 * volume
        rank(
            (across.reshape(3 * n, -1) @ self._single[k]).reshape(n, 3, 3, -1),
            (pairs.reshape(n, -1) @ self._double[k]).reshape(n, 6, -1),
            rest,
            self._ridge[k],
            self._nu[k],
            self._turn,
            scale,
            value,
        )
        return highest[:, None] - 0.5 * value, scale


def _halved(
    density: Float[np.ndarray, "K R n"], best: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "K twice n"]:
    """With what is between the rotations, by cubic interpolation."""
    flat = np.maximum(density, best - FLANK)
    after, before = np.roll(flat, -1, axis=1), np.roll(flat, 1, axis=1)
    between = (9 * (flat + after) - before - np.roll(flat, -2, axis=1)) / 16
    return np.stack([flat, between], axis=2).reshape(len(flat), -1, flat.shape[2])


def _single(shape: Float[np.ndarray, "S L 3"]) -> Float[np.ndarray, "M F"]:
    """A matrix (3 S, 3 L) from weights on the landmarks' (u, v sin e, -v cos e) to the sums of the
    columns so weighted, as multiples of the turn's cosine, sine, and 1."""
    x, y, z = np.moveaxis(shape, -1, 0)
    none = np.zeros_like(x)
    # u = x cos + z sin; v = (z cos - x sin) sin e - y cos e
    by_turn = ((x, z, none), (z, -x, none), (none, none, y))
    return np.block([[by_turn[feature][turn] for feature in range(3)] for turn in range(3)])


def _double(single: Float[np.ndarray, "M F"]) -> Float[np.ndarray, "Q G"]:
    """The same for products of two columns, weighted in pairs of (u, v sin e, -v cos e), as
    multiples of pairs of cosine, sine and 1; by the rows of a lower triangle."""
    S, L = len(single) // 3, single.shape[1] // 3
    part = single.reshape(3, S, 3, L)
    i, j = np.tril_indices(S)

    def cell(turns: tuple[int, int], features: tuple[int, int]) -> Float[np.ndarray, "pairs L"]:
        return np.sum(
            [
                part[a, i, f] * part[b, j, g]
                for a, b in {turns, turns[::-1]}
                for f, g in {features, features[::-1]}
            ],
            axis=0,
        )

    pairs = [(a, b) for a in range(3) for b in range(a, 3)]
    return np.block([[cell(turns, features) for features in pairs] for turns in pairs])


@compiled
def weigh(
    points: Float[np.ndarray, "n L 2"],
    elevation: Float[np.ndarray, "n"],
    precision: Float[np.ndarray, "n L 2 2"],
    across: Float[np.ndarray, "n 3 3 L"],
    pairs: Float[np.ndarray, "n 6 L"],
    rest: Float[np.ndarray, "n 6"],
) -> None:
    """Fills what the tables are multiplied with: `across`, for the place's two columns and
    the points, their weights on (u, v sin e, -v cos e) of each landmark; `pairs`, on products of
    two of these. rest: the normal matrix of the place, three cells; that of the points, about their
    weighted mean, for which float32 is enough; how many landmarks there are; and the log
    determinant of the precisions on differences of landmarks."""
    L = points.shape[1]
    for p in range(len(points)):
        sin, cos = np.sin(elevation[p]), -np.cos(elevation[p])
        a = b = d = u = v = there = log_det = 0.0
        for i in range(L):
            m = precision[p, i]
            x, y = points[p, i, 0], points[p, i, 1]
            a, b, d = a + m[0, 0], b + m[0, 1], d + m[1, 1]
            u, v = u + m[0, 0] * x + m[0, 1] * y, v + m[1, 0] * x + m[1, 1] * y
            determinant = m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]
            if determinant > 0:
                there, log_det = there + 1, log_det + np.log(determinant)
        whole = a * d - b * b
        u, v = (d * u - b * v) / whole, (a * v - b * u) / whole
        square = 0.0
        for i in range(L):
            m = precision[p, i]
            x, y = points[p, i, 0] - u, points[p, i, 1] - v
            right, below = m[0, 0] * x + m[0, 1] * y, m[1, 0] * x + m[1, 1] * y
            square += right * x + below * y
            weights = (m[0, 0], m[0, 1]), (m[0, 1], m[1, 1]), (right, below)
            for w in range(3):
                across[p, w, 0, i] = weights[w][0]
                across[p, w, 1, i] = sin * weights[w][1]
                across[p, w, 2, i] = cos * weights[w][1]
            pairs[p, 0, i], pairs[p, 1, i], pairs[p, 2, i] = m[0, 0], sin * m[0, 1], cos * m[0, 1]
            pairs[p, 3, i], pairs[p, 4, i] = sin * sin * m[1, 1], sin * cos * m[1, 1]
            pairs[p, 5, i] = cos * cos * m[1, 1]
        rest[p, 0], rest[p, 1], rest[p, 2], rest[p, 3] = a, b, d, square
        rest[p, 4] = there
        rest[p, 5] = log_det - np.log(whole) + 2 * np.log(there)


@compiled
def rank(
    single: Float[np.ndarray, "n 3 3 S"],
    double: Float[np.ndarray, "n 6 T"],
    rest: Float[np.ndarray, "n 6"],
    ridge: Float[np.ndarray, "J"],
    nu: float,
    turn: Float[np.ndarray, "9 R"],
    scale: Float[np.ndarray, "n R"],
    value: Float[np.ndarray, "n R"],
) -> None:
    """Solves the systems of n poses at R turns, of one pose after another. Fills `scale`;
    and `value`, minus twice what of the log density depends on the turn, infinite upside down.
    rest: as of `weigh`."""
    S, R = single.shape[3], turn.shape[1]
    normal, inverse, pivots = np.empty((S + 3, S + 3, R)), np.empty(R), np.empty(R)
    for p in range(len(single)):
        set_up(single[p], double[p], rest[p], ridge, turn, normal)
        factor_all(normal, inverse)
        for r in range(R):
            s = normal[S + 2, S + 1, r] / normal[S + 1, S + 1, r]
            scale[p, r], cost = s, normal[S + 2, S + 2, r] / s
            value[p, r] = cost * cost / nu + 2 * (rest[p, 4] - 1) * np.log(2 * np.pi * s * s)
            pivots[r] = 1
        for j in range(PLACE, S + 1):
            for r in range(R):
                pivots[r] *= normal[j, j, r]
        for r in range(R):
            value[p, r] += 2 * np.log(pivots[r])
            if not scale[p, r] > 0:
                value[p, r] = np.inf


@compiled
def set_up(
    single: Float[np.ndarray, "3 3 S"],
    double: Float[np.ndarray, "6 T"],
    rest: Float[np.ndarray, "6"],
    ridge: Float[np.ndarray, "J"],
    turn: Float[np.ndarray, "9 R"],
    normal: Float[np.ndarray, "V V R"],
) -> None:
    """Fills the lower triangles of `normal` for the turns of `rank`: cosines, sines and 1, and
    their products."""
    S, R, at = single.shape[2], turn.shape[1], 0
    last = normal[PLACE + S]
    for r in range(R):
        normal[0, 0, r], normal[1, 0, r], normal[1, 1, r] = rest[0], rest[1], rest[2]
        last[0, r] = last[1, r] = 0
        last[PLACE + S, r] = rest[3]
    for i in range(S):
        own = normal[PLACE + i]
        for r in range(R):
            own[0, r] = (
                turn[0, r] * single[0, 0, i] + turn[1, r] * single[0, 1, i] + single[0, 2, i]
            )
            own[1, r] = (
                turn[0, r] * single[1, 0, i] + turn[1, r] * single[1, 1, i] + single[1, 2, i]
            )
            last[PLACE + i, r] = (
                turn[0, r] * single[2, 0, i] + turn[1, r] * single[2, 1, i] + single[2, 2, i]
            )
        for j in range(i + 1):
            a, b, c = double[0, at + j], double[1, at + j], double[2, at + j]
            d, e, f = double[3, at + j], double[4, at + j], double[5, at + j]
            if i == j and i < S - 1:
                f += ridge[i]
            for r in range(R):
                own[PLACE + j, r] = (
                    turn[3, r] * a
                    + turn[4, r] * b
                    + turn[5, r] * c
                    + turn[6, r] * d
                    + turn[7, r] * e
                    + f
                )
        at += i + 1


@compiled
def factor_all(normal: Float[np.ndarray, "V V R"], inverse: Float[np.ndarray, "R"]) -> None:
    """As `factor`, of R matrices at once; `inverse` is room to work in."""
    V, R = normal.shape[1], normal.shape[2]
    for j in range(V):
        for i in range(j, V):
            if i == j:
                for r in range(R):
                    inverse[r] = ROUNDING * normal[j, j, r]
            for k in range(j):
                for r in range(R):
                    normal[i, j, r] -= normal[i, k, r] * normal[j, k, r]
            if i == j:
                for r in range(R):
                    normal[j, j, r] = np.sqrt(max(normal[j, j, r], inverse[r]))
                    inverse[r] = 1 / normal[j, j, r]
            else:
                for r in range(R):
                    normal[i, j, r] *= inverse[r]
