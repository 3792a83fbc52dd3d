"""Plain arrays, in .npz or JSON: "points", and maybe what belongs to them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from prior import limits
from prior.landmark_sets import HUMAN36M
from prior.skeleton import L
from tools.lift.people import KeypointError, People

# Fewer rows are no landmarks, but coordinates or people. Our choice: fewer are not lifted.
LEAST_POINTS = 6
FORMAT = "'points' (N, landmarks, 2), px, in .npz or JSON"


def recognises(content: Any) -> bool:
    """Whether there are points."""
    return isinstance(content, dict) and "points" in content


def collect(content: Mapping[str, Any]) -> People:
    """The People in named arrays, or lists.

    points (N, S, 2 or 3), px; where they are there, confidence (N, S), landmarks (S names), frame
    (N,), person (N,), frames (names that `frame` counts from 0), rate. Without `frame` every pose
    is a frame of its own. Raises KeypointError.
    """
    points = _listed(content, "points")
    count = len(points)
    limits.check("'points'", "frames", count, KeypointError)
    confidence, frame, person = (
        _listed(content, name, count) for name in ("confidence", "frame", "person")
    )
    frame = _plain(frame) if frame is not None else list(range(count))
    if {list, dict} & set(map(type, frame)):
        raise KeypointError("expected a number or a name as each pose's 'frame', got lists")
    person = None if person is None else _plain(person)
    people = People(names=_names(content), default=HUMAN36M if _size(points) == L else None)
    people.rate = _rate(content)
    names = _plain(content.get("frames"))
    if not all(isinstance(name, str) for name in names):
        raise KeypointError("expected names of images, text, as 'frames'")
    if (
        names
        and all(isinstance(i, int | float) and 0 <= i < len(names) for i in frame)
        and len(set(names)) == len(names)
    ):
        frame = [names[int(i)] for i in frame]
        people.listed.update(dict.fromkeys(names))
    where = [f"pose {i}" for i in range(count)]
    people.add_all(where, list(points), frame, person, confidence)
    people.say_doubled()
    return people


def collect_array(array: np.ndarray) -> People:
    """The People in an array alone: poses (N, S, 2 or 3), of a frame each, or one (S, 2 or 3).

    Raises KeypointError for others, of which it is not certain what is along which axis.
    """
    if array.ndim not in (2, 3) or array.shape[-1] not in (2, 3) or array.shape[-2] < LEAST_POINTS:
        raise KeypointError(
            f"got an array {' x '.join(map(str, array.shape)) or 'scalar'}; expected poses, frames "
            "x landmarks x 2 (x, y) or 3 (and a confidence), or one pose; save others as 'points' "
            "in an .npz, with 'frame' and 'person' of each pose"
        )
    return collect({"points": array if array.ndim == 3 else array[None]})


def _listed(content: Mapping[str, Any], name: str, count: int | None = None) -> Any:
    """A list or array of `count` rows; None if it is not there."""
    value = content.get(name)
    if value is None and count is not None:
        return None
    if not isinstance(value, list) and not (isinstance(value, np.ndarray) and value.ndim):
        raise KeypointError(f"expected an array as {name!r}, got {type(value).__name__}")
    if count is not None and len(value) != count:
        raise KeypointError(f"expected {count} rows of {name!r}, as of 'points', got {len(value)}")
    if isinstance(value, np.ndarray) and value.dtype.kind not in "fiubUS":
        raise KeypointError(f"expected numbers as {name!r}, got {value.dtype}")
    return value


def _size(points: Any) -> int:
    first = points[0] if len(points) else ()
    return len(first) if isinstance(first, list) or getattr(first, "ndim", 0) else 0


def _plain(value: Any) -> list[Any]:
    """A list of what JSON has."""
    listed = value.tolist() if isinstance(value, np.ndarray) else value
    return listed if isinstance(listed, list) else []


def _names(content: Mapping[str, Any]) -> list[str] | None:
    value = content.get("landmarks")
    return None if value is None else [str(name) for name in _plain(value)]


def _rate(content: Mapping[str, Any]) -> float | None:
    value = content.get("rate")
    if value is None or (isinstance(value, np.ndarray) and value.dtype.kind not in "fiu"):
        return None
    try:
        rate = float(value)
    except (TypeError, ValueError, OverflowError):
        rate = np.nan
    if not 0 < rate < np.inf:
        raise KeypointError(f"expected a positive 'rate', got {str(value)[:40]}")
    return rate
