"""MATLAB's .mat files, read by scipy once their structure has been checked.

scipy's reader crashes on some damaged files and takes any number in a file for a size. A file is
therefore walked first: each element lies inside the one that it is part of, the data of an array
are as many as its dimensions say, and nothing is nested too deeply. Compressed elements are
unpacked up to the limits of `prior.limits`, and handed on unpacked.

Version 5 and 7: "MAT-File Format", MathWorks, 2024, chapter 1.
"""

import io
import math
import struct
import zlib
from typing import Any, NoReturn

import scipy.io

from prior import foreign, limits
from prior.errors import InputError, short
from prior.files import FilePath

HEADER = 128  # bytes
# Types of elements: bytes of one number, for those that hold numbers or text.
SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
INT8, INT32, UINT32, MATRIX, COMPRESSED = 1, 5, 6, 14, 15
CELL, STRUCT, OBJECT, CHAR, SPARSE = 1, 2, 3, 4, 5
NUMERIC = range(6, 16)
# What is in the tag and the head of an array of two dimensions without a name.
PLAIN = MATRIX, UINT32, 8, INT32, 8, INT8, 0
MOST = 1 << 31  # no dimension is as large
# MPII's annotations have structures nine deep.
DEEPEST = 20
# Our choice: structures of the public data sets have a dozen.
MOST_FIELDS = 1000


class _DamageError(ValueError):
    """What is wrong in the structure."""


def load(path: FilePath, error: type[InputError] = InputError, **options: Any) -> dict[str, Any]:
    """The variables of a .mat file of version 5 to 7; options: scipy.io.loadmat's."""
    content = foreign.read_bytes(path, error)
    try:
        plain = _checked(content, path, error)
        return scipy.io.loadmat(io.BytesIO(plain), **options)
    except InputError:
        raise
    # scipy's reader fails in many ways.
    except Exception as wrong:
        said = short(str(wrong) or type(wrong).__name__, 100)
        raise error(
            f"{path}: expected a .mat file of version 5 to 7, got {said}; save or copy it again"
        ) from None


def _fail(what: str) -> NoReturn:
    raise _DamageError(what)


def _checked(content: bytes, path: FilePath, error: type[InputError]) -> bytes:
    """The file with its elements unpacked; its structure is checked."""
    if content[:4] == b"\x89HDF" or content[:10] == b"MATLAB 7.3":
        _fail("version 7.3, which is HDF5: save it with -v7")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or len(content) < HEADER:
        _fail("something else")
    parts, at, unpacked = [content[:HEADER]], HEADER, 0
    walk = _Walk(order)
    while at < len(content):
        kind, start, length, end = walk.tag(content, at, len(content))
        element = content[at:end]
        if kind == COMPRESSED:
            element = _unpacked(content[start : start + length])
            unpacked += len(element)
            limits.check(path, "arrays_mb", unpacked / foreign.MB, error)
            if unpacked > limits.HARMLESS_MB * foreign.MB:
                limits.check(path, "expansion", unpacked / len(content), error)
        walk.matrix(element, 0, len(element), DEEPEST)
        parts.append(element)
        at = start + length if kind == COMPRESSED else end
    return b"".join(parts)


def _unpacked(packed: bytes) -> bytes:
    """A compressed element, padded to eight bytes. Whole, or an error."""
    most = max(limits.HARMLESS_MB * foreign.MB, int(limits.of("expansion")) * len(packed)) + 1
    stream = zlib.decompressobj()
    element = stream.decompress(packed, most)
    if not stream.eof and len(element) < most:
        _fail("an element that is cut off")
    return element + bytes(-len(element) % 8)


