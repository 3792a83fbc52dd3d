"""Cholesky factors of many matrices, against LAPACK's of each."""

import numpy as np
import pytest

from prior.lifting.cholesky import lower_factors, places

SIZE = 7


def columns_of(matrices):
    first, second = np.triu_indices(SIZE)
    return np.ascontiguousarray(matrices[:, first, second].T)


@pytest.mark.parametrize("count", [1, 400])
def test_they_are_those_of_each(count):
    random = np.random.default_rng(0)
    axes = random.normal(size=(count, SIZE, SIZE + 2))
    matrices = axes @ axes.swapaxes(1, 2)
    factors = lower_factors(columns_of(matrices), SIZE).transpose(2, 0, 1)
    np.testing.assert_allclose(np.tril(factors), np.linalg.cholesky(matrices), atol=1e-12)


@pytest.mark.parametrize("count", [1, 400])
def test_a_pivot_of_rounding_counts_as_that(count):
    """The last row is the sum of the others but for a cost of nothing, or, by rounding, less."""
    random = np.random.default_rng(0)
    axes = random.normal(size=(count, SIZE - 1, SIZE + 2))
    axes = np.concatenate([axes, axes.sum(axis=1, keepdims=True)], axis=1)
    matrices = axes @ axes.swapaxes(1, 2)
    matrices[:, -1, -1] -= 1e-14 * matrices[:, -1, -1]
    last = lower_factors(columns_of(matrices), SIZE)[-1, -1]
    assert (last > 0).all() and (last < 1e-6).all()


def test_places_are_those_of_the_cells():
    random = np.random.default_rng(0)
    matrices = random.normal(size=(4, SIZE, SIZE))
    matrices = matrices + matrices.swapaxes(1, 2)
    cells = columns_of(matrices)[places(SIZE)]
    np.testing.assert_array_equal(cells.transpose(2, 0, 1), matrices)
