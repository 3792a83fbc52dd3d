"""Where the records of an LMDB are, told from its pages, each of which is checked.

LMDB itself believes numbers in its file, which lies in memory: an entry's place beyond the file
ends the process (0.9.36, SIGBUS). Here all that is read lies inside the file, and each page is
taken once.

The format, version 1 with pages of 64-bit numbers, is that of LMDB 0.9 (MDB_meta, MDB_page and
MDB_node in its mdb.c): two pages say where the tree's root is, the one of the later transaction
counts; branches name pages, leaves hold keys, and values or the pages of long ones.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

HEAD = 16  # bytes of a page's: its number, 2 unused, flags, lower and upper bound
META = struct.Struct("<II")  # magic word and version, after the head
MAGIC, VERSION = 0xBEEFC0DE, 1
# From the start of a page of MDB_meta: bytes of a page; the root of the records; the transaction.
PAGE_SIZE, ROOT, TRANSACTION = HEAD + 24, HEAD + 112, HEAD + 128
FLAGS, LOWER = 10, 12
BRANCH, LEAF, OVERFLOW = 1, 2, 4
KINDS = 0x6F  # of a page's flags, all but that it was written
NODE = struct.Struct("<HHHH")  # size, low and high; flags; length of the key
LONG, OTHERS = 1, 6  # a value in pages of its own; databases inside and several values of a key
NO_ROOT = 2**64 - 1
PAGE_SIZES = [1 << i for i in range(8, 17)]
DEEPEST = 32  # LMDB's own limit


class DamageError(ValueError):
    """What is wrong in the file."""


class Entry(NamedTuple):
    """A record: its key, and where its value starts and ends in the file."""

    key: bytes
    start: int
    end: int


def entries(content: memoryview) -> Iterator[Entry]:
    """Yields the records of the file in the order of their keys. Raises DamageError."""
    size, root = _root(content)
    if root != NO_ROOT:
        yield from _Tree(content, size).below(root, DEEPEST)


def _root(content: memoryview) -> tuple[int, int]:
    """The bytes of a page, and the page that is the tree's root."""
    size = _number(content, PAGE_SIZE, 4)
    if size not in PAGE_SIZES:
        raise DamageError(f"pages of {size} bytes")
    for start in (0, size):
        if start + size > len(content):
            raise DamageError(f"{len(content)} bytes in place of {2 * size} at least")
        if META.unpack_from(content, start + HEAD) != (MAGIC, VERSION):
            raise DamageError("no head of version 1")
    latest = max((0, size), key=lambda start: _number(content, start + TRANSACTION, 8))
    return size, _number(content, latest + ROOT, 8)


def _number(content: memoryview, start: int, count: int) -> int:
    return int.from_bytes(content[start : start + count], "little")


class _Tree:
    """Pages of so many bytes, each of which is taken once."""

    def __init__(self, content: memoryview, size: int) -> None:
        self._content, self._size = content, size
        self._taken: set[int] = set()

    def below(self, number: int, levels: int) -> Iterator[Entry]:
        """The records below a page."""
        start, kind = self._page(number)
        if kind not in (BRANCH, LEAF) or not levels:
            raise DamageError(f"page {number} of kind {kind}" if levels else "too many levels")
        stop = start + self._size
        lower = _number(self._content, start + LOWER, 2)
        if lower < HEAD or lower % 2 or lower > self._size:
            raise DamageError(f"page {number} with a head of {lower} bytes")
        for place in range(start + HEAD, start + lower, 2):
            node = start + _number(self._content, place, 2)
            key = node + NODE.size
            if node < start + lower or key > stop:
                raise DamageError(f"page {number} with an entry outside of it")
            low, high, flags, length = NODE.unpack_from(self._content, node)
            value = key + length
            if value > stop:
                raise DamageError(f"page {number} with a key outside of it")
            if kind == BRANCH:
                yield from self.below(low | high << 16 | flags << 32, levels - 1)
            else:
                text = bytes(self._content[key:value])
                yield Entry(text, *self._value(value, stop, low | high << 16, flags))

    def _page(self, number: int) -> tuple[int, int]:
        """Where a page starts, and its kind."""
        start = number * self._size
        if number < 2 or start + self._size > len(self._content):
            pages = len(self._content) // self._size
            raise DamageError(f"page {number} of {pages}: it was cut off or damaged")
        if number in self._taken:
            raise DamageError(f"page {number} twice")
        self._taken.add(number)
        kind = _number(self._content, start + FLAGS, 2) & KINDS
        if _number(self._content, start, 8) != number:
            raise DamageError(f"another page in place of {number}")
        return start, kind

    def _value(self, start: int, stop: int, length: int, flags: int) -> tuple[int, int]:
        """Where the value of a leaf's entry starts and ends."""
        if flags & OTHERS:
            raise DamageError("several values of a key, or a database inside")
        if flags & LONG:
            if start + 8 > stop:
                raise DamageError("the page of a value outside of its page")
            start, kind = self._page(_number(self._content, start, 8))
            if kind != OVERFLOW:
                raise DamageError(f"a value in a page of kind {kind}")
            start, stop = start + HEAD, len(self._content)
        if start + length > stop:
            raise DamageError(f"a value of {length} bytes outside of the file")
        return start, start + length
