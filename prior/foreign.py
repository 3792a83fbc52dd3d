"""The one way in for files that others wrote, damaged or hostile: text, JSON and .npz.

A file is opened only if it is a regular one (a FIFO or a device would wait or flow for ever), read
only up to the limits of `prior.limits`, and what is in it is announced and checked before memory is
allocated. Whatever is wrong becomes one line of the caller's own kind of InputError. What JSON
holds is then taken apart with `prior.document`.
"""

import codecs
import contextlib
import gc
import io
import json
import lzma
import math
import os
import re
import stat
import sys
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import numpy as np
import orjson
from numpy.lib import format as npy

from prior import limits
from prior.document import Document
from prior.errors import InputError, short
from prior.files import FilePath

MB = 1 << 20
# What the standard library, NumPy and Pillow raise on damaged archives and heads, beside OSError.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,  # a compressed member that ends too early
    RuntimeError,  # an encrypted member, or a compression that is not built in
    ValueError,  # an array's head that NumPy refuses, a name that is no text
    TypeError,  # a type that NumPy does not have, <f0
    OverflowError,  # lengths beyond 64 bits, in an array of no elements
)
# The marks that text may begin with, and what it is encoded as then; the longer ones first.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FIRST = {mark[:1] for mark, _ in MARKS}


def open_file(path: FilePath, error: type[InputError] = InputError) -> io.BufferedReader:
    """A regular file, open for reading. Raises `error` where it is missing or something else."""
    return os.fdopen(_open(path, error)[0], "rb")


def _open(path: FilePath, error: type[InputError]) -> tuple[int, int]:
    """The same as its descriptor, and its size in bytes."""
    try:
        # Without O_NONBLOCK a FIFO would wait here for its writer.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as wrong:
        raise error(f"{path}: cannot be read: {wrong.strerror or wrong}") from None
    except ValueError as wrong:  # a NUL in the path
        raise error(f"{short(os.fspath(path))}: cannot be read: {wrong}") from None
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        os.close(number)
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device, pipe or socket"
        raise error(f"{path}: expected a file, got {kind}")
    return number, status.st_size


def read_bytes(path: FilePath, error: type[InputError] = InputError) -> bytes:
    """The content of a file, of limits' file_mb at most."""
    number, size = _open(path, error)
    # Without a file object, which takes half as long again for a small file.
    try:
        limits.check(path, "file_mb", size / MB, error)
        # One byte more than there should be, of a file that grows.
        content = os.read(number, size + 1)
        while len(content) < size and (part := os.read(number, size + 1 - len(content))):
            content += part
    except OSError as wrong:
        raise error(f"{path}: cannot be read: {wrong.strerror or wrong}") from None
    finally:
        os.close(number)
    if len(content) > size:
        raise error(f"{path}: it grows while it is read; wait until it is written")
    return content


def head(path: FilePath, count: int) -> bytes:
    """The first `count` bytes of a regular file; none if it cannot be read. For recognising it."""
    try:
        with open_file(path) as file:
            return file.read(count)
    except (InputError, OSError):
        return b""


def decode(
    content: bytes, path: FilePath, error: type[InputError] = InputError, *, damaged: bool = False
) -> str:
    """Text as its byte-order mark says, or UTF-8. damaged: bytes that are no text become U+FFFD."""
    mark, encoding = b"", "utf-8"
    if content[:1] in _FIRST:
        mark, encoding = next((m for m in MARKS if content.startswith(m[0])), (mark, encoding))
    try:
        return content[len(mark) :].decode(encoding, "replace" if damaged else "strict")
    except UnicodeDecodeError as wrong:
        raise error(
            f"{path}: expected text as UTF-8, got the byte {content[wrong.start]:#04x} at "
            f"{wrong.start}; save it as UTF-8"
        ) from None


def read_text(
    path: FilePath, error: type[InputError] = InputError, *, damaged: bool = False
) -> str:
    """The text of a file: `decode`."""
    return decode(read_bytes(path, error), path, error, damaged=damaged)


def read_json(path: FilePath, error: type[InputError] = InputError) -> Any:
    """The value in a JSON file."""
    return parse_json(read_bytes(path, error), path, error)


def read_document(path: FilePath, error: type[InputError] = InputError) -> Document:
    """The value in a JSON file as a Document, which checks each step into it."""
    return Document(read_json(path, error), path, error)


@contextmanager
def no_collection() -> Iterator[None]:
    """Without looking for circles of objects, which takes as long as reading when there are
    millions of lists, none of them in a circle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def parse_json(content: bytes | str, path: FilePath, error: type[InputError] = InputError) -> Any:
    """The value that JSON text stands for; path: begins the message."""
    if isinstance(content, bytes) and content[:1] not in _FIRST:
        # Most files are UTF-8 without a mark, which orjson decodes itself, and are not deep: no
        # deeper than they have brackets.
        if content.count(b"[") + content.count(b"{") <= limits.of("depth"):
            with contextlib.suppress(orjson.JSONDecodeError):
                return orjson.loads(content)
    text = content if isinstance(content, str) else decode(content, path, error)
    if text.count("[") + text.count("{") > limits.of("depth"):
        limits.check(path, "depth", depth(text), error)
    with no_collection():
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return _by_python(text, path, error)


def _by_python(text: str, path: FilePath, error: type[InputError]) -> Any:
    """The same by Python's parser, which knows NaN and Infinity, and says best what is wrong."""
    try:
        return json.loads(text)
    except RecursionError:
        raise error(f"{path}: expected JSON, got lists inside each other too deeply") from None
    except ValueError as wrong:
        raise error(f"{path}: expected JSON, got {short(str(wrong), 100)}") from None


# What is left of JSON for counting its depth, and what is deleted.
_KEPT = b'[]{}"'
_DELETED = bytes(set(range(256)) - set(_KEPT))
_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1


def depth(text: str) -> int:
    """How deep the lists and objects of JSON text lie inside each other."""
    if "\\" in text:
        text = re.sub(r"\\.", "", text, flags=re.DOTALL)  # an escaped quote ends no string
    left = text.encode("utf-8", "surrogatepass").translate(None, _DELETED)
    # Where all strings end, two quotes side by side change nothing behind them: most are names.
    if left.count(b'"') % 2 == 0:
        left = left.replace(b'""', b"")
    left = re.sub(rb'"[^"]*"', b"", left)
    steps = _STEP[np.frombuffer(left, np.uint8)]
    return int(np.cumsum(steps, dtype=np.int32).max(initial=0))


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


def npz_names(path: FilePath) -> tuple[str, ...]:
    """The names of the arrays in an .npz; none if the file is no such archive."""
    try:
        with _archive(path, InputError) as (_, arrays):
            return tuple(arrays)
    except InputError:
        return ()


def npz_headers(path: FilePath, error: type[InputError] = InputError) -> dict[str, Header]:
    """The shape and type of each array in an .npz, which are few bytes to read."""
    with _archive(path, error) as (archive, arrays):
        return {
            name: _header_in(archive, info, f"{path}: {name}", error)
            for name, info in arrays.items()
        }


def read_npz(
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
