"""Runs of equal numbers."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int


def runs(numbers: Int[np.ndarray, "n"]) -> Iterator[tuple[int, slice]]:
    """Each run's number, and the slice where it stands; of sorted numbers, the different ones."""
    if len(numbers):
        starts = [0, *((numbers[1:] != numbers[:-1]).nonzero()[0] + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], len(numbers)], strict=True):
            yield int(numbers[start]), slice(start, end)
