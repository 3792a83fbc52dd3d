"""Arrays by name in .npz files, and one alone in a .npy.

Ours are complete or not there. Those that others wrote are read without pickle, and what is
announced in one is checked before memory is allocated, as `prior.foreign` has it of all files.
"""

import io
import math
import os
import re
import sys
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.lib import format as npy

from prior import files, limits, signals
from prior.errors import InputError, short
from prior.files import FilePath
from prior.foreign import DAMAGE, MB, open_file, read_bytes

# The head of an array as NumPy writes it: a dict of these three, in any order.
DESCR = re.compile(r"'descr': *'([<>|=]?[biufUS]\d{1,9})'")
SHAPE = re.compile(r"'shape': *\((|\d+, *|\d+(?:, *\d+)+,? *)\)")
FORTRAN = re.compile(r"'fortran_order': *(True|False)")
_PART = rf"(?:{DESCR.pattern}|{SHAPE.pattern}|{FORTRAN.pattern})"
HEAD = re.compile(rf"\s*\{{(?: *{_PART} *,?){{3}} *\}}\s*")
VERSIONS = ((1, 0), (2, 0), (3, 0))
# Characters; NumPy's own limit.
LONGEST_HEADER = 10_000


class Header(NamedTuple):
    """What the head of an array in an .npz announces."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool = False  # the first index varies fastest


@contextmanager
def _archive(
    path: FilePath, error: type[InputError], content: bytes | None = None
) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """An .npz, and its members by the names of their arrays; damage inside is an `error`."""
    with open_file(path, error) if content is None else io.BytesIO(content) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                arrays = {m.filename.removesuffix(".npy"): m for m in members}
                if len(arrays) < len(members):
                    _damaged(path, error, "two arrays of one name")
                yield archive, arrays
        except InputError:
            raise
        except OSError as wrong:
            _damaged(path, error, wrong.strerror or str(wrong))
        except DAMAGE as wrong:
            _damaged(path, error, str(wrong) or type(wrong).__name__)
        except MemoryError:
            raise error(f"{path}: expected arrays that fit into memory, got larger ones") from None


def _damaged(path: FilePath, error: type[InputError], what: str) -> NoReturn:
    raise error(f"{path}: expected an .npz without pickle, got {short(what, 100)}; write it again")


def names(path: FilePath) -> tuple[str, ...]:
    """The names of the arrays in an .npz; none if the file is no such archive."""
    try:
        with _archive(path, InputError) as (_, arrays):
            return tuple(arrays)
    except InputError:
        return ()


def headers(path: FilePath, error: type[InputError] = InputError) -> dict[str, Header]:
    """The shape and type of each array in an .npz, which are few bytes to read."""
    with _archive(path, error) as (archive, arrays):
        return {
            name: _header_in(archive, info, f"{path}: {name}", error)
            for name, info in arrays.items()
        }


def read(
    path: FilePath,
    required: Collection[str] = (),
    optional: Collection[str] | None = (),
    error: type[InputError] = InputError,
    *,
    exact: bool = False,
    content: bytes | None = None,
) -> dict[str, np.ndarray]:
    """The arrays of these names in an .npz: numbers, truth values and text, never objects.

    optional: read where they are there; None: whatever there is. exact: others are an error;
    without it they are left alone, unread. content: the .npz itself, if it is part of a file.
    """
    with _archive(path, error, content) as (archive, members):
        missing = [name for name in required if name not in members]
        if missing:
            raise error(
                f"{path}: expected {_listed(required)}; missing: {_listed(missing)}; "
                f"there are {_listed(members)}"
            )
        wanted = [
            name for name in members if optional is None or name in required or name in optional
        ]
        unknown = [name for name in members if name not in wanted]
        if exact and unknown:
            raise error(f"{path}: expected {_listed(wanted)} alone, got also {_listed(unknown)}")
        _check_sizes(path, [members[name] for name in wanted], archive, error)
        arrays = {}
        for name in wanted:
            with _member(archive, members[name], f"{path}: {name}", error) as member:
                header = _header(member, members[name].file_size, f"{path}: {name}", error)
                arrays[name] = _read_array(member, header)
            if not _is_text(arrays[name]):
                _damaged(path, error, f"{name}: text with characters that do not exist")
        return arrays


def read_npy(path: FilePath, error: type[InputError] = InputError) -> np.ndarray:
    """The array in a .npy: numbers, truth values or text, never objects."""
    content = read_bytes(path, error)
    try:
        with io.BytesIO(content) as file:
            array = _read_array(file, _header(file, len(content), str(path), error))
    except InputError:
        raise
    except DAMAGE as wrong:
        raise error(f"{path}: expected a .npy, got {short(str(wrong), 100)}") from None
    if not _is_text(array):
        raise error(f"{path}: expected a .npy, got text with characters that do not exist")
    return array


def npy_header(path: FilePath, error: type[InputError] = InputError) -> Header:
    """The shape and type of the array in a .npy, whose bytes are all there."""
    with open_file(path, error) as file:
        try:
            return _header(file, os.fstat(file.fileno()).st_size, str(path), error)
        except InputError:
            raise
        except DAMAGE as wrong:
            raise error(f"{path}: expected a .npy, got {short(str(wrong), 100)}") from None


def _is_text(array: np.ndarray) -> bool:
    """Whether text has Unicode's characters alone, without which Python makes none of it; true of
    other arrays."""
    if array.dtype.kind != "U" or not array.nbytes:
        return True
    number = np.dtype("u4").newbyteorder(array.dtype.byteorder)
    return bool(array.ravel().view(number).max() <= sys.maxunicode)


def read_member(path: FilePath, name: str, error: type[InputError] = InputError) -> bytes:
    """The bytes of the array's .npy in an .npz, for those that hold something else than numbers."""
    with _archive(path, error) as (archive, members):
        if name not in members:
            raise error(f"{path}: expected {name}; there are {_listed(members)}")
        _check_sizes(path, [members[name]], archive, error)
        return archive.read(members[name])


