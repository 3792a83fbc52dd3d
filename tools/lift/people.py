"""What every reader of 2D landmarks gives: People, collected as a file is read, then Keypoints."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from prior.errors import InputError, short
from prior.landmark_sets import LandmarkSet
from prior.skeleton import LANDMARKS, L
from tools.lift import blocks, coordinates, doubtful, frames, meaning, tracks
from tools.lift.counting import FRAMES, PEOPLE, LeftOut, together

# Larger numbers are no number of a person: they are taken as a name. Our choice: int32's range.
MOST_PEOPLE, LARGEST = 2**31, 1e300


class KeypointError(InputError):
    """A file of landmarks that cannot be used: which, what was expected, what came."""


class Keypoints(NamedTuple):
    """N people in F frames.

    points (N, 17, 2), px, NaN where missing; confidence (N, 17), 0 where missing; frame (N,),
    rising, as the input numbers them; person (N,), -1 where the file does not say who it is;
    frames: F names, of the frames from number `first` on; rate: frames a second or None; listed:
    how many of the frames the input has, the others are gaps; set_name: of the landmark set;
    lacks: our landmarks that it has no counterpart of; left: what was left out; notes: a line for
    each decision that could be another; doubts: a line for each reason to think that the input is
    wrong.
    """

    points: Float[np.ndarray, "N 17 2"]
    confidence: Float[np.ndarray, "N 17"]
    frame: Int[np.ndarray, " N"]
    person: Int[np.ndarray, " N"]
    frames: tuple[str, ...]
    first: int = 0
    rate: float | None = None
    listed: int = 0
    set_name: str = ""
    lacks: tuple[str, ...] = ()
    left: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def frame_name(self, number: int) -> str:
        """The name of a frame by its number."""
        return self.frames[number - self.first]


class How(NamedTuple):
    """What the user says about a file. landmarks: the set; rate: frames a second; size: a function
    that gives the (width, height), px, of a frame's image by its name, or None; by_place: to tell
    people apart by place alone, whatever numbers they have."""

    landmarks: LandmarkSet | None = None
    rate: float | None = None
    size: coordinates.SizeOf = coordinates.no_size
    by_place: bool = False


UNSAID = How()


class People:
    """Collects people as a file is read.

    default: the LandmarkSet where nobody says; names: the landmarks' names, where the file has
    them; unit: of the frames' keys if they are times, a key of times.UNITS or "" (not known).
    """

    def __init__(
        self,
        default: LandmarkSet | None = None,
        names: Sequence[object] | None = None,
        unit: str | None = None,
    ) -> None:
        self.default, self.names, self.unit = default, names, unit
        self.rate: float | None = None
        # Whether coordinates from 0 to 1 are shares of the way to the last pixel, not of the image.
        self.to_last = False
        self.notes: list[str] = []
        self.doubts: list[str] = []
        self.left: list[LeftOut] = []
        self.listed: dict[Hashable, None] = {}
        self.values: list[Any] = []
        self.scores: list[Any] = []
        self.where: list[str] = []
        self.frame: list[Hashable] = []
        self.person: list[Any] = []
        self.canvas: list[tuple[float, float] | None] = []
        self.score: list[Any] = []

    def add(
        self,
        where: str,
        values: Any,
        frame: Hashable = None,
        person: Any = None,
        scores: Any = None,
        canvas: tuple[float, float] | None = None,
        score: Any = None,
    ) -> None:
        """Add one person: x, y, and maybe confidence of each landmark, in rows or in one list.

        frame: its key; None in a file of one image. person: who it is, in any form. scores: the
        confidences, where they stand apart. canvas: the image's (width, height), px. score: how
        sure the whole person is.
        """
        self.listed[frame] = None
        self.values.append(values)
        self.scores.append(scores)
        self.where.append(where)
        self.frame.append(frame)
        self.person.append(person)
        self.canvas.append(canvas)
        self.score.append(score)

    def leave_out(self, why: str, first: str) -> None:
        """One person that cannot be read."""
        self.left.append(LeftOut(PEOPLE, 1, why, first))

    def lose(self, frame: Hashable, why: str, first: str) -> None:
        """A frame that cannot be read."""
        self.listed[frame] = None
        self.left.append(LeftOut(FRAMES, 1, why, first))

    def add_all(
        self,
        where: Sequence[str],
        values: Sequence[Any],
        frame: Sequence[Hashable],
        person: Sequence[Any] | None = None,
        scores: Sequence[Any] | None = None,
    ) -> None:
        """Add people, of whose image no size is known. Arguments as for `add`, of each."""
        nothing = [None] * len(values)
        self.listed.update(dict.fromkeys(frame))
        self.values += values
        self.scores += nothing if scores is None else list(scores)
        self.where += where
        self.frame += frame
        self.person += nothing if person is None else person
        self.canvas += nothing
        self.score += nothing

    def say_doubled(self) -> None:
        """A note where poses of one frame do not say whose they are, in a format of rows: they
        are several people, or a person's frame is there twice."""
        if len(set(self.frame)) == len(self.frame):
            return
        doubled = [key for key, count in Counter(self.frame).items() if count > 1]
        if all(_identity(one) == -1 for one in self.person):
            self.notes.append(
                f"{len(doubled)} frames have several poses (first: {short(str(doubled[0]), 40)}), "
                "and nothing says whose: taken as several people, told apart by place"
            )

    def absorb(self, other: "People", frame: Hashable) -> None:
        """Add what a file of one image has, as a frame."""
        if any(key is not None for key in other.listed):
            raise KeypointError("expected a file of one image, got several frames")
        self.listed[frame] = None
        self.default = self.default or other.default
        self.names = self.names or other.names
        self.to_last |= other.to_last
        self.notes += other.notes
        self.doubts += other.doubts
        self.left += [part._replace(first=f"{frame}, {part.first}") for part in other.left]
        self.values += other.values
        self.scores += other.scores
        self.where += [f"{frame}, {where}" for where in other.where]
        self.frame += [frame] * len(other.values)
        self.person += other.person
        self.canvas += other.canvas
        self.score += other.score

    def keypoints(self, path: object, how: How = UNSAID) -> Keypoints:
        """The Keypoints of the people. Raises KeypointError where what they mean is not certain."""
        try:
            return self._keypoints(str(getattr(path, "stem", path)), how)
        except InputError as error:
            raise KeypointError(f"{path}: {error}") from None

    def _keypoints(self, stem: str, how: How) -> Keypoints:
        rows, block, left = blocks.together(self.values, self.scores, self.where)
        rows, block, doubled = blocks.once(rows, block, self.frame, self.person, self.where)
        left += doubled
        notes, doubts = list(self.notes), list(dict.fromkeys(self.doubts))
        name, lacks, points, confidence = "", (), np.empty((0, L, 2)), np.empty((0, L))
        if len(rows):
            landmark_set, said = meaning.set_of(block, how.landmarks, self.names, self.default)
            notes += said
            block = meaning.without_markers(meaning.split(block, landmark_set))
            where = _named(_of(rows, self.frame), stem)
            doubts += doubtful.unsure(block, _of(rows, self.score), where)
            canvas = _of(rows, self.canvas)
            points, confidence, said, more = self._in_images(
                block, landmark_set, where, canvas, how.size
            )
            notes, doubts = notes + said, doubts + more
            name = landmark_set.name
            lacks = tuple(ours for ours in LANDMARKS if ours not in landmark_set.table)
        keys = list(self.listed)
        people = len({str(one) for one in set(_plain_identities(self.person))})
        line = frames.time_line(_named(keys, stem), self.unit, how.rate, people)
        doubts += line.doubts
        frame = line.number
        if keys != _of(rows, self.frame):
            number = dict(zip(keys, line.number.tolist(), strict=True))
            frame = np.array([number[key] for key in _of(rows, self.frame)], dtype=int)
        person, said = np.full(len(rows), -1), []
        if not how.by_place:
            person, said = _identities(_of(rows, self.person), frame)
        order = np.argsort(frame, kind="stable")
        doubts += _exchanged(points[order], frame[order], person[order], line)
        return Keypoints(
            points[order],
            confidence[order],
            frame[order],
            person[order],
            line.names,
            line.first,
            how.rate or self.rate or line.rate,
            len(np.unique(line.number)),
            name,
            lacks,
            together([*self.left, *left]),
            tuple(dict.fromkeys([*notes, *line.notes, *said])),
            tuple(doubts),
        )

    def _in_images(
        self,
        block: Float[np.ndarray, "n S 3"],
        landmark_set: LandmarkSet,
        where: Sequence[object],
        canvas: Sequence[coordinates.Size | None],
        size: coordinates.SizeOf,
    ) -> tuple[Float[np.ndarray, "n 17 2"], Float[np.ndarray, "n 17"], list[str], list[str]]:
        """Our landmarks, px, and their confidences, of people in a set; notes, and doubts.

        where: the frames' names; canvas: their images' sizes by the file; size: by the user.
        """
        of = {name: size(name) for name in dict.fromkeys(where) if size is not coordinates.no_size}
        pairs = list(zip(canvas, map(of.get, where), strict=True))
        sizes = [own or other for own, other in pairs]
        scaled, notes, doubts = coordinates.in_pixels(block, sizes, where, self.to_last)
        points, confidence = landmark_set.to_ours(scaled[..., :2], scaled[..., 2])
        doubts += doubtful.shapes(pairs, "the file says", "--image-size or --images")
        doubts += doubtful.sides(scaled, landmark_set, where)
        doubts += doubtful.turned(points, confidence, where)
        doubts += doubtful.outside(points, confidence, sizes)
        if scaled is not block:
            doubts += doubtful.exchanged(points, confidence, [one for one in sizes if one])
        return points, confidence, notes, doubts


