"""Probabilistic principal component analysis in closed form (Tipping and Bishop 1999).

What a fit needs of the data is its count, mean and scatter: `Moments`, which add up over chunks
(`merge`), so data larger than memory, or spread over machines, is fitted from one pass.
"""

from functools import reduce
from typing import NamedTuple

import numpy as np

# An eigenvalue below this share of the largest is rounding, not data.
RANK_TOLERANCE = 1e-12

# Rows that are handled at once, so that temporaries stay in the processor's cache.
CHUNK = 8192


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


def _chunk_moments(rows, weights):
    total = weights.sum()
    mean = weights @ rows / max(total, np.finfo(float).tiny)
    rows = rows - mean
    return Moments(total, mean, (rows * weights[:, None]).T @ rows)


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
    """Moments of rows (N, D) with weights (N,), 1 by default."""
    weights = np.ones(len(rows)) if weights is None else weights
    chunks = (
        _chunk_moments(rows[i : i + CHUNK], weights[i : i + CHUNK])
        for i in range(0, len(rows), CHUNK)
    )
    return reduce(merge, chunks)


def fit(stats, size):
    """The maximum-likelihood PPCA with `size` basis vectors of data with these Moments.

    The covariance divides by N; the noise variance is the mean of the eigenvalues left out.
    Raises ValueError when the data has no `size` directions of variance and one of noise.
    """
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
    dimensions = ppca.mean.size
    residual = rows - ppca.mean
    coefficients = residual @ ppca.basis.T
    inside = np.square(coefficients) @ (1 / ppca.variance)
    # Taken from the residual itself, not as a difference of two large squares.
    outside = np.square(residual - coefficients @ ppca.basis).sum(axis=1) / ppca.noise_variance
    return -0.5 * (inside + outside + log_determinant(ppca) + dimensions * np.log(2 * np.pi))


def log_determinant(ppca):
    """Log determinant of the PPCA's covariance."""
    size, dimensions = ppca.basis.shape
    return np.log(ppca.variance).sum() + (dimensions - size) * np.log(ppca.noise_variance)


def whitening(ppca):
    """F (D, D) such that ||(row - mean) F||^2 is the squared Mahalanobis distance of the row."""
    inside = ppca.basis.T @ np.diag(ppca.variance**-0.5 - ppca.noise_variance**-0.5) @ ppca.basis
    return inside + np.eye(len(ppca.mean)) * ppca.noise_variance**-0.5
