"""Cholesky factors of many small matrices at once: numpy's own way goes from one to the next."""

from functools import cache

import numpy as np
from jaxtyping import Float, Int

from prior.lifting.products import upper_triangle

# So few systems LAPACK solves sooner, one after the other: numpy's calls, a few for each row of all
# at once, take longer than the work.
FEW = 48


def lower_factors(columns: Float[np.ndarray, "pairs B"], size: int) -> Float[np.ndarray, "V V B"]:
    """L with L L^T the symmetric matrices, V = `size`, of which `columns` has the lower triangles,
    column after column; what is above L's diagonal is not set. A pivot that is nothing but rounding
    counts as that."""
    if columns.shape[1] <= FEW:
        try:
            return np.linalg.cholesky(columns[places(size)].transpose(2, 0, 1)).transpose(1, 2, 0)
        except np.linalg.LinAlgError:
            pass  # Some pivot is nothing but rounding.
    factors = np.empty((size, size, columns.shape[1]), columns.dtype)
    rounding, end = np.finfo(columns.dtype).eps, 0
    for j in range(size):
        start, end = end, end + size - j
        column = columns[start:end]
        if j:
            column = column - np.einsum("ikb,kb->ib", factors[j:, :j], factors[j, :j])
        pivot = np.maximum(column[0], rounding * columns[start])
        factors[j, j] = np.sqrt(pivot)
        np.divide(column[1:], factors[j, j], out=factors[j + 1 :, j])
    return factors


@cache
def places(size: int) -> Int[np.ndarray, "V V"]:
    """Where the cells of symmetric matrices stand in the columns of their lower triangles."""
    first, second = upper_triangle(size)
    result = np.empty((size, size), dtype=int)
    result[first, second] = result[second, first] = np.arange(len(first))
    return result
