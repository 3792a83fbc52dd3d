"""The camera of a skeleton that has no vertical, such as a hand: every rotation is as probable.

A rotation is a roll of the image, the elevation from which the camera looks, and the turn about the
vertical, which the search enumerates anyway. Rolls and elevations are sampled evenly, from coarse
to fine; an elevation has the share of all rotations that it has on a sphere, its cosine.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

# Degrees. The coarse samples are at most 13 degrees from any rotation; the fine ones leave half a
# step of the last, as the search of a camera's tilt does.
COARSE = 15.0
ELEVATIONS = np.deg2rad(np.arange(-82.5, 83, COARSE))
ROLLS = np.deg2rad(np.arange(0, 360, COARSE))
FINE = np.deg2rad([5.0, 2.5])
# All are multiples of the last step, which few tables are for. At the poles roll and turn are one.
HIGHEST = np.deg2rad(87.5)

# The highest log density (N,) at an elevation and a roll of each pose (N,), radians.
Density = Callable[[Float[np.ndarray, "N"], Float[np.ndarray, "N"]], Float[np.ndarray, "N"]]


def tilt(density: Density, count: int) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """Roll and elevation, radians, of the most probable cameras of `count` poses."""

    def at(elevation: Float[np.ndarray, "N"], roll: Float[np.ndarray, "N"]) -> np.ndarray:
        return density(elevation, roll) + np.log(np.cos(elevation))

    best = np.full(count, -np.inf)
    elevation, roll = np.zeros((2, count))
    for one in ELEVATIONS:
        for other in ROLLS:
            tried = np.full(count, one), np.full(count, other)
            score = at(*tried)
            better = score > best
            best = np.where(better, score, best)
            elevation, roll = np.where(better, tried, (elevation, roll))
    for step in FINE:
        middle = elevation, roll
        for up in (-step, 0.0, step):
            for aside in (-step, 0.0, step):
                tried = np.clip(middle[0] + up, -HIGHEST, HIGHEST), middle[1] + aside
                score = at(*tried)
                better = score > best
                best = np.where(better, score, best)
                elevation, roll = np.where(better, tried, (elevation, roll))
    return roll, elevation
