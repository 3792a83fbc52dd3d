"""Times of frames: what they are, and which frame, at how many a second, each stands for."""

import re
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from prior.errors import InputError, short

# Of the steps between times, the longer ones are at most so many of the shorter ones: our choice,
# less than the 1000 between two units, and more than people who come and go leave in between.
MOST_UNLIKE = 500.0
# Steps between times are of whole frames if they are within this of a whole number, and so many
# are; of the median step frames are at most this part. Our choice: cameras jitter less.
WHOLE, MOSTLY, MOST_PARTS = 0.2, 0.9, 4
# Seconds in a unit of time, and its name in a column's name.
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
# Rates that cameras have, Hz; they tell the unit of times, and do not overlap between units.
SLOWEST, FASTEST = 2.0, 500.0
# Seconds since 1970 of 2001 to 2286: times of such a size are clock times, in a unit of UNITS.
EPOCH = (1e9, 1e10)
# Larger numbers are no times; of nanoseconds since 1970 there are 19 digits.
LARGEST = 10**19
DAY = 86400.0
_CLOCK = re.compile(r"(\d{1,2}):(\d\d):(\d\d(?:[.,]\d+)?)Z?")
_DATED = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d.*")


class Timed(NamedTuple):
    """Frames at times. number (n,): of each, the first is 0; rate: frames a second; notes: a line
    for each decision that could be another; doubts: for each reason to think that these are no
    times."""

    number: Int[np.ndarray, " n"]
    rate: float | None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def number(key: Hashable) -> float:
    """The number that a time is. Raises InputError for what is none."""
    try:
        time = float(key) if isinstance(key, int | float | str) else np.nan
    except ValueError:
        time = np.nan
    if not abs(time) < LARGEST:  # nor is NaN
        raise InputError(f"expected times as numbers, or as 12:30:05.2, got {short(str(key), 40)}")
    return time


def of_clock(keys: Sequence[Hashable]) -> list[float] | None:
    """Seconds of texts that are all times of a clock: as 12:30:05.2, of the first one's day, or
    with a date, since 1970, in UTC if no zone is said. None where one is something else."""
    seconds: list[float] = []
    for key in keys:
        time = _of_clock(key) if isinstance(key, str) else None
        if time is None:
            return None
        seconds.append(time)
    # Of one video that goes past midnight there is no time in most of the day.
    order = sorted(seconds)
    apart = np.diff(order)
    if len(apart) and order[-1] < DAY < 2 * apart.max():
        evening = order[int(apart.argmax()) + 1]
        seconds = [time - DAY if time >= evening else time for time in seconds]
    return seconds


def _of_clock(text: str) -> float | None:
    if at := _CLOCK.fullmatch(text.strip()):
        return 3600 * int(at[1]) + 60 * int(at[2]) + float(at[3].replace(",", "."))
    if not _DATED.fullmatch(text.strip()):
        return None
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def since_1970(numbers: Sequence[float]) -> str | None:
    """The unit in which these are times of a clock since 1970, or None."""
    low, high = min(numbers), max(numbers)
    for unit, seconds in UNITS.items():
        if EPOCH[0] <= low * seconds and high * seconds < EPOCH[1]:
            return unit
    return None


def numbered(
    times: Sequence[float], unit: str, rate: float | None = None, people: int = 1
) -> Timed:
    """The Timed of times in the order of the file, in a unit of UNITS, or "", which their steps
    tell.

    rate: frames a second, where the user says it; people: so many may follow one after another.
    Raises InputError for times that cannot be understood.
    """
    start = min(times)
    ticks = np.array([time - start for time in times], dtype=float)
    order = np.argsort(ticks, kind="stable")
    steps = np.diff(ticks[order])
    if not len(steps):
        return Timed(np.zeros(1, dtype=int), None)
    steps = steps[steps > 0]
    step = _step(steps)
    _check_one_unit(steps)
    seconds = UNITS[unit] if unit else _unit_of_step(step)
    measured = 1 / (step * seconds) if step else np.inf
    if not 1e-3 < measured < 1e5:
        raise InputError(
            f"expected times of frames, in seconds, got steps of {step * seconds:.3g} s; "
            "put the frames' numbers there and say the rate with --rate"
        )
    if rate is not None and rate < 0.9 * measured:
        raise InputError(
            f"its times say {measured:.4g} frames a second, --rate {rate:g}: leave --rate "
            "out, or leave out frames"
        )
    chosen = rate or round(measured, 3)
    rounded = np.round(ticks[order] * seconds * (rate or measured)).astype(int)
    # Where times jitter two frames may round to one: the later one moves on.
    count = np.arange(len(rounded))
    rounded = np.maximum.accumulate(rounded - count) + count
    number = np.empty(len(ticks), dtype=int)
    number[order] = rounded
    notes = [f"frames by their times, {chosen:g} a second", *_uneven(steps, step, seconds)]
    return Timed(number, chosen, tuple(notes), _shuffled(ticks, people))


