"""What `make bench-readers` measured, as a table. The measuring itself is in tests/: it writes the
files of other programs, as the tests do."""

from typing import Any

from tools.markdown import table


def markdown(record: dict[str, Any]) -> str:
    """The record as text and a table."""
    rows = [
        (
            row["format"],
            row["people"],
            f"{row['read_s']:.2f}",
            f"{row['whole_s']:.2f}",
            f"{row['frames_per_second']:,.0f}",
        )
        for row in record["formats"]
    ]
    head = ("format", "people", "read, s", "whole, s", "frames a second")
    return (
        f"{record['frames']:,} frames of each format; processor time on one core, the tilt given, "
        f"without deviations.\n\n{table(head, rows)}"
    )
