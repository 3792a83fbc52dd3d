"""MATLAB's .mat files, in which an array of one element is read as the element."""

import numpy as np
import scipy.io

from tools.convert.entries import ConversionError


def load(path, name):
    """A variable of a .mat file; structures become objects. Raises ConversionError."""
    try:
        return scipy.io.loadmat(path, squeeze_me=True, struct_as_record=False)[name]
    except KeyError:
        raise ConversionError(f"{path}: expected the variable {name}, got none") from None
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read: {error}") from None
    # The reader fails in many ways on a damaged file.
    except Exception as error:
        raise ConversionError(
            f"{path}: expected a .mat file of version 7 or older: {error}; download it again"
        ) from None


def items(value):
    """The elements of an array of structures, of a single one, or of none, as a list."""
    return [] if value is None else list(np.atleast_1d(value))


def number(value, default=None):
    """A scalar, number or text, as float; `default` where it is empty."""
    value = np.atleast_1d(value if value is not None else [])
    return float(value[0]) if value.size else default
