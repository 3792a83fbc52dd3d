"""CSV with a row for each landmark: its frame, maybe whose it is, its name or number, x and y, and
maybe a confidence, as pandas' `melt` and programs of users' own write.

It becomes the table with a row for each pose.
"""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from prior import limits
from tools.lift.people import KeypointError, People
from tools.lift.readers import table
from tools.lift.readers.table import Columns

FORMAT = "CSV with columns 'frame', 'landmark', 'x', 'y', a row for each landmark"
_THING = "(?:landmark|keypoint|kpt|joint|bodypart|node|point|part|marker)s?"
# Of the columns that may say which landmark it is the first kind that is there does.
_NAMES = (f"{_THING}(?:name|label)?", "name", "label", f"{_THING}(?:id|idx|index|number|no)")
_SURE = (*(text for text, axis in table.AXES.items() if axis == "c"), "visible")


class Pose(NamedTuple):
    """line: of its first row; row: that row; landmarks: x, y and confidence by name."""

    line: int
    row: list[str]
    landmarks: dict[str, Sequence[str]]


def recognises(rows: list[list[str]]) -> bool:
    """Whether the columns are a landmark's name, x and y."""
    header = [table.plain(text) for text in rows[0]] if rows else []
    return {"x", "y"} <= set(header) and table.place(header, *_NAMES) is not None


def collect(rows: list[list[str]]) -> People:
    """The People in it. Raises KeypointError."""
    header = [table.plain(text) for text in rows[0]]
    named = table.place(header, *_NAMES) or 0
    header[named] = ""
    person, sure = table.place(header, table.PERSON, *table.ID), table.place(header, *_SURE)
    if person is not None and table.counts_rows(rows[1:], person):
        person = None
    frame, time = table.frame_place(header, rows[1:]), table.place(header, table.TIME)
    if frame is None and time is None:
        raise KeypointError(
            f"expected a column 'frame' or 'time', got {','.join(rows[0])[:60]}: nothing tells the "
            "poses apart"
        )
    table.check_video(rows)
    own = [i for i in (time if frame is None else frame, person) if i is not None]
    numbers = [header.index("x"), header.index("y"), *([] if sure is None else [sure])]
    poses, left = _poses(rows, own, named, numbers)
    names, numbered = _names(name for pose in poses for name in pose.landmarks)
    if not names:
        why = ": ".join(left[0]) if left else "none"
        raise KeypointError(f"expected rows with a landmark's name, got {why}")
    # The columns of the table with a row for each pose: those of the pose, and of each landmark.
    kept = [i for i in (frame, time, person) if i is not None]
    at = range(len(kept), len(kept) + len(names) * len(numbers), len(numbers))
    columns = Columns(
        [] if numbered else names,
        list(at),
        [i + 1 for i in at],
        None if sure is None else [i + 2 for i in at],
        None if frame is None else kept.index(frame),
        None if time is None else kept.index(time),
        None if time is None else table.unit_of(rows[0][time]),
        None if person is None else kept.index(person),
    )
    people = table.people_of(columns)
    for why, first in left:
        people.leave_out(why, first)
    if "z" in header:
        people.notes.append(table.DEPTHS)
    if numbered:
        people.notes.append(f"landmarks by their numbers, 0 to {len(names) - 1}")
    absent = [""] * len(numbers)
    table.add(
        people,
        columns,
        (
            (
                count,
                pose.line,
                [
                    *(pose.row[i] for i in kept),
                    *(cell for name in names for cell in pose.landmarks.get(name, absent)),
                ],
            )
            for count, pose in enumerate(poses)
        ),
    )
    return people


def _poses(
    rows: list[list[str]], own: list[int], name: int, numbers: list[int]
) -> tuple[list[Pose], list[tuple[str, str]]]:
    """The poses, told apart by the cells `own`, and (why, first) of each that is left out: of those
    that have a landmark twice nobody knows which is theirs."""
    poses: dict[tuple[str, ...], Pose] = {}
    left, doubled = [], {}
    width, cells = len(rows[0]), itemgetter(*numbers)
    for line, row in enumerate(rows[1:], 2):
        if len(row) != width:
            if any(cell.strip() for cell in row):
                left.append((f"not a row of {width} cells", f"line {line}: got {len(row)} cells"))
            continue
        key = tuple([row[i] for i in own])
        pose = poses.get(key)
        if pose is None:
            pose = poses[key] = Pose(line, row, {})
        landmark = row[name].strip()
        if landmark in pose.landmarks:
            doubled.setdefault(key, f"line {line}: {landmark[:24]}")
        pose.landmarks[landmark] = cells(row)
    left += [("a landmark twice in one pose", where) for where in doubled.values()]
    return [pose for key, pose in poses.items() if key not in doubled], left


def _names(names: Iterable[str]) -> tuple[list[str], bool]:
    """The different names in the order of the columns, and whether they are numbers, from 0 on.

    Raises KeypointError where their order is not certain.
    """
    names = list(dict.fromkeys(names))
    limits.check("landmarks", "joints", len(names), KeypointError)
    if "" in names or not all(name.isdecimal() for name in names):
        return [name for name in names if name], False
    in_order = sorted(names, key=int)
    if [int(name) for name in in_order] != list(range(len(names))):
        raise KeypointError(
            f"expected landmarks by their names, or all numbers from 0 on, got {in_order[0]} to "
            f"{in_order[-1]}, {len(names)} of them"
        )
    return in_order, True
