"""The frames of people on one time line: every file begins with the first frame of the input."""

import numpy as np

from tools.lift.lifted import on_ground

# Frames a second, where nobody says.
DEFAULT_RATE = 30.0


def rate_of(poses):
    """Frames a second of lifted.Poses."""
    return float(poses.meta["rate"] or DEFAULT_RATE)


def tracks(poses):
    """{person: (poses (n, 17, 3), mm, on the ground; their frames (n,), from the input's first)},
    side by side as lifted.on_ground puts them."""
    placed, frame = on_ground(poses), poses.frame - poses.meta["first_frame"]
    return {
        int(person): (placed[poses.person == person], frame[poses.person == person])
        for person in np.unique(poses.person)
    }


def held(track, frame, count):
    """The poses (count, 17, 3) of every frame of the input.

    A frame without the person between two with it is on straight lines between them. Before the
    first and after the last the person stands still: a format without gaps knows no absence.
    """
    every = np.arange(count)
    columns = [np.interp(every, frame, column) for column in track.reshape(len(track), -1).T]
    return np.stack(columns, axis=1).reshape(count, *track.shape[1:])


def with_gaps(track, frame, count):
    """The poses (count, 17, 3) of every frame of the input, NaN where the person is not there."""
    every = np.full((count, *track.shape[1:]), np.nan)
    every[frame] = track
    return every
