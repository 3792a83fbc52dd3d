"""Poses in files that are read as they are needed: more than memory holds, or other machines read.

A folder of .npy files, or .npz with poses_mm, each (F, L, 3), mm, y up, of one skeleton, which no
file names. What np.save and np.savez write is mapped into memory; compressed files are read whole.
"""

import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Real
from numpy.lib import format as npy

from prior import npz
from prior.errors import InputError, short
from prior.files import FilePath

SUFFIXES = (".npy", ".npz")
ARRAY = "poses_mm"
FLOATS = ("f2", "f4", "f8")  # as the fit takes them

# Files that a process keeps open. Mapped files cost no memory of their own; of compressed ones the
# last few are kept.
OPEN = 8


class PartitionedPoses:
    """Poses (N, L, 3) in files, one after the other; indexed as an array is, by slices without step
    and by indices."""

    ndim = 3

    def __init__(self, files: Sequence[Path], counts: Sequence[int], like: npz.Header) -> None:
        """counts: of the poses in each file; like: what all files have, but for the count."""
        self.files, self._like = tuple(files), like
        self._ends = np.cumsum(counts)
        self._skip = 0
        self._count = int(self._ends[-1])

    @property
    def dtype(self) -> np.dtype:
        """Of the files' numbers."""
        return self._like.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, L, 3)."""
        return (self._count, *self._like.shape[1:])

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, where: slice | Int[np.ndarray, "n"]) -> Real[np.ndarray, "n L 3"]:
        if not isinstance(where, slice):
            return self._at(np.asarray(where) + self._skip)
        start, stop, _ = where.indices(self._count)
        start, stop = start + self._skip, max(stop, start) + self._skip
        parts = []
        for i in range(int(np.searchsorted(self._ends, start, "right")), len(self.files)):
            first = int(self._ends[i - 1]) if i else 0
            if first >= stop:
                break
            parts.append(_array(self.files[i])[max(start - first, 0) : stop - first])
        if not parts:
            return np.empty((0, *self._like.shape[1:]), self.dtype)
        return np.concatenate(parts)

    def _at(self, where: Int[np.ndarray, "n"]) -> Real[np.ndarray, "n L 3"]:
        """The poses of these indices into the files."""
        result = np.empty((len(where), *self._like.shape[1:]), self.dtype)
        file = np.searchsorted(self._ends, where, "right")
        for i in np.unique(file):
            mine = file == i
            first = int(self._ends[i - 1]) if i else 0
            result[mine] = _array(self.files[i])[where[mine] - first]
        return result

    def part(self, where: slice) -> "PartitionedPoses":
        """The poses of a slice, of no more files than it needs."""
        start, stop, _ = where.indices(self._count)
        start, stop = start + self._skip, stop + self._skip
        low = int(np.searchsorted(self._ends, start, "right"))
        high = int(np.searchsorted(self._ends, stop, "left")) + 1
        before = int(self._ends[low - 1]) if low else 0
        part = object.__new__(PartitionedPoses)
        part.files, part._like = self.files[low:high], self._like
        part._ends = self._ends[low:high] - before
        part._skip, part._count = start - before, stop - start
        return part


def open_folder(path: FilePath) -> PartitionedPoses:
    """The poses in a folder's files, in the order of their names. Raises InputError."""
    folder = Path(path)
    files = sorted(file for file in folder.rglob("*") if file.suffix in SUFFIXES)
    if not folder.is_dir() or not files:
        raise InputError(
            f"{folder}: expected a folder of poses (F, L, 3), as .npy or as .npz with {ARRAY}, "
            f"got {'no such file in it' if folder.is_dir() else 'none'}"
        )
    headers = [_header(file) for file in files]
    like = headers[0]
    for file, header in zip(files, headers, strict=True):
        shape = header.shape
        if len(shape) != 3 or shape[2] != 3 or header.dtype.str[1:] not in FLOATS:
            raise InputError(
                f"{file}: expected poses as floats of 16, 32 or 64 bits (F, L, 3), got "
                f"{header.dtype} {shape}"
            )
        if shape[1:] != like.shape[1:] or header.dtype != like.dtype:
            raise InputError(
                f"{file}: expected {like.dtype} (F, {like.shape[1]}, 3), as in {files[0].name}, "
                f"got {header.dtype} {shape}; all files of a folder are of one skeleton and type"
            )
    return PartitionedPoses(files, [header.shape[0] for header in headers], like)


def _header(file: Path) -> npz.Header:
    """What the file's array announces. Raises InputError."""
    if file.suffix == ".npy":
        return npz.npy_header(file)
    headers = npz.headers(file)
    if ARRAY not in headers:
        raise InputError(f"{file}: expected the array {ARRAY}, got {', '.join(headers) or 'none'}")
    return headers[ARRAY]


@lru_cache(maxsize=OPEN)
def _array(file: Path) -> np.ndarray:
    """The poses of a file whose header is known to be good, mapped into memory where they are not
    compressed. Raises InputError."""
    try:
        if file.suffix == ".npy":
            return np.load(file, mmap_mode="r", allow_pickle=False)
        return _mapped(file)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{file}: expected poses, got {short(str(error), 100)}; copy the file again"
        ) from None


def _mapped(file: Path) -> np.ndarray:
    """The poses of an .npz, mapped where they are stored as they are."""
    with zipfile.ZipFile(file) as archive, archive.open(f"{ARRAY}.npy") as member:
        info = archive.getinfo(f"{ARRAY}.npy")
        version = npy.read_magic(member)
        read: Any = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(member)
        if info.compress_type != zipfile.ZIP_STORED:
            return npz.read(file, [ARRAY])[ARRAY]
        header = member.tell()
    with open(file, "rb") as raw:
        # The member's own header, whose extra field may differ from that of the archive's index.
        raw.seek(info.header_offset + 26)
        name, extra = (int.from_bytes(raw.read(2), "little") for _ in range(2))
    offset = info.header_offset + 30 + name + extra + header
    return np.memmap(file, dtype, "r", offset, shape, "F" if fortran else "C")