def _named(keys: list[Any], stem: str) -> list[Any]:
    """The keys of frames, with a name for that of a file of one image."""
    return [stem if key is None else key for key in keys] if None in keys else keys


def _of(rows: Sequence[int], values: list[Any]) -> list[Any]:
    """The values of rows, which are different and rise."""
    return values if len(rows) == len(values) else [values[i] for i in rows]


def _identities(
    people: list[Any], frame: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " n"], list[str]]:
    """The numbers of people, -1 where nobody says, and notes on it.

    A name gets a number of its own. Who is twice in a frame is nobody's number.
    """
    plain, notes = _plain_identities(people), []
    if set(plain) == {-1}:
        return np.full(len(plain), -1), []
    if _counts_poses(plain, frame):
        plain = [-1] * len(plain)
        notes.append("no number of a person is there twice: people are told apart by place instead")
    taken = {value for value in plain if isinstance(value, int) and value >= 0}
    unsaid = plain.count(-1)
    names = [value for value in dict.fromkeys(plain) if isinstance(value, str)]
    free = (i for i in range(len(taken) + len(names)) if i not in taken)
    number: dict[Hashable, int] = dict(zip(names, free, strict=False))
    result = np.array([number.get(value, value) for value in plain], dtype=int)
    if names:
        few = ", ".join(f"{number[name]} is {name}" for name in names[:3])
        notes.append(f"people have names: {few}{', ...' if len(names) > 3 else ''}")
    if 0 < unsaid < len(plain):
        notes.append(
            f"{unsaid} of {len(plain)} poses do not say whose they are, as the others do: "
            "taken as other people, told apart by place"
        )
    order = np.lexsort((frame, result))
    again = (np.diff(frame[order]) == 0) & (np.diff(result[order]) == 0) & (result[order][1:] >= 0)
    doubled = np.unique(result[order][1:][again])
    if len(doubled):
        result[np.isin(result, doubled)] = -1
        notes.append(
            f"person {doubled[0]} is twice in a frame: told apart by place instead"
            + (f", and {len(doubled) - 1} more" if len(doubled) > 1 else "")
        )
    return result, notes