def _listed(names: Collection[str]) -> str:
    return short(", ".join(names), 200) or "none"


def _check_sizes(
    path: FilePath,
    members: list[zipfile.ZipInfo],
    archive: zipfile.ZipFile,
    error: type[InputError],
) -> None:
    """Refuse an archive that would become far larger than its arrays can be."""
    size_mb = sum(member.file_size for member in members) / MB
    limits.check(path, "arrays_mb", size_mb, error)
    assert archive.fp is not None
    packed = max(archive.fp.seek(0, os.SEEK_END), 1) / MB
    if size_mb > limits.HARMLESS_MB:
        limits.check(path, "expansion", size_mb / packed, error)


def _header_in(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, error: type[InputError]
) -> Header:
    with _member(archive, info, where, error) as member:
        return _header(member, info.file_size, where, error)


def _member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, error: type[InputError]
) -> Any:
    if not info.filename.endswith(".npy"):
        raise error(f"{where}: expected an array as .npy, got the file {short(info.filename)}")
    return archive.open(info)


def _header(member: Any, total: int, where: str, error: type[InputError]) -> Header:
    """The Header of an array, which fits the `total` bytes of its .npy. Raises `error`."""
    version = npy.read_magic(member)
    if version not in VERSIONS:
        raise error(f"{where}: expected an array of version 1 to 3 of .npy, got {version}")
    length = int.from_bytes(member.read(2 if version == (1, 0) else 4), "little")
    # NumPy evaluates what is written here; only what it writes itself may come to that.
    text = member.read(min(length, LONGEST_HEADER)).decode("latin1")
    descr, lengths, fortran = DESCR.search(text), SHAPE.search(text), FORTRAN.search(text)
    if not HEAD.fullmatch(text) or descr is None or lengths is None or fortran is None:
        raise error(f"{where}: expected an array of numbers or text, got {short(text, 100)}")
    dtype = np.dtype(descr[1])
    shape = tuple(int(n) for n in re.findall(r"\d+", lengths[1]))
    size = dtype.itemsize * math.prod(shape)
    if member.tell() + size != total:
        raise error(
            f"{where}: expected {dtype} {short(str(shape))}, {size} bytes, got "
            f"{total - member.tell()}; the file is damaged"
        )
    return Header(shape, dtype, fortran[1] == "True")


def _read_array(member: Any, header: Header) -> np.ndarray:
    """The array behind its head. NumPy's reader evaluates the head once more, which takes longer
    than all else of a small array."""
    content = bytearray(header.dtype.itemsize * math.prod(header.shape))
    at, view = 0, memoryview(content)
    while at < len(content):
        count = member.readinto(view[at : at + MB])
        if not count:
            raise EOFError("an array that ends too early")
        at += count
    order: Any = "F" if header.fortran else "C"
    return np.ndarray(header.shape, header.dtype, content, order=order)


def content(compressed: bool = False, **arrays: Any) -> bytes:
    """The bytes of an .npz file. Raises ValueError where they would have to be pickled."""
    buffer = io.BytesIO()
    # An archive that an exception leaves in the midst of an array raises others as it is closed.
    with signals.held():
        (np.savez_compressed if compressed else np.savez)(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def write(path: FilePath, compressed: bool = False, **arrays: Any) -> None:
    """Write an .npz file: all of it, or nothing. The folder is made."""
    files.write(path, content(compressed, **arrays))
