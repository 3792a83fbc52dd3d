"""Weights that PyTorch saved before its version 1.6, read without PyTorch.

Such a file (torch/serialization.py, _legacy_save) is a row of pickles (a magic number, a version,
facts on the machine, the dictionary of tensors, the names of the storages) and then each storage:
how many numbers it has, and their bytes. The pickles are read by prior.pickled, which calls nothing
that they name.
"""

import io
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from prior import foreign
from prior.errors import InputError, short
from prior.pickled import Global, PickledError, Record, Reference, run

# The pickle of torch/serialization.py's MAGIC_NUMBER, 0x1950a86a20f9469cfc6c.
MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
STORAGES = {
    Global("torch", "FloatStorage"): np.dtype("<f4"),
    Global("torch", "LongStorage"): np.dtype("<i8"),
}


class Tensor(NamedTuple):
    """A part of a storage: each axis has its length and its stride, both in numbers."""

    storage: Reference  # ("storage", Global of its type, its name, ...)
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class State(dict, Record):
    """An OrderedDict. The one of a network has attributes too, which say nothing of its weights."""

    def build(self, state: Any) -> None:
        pass


def read(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """{name: array} of a state_dict that torch.save wrote in its old format.

    Raises InputError on anything else.
    """
    content = foreign.read_bytes(path)
    try:
        if not content.startswith(MAGIC):
            raise PickledError("another beginning")
        return _arrays(io.BytesIO(content[len(MAGIC) :]))
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path}: expected weights as PyTorch saved them before 1.6, got {short(str(error))}"
        ) from None


def _arrays(file: io.BytesIO) -> dict[str, np.ndarray]:
    _, _, tensors, names = (run(file, _call) for _ in range(4))
    if not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise PickledError("something in place of a tensor")
    dtypes = {tensor.storage.key[2]: STORAGES[tensor.storage.key[1]] for tensor in tensors.values()}
    storages = {}
    for name in names:
        count = int.from_bytes(file.read(8), "little")
        data = file.read(count * dtypes[name].itemsize)
        storages[name] = np.frombuffer(data, dtypes[name], count)
    return {key: _array(storages[tensor.storage.key[2]], tensor) for key, tensor in tensors.items()}


def _call(function: Global, arguments: tuple) -> Any:
    if function == Global("collections", "OrderedDict") and not arguments:
        return State()
    if function == Global("torch._utils", "_rebuild_tensor_v2"):
        return Tensor(*arguments[:4])
    raise PickledError(f"{short(function.module)}.{short(function.name)}, which is no weight")


def _array(storage: np.ndarray, tensor: Tensor) -> np.ndarray:
    """A tensor's numbers. Its axes may lie in the storage in any order, but not upon each other."""
    lengths, strides = tensor.shape, tensor.strides
    if min((tensor.offset, *lengths, *strides), default=0) < 0:
        raise PickledError("a tensor of negative sizes")
    last = sum((n - 1) * step for n, step in zip(lengths, strides, strict=True))
    if math.prod(lengths) > len(storage) or tensor.offset + last >= len(storage):
        raise PickledError("a tensor beyond its storage")
    steps = [step * storage.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], lengths, steps).copy()
