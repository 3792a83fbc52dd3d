"""CPM's LMDB: small ones, written as training/genLMDB.py of its release writes them."""

import lmdb
import numpy as np

HEIGHT, WIDTH = 90, 80


def floats(*values):
    return np.array(values, "<f4").tobytes()


def varint(value):
    parts = b""
    while value > 127:
        parts += bytes([value & 127 | 128])
        value >>= 7
    return parts + bytes([value])


def datum(image, lines):
    """The bytes of a Datum: the image and, in a fourth channel, a line of bytes in each row."""
    rows = np.zeros(image.shape[:2], np.uint8)
    for row, line in zip(rows, lines, strict=False):
        row[: len(line)] = np.frombuffer(line, np.uint8)
    channels = np.concatenate([image, rows[..., None]], axis=2).transpose(2, 0, 1)
    message = b"".join(bytes([8 * i]) + varint(n) for i, n in enumerate(channels.shape, start=1))
    return message + bytes([4 << 3 | 2]) + varint(channels.size) + channels.tobytes() + b"\x28\x00"


def person(rng):
    """(joints (16, 3) with x, y from 1 on and whether visible, centre, scale)."""
    joints = np.c_[rng.uniform([5, 5], [60, 80], (16, 2)).round(2), np.ones(16)]
    return joints, joints[:, :2].mean(axis=0).round(2), rng.uniform(0.3, 0.5)


def record(image, data, people, width=None):
    """The Datum of the first of the people, with the others after it."""
    (joints, centre, scale), others = people[0], people[1:]
    lines = [
        data.encode(),
        floats(image.shape[0], width or image.shape[1]),
        bytes([0, len(others), 1]) + floats(7, 0, 1),
        floats(*centre),
        floats(scale),
        *(floats(*column) for column in joints.T),
    ]
    if others:
        lines += [floats(*other[1]) for other in others]
        lines.append(floats(*(other[2] for other in others)))
        lines += [floats(*column) for other in others for column in other[0].T]
    return datum(image, lines)


def write(folder, *values):
    with lmdb.open(str(folder), map_size=1 << 24) as environment:
        with environment.begin(write=True) as transaction:
            for i, value in enumerate(values):
                transaction.put(b"%07d" % i, value)
    return folder


def picture(rng, width=WIDTH):
    """A smooth picture, which a JPEG keeps."""
    y, x = np.mgrid[:HEIGHT, :width]
    return np.stack([2 * y, x + y, 255 - 2 * x], axis=-1).clip(0, 255).astype(np.uint8)
