"""CDF files, such as Human3.6M's, read by cdflib in a process of its own: prior.limited."""

import numpy as np

from prior import limited
from prior.errors import InputError
from prior.files import FilePath


def load(path: FilePath, variable: str, error: type[InputError] = InputError) -> np.ndarray:
    """The array of a variable. Raises `error`."""
    what = f"a CDF file with the variable {variable}"
    return limited.load(path, __name__, what, [variable], error)["values"]


def values(path: str, variable: str) -> dict[str, np.ndarray]:
    """The array of a variable, as "values". Raises whatever cdflib does on damaged files."""
    import cdflib  # here only: in the process that reads

    return {"values": np.asarray(cdflib.CDF(path).varget(variable))}
