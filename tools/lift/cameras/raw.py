"""A camera as a file has it, before anything is checked, and the values of such files."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from prior.errors import InputError, short


class CalibrationError(InputError):
    """A calibration file that cannot be used: which, what was expected, what came."""


class RawCamera(NamedTuple):
    """intrinsics, distortion, rotation (a matrix, or a vector as Rodrigues has it): numbers in any
    form, or None; up: the axis of the world that points up, where the format says it; lens: the
    model of the lens, where it is not OpenCV's."""

    intrinsics: Any = None
    distortion: Any = None
    rotation: Any = None
    up: str | None = None
    lens: str | None = None


def numbers(value: Any, what: str) -> np.ndarray | None:
    """The array of numbers in lists, or in an object with `data` as OpenCV and ROS have it; None
    for None. Raises CalibrationError."""
    if value is None:
        return None
    shape = None
    if isinstance(value, Mapping) and "data" in value:
        shape = value.get("rows"), value.get("cols")
        value = value["data"]
    try:
        array = np.array(value, dtype=float)
        if shape is not None and all(isinstance(n, int | float) for n in shape):
            array = array.reshape(int(shape[0]), int(shape[1]))
    except (TypeError, ValueError, OverflowError):
        raise CalibrationError(f"{what}: expected numbers, got {short(value)}") from None
    return array.reshape(3, 3) if array.shape == (9,) else array
