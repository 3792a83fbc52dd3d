"""What is in an .npz: arrays, and objects as VideoPose3D's tools save them, without unpickling."""

from pathlib import Path
from typing import Any

from prior import npz, pickled
from tools.lift.people import KeypointError

# The arrays of VideoPose3D's tools that are needed. Its boxes only say whose file it is.
_OBJECTS = ("positions_2d", "keypoints", "metadata")


def content(path: Path) -> dict[str, Any]:
    """{name: array, or what an array of objects holds}. Raises KeypointError."""
    names = npz.names(path)
    if "positions_2d" not in names and not {"boxes", "keypoints"} <= set(names):
        return npz.read(path, optional=None, error=KeypointError)
    return dict.fromkeys(names) | {n: _objects(path, n) for n in _OBJECTS if n in names}


def _objects(path: Path, name: str) -> Any:
    """The list of the objects in an array; a single one as itself."""
    data = npz.read_member(path, name, KeypointError)
    # A magic word of 6 bytes, a version of 2, the header's length and the header.
    start = 10 if data[6:7] == b"\1" else 12
    start += int.from_bytes(data[8:start], "little")
    if b"'|O'" not in data[:start]:
        return npz.read(path, (name,), error=KeypointError)[name]
    try:
        return pickled.read(data[start:])
    except pickled.PickledError as error:
        raise KeypointError(f"{path}: {name}: expected arrays, got {error}") from None
