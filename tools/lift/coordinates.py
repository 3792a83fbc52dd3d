"""Whether coordinates are px, shares of the image, or percentages of it."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from prior.errors import InputError

# (width, height), px.
Size: TypeAlias = tuple[float, float]
# Of the image of a frame by its name, or None where nobody says it.
SizeOf: TypeAlias = Callable[[object], Size | None]

# No side of an image, px, is as small as the first, or as large as the second. Our choice.
SIDES = 1.0, 1e6
# Where most coordinates are up to here they are no px of a person: normalised ones go from 0 or -1
# to 1, and beyond, for limbs that a detector puts outside the image. Our choice.
NORMALISED = 2.0
# If so many of normalised coordinates are negative, the middle of the image is 0. Our choice: a
# person who is partly outside the image has fewer.
CENTRED = 0.2
# Where none is above this, they may be percentages of the image.
HUNDRED = 100.0
# In images of so many times HUNDRED on each side px would be in a corner alone. Our choice: a
# quarter of the image.
CORNER = 2
# So few landmarks are outside an image that they are there by a detector's error. Our choice.
NEVER = 0.01
# Sides that differ by less than this share make no other shape of an image. Our choice: a person
# looks the same, and formats of images differ by more.
ALIKE = 0.05


def no_size(_: object) -> Size | None:
    """Nobody says how large the frames' images are."""
    return None


def is_size(size: Sequence[float]) -> bool:
    """Whether the sides may be an image's; NaN is none."""
    low, high = SIDES
    return all(low < side < high for side in size)


def other_shape(one: Size, other: Size) -> bool:
    """Whether images of two sizes have sides of other proportions."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) > ALIKE


def in_pixels(
    block: Float[np.ndarray, "n S 3"],
    sizes: Sequence[Size | None],
    where: Sequence[object],
    to_last: bool = False,
) -> tuple[Float[np.ndarray, "n S 3"], list[str], list[str]]:
    """The people in px, notes, and doubts: normalised coordinates are scaled to the image's size.

    sizes: each one's image's (width, height), px, where it is known; where: the frames' names;
    to_last: they are shares of the way from the first pixel to the last, as OpenPose's, not of the
    image, as others'. Raises InputError where a size is not known.
    """
    there = block[..., 2] > 0
    # x and y by themselves: NumPy is slow along axes of two.
    points = np.array([block[..., 0][there], block[..., 1][there]]).T
    # A 0 may stand for a missing coordinate.
    count = np.count_nonzero(points.T)
    if not count or 2 * np.count_nonzero(np.abs(points) > NORMALISED) > count:
        return block, *_percentages(points, sizes)
    low, high = points.min(), points.max()
    centred = (points < 0).mean() > CENTRED
    if None in sizes:
        raise InputError(
            f"expected coordinates in px, got {low:.4g} to {high:.4g}, as if from "
            f"{'-1' if centred else '0'} to 1: say the image's size with --image-size WIDTH HEIGHT "
            f"or --images (first not known: of {where[sizes.index(None)]})"
        )
    limit = np.array(sizes, dtype=float)
    scale = limit[:, None] - to_last
    result = block.copy()
    result[..., :2] = (block[..., :2] + 1) / 2 * scale if centred else block[..., :2] * scale
    width, height = limit[0]
    more = ", and to others" if len(set(sizes)) > 1 else ""
    note = f"coordinates from {'-1' if centred else '0'} to 1, scaled to {width:g} x {height:g} px"
    # OpenPose's are scaled by width and height.
    doubts = _by_the_width(block, limit) if centred and not to_last else []
    return result, [note + more], doubts


def _percentages(
    points: Float[np.ndarray, "n 2"], sizes: Sequence[Size | None]
) -> tuple[list[str], list[str]]:
    """A note, or a doubt, where coordinates that are taken as px may be percentages.

    It is a doubt where they are around the middle of 0 to 100: over more than a quarter of it if
    the images are known to be far larger, over more than half if nobody says how large they are.
    """
    if not points.size or points.min() < 0 or points.max() > HUNDRED:
        return [], []
    line = f"coordinates from {points.min():.4g} to {points.max():.4g} are taken as px: "
    low, high = points.min(axis=0), points.max(axis=0)
    middle = HUNDRED / 2
    least = middle if None in sizes else middle / 2
    spread = (low < middle).all() and (high > middle).all() and (high - low).max() > least
    small = [size is not None and min(size) < CORNER * HUNDRED for size in sizes]
    if not spread or 2 * sum(small) > len(small):
        return [line + "if they are percentages of the image, divide them by 100"], []
    line += "they may be percentages of the image; if so, divide them by 100"
    if None in sizes:
        line += ", and if not, say the image's size with --image-size WIDTH HEIGHT"
    return [], [line]


def _by_the_width(block: Float[np.ndarray, "n S 3"], sizes: Float[np.ndarray, "n 2"]) -> list[str]:
    """A line where coordinates from -1 to 1 may have been scaled by the width alone.

    y goes up to height / width then, and otherwise up to 1: the less of the two that y stays within
    is the likelier one.
    """
    there = block[..., 2] > 0
    ratio = sizes[:, 1] / sizes[:, 0]
    typical = float(np.median(ratio))
    high = np.abs(block[..., 1])
    # A hundredth more is rounding.
    of_width = (high > 1.01 * ratio[:, None])[there].mean() <= NEVER
    of_each = (high > 1.01)[there].mean() <= NEVER
    if abs(typical - 1) <= ALIKE or not of_width or of_each and typical > 1:
        return []
    return [
        f"y of coordinates from -1 to 1 stays within {typical:.3g}, the image's height / width: "
        "they are taken as scaled by width and height; if they were by the width alone, as "
        "VideoPose3D's, make px of them: (x + 1) width / 2, (y width + height) / 2"
    ]
