"""Probabilistic principal component analysis in closed form (Tipping and Bishop 1999).

What a fit needs of the data is its count, mean and scatter: `Moments`, which add up over chunks
(`merge`), so data larger than memory, or spread over machines, is fitted from one pass.
"""

from functools import partial, reduce
from typing import NamedTuple

import numpy as np

from prior.chunks import each_chunk, one_thread

# An eigenvalue below this share of the largest is rounding, not data.
RANK_TOLERANCE = 1e-12


class Moments(NamedTuple):
    """Weighted count, mean (D,) and scatter (D, D) about the mean of some rows."""

    weight: float
    mean: np.ndarray
    scatter: np.ndarray


class PPCA(NamedTuple):
    """A Gaussian with covariance basis^T diag(variance) basis + noise_variance off the basis.

    mean (D,); basis (J, D) orthonormal rows; variance (J,), marginal along each basis vector,
    noise included (l_j), descending; noise_variance: that of every direction left out.
    """

    mean: np.ndarray
    basis: np.ndarray
    variance: np.ndarray
    noise_variance: float


def chunk_moments(rows, weights=None):
    """Moments of rows (n, D) with weights (n,), 1 by default: a chunk's, to merge."""
    if weights is None:
        mean = rows.mean(axis=0)
        rows = rows - mean
        return Moments(float(len(rows)), mean, rows.T @ rows)
    total = float(weights.sum())
    mean = weights @ rows / max(total, np.finfo(float).tiny)
    # A product of a matrix with itself takes half the arithmetic.
    rows = np.sqrt(weights)[:, None] * (rows - mean)
    return Moments(total, mean, rows.T @ rows)


def merge(a, b):
    """The moments of both sets of rows together (Chan, Golub and LeVeque 1979)."""
    weight = a.weight + b.weight
    if weight == 0:
        return a
    shift = b.mean - a.mean
    mean = a.mean + shift * (b.weight / weight)
    cross = np.outer(shift, shift) * (a.weight * b.weight / weight)
    return Moments(weight, mean, a.scatter + b.scatter + cross)


def moments(rows, weights=None):
    """Moments of rows, an array (N, D) or what gives its slices, with weights (N,)."""
    return reduce(merge, each_chunk(partial(_part, rows, weights), len(rows)))


def _part(rows, weights, where):
    """A slice's part of `moments`."""
    return chunk_moments(rows[where], None if weights is None else weights[where])


def fit(stats, size):
    """The maximum-likelihood PPCA with `size` basis vectors of data with these Moments.

    The covariance divides by N; the noise variance is the mean of the eigenvalues left out.
    Raises ValueError when the data has no `size` directions of variance and one of noise.
    """
    with one_thread():
        values, vectors = np.linalg.eigh(stats.scatter / stats.weight)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = np.count_nonzero(values > RANK_TOLERANCE * max(values[0], np.finfo(float).tiny))
    if not 1 <= size < rank:
        raise ValueError(
            f"basis size: expected 1 to {rank - 1}, one less than the rank of the data, got {size}"
        )
    basis = vectors[:, :size].T
    # An eigenvector's sign is arbitrary: its largest entry is made positive.
    sign = np.sign(np.take_along_axis(basis, np.abs(basis).argmax(axis=1)[:, None], axis=1))
    return PPCA(stats.mean, basis * sign, values[:size], float(values[size:].mean()))


def log_density(rows, ppca):
    """Log density of each of rows (N, D) under the PPCA: (N,)."""
    residual = rows - ppca.mean
    coefficients = residual @ ppca.basis.T
    # What the basis takes off the distance that noise in every direction would give.
    less = 1 / ppca.noise_variance - 1 / ppca.variance
    inside = np.square(coefficients, out=coefficients) @ less
    distance = np.einsum("nd,nd->n", residual, residual) / ppca.noise_variance - inside
    return -0.5 * (distance + log_determinant(ppca) + ppca.mean.size * np.log(2 * np.pi))


def log_determinant(ppca):
    """Log determinant of the PPCA's covariance."""
    size, dimensions = ppca.basis.shape
    return np.log(ppca.variance).sum() + (dimensions - size) * np.log(ppca.noise_variance)


def nll(ppca):
    """Negative log-likelihood per row of the data that the PPCA was fitted to: at the optimum the
    mean squared Mahalanobis distance is the dimension."""
    dimensions = ppca.mean.size
    return float(log_determinant(ppca) + dimensions * (1 + np.log(2 * np.pi))) / 2
