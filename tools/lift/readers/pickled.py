"""NumPy's arrays of objects, as VideoPose3D saves them, without running what a file says.

NumPy keeps such arrays as pickles, which may call any function. Here they may make arrays, their
types, numbers, lists and objects of these, and nothing else.
"""

import codecs
import io
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from tools.lift.people import KeypointError


def _empty_array(kind: type, shape: tuple[int, ...], _: bytes) -> np.ndarray:
    """The array that a pickle then fills: it starts with no element."""
    if kind is not np.ndarray or tuple(shape) != (0,):
        raise pickle.UnpicklingError("an array that does not start empty")
    return np.empty(0)


def _scalar(kind: np.dtype, value: bytes = b"") -> Any:
    if kind.hasobject or len(value) != kind.itemsize:
        raise pickle.UnpicklingError("a number of another size")
    return np.frombuffer(value, kind)[0]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Bytes, as Python 2 keeps them."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"text as {encoding}")
    return codecs.encode(text, "latin1")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    **{
        (f"numpy.{core}.multiarray", name): function
        for core in ("core", "_core")
        for name, function in (("_reconstruct", _empty_array), ("scalar", _scalar))
    },
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it would run {module}.{name}")
        return _ALLOWED[module, name]


def load(data: bytes) -> Any:
    """The array of objects in a pickle. Raises KeypointError."""
    try:
        # Latin-1, since Detectron's files are of Python 2.
        return _Unpickler(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # a damaged pickle may raise anything
        raise KeypointError(f"expected arrays, lists and numbers, got {error}") from None


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz, those of objects too. Raises KeypointError."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name.removesuffix(".npy"): _member(archive.read(name))
                for name in archive.namelist()
                if name.endswith(".npy")
            }
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise KeypointError(f"expected an .npz, got a damaged archive: {error}") from None


def _member(data: bytes) -> np.ndarray:
    file = io.BytesIO(data)
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        _, _, kind = read(file)
    except ValueError as error:
        raise KeypointError(f"expected arrays, got {error}") from None
    if kind.hasobject:
        return load(data[file.tell() :])
    file.seek(0)
    try:
        return npy.read_array(file, allow_pickle=False)
    except ValueError as error:
        raise KeypointError(f"expected arrays, got {error}") from None
