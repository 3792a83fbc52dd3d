"""SLEAP's CSV: columns track, frame_idx, instance.score, then NODE.x, NODE.y, NODE.score."""

from tools.lift.people import People
from tools.lift.readers import table

FORMAT = "SLEAP's CSV (columns 'track', 'frame_idx', 'nose.x', ...)"


def recognises(rows: list[list[str]]) -> bool:
    """Whether the columns are SLEAP's."""
    return bool(rows) and {"frame_idx", "track"} <= {text.strip() for text in rows[0]}


def collect(rows: list[list[str]]) -> People:
    """The People in it."""
    # The score of the whole instance has the form of a landmark's, but is none.
    header = ["" if text.strip() == "instance.score" else text for text in rows[0]]
    return table.collect([header, *rows[1:]])
