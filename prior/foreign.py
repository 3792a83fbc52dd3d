"""The one way in for files that others wrote, damaged or hostile: text and JSON; npz.py has arrays.

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
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import orjson

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
