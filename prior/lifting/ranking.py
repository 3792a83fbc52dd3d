"""The search where poses have precisions of their own: missing landmarks, weights, covariances.

What this does to reference.py: the tables of search.py serve poses whose landmarks weigh alike.
Here the least squares of each combination of component and rotation are set up for each pose, from
tabled products of mean and basis, which a rotation enters by its cosine and sine alone. One
Cholesky factor then has scale, cost and determinant in it (loops.py). Since a density is a smooth
function of the angle, some of the rotations are enough, and the others are interpolated. The last
vectors of the basis, which move a body least, count as noise of the landmarks. All that only ranks:
its tables are of float32.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from prior.lifting import loops
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
        rest, scale, value = np.empty((n, 7)), *np.empty((2, n, self._turn.shape[1]))
        loops.weigh(points, elevation, precision, across, pairs, rest)
        # As least_squares.Solution has it: the place has a flat prior.
        numbers, volume = 2 * rest[:, 4] - 2, rest[:, 5]
        volume = volume - (numbers - self._size) * np.log(self._nu[k]) - 2 * self._log_std[k]
        highest = self._log_prior[k] + 0.5 * volume
        loops.rank(
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
