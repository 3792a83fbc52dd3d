"""Weights that PyTorch saved before its version 1.6, read without PyTorch.

Such a file is a row of pickles (a magic number, a version, facts on the machine, the dictionary of
tensors, the storages' names) and then each storage's bytes. Nothing that a pickle names is called
but the two functions below, so a file cannot run code.
"""

import pickle
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Shaped

from prior.errors import InputError

# torch/serialization.py
MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
# Our choice, far above what a network for photographs has.
MOST_NUMBERS = 2**28


class _Tensor(NamedTuple):
    storage: tuple  # ("storage", its dtype, its name, ...)
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage, offset, shape, strides, *_):
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Dict(dict):
    """An OrderedDict; the state_dict's has attributes of its own too."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _Dict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a file of weights")

    def persistent_load(self, pid: Any) -> Any:
        return pid


def read(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """{name: array} of a state_dict that torch.save wrote in its old format.

    Raises InputError on anything else.
    """
    with path.open("rb") as file:
        try:
            return _read(file)
        except (OSError, EOFError, pickle.UnpicklingError, ValueError, TypeError, KeyError,
                AttributeError, IndexError, OverflowError) as error:  # fmt: skip
            raise InputError(
                f"{path}: expected weights as PyTorch saved them before 1.6, got: {error}"
            ) from None


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    if _Unpickler(file).load() != MAGIC:
        raise ValueError("another beginning")
    for _ in "version", "machine":
        _Unpickler(file).load()
    tensors = _Unpickler(file).load()
    names = _Unpickler(file).load()
    dtypes = {tensor.storage[2]: tensor.storage[1] for tensor in tensors.values()}
    storages = {}
    for name in names:
        count = int.from_bytes(file.read(8), "little")
        if count > MOST_NUMBERS:
            raise ValueError(f"a storage of {count} numbers")
        data = file.read(count * dtypes[name].itemsize)
        storages[name] = np.frombuffer(data, dtypes[name], count)
    return {key: _strided(storages[t.storage[2]], t) for key, t in tensors.items()}


def _strided(storage: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """A tensor's numbers; its axes may lie in the storage in any order."""
    index = np.full(tensor.shape, tensor.offset)
    for axis, (size, stride) in enumerate(zip(tensor.shape, tensor.strides, strict=True)):
        steps = np.arange(size) * stride
        index += steps.reshape(-1, *[1] * (len(tensor.shape) - axis - 1))
    return storage[index]