def _counts_poses(people: list[int | str], frame: Int[np.ndarray, " n"]) -> bool:
    """Whether each of the poses of several frames has a number of its own."""
    several = len(np.unique(frame)) > 2
    return several and -1 not in people and len(set(people)) == len(people)


def _exchanged(
    points: Float[np.ndarray, "n 17 2"],
    frame: Int[np.ndarray, " n"],
    person: Int[np.ndarray, " n"],
    line: frames.TimeLine,
) -> list[str]:
    """A line where people's numbers are exchanged between two frames."""
    moments = tracks.exchanges(points, frame, person) if (person >= 0).any() else []
    if not moments:
        return []
    first, who = moments[0]
    more = f", and in {len(moments) - 1} more frames" if len(moments) > 1 else ""
    return [
        f"people {' and '.join(map(str, who))} exchange places from one frame to the next (at "
        f"{line.names[first - line.first]}{more}), as if their numbers were mixed up: --by-place "
        "tells people apart by place instead"
    ]


def _plain_identities(people: list[Any]) -> list[int | str]:
    """`_identity` of each; once of those that are equal, where these mean the same."""
    if not set(map(type, people)) <= {int, float, str, type(None)}:  # True equals 1
        return [_identity(value) for value in people]
    known = {value: _identity(value) for value in set(people)}
    return list(map(known.__getitem__, people))


def _identity(value: Any) -> int | str:
    """A person's number, or name, or -1 for nobody: of numbers, text, and lists of these."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    if isinstance(value, str):
        if not value.isdecimal() or len(value) > 9:
            return value.strip() or -1
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        return -1  # NaN, too, is not at least 0
    if value >= MOST_PEOPLE or value != int(value):
        return f"{value:.12g}" if value < LARGEST else str(value)[:20]
    return int(value)
