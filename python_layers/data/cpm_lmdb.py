"""CPM's LMDB, as training/genLMDB.py of its release writes it, of MPII or of Leeds.

A record is a Datum for each person: an image, not encoded, of three channels, BGR, and a fourth
whose rows are the annotation:

    0   "MPI" or "LEEDS"
    1   height and width of the image, float32, which is padded to a width of 64
    2   bytes: isValidation, numOtherPeople, people_index; then counters
    3   x, y of the person's centre, px, from 1 on; 4: its height / 200 px
    5   x of 16 joints, in MPII's order; 6: y; 7: 1 visible, 0 hidden
    8   for each of the other people a row as 3, then one row of all heights as 4, then for each
        three rows as 5 to 7

A joint at (0, 0) is missing. Leeds has 0 for a hidden joint in one of its sets and for a missing
one in the other: here it is missing. Its neck is in the place of MPII's upper neck.
"""

import hashlib
import mmap
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from prior import foreign
from prior.errors import short
from prior.files import FilePath
from prior.landmark_sets import MPII
from python_layers.data import columns, lmdb_file, people
from python_layers.data.columns import AnnotationError, Table
from python_layers.data.images import ImageError
from python_layers.data.messages import fields

COUNT = len(MPII.names)
# Our name of a landmark: its place.
ORDERS = {
    "MPI": people.MPII_JOINTS,
    "LEEDS": people.MPII_JOINTS | {"neck": MPII.names.index("upper neck")},
}
NAME_LENGTH = 16  # of row 0, at most


class Record(NamedTuple):
    """One image, and the people in it: the sample's own first, the others as context."""

    key: bytes
    image: dict[str, Any]  # its object of the JSON format (without id)
    people: list[dict[str, Any]]  # their objects, by `people.person`
    pixels: UInt8[np.ndarray, "H W 3"]  # BGR, a view of the file


def is_lmdb(path: FilePath) -> bool:
    """Whether this is the folder of an LMDB."""
    return os.path.isfile(os.path.join(path, "data.mdb"))


def count(folder: FilePath) -> int:
    """The number of records. Raises AnnotationError."""
    return len(_entries(folder)[1])


def records(folder: FilePath) -> Iterator[Record]:
    """Yields the records in the order of their keys. Raises AnnotationError."""
    content, entries = _entries(folder)
    for entry in entries:
        yield _record(content, entry)


class Store:
    """The images of an LMDB, by their number. Forked processes share it."""

    def __init__(
        self, folder: FilePath, content: memoryview, entries: Sequence[lmdb_file.Entry]
    ) -> None:
        self._folder, self._content, self._entries = folder, content, entries

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, number: int | np.integer) -> bytes:
        """An image, as the bytes of a BMP: it takes no time to make, and loses nothing. Raises
        ImageError."""
        try:
            record = _record(self._content, self._entries[int(number)])
        except AnnotationError as error:
            raise ImageError(f"{self._folder}: {short(str(error), 100)}") from None
        return cv2.imencode(".bmp", record.pixels)[1].tobytes()


def open_(folder: str) -> tuple[Table, Store]:
    """The table of an LMDB and the Store of its images. Raises AnnotationError.

    It reads the annotations alone: no page of an image that nobody reads comes into memory.
    """
    content, entries = _entries(folder)
    builder = columns.Builder({})
    for entry in entries:
        record = _record(content, entry)
        number = builder.add_image(record.image)
        size = record.image["width"], record.image["height"]
        for annotated in record.people:
            person, _ = people.inside(annotated, size)
            builder.add_person(number, person, f"record {_text(record.key)}")
    return builder.table(), Store(folder, content, entries)


def digest(folder: FilePath) -> str:
    """The SHA-256 of the annotations, which stand for the images too. Raises AnnotationError."""
    checksum = hashlib.sha256()
    for record in records(folder):
        people_in_it = [(p["keypoints"].tolist(), p["bbox"].tolist()) for p in record.people]
        checksum.update(repr((record.key, record.image, people_in_it)).encode())
    return checksum.hexdigest()


