"""YOLO's labels and predictions of poses: a text file for each image, a line for each person.

The class, the box (middle, width, height), and x, y, and maybe a visibility or confidence of each
landmark; Ultralytics adds the box's confidence and the track's number, if asked. All are shares of
the image, and nothing says which of these there are: of what the line's length allows it is what
puts the landmarks into the box.
"""

from collections.abc import Hashable, Iterable
from math import isfinite
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from prior.landmark_sets import COCO, LANDMARK_SETS
from tools.lift.blocks import LEAST
from tools.lift.people import People

FORMAT = "YOLO's labels of poses (.txt: class, box, then x, y of each landmark)"
# Class and box.
HEAD = 5
UNFIT = "not a box and a known set's landmarks in it, as shares of the image"
# Of a class other than this it is no person.
PERSON = 0
# The box is a person's if so many of the landmarks are in it, or as near to it as this share of its
# sides; a reading is another's equal if it fits as many lines but for this share. Our choices.
NEAR, INSIDE, EQUAL = 0.1, 0.8, 0.1


class Reading(NamedTuple):
    """What a line of numbers may be after the class and the box: `size` landmarks of `width`
    numbers each, and `rest`, how many come after them."""

    size: int
    width: int
    rest: int

    def landmarks(self, numbers: Float[np.ndarray, "n M"]) -> Float[np.ndarray, "n S W"]:
        """The landmarks of lines of numbers."""
        values = numbers[:, HEAD : HEAD + self.size * self.width]
        return values.reshape(len(numbers), self.size, self.width)

    def after(self, numbers: Float[np.ndarray, "n M"]) -> Float[np.ndarray, "n R"]:
        """What comes after the landmarks."""
        return numbers[:, HEAD + self.size * self.width :]


def recognises(rows: list[list[str]]) -> bool:
    """Whether some line has numbers with spaces between them, enough for a box and landmarks."""
    return any(len(row) == 1 and len(_numbers(row[0]) or ()) >= HEAD + LEAST for row in rows)


def _numbers(line: str) -> list[float] | None:
    """The numbers in a line; None if something else is there."""
    try:
        return [float(text) for text in line.split()]
    except ValueError:
        return None


def collect(rows: list[list[str]]) -> People:
    """The People in a file, which is of one image."""
    people = People()
    add(people, [(None, f"line {i}", " ".join(row)) for i, row in enumerate(rows, 1)])
    return people


def add(people: People, lines: Iterable[tuple[Hashable, str, str]]) -> None:
    """Add the people of lines of one program: of each the frame, where it is, and itself."""
    of_length: dict[int, list[tuple[Hashable, str, list[float]]]] = {}
    for frame, where, line in lines:
        numbers = _numbers(line)
        if numbers is None or not all(map(isfinite, numbers)):
            people.leave_out("not a line of numbers", where)
        elif numbers and numbers[0] != PERSON:
            why = f"of another class than {PERSON}, a person"
            people.leave_out(why, f"{where}: {numbers[0]:g}")
        elif numbers:
            of_length.setdefault(len(numbers), []).append((frame, where, numbers))
    for length, those in of_length.items():
        numbers = np.array([one for _, _, one in those])
        _add(people, length, [one[:2] for one in those], numbers)


def _add(
    people: People,
    length: int,
    places: list[tuple[Hashable, str]],
    numbers: Float[np.ndarray, "n M"],
) -> None:
    """Add the people of lines of one length; places: the frame of each, and where it is."""
    fits = {reading: _fits(numbers, reading) for reading in _readings(length)}
    most = max((np.count_nonzero(fit) for fit in fits.values()), default=0)
    equal = [r for r, fit in fits.items() if np.count_nonzero(fit) > most * (1 - EQUAL)]
    if not equal:
        for _, where in places:
            people.leave_out(UNFIT, f"{where}: {length} numbers")
        return
    reading = equal[0]
    if len(equal) > 1:
        people.notes.append(
            f"{length} numbers in a line: taken as {reading.size} landmarks of {reading.width}, "
            f"not as {equal[1].size} of {equal[1].width}"
        )
    if reading.size == len(COCO.names):
        people.default = COCO
    landmarks, rest, fit = reading.landmarks(numbers), reading.after(numbers), fits[reading]
    # A confidence is 1 in some lines alone.
    tracked = rest.shape[1] > 0 and _may_be_track(rest[fit, -1]).all()
    missing = ~landmarks[..., :2].any(axis=2, keepdims=True)
    landmarks = np.where(missing, np.nan, landmarks).tolist()
    for i, (frame, where) in enumerate(places):
        if fit[i]:
            track = rest[i, -1].item() if tracked else None
            score = rest[i, 0].item() if rest.shape[1] > tracked else None
            people.add(where, landmarks[i], frame, track, score=score)
        else:
            people.leave_out(UNFIT, f"{where}: {length} numbers")


def _readings(length: int) -> list[Reading]:
    """All that a line of this length may be: COCO's first, and the shorter the rest is."""
    sizes = {len(one.names) for one in LANDMARK_SETS.values()}
    readings = [Reading(n, width, length - HEAD - n * width) for n in sizes for width in (3, 2)]
    possible = [reading for reading in readings if 0 <= reading.rest <= 2]
    return sorted(possible, key=lambda r: (r.size != len(COCO.names), r.rest))


def _fits(numbers: Float[np.ndarray, "n M"], reading: Reading) -> Bool[np.ndarray, " n"]:
    """Which of the lines may be what the reading takes them for: landmarks in their boxes."""
    middle, side = numbers[:, None, 1:3], numbers[:, None, 3:HEAD]
    landmarks = reading.landmarks(numbers)
    points, sure = landmarks[..., :2], landmarks[..., 2:]
    flags = np.isin(sure, (0, 1, 2)).all(axis=(1, 2))
    flags |= ((sure >= 0) & (sure <= 1)).all(axis=(1, 2))
    shares = ((side > 0) & (side <= 1 + NEAR)).all(axis=(1, 2))
    there = points.any(axis=2) & (sure > 0).all(axis=2)
    inside = (np.abs(points - middle) <= (0.5 + NEAR) * side).all(axis=2) & there
    enough = inside.sum(axis=1) >= INSIDE * np.maximum(there.sum(axis=1), 1)
    return flags & shares & enough & _may_follow(reading.after(numbers))


def _may_follow(rest: Float[np.ndarray, "n R"]) -> Bool[np.ndarray, " n"]:
    """Where columns may be a box's confidence, a track's number, or one after the other."""
    sure, track = (rest >= 0) & (rest <= 1), _may_be_track(rest)
    if rest.shape[1] == 2:
        return sure[:, 0] & track[:, 1]
    return (sure | track).all(axis=1)


def _may_be_track(values: Float[np.ndarray, " *m"]) -> Bool[np.ndarray, " *m"]:
    """Where values are whole numbers from 1 on, as Ultralytics numbers tracks."""
    return (values >= 1) & (values == np.round(values))
