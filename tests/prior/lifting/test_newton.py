"""Cholesky factors of one matrix and of many, against LAPACK's."""

import numpy as np
import pytest

from prior.lifting import newton, ranking

# One more than a multiple of the rows that are done at once, two more, and so on.
SIZES = [5, 6, 7, 8]


def matrices(size, count):
    axes = np.random.default_rng(size).normal(size=(count, size, size + 2))
    return axes @ axes.swapaxes(1, 2)


def factored(matrix):
    """By `factor`, which reads no more than the lower triangle and needs three rows below."""
    size = len(matrix)
    normal = np.zeros((size + 3, size))
    normal[:size] = np.tril(matrix) + np.triu(np.full(matrix.shape, np.nan), 1)
    newton.factor(normal)
    return np.tril(normal[:size])


def all_factored(matrices):
    """By `factor_all`."""
    normal = np.ascontiguousarray(matrices.transpose(1, 2, 0))
    ranking.factor_all(normal, np.empty(len(matrices)))
    return np.tril(normal.transpose(2, 0, 1))


@pytest.mark.parametrize("size", SIZES)
def test_factors_are_lapacks(size):
    twins = np.linalg.cholesky(matrices(size, 3))
    for matrix, twin in zip(matrices(size, 3), twins, strict=True):
        np.testing.assert_allclose(factored(matrix), twin, atol=1e-12)
    np.testing.assert_allclose(all_factored(matrices(size, 3)), twins, atol=1e-12)


def test_a_pivot_of_rounding_counts_as_that():
    """The last row is the sum of the others but for a cost of nothing, or, by rounding, less."""
    axes = np.random.default_rng(0).normal(size=(4, 6, 9))
    axes = np.concatenate([axes, axes.sum(axis=1, keepdims=True)], axis=1)
    singular = axes @ axes.swapaxes(1, 2)
    singular[:, -1, -1] -= 1e-14 * singular[:, -1, -1]
    last = [factored(matrix)[-1, -1] for matrix in singular] + list(
        all_factored(singular)[:, -1, -1]
    )
    assert (np.array(last) > 0).all() and (np.array(last) < 1e-6).all()


@pytest.mark.parametrize("count", SIZES)
def test_products_of_rows_are_those_of_the_matrix(count):
    rows = np.random.default_rng(0).normal(size=(count, 12))
    normal = np.zeros((count + 3, count))
    newton.multiply(rows, normal)
    np.testing.assert_allclose(np.tril(normal[:count]), np.tril(rows @ rows.T), atol=1e-12)
