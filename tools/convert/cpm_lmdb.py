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

import cv2
import lmdb
import numpy as np

from prior.landmark_sets import MPII
from tools.caffe_io.files import parse_datum
from tools.convert.entries import ConversionError, Entry, person
from tools.convert.h36m_frames import QUALITY
from tools.convert.mpii import JOINTS, UNIT

COUNT = len(MPII.names)
# Our name of a landmark: its place.
ORDERS = {"MPI": JOINTS, "LEEDS": JOINTS | {"neck": MPII.names.index("upper neck")}}
NAME_LENGTH = 16  # of row 0, at most


def count(folder):
    """The number of records. Raises ConversionError."""
    with _opened(folder) as environment:
        return environment.stat()["entries"]


def read(folder):
    """Yields the Entry of each record. Raises ConversionError."""
    with _opened(folder) as environment, environment.begin() as transaction:
        for key, value in transaction.cursor():
            name = f"{folder}: record {key.decode(errors='replace')}"
            yield _entry(key.decode(errors="replace"), value, name)


def _opened(folder):
    if not (folder / "data.mdb").is_file():
        raise ConversionError(f"{folder}: expected the folder of an LMDB, with data.mdb")
    try:
        return lmdb.open(str(folder), readonly=True, lock=False, create=False)
    except lmdb.Error as error:
        raise ConversionError(f"{folder}: expected an LMDB, got {error}; copy it again") from None


def _entry(key, value, name):
    try:
        channels = parse_datum(value)
    except ValueError as error:
        raise ConversionError(f"{name}: expected a Datum, got {error}") from None
    if channels.shape[0] != 4:
        raise ConversionError(
            f"{name}: expected 4 channels, the last with the annotation, got {channels.shape[0]}"
        )
    rows = channels[3]
    data = bytes(rows[0, :NAME_LENGTH]).partition(b"\0")[0].decode(errors="replace")
    if data not in ORDERS:
        raise ConversionError(f"{name}: expected a person of {' or '.join(ORDERS)}, got {data!r}")
    others = int(rows[2, 1])
    if len(rows) < 8 + (4 * others + 1 if others else 0) or rows.shape[1] < 4 * COUNT:
        raise ConversionError(f"{name}: expected {others} other people, got fewer rows")
    _, width = _floats(rows[1], 2)
    image = np.ascontiguousarray(channels[:3, :, : int(width)].transpose(1, 2, 0))
    people = [_person(data, rows[5:8], _floats(rows[3], 2), _floats(rows[4], 1)[0])]
    scales = _floats(rows[8 + others], others) if others else []
    for i in range(others):
        joints = rows[9 + others + 3 * i :][:3]
        other = _person(data, joints, _floats(rows[8 + i], 2), scales[i])
        people.append(other and other | {"context": True})
    people = [annotated for annotated in people if annotated]
    if not image.size or not all(np.isfinite(p["keypoints"]).all() for p in people):
        raise ConversionError(f"{name}: expected an image and finite joints")
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    facts = {"file_name": f"{data}/{key}.jpg", "width": image.shape[1], "height": image.shape[0]}
    return Entry(facts, people, encoded.tobytes())


def _person(data, rows, centre, scale):
    """The `person` of three rows of joints, or None where none is there."""
    joints = np.stack([_floats(row, COUNT) for row in rows], axis=1)
    landmarks = {}
    for name, i in ORDERS[data].items():
        x, y, visible = joints[i]
        if (x, y) != (0, 0) and (visible or data == "MPI"):
            landmarks[name] = (x - 1, y - 1, 2 if visible else 1)
    side = UNIT * float(scale)
    if not side > 0:
        return person(landmarks)
    x, y = centre - 1
    return person(landmarks, (x - side / 2, y - side / 2, side, side))


def _floats(row, count):
    return np.frombuffer(bytes(row[: 4 * count]), "<f4").astype(float)
