"""Tables in Markdown, padded so that they read well on a terminal, too."""

import math
import numbers
import re
from collections.abc import Iterable, Sequence

# What stands to the right of its column: 12, -3.4, 1,000, 12 %, 3.4 ± 0.5.
_NUMBER = re.compile(r"[+-]?\d[\d,]*(\.\d+)?( %| ± [\d.]+)?")


def words(value: object, digits: int = 1) -> str:
    """A cell's text: a float to `digits` decimals, thousands apart; nothing for None and NaN."""
    if value is None or (isinstance(value, numbers.Real) and math.isnan(value)):
        return ""
    if isinstance(value, numbers.Integral):
        return f"{value:,}"
    return f"{value:,.{digits}f}" if isinstance(value, numbers.Real) else str(value)


def is_number(text: str) -> bool:
    """Whether a cell's text is a number, with its sign, unit or deviation."""
    return _NUMBER.fullmatch(text) is not None


def numeric(table: Sequence[Sequence[str]]) -> list[bool]:
    """Which columns of a table, its head first, hold only numbers; the first column names rows."""
    return [
        i > 0 and any(cells[1:]) and all(is_number(text) or not text for text in cells[1:])
        for i, cells in enumerate(zip(*table, strict=True))
    ]


def escaped(text: str) -> str:
    """The text as Markdown shows it, on one line: neither a cell's end nor an element of HTML."""
    return re.sub(r"[\\|<]", r"\\\g<0>", " ".join(text.split()))


def table(head: Sequence[object], rows: Iterable[Sequence[object]], digits: int = 1) -> str:
    """A table. Floats have `digits` decimals; columns of numbers, except the first, stand right.

    Raises ValueError for a row that is not as long as the head.
    """
    lines = [[escaped(words(value, digits)) for value in row] for row in (head, *rows)]
    right = numeric(lines)
    widths = [max(3, *map(len, cells)) for cells in zip(*lines, strict=True)]
    rule = ["-" * (width - 1) + ("-:"[r]) for width, r in zip(widths, right, strict=True)]
    return "\n".join(
        "| "
        + " | ".join(
            text.rjust(width) if r else text.ljust(width)
            for text, width, r in zip(line, widths, right, strict=True)
        )
        + " |"
        for line in (lines[0], rule, *lines[1:])
    )
