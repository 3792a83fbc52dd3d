"""Which frame is which: the numbers of frames from their names, their fields or their times.

A frame that the input leaves out is missing time, and stays a gap. Numbers that no time line can
have, such as the ids of photos, only order the frames.
"""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from prior.errors import InputError
from tools.lift import times

# Numbers are a time line if its frames are at most so many for each that is there, or so many in
# all: our choice, a person seen once in three seconds of video. What is made later, such as BVH,
# has every frame, so this also bounds memory by the number of rows.
MOST_GAPS, SHORT = 100, 10_000
# ... and if this share of the steps between them is of one length. Our choice: of a video most
# steps are equal, of photos' ids hardly any.
REGULAR = 0.25
# Names that do not have the form of the others are put last, if these are so many. Our choice.
ALIKE = 0.9
# No file has a longer name, and of some thousand digits Python makes no number.
LONGEST = 255
# More digits are no number of a frame; in nanoseconds since 1970 there are 19.
MOST_DIGITS = 19
LARGEST = 10**MOST_DIGITS


class TimeLine(NamedTuple):
    """The frames from the first to the last.

    number (n,): of each frame that was asked for; first: the number of the first frame; names: of
    all frames from there on, without a hole; rate: frames a second, None if no times say it;
    notes: a line for each decision that could be another; doubts: for each reason to think that it
    is no video.
    """

    number: Int[np.ndarray, " n"]
    first: int
    names: tuple[str, ...]
    rate: float | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def time_line(
    keys: Sequence[Hashable],
    unit: str | None = None,
    rate: float | None = None,
    people: int = 1,
) -> TimeLine:
    """The TimeLine of frames that are known by `keys`, each a different one.

    Keys are numbers, or names that hold one, or times: those with fractions, those of a clock, and
    all if `unit` is one of UNITS, or "" for times of a unit that their steps tell. rate: frames a
    second, where the user says it; people: so many have their frames one after another. Raises
    InputError for times that cannot be understood.
    """
    if not keys:
        return TimeLine(np.empty(0, int), 0, ())
    if clock := times.of_clock(keys):
        return _timed(keys, clock, "s", rate, people)
    kinds = set(map(type, keys))
    if unit is None and kinds == {str}:
        return _named(keys, rate, people)
    # Most are whole numbers, and are then what they are.
    whole = kinds == {int} and -LARGEST < min(keys) and max(keys) < LARGEST
    numbers = keys if whole and unit is None else _numbers(keys, unit)
    if None in numbers:
        return _named(keys, rate, people)
    fractions = not whole and any(n != int(n) for n in numbers)
    unit = unit or times.since_1970(numbers) or ("s" if fractions else unit)
    if unit is not None:
        return _timed(keys, numbers, unit, rate, people)
    if _is_time_line(numbers):
        return _numbered(keys, numbers if whole else list(map(int, numbers)), "{}")
    return _in_order(keys, numbers)


def _named(keys: Sequence[Hashable], rate: float | None, people: int) -> TimeLine:
    """Frames by the numbers in their names."""
    numbers, template = _numbers_in_names([str(key) for key in keys])
    known = [number for number in numbers if number is not None]
    if not known:
        return _in_order(keys, ())._replace(doubts=_sequences([str(key) for key in keys]))
    others = [key for key, number in zip(keys, numbers, strict=True) if number is None]
    clock = times.since_1970(known)
    if clock and not others:
        return _timed(keys, known, clock, rate, people)
    if not _is_time_line(known):
        return _in_order(keys, () if others else known)
    after = {key: max(known) + 1 + i for i, key in enumerate(sorted(others, key=natural))}
    numbered = [after.get(key, n) for key, n in zip(keys, numbers, strict=True)]
    line = _numbered(keys, [n for n in numbered if n is not None], template)
    if not others:
        return line
    note = f"{len(others)} frames have no number, as the others have (first: {others[0]}): put last"
    return line._replace(notes=(note,))


def _numbers(keys: Sequence[Hashable], unit: str | None) -> list[int | float | None]:
    """The numbers that keys are, or the times if there is a unit."""
    return [_number(key) if unit is None else times.number(key) for key in keys]


def _number(key: Hashable) -> int | float | None:
    """The number that a key is; None for a name, and for what no frame can have."""
    if isinstance(key, bool) or key is None:
        return None
    if isinstance(key, str):
        return int(key) if key.isdecimal() and len(key) <= MOST_DIGITS else None
    if isinstance(key, int) and abs(key) < LARGEST:
        return key
    if isinstance(key, float) and abs(key) < LARGEST:  # not so of NaN
        return float(key)
    return None


