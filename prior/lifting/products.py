"""Products of the columns of a model's poses: with them a normal matrix is one matrix product."""

from functools import cache

import numpy as np
from jaxtyping import Float, Int

# Pairs of coordinates.
PAIRS = [(a, b) for a in range(3) for b in range(a, 3)]


def pairs(columns: Float[np.ndarray, "S L 3"]) -> Float[np.ndarray, "F pairs"]:
    """The products of two columns at each landmark, (6 L, S (S + 1) / 2), by PAIRS, landmarks
    last; those of different coordinates, which a symmetric form has twice, both ways."""
    first, second = upper_triangle(len(columns))
    cells = [
        columns[first, :, a] * columns[second, :, b]
        + (columns[first, :, b] * columns[second, :, a] if a != b else 0)
        for a, b in PAIRS
    ]
    return np.ascontiguousarray(np.concatenate(cells, axis=1).T)


@cache
def upper_triangle(size: int) -> tuple[Int[np.ndarray, "pairs"], Int[np.ndarray, "pairs"]]:
    """The indices i <= j."""
    return np.triu_indices(size)
