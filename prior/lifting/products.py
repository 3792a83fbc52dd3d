"""Products of numbers two by two, each pair once."""

from functools import cache

import numpy as np
from jaxtyping import Int


@cache
def upper_triangle(size: int) -> tuple[Int[np.ndarray, "pairs"], Int[np.ndarray, "pairs"]]:
    """The indices i <= j."""
    return np.triu_indices(size)