def _numbers_in_names(names: Sequence[str]) -> tuple[list[int | None], str]:
    """The number that tells names apart, and the name with "{}" in its place.

    A few names of another form have None. ([], "") if no number tells: names of several sequences,
    or that differ in words.
    """
    parts = [re.split(r"(\d+)", name) for name in names]
    if max(map(len, chain.from_iterable(parts))) > LONGEST:
        return [], ""
    forms = Counter(tuple(part[::2]) for part in parts)
    form, count = forms.most_common(1)[0]
    if len(form) < 2 or count < ALIKE * len(names):
        return [], ""
    fits = [tuple(part[::2]) == form for part in parts]
    digits = list(
        zip(*(part[1::2] for part, fit in zip(parts, fits, strict=True) if fit), strict=True)
    )
    differing = [i for i, column in enumerate(digits) if len(set(column)) > 1]
    order = sorted(range(count), key=lambda k: [int(column[k]) for column in digits])
    # Of one name alone it is the last number. Of several it is one that goes up from name to name;
    # of these, such as a count and a time, the one that does so most slowly.
    telling = differing if len(differing) == 1 else [i for i in differing if _up(digits[i], order)]
    at = min(telling, key=lambda i: _reach(digits[i])) if telling else len(digits) - 1
    if differing and not telling or max(map(len, digits[at])) > MOST_DIGITS:
        return [], ""
    numbers = [
        int(part[2 * at + 1]) if fit else None for part, fit in zip(parts, fits, strict=True)
    ]
    if len(set(numbers)) < count:
        return [], ""
    width = len(digits[at][0])
    padded = f"{{:0{width}d}}" if all(len(text) == width for text in digits[at]) else "{}"
    first = next(part for part, fit in zip(parts, fits, strict=True) if fit)
    plain = [part.replace("{", "{{").replace("}", "}}") for part in first]
    return numbers, "".join([*plain[: 2 * at + 1], padded, *plain[2 * at + 2 :]])


def _up(digits: Sequence[str], order: Sequence[int]) -> bool:
    """Whether numbers go up in this order."""
    numbers = [int(digits[k]) for k in order]
    return all(one < other for one, other in pairwise(numbers))


def _reach(digits: Sequence[str]) -> int:
    """How far apart numbers are."""
    numbers = [int(text) for text in digits]
    return max(numbers) - min(numbers)


def _sequences(names: Sequence[str]) -> tuple[str, ...]:
    """A line where names are those of several sequences, such as cameras or videos, which differ in
    more than their last number."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(re.sub(r"\d+(?=\D*$)", "", name), []).append(name)
    several = [group for group in groups.values() if len(group) > 1]
    if len(several) < 2 or sum(map(len, several)) < ALIKE * len(names):
        return ()
    line = (
        f"frames of {len(groups)} sequences ({several[0][0]}, ..., {several[1][0]}, ...) are "
        "counted as one video, one after another: if they are of several cameras or videos, lift "
        "each alone"
    )
    return (line,)


def _is_time_line(numbers: Sequence[float]) -> bool:
    """Whether whole numbers count the frames of one video."""
    low, high = min(numbers), max(numbers)
    if high - low >= max(MOST_GAPS * len(numbers), SHORT):
        return False
    steps = np.diff(np.sort(np.array(numbers, dtype=float) - low))
    if not len(steps):
        return True
    return np.unique(steps, return_counts=True)[1].max() >= REGULAR * len(steps)


def _numbered(keys: Sequence[Hashable], numbers: Sequence[int], template: str) -> TimeLine:
    first, last = min(numbers), max(numbers)
    every = range(first, last + 1)
    if list(numbers) == list(every):
        return TimeLine(np.arange(first, last + 1), first, tuple(map(str, keys)))
    names = dict(zip(numbers, keys, strict=True))
    listed = tuple(str(names[n]) if n in names else template.format(n) for n in every)
    return TimeLine(np.array(numbers, dtype=int), first, listed)


def _in_order(keys: Sequence[Hashable], numbers: Sequence[float]) -> TimeLine:
    """Frames counted from 0: by their numbers where these only order them."""
    at = range(len(keys))
    order = sorted(at, key=lambda i: numbers[i] if len(numbers) else natural(keys[i]))
    number = np.empty(len(keys), dtype=int)
    number[order] = np.arange(len(keys))
    notes = []
    if len(numbers):
        notes = [
            f"the frames' numbers ({min(numbers):.12g} to {max(numbers):.12g} of {len(keys)} "
            "frames) are no time line: counted in their order"
        ]
    return TimeLine(number, 0, tuple(str(keys[i]) for i in order), None, tuple(notes))


def _timed(
    keys: Sequence[Hashable],
    numbers: Sequence[float],
    unit: str,
    rate: float | None,
    people: int,
) -> TimeLine:
    """Frames at times: the first is frame 0."""
    timed = times.numbered(numbers, unit, rate, people)
    last = int(timed.number.max())
    if last >= max(MOST_GAPS * len(keys), SHORT):
        seconds = last / (timed.rate or 1)
        raise InputError(
            f"expected the times of one video, got {len(keys)} frames in {seconds:.3g} s at "
            f"{timed.rate:g} a second; split the file"
        )
    by_number = dict(zip(timed.number.tolist(), keys, strict=True))
    names = tuple(str(by_number.get(n, "")) for n in range(last + 1))
    return TimeLine(timed.number, 0, names, timed.rate, timed.notes, timed.doubts)


def natural(name: object) -> list[tuple[int, int, str]]:
    """A key that sorts names by the numbers in them: frame 2 before frame 10."""
    return [
        (0, int(part), "") if part.isdecimal() and len(part) <= MOST_DIGITS else (1, 0, part)
        for part in re.split(r"(\d+)", str(name))
        if part
    ]
