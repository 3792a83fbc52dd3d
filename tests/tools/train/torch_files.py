"""Files of weights as PyTorch saved them before 1.6, and arrays with EfficientNet-Lite0's names."""

import collections
import pickle
import sys
import types

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C


def _module(name, **members):
    """A module that pickle can name, as if PyTorch were installed."""
    module = types.ModuleType(name)
    for key, value in members.items():
        value.__module__ = name
        setattr(module, key, value)
    return module


def _rebuild_tensor_v2(*arguments):
    raise AssertionError("only named in the file, never called")


class FloatStorage:
    pass


class LongStorage:
    pass


STORAGES = {"f": FloatStorage, "i": LongStorage}


class _Tensor:
    def __init__(self, key, array):
        self.key, self.array = key, array

    def __reduce__(self):
        strides = tuple(s // self.array.itemsize for s in self.array.strides)
        storage = _Storage(self.key, self.array)
        return _rebuild_tensor_v2, (storage, 0, self.array.shape, strides, False, {})


class _Storage:
    def __init__(self, key, array):
        self.key, self.array = key, array


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, _Storage):
            return ("storage", STORAGES[obj.array.dtype.kind], obj.key, "cpu", obj.array.size, None)
        return None


def write(path, arrays, stored=None):
    """{name: float32 or int64 array, in any order of its axes} as torch.save wrote a state_dict.

    stored: how many numbers each storage has, where they are not those of its array.
    """
    torch = _module("torch", FloatStorage=FloatStorage, LongStorage=LongStorage)
    utils = _module("torch._utils", _rebuild_tensor_v2=_rebuild_tensor_v2)
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        keys = {name: str(i) for i, name in enumerate(arrays)}
        state = collections.OrderedDict((n, _Tensor(keys[n], a)) for n, a in arrays.items())
        state._metadata = collections.OrderedDict(version=1)
        with open(path, "wb") as file:
            for value in MAGIC, 1001, {"little_endian": True}, state, list(keys.values()):
                _Pickler(file, protocol=2).dump(value)
            for array in arrays.values():
                count = array.size if stored is None else stored
                file.write(count.to_bytes(8, "little"))
                content = np.zeros(count, array.dtype) if stored is not None else array
                file.write(content.tobytes("A" if content.flags.c_contiguous else "F"))
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def lite0_state(rng):
    """EfficientNet-Lite0's arrays down to block 10, of random values, by the names of its port."""
    # (incoming, kernel, channels) of each block, typed in from the file that is released.
    blocks = [(32, 3, 16), (16, 3, 24), (24, 3, 24), (24, 5, 40), (40, 5, 40), (40, 3, 80),
              (80, 3, 80), (80, 3, 80), (80, 5, 112), (112, 5, 112), (112, 5, 112)]  # fmt: skip
    state = {}

    def add(convolution, norm, *shape):
        size = np.sqrt(2 / np.prod(shape[1:]))
        state[f"{convolution}.weight"] = rng.normal(0, size, shape).astype(np.float32)
        for name, low, high in (
            ("weight", 1, 4),
            ("bias", -1, 2),
            ("running_mean", -1, 1),
            ("running_var", 0.5, 2),
        ):
            state[f"{norm}.{name}"] = rng.uniform(low, high, shape[0]).astype(np.float32)
        state[f"{norm}.num_batches_tracked"] = np.array(3)

    add("_conv_stem", "_bn0", 32, 3, 3, 3)
    for i, (incoming, kernel, channels) in enumerate(blocks):
        hidden, place = incoming * (6 if i else 1), f"_blocks.{i}."
        if i:
            add(f"{place}_expand_conv", f"{place}_bn0", hidden, incoming, 1, 1)
        add(f"{place}_depthwise_conv", f"{place}_bn1", hidden, 1, kernel, kernel)
        add(f"{place}_project_conv", f"{place}_bn2", channels, hidden, 1, 1)
    return state
