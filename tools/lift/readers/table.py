"""CSV with a row for each pose: columns NAME x and NAME y of each landmark, in any order.

Maybe NAME confidence, frame or time, person, and a score, as SLEAP's too. Spelling and case of the
columns are free: "hip x", "hip_x", "hip.x", "x_hip", "HIP X", "hipX"; an empty cell, or -1 for both
x and y, is missing.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from tools.lift import times
from tools.lift.blocks import MISSING
from tools.lift.people import KeypointError, People
from tools.lift.readers import unsaid

FORMAT = "CSV with columns 'hip x', 'hip y', ..., 'frame' (SLEAP's too)"
# What a landmark's column holds, by the last word of its name; c: confidence.
AXES = {
    "x": "x",
    "y": "y",
    **dict.fromkeys(
        ("confidence", "conf", "c", "score", "likelihood", "visibility", "p", "v"), "c"
    ),
}
# Names of other columns, plain. Which frame: the first kind of which a column is there, and says
# more than one; a name may have more words, but none that makes it something else.
FRAME = (
    re.compile(
        "(?!.*(?:rate|width|height|size|shape|total|frames|per|time|stamp|second|score|conf))"
        ".*frame.*|fr|frm|f|fnum|fno"
    ),
    re.compile("(?:image|img|picture|pic|photo)(?:id|idx|index|num|number|no|nr|name|file|path)?"),
    re.compile("file(?:name|path)?"),
)
# The number of a row, of tables that say no frame: the rows that are left out are gaps.
INDEX = ("", "index", "unnamed0")
TIME = re.compile(
    r"(?:frame|video)?(?:time|timestamp|seconds|t|times|second|sec|pts|ptstime)(s|ms|us|ns)?"
)
PERSON = re.compile(
    "(?:person|people|track|tracking|tracklet|individual|subject|player|human|actor|instance|object)"
    "(?:id|idx|index|no|num|number|name)?|pid|tid"
)
# A person, or a row, as its values tell.
ID = ("id", "idx")
# How sure a whole pose is.
SCORE = re.compile(
    "(?:person|pose|instance|box|bbox|detection|det|overall)?(?:score|conf|confidence)"
)
# Of whose values there may be one alone: frames of several are no one video.
VIDEO = re.compile("(?:video|camera|cam|view|clip|sequence|seq)(?:name|id|idx|index|number|file)?")
# As noseX, LeftHipConfidence.
_CAMEL = re.compile("(.*[a-z0-9])(X|Y|Confidence|Conf|Score|Likelihood|Visibility)")
DEPTHS = "z of the landmarks is left out: x and y are taken as they are in the image"


class Columns(NamedTuple):
    """Which columns hold what: landmarks' names (none: they have numbers), their x, y and
    confidence (None: not each has one), frame, time and its unit, person, and how sure the pose is;
    None where there is none."""

    names: list[str]
    x: list[int]
    y: list[int]
    confidence: list[int] | None
    frame: int | None
    time: int | None
    unit: str | None
    person: int | None
    score: int | None = None


def plain(text: str) -> str:
    """A column's name by its letters and digits, in lower case."""
    return re.sub("[^a-z0-9]", "", text.lower())


def place(header: Sequence[str], *names: "str | re.Pattern[str]") -> int | None:
    """The first column whose plain name is the first of these names that is there, or None."""
    return next(
        (i for name in names for i, text in enumerate(header) if re.fullmatch(name, text)), None
    )


