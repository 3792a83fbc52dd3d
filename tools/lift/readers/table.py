"""CSV with a row for each pose: columns NAME x and NAME y of each landmark, in any order.

Maybe NAME confidence, frame or time, and person. Spelling and case of the columns are free: "hip
x", "hip_x", "hip.x", "x_hip", "HIP X"; an empty cell, or -1 for both x and y, is missing.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from tools.lift import frames
from tools.lift.people import KeypointError, People

FORMAT = "CSV with columns 'hip x', 'hip y', ..., 'frame'"
# What a landmark's column holds, by the last word of its name; c: confidence.
AXES = {
    "x": "x",
    "y": "y",
    **dict.fromkeys(
        ("confidence", "conf", "c", "score", "likelihood", "visibility", "p", "v"), "c"
    ),
}
# Names of other columns, plain.
FRAME = (
    "frame",
    "frameid",
    "frameidx",
    "frameindex",
    "framenumber",
    "framenum",
    "frameno",
    "framenr",
    "image",
    "imageid",
    "filename",
)
FRAME += ("imagename", "file")
# The number of a row, of tables that say no frame: the rows that are left out are gaps.
INDEX = ("", "index", "unnamed0")
TIME = re.compile(r"(?:time|timestamp|seconds|t|times|second|sec)(s|ms|us|ns)?")
PERSON = ("person", "personid", "track", "trackid", "id", "idx", "individual", "subject")
# Of whose values there may be one alone: frames of several are no one video.
VIDEO = re.compile("(?:video|camera|cam|view|clip|sequence|seq)(?:name|id|idx|index|number|file)?")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d):(\d\d(?:[.,]\d+)?)Z?")
_DATED = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d.*")
DEPTHS = "z of the landmarks is left out: x and y are taken as they are in the image"
# What stands for a number that is not there.
MISSING = ("", "na", "nan", "null", "none", "n/a", "-")


class Columns(NamedTuple):
    """Which columns hold what: landmarks' names (none: they have numbers), their x, y and
    confidence (None: not each has one), frame, time and its unit, person; None where there is
    none."""

    names: list[str]
    x: list[int]
    y: list[int]
    confidence: list[int] | None
    frame: int | None
    time: int | None
    unit: str | None
    person: int | None


def plain(text: str) -> str:
    """A column's name by its letters and digits, in lower case."""
    return re.sub("[^a-z0-9]", "", text.lower())


def _columns(header: list[str]) -> Columns:
    at: dict[str, dict[str, int]] = {}
    places: dict[str, int] = {}
    unit = None
    for i, text in enumerate(header):
        name, axis = _axis(text.strip())
        # pandas adds ".1" to a name that is there already.
        again = re.sub(r"\.\d+$", "", text.strip())
        if axis in at.get(name, ()) or again in header[:i] and _axis(again)[1]:
            raise KeypointError(
                f"expected each column once, got {again[:40]!r} twice: give a second person rows "
                "of their own, and a column 'person'"
            )
        if axis:
            at.setdefault(name, {}).setdefault(axis, i)
        elif plain(text) in FRAME:
            places.setdefault("frame", i)
        elif TIME.fullmatch(plain(text)):
            places.setdefault("time", i)
            unit = unit or unit_of(text)
        elif plain(text) in PERSON:
            places.setdefault("person", i)
    if not {"frame", "time"} & set(places) and header and plain(header[0]) in INDEX:
        places["frame"] = 0
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


def unit_of(text: str) -> str:
    """The unit that the name of a column of times says, a key of frames.UNITS, or ""."""
    timed = TIME.fullmatch(plain(text))
    return (timed[1] if timed else None) or ("s" if plain(text).startswith("sec") else "")


def _axis(text: str) -> tuple[str, str | None]:
    """(landmark, "x", "y" or "c") of a column's name; (text, None) of another column."""
    parts = [part for part in re.split(r"[ _.:\-]+", text) if part]
    if len(parts) > 1:
        if parts[-1].lower() in AXES:
            return re.sub(r"[ _.:\-]+$", "", text[: -len(parts[-1])]), AXES[parts[-1].lower()]
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
    people = people_of(columns)
    check_video(rows)
    if any(re.fullmatch(r".+[ _.:\-]z|z[ _.:\-].+", text.strip().lower()) for text in rows[0]):
        people.notes.append(DEPTHS)
    width, numbered = len(rows[0]), []
    for i, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) == width:
            numbered.append((i, row))
        else:
            people.leave_out(f"not a row of {width} cells", f"line {i}: got {len(row)} cells")
    add(people, columns, numbered)
    return people


def check_video(rows: list[list[str]]) -> None:
    """Raise KeypointError where a column says that the rows are of several videos or cameras."""
    for i, text in enumerate(rows[0]):
        if VIDEO.fullmatch(plain(text)):
            values = sorted({row[i].strip() for row in rows[1:] if i < len(row)})
            if len(values) > 1:
                raise KeypointError(
                    f"expected one video of one camera, got {len(values)} in the column "
                    f"{text.strip()!r}: {', '.join(values)[:60]}; split the file"
                )


def people_of(columns: Columns) -> People:
    """Nobody yet, of a table with these columns."""
    return People(names=columns.names or None, unit=columns.unit if columns.frame is None else None)


def add(people: People, columns: Columns, numbered: Iterable[tuple[int, list[str]]]) -> None:
    """Add the person of each row, of which the number of the line is known."""
    keyed = columns.frame if columns.frame is not None else columns.time
    wanted = itemgetter(*(i for pair in zip(columns.x, columns.y, strict=True) for i in pair))
    numbers, ticks = [], []
    for line, row in numbered:
        where = f"line {line}"
        try:
            values = numbers_of(wanted(row))
            confidence = columns.confidence
            scores = numbers_of([row[k] for k in confidence]) if confidence else None
        except ValueError as error:
            people.leave_out("not a row of numbers", f"{where}: {error}")
            continue
        key = line - 2 if keyed is None else cell(row[keyed])
        if columns.frame is None and isinstance(key, str):
            key = clock(key)
        if key is None:
            people.leave_out("no frame", where)
            continue
        points = list(zip(values[::2], values[1::2], strict=True))
        person = None if columns.person is None else row[columns.person].strip()
        people.add(where, points, key, person, scores)
        if columns.frame is not None and columns.time is not None:
            numbers.append(key)
            ticks.append(clock(cell(row[columns.time])))
    people.say_doubled()
    if numbers and all(isinstance(value, int | float) for value in numbers + ticks):
        people.rate = frames.rate_of(
            np.array(numbers, float), np.array(ticks, float), columns.unit or None
        )


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


def clock(key: str | int | float | None) -> str | int | float | None:
    """Seconds of a time as 12:30:05.2, of its day; with a date, since 1970, in UTC if no zone is
    said. What is no time is returned as it is."""
    if not isinstance(key, str):
        return key
    if at := _CLOCK.fullmatch(key):
        return 3600 * int(at[1]) + 60 * int(at[2]) + float(at[3].replace(",", "."))
    if not _DATED.fullmatch(key):
        return key
    try:
        time = datetime.fromisoformat(key)
    except ValueError:
        return key
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
