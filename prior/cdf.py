"""CDF files, such as Human3.6M's, read by cdflib in a process of its own: prior.limited."""

import numpy as np

from prior import limited
from prior.errors import InputError
from prior.files import FilePath


def load(path: FilePath, variable: str, error: type[InputError] = InputError) -> np.ndarray:
    """The array of a variable. Raises `error`."""
    import cdflib  # few need it

    def values(path: str) -> dict[str, np.ndarray]:
        return {"values": np.asarray(cdflib.CDF(path).varget(variable))}

    return limited.load(path, values, f"a CDF file with the variable {variable}", error)["values"]
