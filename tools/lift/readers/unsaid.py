"""Frames of files in which no field is known to say them: what else may."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tools.lift import frames

# Fewer values go up by chance. Our choice.
LEAST = 4
_HAS_DIGITS = re.compile(r"\d")


def doubts(columns: Mapping[str, Sequence[Any]], counted: bool = True) -> list[str]:
    """A line for a field of unknown meaning whose whole numbers, or texts with numbers, go up from
    record to record.

    columns: the values of each such field. counted: the records are counted as frames, which is
    the same where the field goes up by one; otherwise they are of one image.
    """
    for name, values in columns.items():
        numbers = [_whole(value) for value in values]
        if None in numbers:
            numbers = list(map(str, values)) if all(isinstance(v, str) for v in values) else []
        elif counted and [n - numbers[0] for n in numbers] == list(range(len(numbers))):
            continue
        if len(set(numbers)) < LEAST or numbers != sorted(numbers, key=frames.natural):
            continue
        if isinstance(numbers[0], str) and not all(map(_HAS_DIGITS.search, numbers)):
            continue
        how = "the poses are counted in their order" if counted else "all poses are of one image"
        few = ", ".join(map(str, numbers[:4]))
        return [
            f"nothing says the frames, but {name[:40]!r} goes up ({few}, ...), and {how}: if it is "
            "the frame's number, call it 'frame'"
        ]
    return []


def fields(records: Sequence[Any], known: Any) -> dict[str, list[Any]]:
    """The values of the fields that all of these objects have, but those of which `known` says so
    by their names."""
    first = records[0] if records and isinstance(records[0], dict) else {}
    names = [name for name in first if isinstance(name, str) and not known(name)]
    return {
        name: [record[name] for record in records]
        for name in names
        if all(isinstance(record, dict) and name in record for record in records)
    }


def _whole(value: Any) -> int | None:
    """The whole number that a value is, or None."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 19:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18:
        return None
    return int(value) if value == int(value) else None
