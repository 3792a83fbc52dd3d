"""Runs of equal numbers."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int


def runs(numbers: Int[np.ndarray, "n"]) -> Iterator[tuple[int, slice]]:
    """The different ones among sorted numbers, each with the slice where it stands."""
    if len(numbers):
        starts = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], len(numbers)], strict=True):
            yield int(numbers[start]), slice(start, end)