class _Walk:
    """Walks through elements of one byte order. Every method raises _DamageError."""

    def __init__(self, order: str) -> None:
        self._pair = struct.Struct(f"{order}II")
        self._head = struct.Struct(f"{order}10I")
        self._whole = struct.Struct(f"{order}14I")
        self._order = order

    def tag(self, content: bytes, at: int, limit: int) -> tuple[int, int, int, int]:
        """(type, where the data start, their length in bytes, where the next element is)."""
        if at + 8 > limit:
            _fail("an element that is cut off")
        kind, length = self._pair.unpack_from(content, at)
        if kind >> 16:  # small: length and type in one word, the data in the other
            start, length, kind = at + 4, kind >> 16, kind & 0xFFFF
            end = at + 8
            if length > 4:
                _fail("a small element of more than 4 bytes")
        else:
            start, end = at + 8, at + 8 + length + (-length % 8 if kind != COMPRESSED else 0)
        # The last one may lack its padding.
        if start + length > limit:
            _fail("an element that is cut off")
        return kind, start, length, min(end, limit)

    def numbers(self, content: bytes, at: int, limit: int, kinds: tuple[int, ...]) -> Any:
        """(bytes, where the next element is) of an element of one of the types."""
        kind, start, length, end = self.tag(content, at, limit)
        if kind not in kinds:
            _fail(f"an element of type {kind}")
        return content[start : start + length], end

    def matrix(self, content: bytes, at: int, limit: int, levels: int) -> int:
        """Check the array at a place; returns where the next element is."""
        if levels and (after := self._plain(content, at, limit)):
            return after
        kind, start, length, after = self.tag(content, at, limit)
        if kind != MATRIX or not levels:
            _fail(f"an element of type {kind}" if levels else f"more than {DEEPEST} levels")
        if not length:  # an empty array
            return after
        end = start + length
        word, count, at = self.head(content, start, end)
        kind, is_complex = word & 255, bool(word & 0x800)
        if kind in (CELL, STRUCT, OBJECT):
            self._inside(content, at, end, kind, count, levels)
        elif kind == CHAR:
            self._data(content, at, end, count, text=True)
        elif kind in NUMERIC:
            at = self._data(content, at, end, count)
            if is_complex:
                self._data(content, at, end, count)
        else:
            _fail(f"an array of class {kind}")
        return after

    def _plain(self, content: bytes, at: int, limit: int) -> int:
        """Where the next element is, after an array in the form of most: numbers of two dimensions
        without a name, right by all that `matrix` asks. 0 after any other."""
        data_at = at + self._whole.size
        if data_at > limit:
            return 0
        kind, length, six, eight, word, _, five, also_eight, rows, columns, one, none, *data = (
            self._whole.unpack_from(content, at)
        )
        if (kind, six, eight, five, also_eight, one, none) != PLAIN or word & 0x8FF not in NUMERIC:
            return 0
        kind, size = data
        if kind >> 16:  # small
            kind, size, data_at = kind & 0xFFFF, kind >> 16, data_at - 4
            if size > 4:
                return 0
        end, after = at + 8 + length, at + 8 + length + -length % 8
        right = kind in SIZES and size == SIZES[kind] * rows * columns and max(rows, columns) < MOST
        return min(after, limit) if right and data_at + size <= end <= limit else 0

    def head(self, content: bytes, at: int, end: int) -> tuple[int, int, int]:
        """(flags, number of elements, where they are) of the array whose head is at a place."""
        if at + self._head.size <= end:
            six, eight, word, _, five, also_eight, rows, columns, one, none = (
                self._head.unpack_from(content, at)
            )
            # What most arrays of a structure have: two dimensions, and no name.
            if (six, eight, five, also_eight, one, none) == (UINT32, 8, INT32, 8, INT8, 0):
                if max(rows, columns) < MOST:
                    return word, rows * columns, at + self._head.size
        flags, at = self.numbers(content, at, end, (UINT32,))
        dims, at = self.numbers(content, at, end, (INT32, UINT32))
        name, at = self.numbers(content, at, end, (INT8, 2, 16))
        if len(flags) != 8 or len(dims) < 8 or len(dims) % 4 or len(name) > 256:
            _fail("the head of an array")
        sizes = struct.unpack(f"{self._order}{len(dims) // 4}i", dims)
        if min(sizes) < 0 or len(sizes) > 32:
            _fail(f"an array {short(str(sizes))}")
        return struct.unpack(f"{self._order}I", flags[:4])[0], math.prod(sizes), at

    def _inside(
        self, content: bytes, at: int, end: int, kind: int, count: int, levels: int
    ) -> None:
        """Check the arrays inside of a cell array or an array of structures."""
        fields = 1
        if kind == OBJECT:
            _, at = self.numbers(content, at, end, (INT8,))
        if kind != CELL:
            length, at = self.numbers(content, at, end, (INT32,))
            names, at = self.numbers(content, at, end, (INT8,))
            size = struct.unpack(f"{self._order}i", length)[0] if len(length) == 4 else 0
            if not 0 < size <= 64 or len(names) % size or len(names) // size > MOST_FIELDS:
                _fail("names of fields")
            fields = len(names) // size
        # An array takes eight bytes at least.
        if count * fields > (end - at) // 8:
            _fail(f"{count} x {fields} arrays in {end - at} bytes")
        if not fields and count > MOST_FIELDS:
            _fail("structures without fields")
        for _ in range(count * fields):
            at = self.matrix(content, at, end, levels - 1)

    def _data(self, content: bytes, at: int, end: int, count: int, text: bool = False) -> int:
        """Check the numbers or characters of an array; returns where the next element is."""
        kind, _, length, after = self.tag(content, at, end)
        size = SIZES.get(kind)
        if size is None or length % size:
            _fail(f"data of type {kind}")
        # A character of UTF-8 is one byte to four.
        if length // size != count and not (text and kind == 16 and count <= length <= 4 * count):
            _fail(f"{length // size} numbers in an array of {count}")
        return after
