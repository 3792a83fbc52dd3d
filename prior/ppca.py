"""Probabilistic principal component analysis in closed form (Tipping and Bishop 1999).

All that a fit needs of the data is its count, mean and scatter, its `Moments`. They add up over
chunks (`merge`), so one pass fits data that is larger than memory or spread over machines.
"""

from functools import partial, reduce
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from prior.chunks import each_chunk, one_thread
from prior.errors import InputError

# An eigenvalue below this share of the largest is rounding, not data.
RANK_TOLERANCE = 1e-12


class Moments(NamedTuple):
    """The weighted count of rows, their mean, and their scatter about the mean."""

    weight: float
    mean: Float[np.ndarray, "D"]
    scatter: Float[np.ndarray, "D D"]


class PPCA(NamedTuple):
    """A Gaussian: its covariance is basis^T diag(variance) basis, and noise off the basis.

    basis: orthonormal rows; variance: along each basis vector, noise included (the l_j of Tipping
    and Bishop), descending; noise_variance: along every other direction.
    """

    mean: Float[np.ndarray, "D"]
    basis: Float[np.ndarray, "J D"]
    variance: Float[np.ndarray, "J"]
    noise_variance: float


@runtime_checkable
class RowsInSlices(Protocol):
    """N rows (N, D) of which a slice is an array (n, D): an array, or what makes them as needed."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: slice, /) -> Float[np.ndarray, "n D"]: ...


def chunk_moments(
    rows: Float[np.ndarray, "n D"], weights: Float[np.ndarray, "n"] | None = None
) -> Moments:
    """The Moments of a chunk's rows, to be merged. Without weights each row weighs 1."""
    if weights is None:
        mean = rows.mean(axis=0)
        rows = rows - mean
        return Moments(float(len(rows)), mean, rows.T @ rows)
    total = float(weights.sum())
    mean = weights @ rows / max(total, np.finfo(float).tiny)
    # A product of a matrix with itself takes half the arithmetic.
    rows = np.sqrt(weights)[:, None] * (rows - mean)
    return Moments(total, mean, rows.T @ rows)


def merge(a: Moments, b: Moments) -> Moments:
    """The Moments of two sets of rows together (Chan, Golub and LeVeque 1979)."""
    weight = a.weight + b.weight
    if weight == 0:
        return a
    shift = b.mean - a.mean
    mean = a.mean + shift * (b.weight / weight)
    cross = np.outer(shift, shift) * (a.weight * b.weight / weight)
    return Moments(weight, mean, a.scatter + b.scatter + cross)


def moments(rows: RowsInSlices, weights: Float[np.ndarray, "N"] | None = None) -> Moments:
    """The Moments of N rows, in chunks. Without weights each row weighs 1."""
    return reduce(merge, each_chunk(partial(_part, rows, weights), len(rows)))


def _part(rows: RowsInSlices, weights: Float[np.ndarray, "N"] | None, where: slice) -> Moments:
    """A slice's part of `moments`."""
    return chunk_moments(rows[where], None if weights is None else weights[where])


def fit(stats: Moments, size: int) -> PPCA:
    """The maximum-likelihood PPCA with `size` basis vectors for data with these Moments.

    The covariance divides by the count. The noise variance is the mean of the eigenvalues beyond
    the basis. Raises InputError when the data does not vary along `size` directions and one more.
    """
    with one_thread():
        values, vectors = np.linalg.eigh(stats.scatter / stats.weight)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = np.count_nonzero(values > RANK_TOLERANCE * max(values[0], np.finfo(float).tiny))
    if not 1 <= size < rank:
        raise InputError(
            f"basis size: expected 1 to {rank - 1}, one less than the rank of the data, got {size}"
        )
    basis = vectors[:, :size].T
    # An eigenvector's sign is arbitrary: its largest entry is made positive.
    sign = np.sign(np.take_along_axis(basis, np.abs(basis).argmax(axis=1)[:, None], axis=1))
    return PPCA(stats.mean, basis * sign, values[:size], float(values[size:].mean()))


def log_density(rows: Float[np.ndarray, "N D"], ppca: PPCA) -> Float[np.ndarray, "N"]:
    """The log density of each row under the PPCA."""
    residual = rows - ppca.mean
    coefficients = residual @ ppca.basis.T
    # By how much the basis lowers the distance that noise in every direction would give.
    less = 1 / ppca.noise_variance - 1 / ppca.variance
    inside = np.square(coefficients, out=coefficients) @ less
    distance = np.einsum("nd,nd->n", residual, residual) / ppca.noise_variance - inside
    return -0.5 * (distance + log_determinant(ppca) + ppca.mean.size * np.log(2 * np.pi))


def log_determinant(ppca: PPCA) -> float:
    """The log determinant of the PPCA's covariance."""
    size, dimensions = ppca.basis.shape
    return np.log(ppca.variance).sum() + (dimensions - size) * np.log(ppca.noise_variance)


def nll(ppca: PPCA) -> float:
    """The negative log-likelihood per row of the data that the PPCA was fitted to.

    At the optimum the mean squared Mahalanobis distance is the dimension.
    """
    dimensions = ppca.mean.size
    return float(log_determinant(ppca) + dimensions * (1 + np.log(2 * np.pi))) / 2
