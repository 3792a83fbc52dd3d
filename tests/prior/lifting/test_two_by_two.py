"""Roots of inverses of matrices of two rows, against numpy's inverse."""

import numpy as np
import pytest

from prior.lifting import two_by_two


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e200])
def test_a_root_is_of_the_inverse(size):
    axes = np.random.default_rng(0).normal(size=(20, 2, 2))
    for matrix in axes @ axes.swapaxes(1, 2):
        (a, b), (_, d) = size * matrix
        first, across, last = two_by_two.inverse_root(a, b, d)
        root = np.sqrt(size) * np.array([[first, across], [0, last]])
        np.testing.assert_allclose(two_by_two.precisions(root), np.linalg.inv(matrix), rtol=1e-9)


def test_of_an_ellipse_that_is_nearly_a_line_it_is_finite():
    root = np.array(two_by_two.inverse_root(1e18, 1e18, 1e18))
    assert np.isfinite(root).all() and 0 < root[0] < 1
    np.testing.assert_allclose(root, [root[0], -root[0], 1e-9])
