"""Cholesky factors of many matrices and systems of these, against LAPACK's of each."""

import numpy as np
import pytest
from scipy.linalg import solve_triangular

from prior.lifting.cholesky import FEW, lower_factors, places, transposed_solutions

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


@pytest.mark.parametrize("count", [1, FEW, FEW + 1])
def test_transposed_systems_are_solved_as_each(count):
    """What is above the diagonal is not set, and not read."""
    random = np.random.default_rng(0)
    lower = np.tril(random.normal(size=(count, SIZE, SIZE))) + 3 * np.eye(SIZE)
    right = random.normal(size=(count, SIZE))
    factors = lower.copy()
    factors[:, *np.triu_indices(SIZE, 1)] = np.nan
    solutions = transposed_solutions(factors.transpose(1, 2, 0), right.T)
    twins = [
        solve_triangular(*each, trans="T", lower=True) for each in zip(lower, right, strict=True)
    ]
    np.testing.assert_allclose(solutions.T, twins, rtol=1e-9)


def test_places_are_those_of_the_cells():
    random = np.random.default_rng(0)
    matrices = random.normal(size=(4, SIZE, SIZE))
    matrices = matrices + matrices.swapaxes(1, 2)
    cells = columns_of(matrices)[places(SIZE)]
    np.testing.assert_array_equal(cells.transpose(2, 0, 1), matrices)
