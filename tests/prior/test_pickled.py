"""Pickles of dicts of arrays come back; nothing else of a pickle does anything."""

import os
import pickle

import numpy as np
import pytest

from prior import pickled
from prior.pickled import PickledError


def _wrapped(value):
    """As np.savez keeps a dict: the one object of an array."""
    array = np.empty((), dtype=object)
    array[()] = value
    return array


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_all_protocols_of_numpy(protocol):
    arrays = {
        "f4": np.arange(24, dtype="<f4").reshape(2, 3, 4),
        "big": np.arange(6, dtype=">f8"),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "none": np.zeros((0, 32, 3)),
        "i": np.arange(3, dtype=np.int16),
    }
    value = {"S1": arrays | {"number": np.float64(3), "list": [1, -2, 3.5, "a"], "ok": True}}
    data = pickle.dumps(_wrapped(value), protocol=protocol)
    # As NumPy 1 wrote it.
    for text in (data, data.replace(b"numpy._core", b"numpy.core")) if protocol < 4 else (data,):
        got = pickled.read(text)["S1"]
        for name, array in arrays.items():
            np.testing.assert_array_equal(got[name], array)
            assert got[name].dtype == array.dtype and got[name].shape == array.shape
        assert got["number"] == 3 and got["list"] == [1, -2, 3.5, "a"] and got["ok"] is True


class _Call:
    """Pickled as a call."""

    def __init__(self, function, *arguments, state=None):
        self.made = (function, arguments, state) if state else (function, arguments)

    def __reduce__(self):
        return self.made


@pytest.mark.parametrize(
    "value, reason",
    [
        # Memory at any address, which crashed an unpickler with an allow-list of NumPy's classes.
        (_Call(np.ndarray, (1,), "O", b"AAAAAAAA"), "numpy.ndarray, which is not data"),
        (_Call(os.mkdir, "made by a pickle"), "posix.mkdir, which is not data"),
        (np.zeros(2, dtype="O,i4"), "a dtype of structures"),
        (np.zeros(2, dtype="f4,i4"), "a dtype of structures"),
        (np.array(["a"]), "a dtype of structures"),
        (np.array([np.datetime64(1, "s")]), "a dtype|an array of"),
        (_Call(np.dtype, "f8", state=(3, "<", None, ("a",), {"a": 1}, 8, 1, 0)), "structures"),
        (_Call(np.dtype, "O8", False, True), "dtype in place of an array"),
        (_Call(getattr, "a", "b"), "getattr, which is not data"),
        ({(1, 2): 3}, "keys that are no names"),
        ({"a": {1, 2}}, "EMPTY_SET|set, which is not data"),
        ({"a": 10**400}, "the instruction LONG1"),
    ],
)
def test_what_is_no_data_is_refused_and_does_nothing(value, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for protocol in (2, 4):
        with pytest.raises(PickledError, match=reason):
            pickled.read(
                pickle.dumps({"a": value} if isinstance(value, _Call) else value, protocol)
            )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "damaged|cut off"),
        (b".", "damaged"),
        (b"}r\xff\xff\xff\xff}", "cut off|damaged"),  # a memo of 64 GB
        (b"\x8e" + b"\xff" * 8 + b"a.", "damaged"),  # bytes of 2^64
        (b"(" * 10_000 + b".", "damaged"),
        (b"]\x94" + b"]\x94h\x00a" * 20 + b".", ""),
        (b"]\x94h\x00a.", "more than 8 levels"),  # a list in itself
        (b"cos\nsystem\n(U\x02idtR.", "os.system|the instruction"),
    ],
)
def test_programs_that_make_no_sense(data, reason):
    if reason:
        with pytest.raises(PickledError, match=reason):
            pickled.read(data)
    else:
        pickled.read(data)


def test_shared_tuples_take_no_time():
    nested = b")\x94" + b"h\x00h\x00\x86r\x00\x00\x00\x00" * 100
    with pytest.raises(PickledError):
        pickled.read(b"\x80\x02}" + nested.replace(b"h\x00", b"j\x00\x00\x00\x00") + b"K\x01s.")


@pytest.mark.slow
def test_mutations_are_values_or_errors_never_more():
    rng = np.random.default_rng(0)
    good = pickle.dumps(_wrapped({"S1": {"Walking": np.zeros((2, 32, 3), "f4"), "b": [1, "c"]}}), 2)
    for _ in range(1000):
        data = bytearray(good)
        for _ in range(rng.integers(1, 5)):
            at = rng.integers(len(data) if rng.random() < 0.5 else 200)
            data[at] = rng.integers(256)
        try:
            pickled.read(bytes(data))
        except PickledError as error:
            assert "\n" not in str(error)