def _uneven(steps: Float[np.ndarray, " n"], step: float, seconds: float) -> tuple[str, ...]:
    """A line where the steps between times are not of whole frames."""
    if _whole(steps / step):
        return ()
    low, high = np.quantile(steps, (0.1, 0.9)) * seconds
    line = f"the times' steps are uneven, most of them from {low:.3g} to {high:.3g} s: if they are "
    return (line + "how long something took, put the frames' numbers there",)


def _shuffled(ticks: Float[np.ndarray, " n"], people: int) -> tuple[str, ...]:
    """A line where times in the order of the file go back, but from one person to the next."""
    back = np.count_nonzero(np.diff(ticks) < 0)
    if back < people:
        return ()
    line = (
        f"the times of {back} of {len(ticks)} frames are before that of the frame before them in "
        "the file: the poses are in the order of the times, which may be how long something took"
    )
    return (line,)


def _step(steps: Float[np.ndarray, " n"]) -> float:
    """The time from frame to frame, of the steps between those that are there; 0 of none.

    The median one, or the part of it that most steps are multiples of, where most frames are
    missing; then the one that fits all times best, which are often rounded to milliseconds.
    """
    if not len(steps):
        return 0.0
    median = float(np.quantile(steps, 0.5, method="lower"))
    for part in range(1, MOST_PARTS + 1):
        frames = steps * part / median
        if _whole(frames):
            number = np.cumsum(np.maximum(np.round(frames), 1))
            return float(number @ np.cumsum(steps) / (number @ number))
    return median


def _whole(frames: Float[np.ndarray, " n"]) -> bool:
    """Whether most steps are of whole frames."""
    return bool((np.abs(frames - np.maximum(np.round(frames), 1)) < WHOLE).mean() >= MOSTLY)


def _check_one_unit(steps: Float[np.ndarray, " n"]) -> None:
    """Raise InputError where steps between times are of two units, seconds and milliseconds.

    A tenth of the steps, but at least one, may be shorter than that, or longer: gaps.
    """
    few = max(len(steps) // 10, 1)
    usual = np.sort(steps)[few : len(steps) - few]
    if not len(usual):
        return
    short, long = usual[0], usual[-1]
    if long > MOST_UNLIKE * short:
        raise InputError(
            f"expected times in one unit, got steps of {short:.4g} and of {long:.4g}; "
            "write all in seconds"
        )


def _unit_of_step(step: float) -> float:
    """How many seconds the unit has in which `step` is that of a camera."""
    for seconds in UNITS.values():
        if step and SLOWEST < 1 / (step * seconds) <= FASTEST:
            return seconds
    raise InputError(
        f"expected times in s, ms, us or ns with {SLOWEST:g} to {FASTEST:g} frames a "
        f"second, got steps of {step:.6g}; name the unit in the column, such as time_s"
    )


def rate_of(
    number: Int[np.ndarray, " n"], times: Float[np.ndarray, " n"], unit: str | None
) -> float | None:
    """Frames a second of frames that have both a number and a time; None if no step says it.

    Of steps over half of the frames the median: times may be rounded to milliseconds.
    """
    number, first = np.unique(number, return_index=True)
    half = len(number) // 2
    frames, ticks = number[half:] - number[: len(number) - half], times[first]
    ticks = ticks[half:] - ticks[: len(ticks) - half]
    steps = ticks[(frames > 0) & (ticks > 0)] / frames[(frames > 0) & (ticks > 0)]
    if not len(steps):
        return None
    step = float(np.median(steps))
    for seconds in [UNITS[unit]] if unit else UNITS.values():
        if unit or SLOWEST < 1 / (step * seconds) <= FASTEST:
            return round(1 / (step * seconds), 3)
    return None