def _entries(folder: FilePath) -> tuple[memoryview, list[lmdb_file.Entry]]:
    """The file of an LMDB, in memory as far as it is read, and where its records are in it."""
    if not is_lmdb(folder):
        raise AnnotationError(f"{folder}: expected the folder of an LMDB, with data.mdb")
    with foreign.open_file(os.path.join(folder, "data.mdb"), AnnotationError) as file:
        # Of an empty file there is no map.
        empty = not os.fstat(file.fileno()).st_size
        content = memoryview(b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        return content, list(lmdb_file.entries(content))
    except lmdb_file.DamageError as error:
        raise AnnotationError(
            f"{folder}: expected an LMDB, got {short(str(error))}; copy it again"
        ) from None


def _text(key: bytes) -> str:
    return key.decode(errors="replace")


def _record(content: memoryview, entry: lmdb_file.Entry) -> Record:
    key, name = entry.key, f"record {_text(entry.key)}"
    try:
        channels = _datum(content[entry.start : entry.end])
    except ValueError as error:
        raise AnnotationError(f"{name}: expected a Datum, got {error}") from None
    if channels.shape[0] != 4:
        raise AnnotationError(
            f"{name}: expected 4 channels, the last with the annotation, got {channels.shape[0]}"
        )
    rows = channels[3]
    data = bytes(rows[0, :NAME_LENGTH]).partition(b"\0")[0].decode(errors="replace")
    if data not in ORDERS:
        raise AnnotationError(f"{name}: expected a person of {' or '.join(ORDERS)}, got {data!r}")
    others = int(rows[2, 1]) if len(rows) > 2 else 0
    # The longest rows are of the joints, and of the heights of all other people.
    least = (8 + (4 * others + 1 if others else 0), 4 * max(COUNT, others))
    if len(rows) < least[0] or rows.shape[1] < least[1]:
        raise AnnotationError(
            f"{name}: expected {others} other people in {least[0]} rows of {least[1]} bytes at "
            f"least, got {len(rows)} of {rows.shape[1]}"
        )
    everyone = [_person(data, rows[5:8], _floats(rows[3], 2), _floats(rows[4], 1)[0])]
    scales = _floats(rows[8 + others], others) if others else np.zeros(0)
    for i in range(others):
        joints = rows[9 + others + 3 * i :][:3]
        other = _person(data, joints, _floats(rows[8 + i], 2), scales[i])
        everyone.append(other and other | {"context": True})
    annotated = [person for person in everyone if person]
    width = _floats(rows[1], 2)[1]
    if not width >= 1 or not all(np.isfinite(p["keypoints"]).all() for p in annotated):
        raise AnnotationError(f"{name}: expected an image and finite joints")
    pixels = channels[:3, :, : int(min(width, channels.shape[2]))].transpose(1, 2, 0)
    facts = {
        "file_name": f"{data}/{_text(key)}",
        "width": pixels.shape[1],
        "height": pixels.shape[0],
    }
    return Record(key, facts, annotated, pixels)


def _datum(message: memoryview) -> UInt8[np.ndarray, "channels H W"]:
    """The array of a Datum that is not encoded, without a copy. Raises ValueError."""
    shape: dict[int, int] = {}
    data: memoryview = memoryview(b"")
    # The numbers of the fields: caffe.proto.
    for field, value, _ in fields(message):
        if field in (1, 2, 3) and isinstance(value, int):
            shape[field] = value
        elif field == 4 and not isinstance(value, int):
            data = value
    sides = [shape.get(i, 0) for i in (1, 2, 3)]
    # Of whole numbers, as Python's: a product of large sides has no place in 64 bits.
    if not all(sides) or sides[0] * sides[1] * sides[2] != len(data):
        raise ValueError(f"{len(data)} bytes for the shape {sides}")
    return np.frombuffer(data, np.uint8).reshape(sides)


def _person(
    data: str,
    rows: UInt8[np.ndarray, "3 bytes"],
    centre: Float[np.ndarray, "2"],
    scale: float,
) -> dict[str, Any] | None:
    """The `person` of three rows of joints, or None where none is there."""
    joints = np.stack([_floats(row, COUNT) for row in rows], axis=1)
    landmarks = {}
    for name, i in ORDERS[data].items():
        x, y, visible = joints[i].tolist()
        if (x, y) != (0, 0) and (visible or data == "MPI"):
            landmarks[name] = (x - 1, y - 1, 2 if visible else 1)
    side = people.MPII_UNIT * float(scale)
    if not side > 0:
        return people.person(landmarks)
    x, y = (centre - 1).tolist()
    return people.person(landmarks, (x - side / 2, y - side / 2, side, side))


def _floats(row: UInt8[np.ndarray, "bytes"], amount: int) -> Float[np.ndarray, "{amount}"]:
    return np.frombuffer(bytes(row[: 4 * amount]), "<f4").astype(float)
