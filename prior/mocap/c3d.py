"""C3D files (c3d.org), read by ezc3d in a process of its own: prior.limited."""

import struct
from pathlib import Path

import numpy as np

from prior import foreign, limited
from prior.mocap.clip import MocapError

# Bytes of a C3D file's header; the second one marks the kind of file.
HEADER, KEY = 512, 0x50


def load(path: Path) -> dict[str, np.ndarray]:
    """What a C3D file says of its markers: names (M,) and unit, text; rate, frames per second;
    positions (F, M, 3), in the unit; hidden (F, M). Raises MocapError."""
    _check(path)
    try:
        import ezc3d  # few need it
    except ImportError:
        raise MocapError(
            f"{path}: expected the package ezc3d, which reads C3D files, got none; install it"
        ) from None

    def values(path: str) -> dict[str, np.ndarray]:
        file = ezc3d.c3d(path)
        points = file["parameters"]["POINT"]
        return {
            "names": np.array([str(name) for name in points["LABELS"]["value"]], dtype=str),
            "unit": np.array(str(points["UNITS"]["value"][0]).strip().lower()),
            "rate": np.array(float(points["RATE"]["value"][0])),
            "positions": np.array(file["data"]["points"][:3], dtype=float).T,
            "hidden": np.asarray(file["data"]["meta_points"]["residuals"][0]).T < 0,
        }

    return limited.load(path, values, "a C3D file with marker names, unit and rate", MocapError)


def _check(path: Path) -> None:
    """Raise MocapError unless the file is a C3D file as large as its header says: what reads it
    trusts that."""
    content = foreign.read_bytes(path, MocapError)
    if len(content) < HEADER or content[1] != KEY:
        raise MocapError(f"{path}: expected a C3D file, got another one; export it again")
    processor = content[512 * (content[0] - 1) + 3] if 0 < content[0] * 512 <= len(content) else 84
    order = ">" if processor == 86 else "<"
    count, analog, first, last = struct.unpack(order + "4H", content[2:10])
    start = struct.unpack(order + "H", content[16:18])[0]
    scale = struct.unpack(order + "f", content[12:16])[0]
    frames = last - first + 1
    size = (4 * count + analog) * (4 if scale < 0 or processor == 85 else 2)
    if processor != 85 and 0 < last < 65535 and 512 * (start - 1) + frames * size > len(content):
        raise MocapError(
            f"{path}: expected {frames} frames of {count} markers, got a file of {len(content)} "
            "bytes, which is cut off; copy it again"
        )
