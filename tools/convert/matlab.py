"""Values of MATLAB's .mat files, in which an array of one element is read as the element."""

import numpy as np

from prior import matlab
from prior.errors import short
from tools.convert.entries import ConversionError


def load(path, name):
    """A variable of a .mat file; structures become objects. Raises ConversionError."""
    values = matlab.load(path, ConversionError, squeeze_me=True, struct_as_record=False)
    if name not in values:
        raise ConversionError(f"{path}: expected the variable {name}, got none")
    return values[name]


def items(value):
    """The elements of an array of structures, of a single one, or of none, as a list."""
    if value is None:
        return []
    return list(np.atleast_1d(value)) if isinstance(value, np.ndarray) else [value]


def number(value, default=None):
    """A scalar, number or text, as float; `default` where it is empty. Raises ValueError."""
    if type(value) in (int, float):  # most are
        return float(value)
    value = np.atleast_1d(value if value is not None else [])
    try:
        return float(value.flat[0]) if value.size else default
    except (TypeError, ValueError):
        raise ValueError(f"{short(repr(value.flat[0]))} in place of a number") from None