def frame_place(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int | None:
    """The column that says the frame: of the first kind, with more than one value in the rows."""
    first = None
    for name in FRAME:
        for i, text in enumerate(header):
            if name.fullmatch(text):
                if len({row[i] for row in rows if i < len(row)}) > 1:
                    return i
                first = i if first is None else first
    return first


def counts_rows(rows: Sequence[Sequence[str]], i: int) -> bool:
    """Whether a column has another value in every row: it is nobody's number then."""
    values = [row[i] for row in rows if i < len(row)]
    return 1 < len(values) == len(set(values))


def _columns(header: list[str], rows: list[list[str]]) -> Columns:
    """The Columns by a header and the rows under it. Raises KeypointError."""
    at = _landmarks(header)
    used = {i for axes in at.values() for i in axes.values()}
    others = ["" if i in used else plain(text) for i, text in enumerate(header)]
    frame, time = frame_place(others, rows), place(others, TIME)
    person = place(others, PERSON, *ID)
    if person is not None and others[person] in ID and counts_rows(rows, person):
        frame, person = person if frame is None and time is None else frame, None
    if frame is None and time is None and plain(header[0]) in INDEX and 0 not in used:
        frame = 0
    names = list(at)
    confidence = [at[name].get("c") for name in names]
    return Columns(
        names,
        [at[name]["x"] for name in names],
        [at[name]["y"] for name in names],
        [i for i in confidence if i is not None] if None not in confidence and names else None,
        frame,
        time,
        unit_of(header[time]) if time is not None else None,
        person,
        place(others, SCORE),
    )


def _landmarks(header: list[str]) -> dict[str, dict[str, int]]:
    """The columns "x", "y" and maybe "c" of each landmark. Raises KeypointError."""
    at: dict[str, dict[str, int]] = {}
    before: set[str] = set()
    for i, text in enumerate(header):
        name, axis = _axis(text.strip())
        # pandas adds ".1" to a name that is there already.
        again = re.sub(r"\.\d+$", "", text.strip())
        if axis in at.get(name, ()) or again in before and _axis(again)[1]:
            raise KeypointError(
                f"expected each column once, got {again[:40]!r} twice: give a second person rows "
                "of their own, and a column 'person'"
            )
        if axis and not SCORE.fullmatch(plain(text)):
            at.setdefault(name, {})[axis] = i
        before.add(text)
    at = {name: axes for name, axes in at.items() if "x" in axes or "y" in axes}
    alone = next((name for name, axes in at.items() if not {"x", "y"} <= set(axes)), None)
    if alone is not None:
        raise KeypointError(
            f"expected an x and a y column for each landmark, got one of them of {alone[:40]!r}; "
            "are there commas, semicolons or tabs between all cells?"
        )
    return at


def unit_of(text: str) -> str:
    """The unit that the name of a column of times says, a key of times.UNITS, or ""."""
    timed = TIME.fullmatch(plain(text))
    return (timed[1] if timed else None) or ("s" if plain(text).startswith("sec") else "")


def _axis(text: str) -> tuple[str, str | None]:
    """(landmark, "x", "y" or "c") of a column's name; (text, None) of another column."""
    if camel := _CAMEL.fullmatch(text):
        return camel[1], AXES[camel[2].lower()]
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
    filled = [(i, row) for i, row in enumerate(rows[1:], 2) if any(cell.strip() for cell in row)]
    columns = _columns(rows[0], [row for _, row in filled])
    if not columns.names:
        raise KeypointError(f"expected columns 'hip x', 'hip y', ..., got {','.join(rows[0])[:60]}")
    people = people_of(columns)
    check_video(rows)
    if any(re.fullmatch(r".+[ _.:\-]z|z[ _.:\-].+", text.strip().lower()) for text in rows[0]):
        people.notes.append(DEPTHS)
    width, numbered = len(rows[0]), []
    for k, (i, row) in enumerate(filled):
        if len(row) == width:
            numbered.append((k, i, row))
        else:
            people.leave_out(f"not a row of {width} cells", f"line {i}: got {len(row)} cells")
    add(people, columns, numbered)
    if columns.frame is None and columns.time is None:
        known = {*columns.x, *columns.y, *(columns.confidence or ()), columns.person, columns.score}
        others = {
            text.strip(): [cell(row[i]) for _, _, row in numbered]
            for i, text in enumerate(rows[0])
            if i not in known
        }
        people.doubts += unsaid.doubts(others)
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


def add(
    people: People, columns: Columns, numbered: Iterable[tuple[int, int, Sequence[str]]]
) -> None:
    """Add the person of each row, of which the number, and that of the line, are known."""
    keyed = columns.frame if columns.frame is not None else columns.time
    wanted = itemgetter(*(i for pair in zip(columns.x, columns.y, strict=True) for i in pair))
    numbers, ticks, before = [], [], Counter[str]()
    for count, line, row in numbered:
        where = f"line {line}"
        try:
            values = numbers_of(wanted(row))
            confidence = columns.confidence
            scores = numbers_of([row[k] for k in confidence]) if confidence else None
            score = None if columns.score is None else number(row[columns.score])
        except ValueError as error:
            people.leave_out("not a row of numbers", f"{where}: {error}")
            continue
        person = None if columns.person is None else row[columns.person].strip()
        if keyed is not None:
            key = cell(row[keyed])
        else:
            key = count if person is None else before[person]
            before[person or ""] += 1
        if key is None:
            people.leave_out("no frame", where)
            continue
        points = list(zip(values[::2], values[1::2], strict=True))
        people.add(where, points, key, person, scores, score=score)
        if columns.frame is not None and columns.time is not None:
            numbers.append(key)
            ticks.append(cell(row[columns.time]))
    if keyed is None and columns.person is not None:
        people.notes.append("no column says the frame: each person's rows are frames from 0 on")
    people.say_doubled()
    clock = times.of_clock(ticks)
    seconds = clock or ticks
    if numbers and all(isinstance(value, int | float) for value in [*numbers, *seconds]):
        people.rate = times.rate_of(
            np.array(numbers, float),
            np.array(seconds, float),
            "s" if clock else columns.unit or None,
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
    if text.isdecimal() and len(text) <= 18:  # most are
        return int(text)
    if text.lower() in MISSING:
        return None
    if re.fullmatch(r"\d{1,18}(\.0*)?", text):
        return int(text.split(".")[0])
    try:
        value = float(text)
    except ValueError:
        return text
    return value if np.isfinite(value) else None
