"""CSV with a row for each pose: columns NAME x and NAME y of each landmark, in any order.

Maybe NAME confidence, frame or time, and person. Spelling and case of the columns are free: "hip
x", "hip_x", "hip.x", "x_hip", "HIP X"; an empty cell, or -1 for both x and y, is missing.
"""

import re
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from tools.lift import frames
from tools.lift.people import KeypointError, People

FORMAT = "CSV with columns 'hip x', 'hip y', ..., 'frame'"
_AXES = {
    "x": "x",
    "y": "y",
    **dict.fromkeys(
        ("confidence", "conf", "c", "score", "likelihood", "visibility", "p", "v"), "c"
    ),
}
_FRAME = (
    "frame",
    "frameid",
    "frameidx",
    "frameindex",
    "framenumber",
    "image",
    "imageid",
    "filename",
)
_FRAME += ("imagename", "file")
_TIME = re.compile(r"(?:time|timestamp|seconds|t|times|second|sec)(s|ms|us|ns)?")
_PERSON = ("person", "personid", "track", "trackid", "id", "idx", "individual", "subject")
# What stands for a number that is not there.
MISSING = ("", "na", "nan", "null", "none", "n/a", "-")


class Columns(NamedTuple):
    """Which columns hold what: landmarks' names, their x, y and confidence (None: none has one),
    frame, time and its unit, person; None where there is none."""

    names: list[str]
    x: list[int]
    y: list[int]
    confidence: list[int] | None
    frame: int | None
    time: int | None
    unit: str | None
    person: int | None


def _plain(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.lower())


def _columns(header: list[str]) -> Columns:
    at: dict[str, dict[str, int]] = {}
    places: dict[str, int] = {}
    unit = None
    for i, text in enumerate(header):
        name, axis = _axis(text.strip())
        timed = _TIME.fullmatch(_plain(text))
        if axis:
            at.setdefault(name, {}).setdefault(axis, i)
        elif _plain(text) in _FRAME:
            places.setdefault("frame", i)
        elif timed:
            places.setdefault("time", i)
            unit = unit or timed[1] or ("s" if _plain(text).startswith("sec") else "")
        elif _plain(text) in _PERSON:
            places.setdefault("person", i)
    names = [name for name, axes in at.items() if "x" in axes or "y" in axes]
    if any(not {"x", "y"} <= set(at[name]) for name in names):
        raise KeypointError("expected an x and a y column for each landmark")
    confidence = [at[name].get("c") for name in names]
    return Columns(
        names,
        [at[name]["x"] for name in names],
        [at[name]["y"] for name in names],
        [i for i in confidence if i is not None] if None not in confidence and names else None,
        places.get("frame"),
        places.get("time"),
        unit if "time" in places else None,
        places.get("person"),
    )


def _axis(text: str) -> tuple[str, str | None]:
    """(landmark, "x", "y" or "c") of a column's name; (text, None) of another column."""
    parts = [part for part in re.split(r"[ _.:\-]+", text) if part]
    if len(parts) > 1:
        if parts[-1].lower() in _AXES:
            return re.sub(r"[ _.:\-]+$", "", text[: -len(parts[-1])]), _AXES[parts[-1].lower()]
        if parts[0].lower() in ("x", "y"):
            return re.sub(r"^[ _.:\-]+", "", text[len(parts[0]) :]), parts[0].lower()
    return text, None


def recognises(rows: list[list[str]]) -> bool:
    """Whether the first row names a landmark's x or y."""
    return bool(rows) and any(_axis(text.strip())[1] in ("x", "y") for text in rows[0])


def collect(rows: list[list[str]]) -> People:
    """The People in it. Raises KeypointError where the header is not of this form."""
    columns = _columns(rows[0])
    if not columns.names:
        raise KeypointError(f"expected columns 'hip x', 'hip y', ..., got {','.join(rows[0])[:60]}")
    keyed = columns.frame if columns.frame is not None else columns.time
    people = People(names=columns.names, unit=columns.unit if columns.frame is None else None)
    wanted = itemgetter(*(i for pair in zip(columns.x, columns.y, strict=True) for i in pair))
    numbers, ticks = [], []
    for i, row in enumerate(rows[1:], 2):
        where = f"line {i}"
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(rows[0]):
            people.leave_out(f"not a row of {len(rows[0])} cells", f"{where}: got {len(row)} cells")
            continue
        try:
            values = numbers_of(wanted(row))
            confidence = columns.confidence
            scores = numbers_of([row[k] for k in confidence]) if confidence else None
        except ValueError as error:
            people.leave_out("not a row of numbers", f"{where}: {error}")
            continue
        key = i - 2 if keyed is None else cell(row[keyed])
        if key is None:
            people.leave_out("no frame", where)
            continue
        points = list(zip(values[::2], values[1::2], strict=True))
        person = None if columns.person is None else row[columns.person].strip()
        people.add(where, points, key, person, scores)
        if columns.frame is not None and columns.time is not None:
            numbers.append(key)
            ticks.append(cell(row[columns.time]))
    people.say_doubled()
    if numbers and all(isinstance(value, int | float) for value in numbers + ticks):
        people.rate = frames.rate_of(
            np.array(numbers, float), np.array(ticks, float), columns.unit or None
        )
    return people


def numbers_of(cells: Sequence[str]) -> list[float]:
    """The cells' numbers, NaN where they stand for none. Raises ValueError."""
    try:
        return list(map(float, cells))
    except ValueError:
        return list(map(number, cells))


def number(text: str) -> float:
    """A cell's number, NaN where it stands for none. Raises ValueError."""
    if not text:
        return np.nan
    try:
        return float(text)
    except ValueError:
        if text.strip().lower() in MISSING:
            return np.nan
        raise ValueError(f"got {text.strip()[:20]!r}") from None


def cell(text: str) -> str | int | float | None:
    """A cell that says which frame or when: a number, or text; None where there is nothing."""
    text = text.strip()
    if text.lower() in MISSING:
        return None
    if re.fullmatch(r"\d{1,18}(\.0*)?", text):
        return int(text.split(".")[0])
    try:
        value = float(text)
    except ValueError:
        return text
    return value if np.isfinite(value) else None
