"""People lifted as motions: each one's frames as the most probable sequence. Beyond the paper,
which lifts every image by itself."""

import numpy as np

from prior.errors import InputError

# A person who is away for longer is lifted as a new motion: after a second anybody may stand in any
# way, by the speeds of prior.lifting.track. Our choice.
LONGEST_GAP_S = 1.0

# Arrays of so many dimensions have a row for each pose; those of fewer are one for all.
DIMENSIONS = {"camera": 3, "intrinsics": 3, "confidence": 2}


def of_people(lifter, lifted, observed, frame, person, rate):
    """A Lifted with the poses of each person's motions in the place of those of single frames.

    observed: the arguments of `lifter.lift` of which it is, with one row for each pose or one for
    all; frame, person (N,); rate: frames a second. Frames in which a person is not there count as
    frames without landmarks; who is there in one frame alone stays as lifted. Raises InputError
    without a rate.
    """
    if rate is None:
        raise InputError("--track: expected frames a second, got none; add --rate HZ")
    points = observed["points"]
    for rows in stretches(frame, person, LONGEST_GAP_S * rate):
        where = frame[rows] - frame[rows[0]]
        every = {"points": np.full((where[-1] + 1, *points.shape[1:]), np.nan)}
        every["points"][where] = points[rows]
        # The frames in between are seen as the one before them.
        before = np.searchsorted(where, np.arange(where[-1] + 1), side="right") - 1
        for name in observed.keys() - {"points"}:
            value = observed[name]
            each = np.ndim(value) == DIMENSIONS[name]
            every[name] = np.asarray(value)[rows[before]] if each else value
        motion = lifter.lift_track(rate=float(rate), **every)
        lifted = lifted.replaced(rows, motion.take(where))
    return lifted


def stretches(frame, person, longest):
    """Rows of each person, in the order of their frames, cut where it is away for more than
    `longest` frames; those of one frame alone are left out."""
    parts = []
    for one in np.unique(person):
        rows = np.flatnonzero(person == one)
        rows = rows[np.argsort(frame[rows], kind="stable")]
        parts += np.split(rows, np.flatnonzero(np.diff(frame[rows]) > longest) + 1)
    return [rows for rows in parts if len(rows) > 1]
