"""Annotated images in one file, for millions of them.

    header   MAGIC, format version, CRC-32 of the index, its offset and length (HEADER)
    images   one after another, as they were encoded (JPEG mostly)
    index    .npz without pickle: the table of `columns`, and the offset, length and CRC-32 of each
             image

It is not LMDB because data that never change need neither its transactions nor its tree. The index
is read once, and the processes that prefetch share it. An image is one read at an offset, without a
lock or a shared place in the file. No package is needed. The file is written in one go, so it is
whole, or is not there. A checksum shows a damaged image, and only that image is lost.
"""

import os
import struct
import weakref
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import numpy as np

from prior import foreign, limits, npz
from prior.files import FilePath, replacing
from prior.skeleton import HUMAN36M, Skeleton
from python_layers.data import columns, lens
from python_layers.data.columns import AnnotationError, Record, Table
from python_layers.data.images import ImageError

MAGIC = b"POSEPACK"
VERSION = 1
HEADER = struct.Struct("<8sIIQQ")
STORED = ("stored_offset", "stored_length", "stored_crc32")


class Writer:
    """Writes a packed file; a context manager.

    The file has a temporary name at first (prior.files.replacing). At the end of the block it gets
    its own name, or is removed if there was an error. Annotations, but not images, are kept in
    memory until then.
    """

    def __init__(self, path: FilePath, cameras: Any, skeleton: Skeleton = HUMAN36M) -> None:
        """cameras: those of the JSON format, {name: object}; skeleton: what the people have. Raises
        AnnotationError."""
        self.path = os.fspath(path)
        self._builder = columns.Builder(cameras, skeleton)
        self._stored: list[tuple[int, int, int]] = []

    def __enter__(self) -> "Writer":
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.path))
            self._file = stack.enter_context(open(temporary, "wb"))
            self._open = stack.pop_all()
        self._file.write(bytes(HEADER.size))
        return self

    def add(self, image: Record, people: Sequence[Record], data: bytes) -> list[str]:
        """Add an image: its object of the JSON format (without id), those of its people, its bytes.

        Returns the reasons why people were left out: because their object is wrong, or that of the
        image. An image without people is left out too.
        """
        refused: list[str] = []
        try:
            number = self._builder.add_image(image)
        except AnnotationError as error:
            return [str(error)]
        for index, person in enumerate(people):
            try:
                self._builder.add_person(number, person, f"person {index}")
            except AnnotationError as error:
                refused.append(str(error))
        if len(refused) == len(people):
            self._builder.drop_image()
        else:
            self._stored.append((self._file.tell(), len(data), zlib.crc32(data)))
            self._file.write(data)
        return refused

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._open.__exit__(kind, error, trace)
        else:
            with self._open:
                self._finish()

    def _finish(self) -> None:
        """Write the index and the header."""
        stored = np.array(self._stored, dtype=np.int64).reshape(-1, 3)
        arrays: dict[str, Any] = self._builder.table() | dict(zip(STORED, stored.T, strict=True))
        index = npz.content(**arrays)
        at = self._file.tell()
        self._file.write(index)
        self._file.seek(0)
        self._file.write(HEADER.pack(MAGIC, VERSION, zlib.crc32(index), at, len(index)))
        self._file.flush()
        os.fsync(self._file.fileno())


class Store:
    """The images of a packed file, by their number."""

    def __init__(self, path: str, table: Table) -> None:
        self._path, self._names = path, table["image_name"]
        self._offset, self._length, self._crc32 = (table[name] for name in STORED)
        # Forked processes share it: os.pread does not move the place in the file.
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return len(self._offset)

    def read(self, number: int | np.integer) -> bytes:
        """The bytes of an image. Raises ImageError when they are not those that were written."""
        length = int(self._length[number])
        name = f"{self._path}: image {number} ({self._names[number]})"
        try:
            data = os.pread(self._file, length, int(self._offset[number]))
        except OSError as error:
            raise ImageError(f"{name}: {error}") from None
        if zlib.crc32(data) != int(self._crc32[number]):
            raise ImageError(f"{name}: damaged: its checksum is not the one it was written with")
        return data


def is_packed(path: FilePath) -> bool:
    """Whether a file begins as a packed one. Also False when it cannot be read."""
    return foreign.head(path, len(MAGIC)) == MAGIC


def index_of(path: FilePath) -> bytes:
    """The header and index of a packed file; with the checksums they stand for the whole content.

    Raises OSError, and AnnotationError when they are damaged, cut short, or of another version.
    """
    with foreign.open_file(path, AnnotationError) as file:
        header = file.read(HEADER.size)
        if len(header) < HEADER.size:
            raise AnnotationError("cut short: pack it again")
        _, version, crc32, offset, length = HEADER.unpack(header)
        if version != VERSION:
            raise AnnotationError(
                f"expected version {VERSION} of the packed format, got {version}; pack it again "
                "with this version of the tools"
            )
        if offset + length > os.fstat(file.fileno()).st_size:
            raise AnnotationError("cut short: pack or copy it again")
        limits.check("its index", "file_mb", length / foreign.MB, AnnotationError)
        file.seek(offset)
        index = file.read(length)
    if zlib.crc32(index) != crc32:
        raise AnnotationError("its index is damaged: pack or copy it again")
    return header + index


def open_(path: str) -> tuple[Table, Store]:
    """The table of a packed file and the Store of its images. Raises AnnotationError."""
    names = [*columns.COLUMNS, *STORED]
    index = index_of(path)[HEADER.size :]
    table = npz.read("its index", optional=names, error=AnnotationError, content=index)
    if "person_image" in table:  # files of before these columns were there
        table.setdefault("landmark", np.array(HUMAN36M.landmarks))
        table.setdefault("person_area", np.full(table["person_image"].shape, np.nan))
        cameras = len(table.get("camera_name", ()))
        without = np.zeros((cameras, lens.COEFFICIENTS[-1]))
        table.setdefault("camera_distortion", without)
    columns.check(table)
    for name in STORED:
        column = table.get(name)
        if column is None or column.shape != table["image_name"].shape or column.dtype.kind != "i":
            raise AnnotationError(f"{name}: expected one number for each image")
    start, length = table["stored_offset"], table["stored_length"]
    if not ((start >= 0) & (length >= 0) & (start <= os.path.getsize(path) - length)).all():
        raise AnnotationError("images beyond its end: cut short; pack or copy it again")
    return table, Store(path, table)
