"""Structures of .mat files that scipy would crash on or take for sizes are refused before it."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from scipy.io import savemat

from prior import limits, matlab
from prior.errors import InputError

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


class ReaderError(InputError):
    """A reader's own."""


def element(kind, content, length=None):
    """A tag, the content, and its padding."""
    tag = struct.pack("<II", kind, len(content) if length is None else length)
    return tag + content + bytes(-len(content) % 8)


def array(shape, data, kind=6, name=b"a"):
    """An array of doubles, or of another class, with the data of an element."""
    flags = element(6, struct.pack("<II", kind, 0))
    dims = element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, flags + dims + element(1, name) + data)


DOUBLES = element(9, np.arange(6.0).tobytes())


def test_good_files_come_back(tmp_path):
    values = {
        "a": np.arange(6.0).reshape(2, 3),
        "text": "words",
        "cell": np.array([1, "x"], object),
    }
    values["structure"] = {"b": np.arange(3), "c": {"d": "e"}}
    for compressed in (False, True):
        savemat(tmp_path / "a.mat", values, do_compression=compressed)
        read = matlab.load(tmp_path / "a.mat")
        np.testing.assert_array_equal(read["a"], values["a"])
        assert read["text"] == "words" and read["structure"]["c"][0, 0]["d"][0, 0] == "e"
    (tmp_path / "b.mat").write_bytes(HEADER + array((2, 3), DOUBLES))
    np.testing.assert_array_equal(matlab.load(tmp_path / "b.mat")["a"], [[0, 2, 4], [1, 3, 5]])


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "something else"),
        (HEADER[:-4] + b"\x00\x02IM", "array|something|version|cannot|expected"),
        (HEADER + array((20_000, 3), DOUBLES), "6 numbers in an array of 60000"),
        (HEADER + array((2**31 - 1, 2**31 - 1), DOUBLES), "6 numbers in an array of"),
        (HEADER + array((-2, -3), DOUBLES), "an array"),
        (HEADER + array((2, 3), element(9, b"", length=2**32 - 8)), "cut off"),
        (HEADER + array((2, 3), DOUBLES, kind=17), "an array of class 17"),
        (HEADER + array((2, 3), DOUBLES, kind=5), "an array of class 5"),
        (HEADER + array((1000, 1000), b"", kind=1), "1000000 x 1 arrays in 0 bytes"),
        (HEADER + element(14, b"\x00" * 16), "an element of type 0"),
        (HEADER + element(15, b"no stream"), "."),
        (HEADER + element(15, zlib.compress(array((2, 3), DOUBLES))[:-8]), "cut off|element"),
        (HEADER + array((2, 3), DOUBLES)[:-20], "cut off"),
        (HEADER + element(99, DOUBLES), "an element of type 99"),
    ],
)
def test_bad_structures_are_one_line(tmp_path, content, reason):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ReaderError, match=f"a.mat: expected a .mat file.*({reason})"):
        matlab.load(tmp_path / "a.mat", ReaderError)


def test_cells_inside_each_other_end(tmp_path):
    nested = array((1, 1), DOUBLES[:8] + DOUBLES[8:16], kind=6)
    for _ in range(5000):
        nested = array((1, 1), nested, kind=1)
    (tmp_path / "a.mat").write_bytes(HEADER + nested)
    with pytest.raises(ReaderError, match="more than 20 levels"):
        matlab.load(tmp_path / "a.mat", ReaderError)


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "HARMLESS_MB", 1)
    zeros = array((1 << 20, 1), element(9, bytes(8 << 20)))
    (tmp_path / "a.mat").write_bytes(HEADER + element(15, zlib.compress(zeros)))
    tracemalloc.start()
    with pytest.raises(ReaderError, match="at most 100 times the size of its archive"):
        matlab.load(tmp_path / "a.mat", ReaderError)
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()
