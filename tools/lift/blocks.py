"""The numbers of all people of a file as one array, without those that have none."""

from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from prior.errors import InputError
from python_layers.data.columns import LARGEST
from tools.lift.counting import PEOPLE, LeftOut

# Of people with different numbers of landmarks those of the commonest number are read, if they are
# this share. Our choice: a few damaged ones do not hide what the file is.
MAJORITY = 0.9
# Fewer numbers are no person: x and y of six landmarks.
LEAST = 12
# Text that stands for a number that is not there, in lower case.
MISSING = ("", "na", "nan", "null", "none", "n/a", "-")


def together(
    values: list[Any], scores: list[Any], where: list[str]
) -> tuple[list[int], np.ndarray, list[LeftOut]]:
    """People of one size as one array: which they are, the array (n, ...), and who is left out.

    The array is (n, S, 2 or 3), or (n, M) of flat lists.
    """
    whole = _array(values) if values else None
    if whole is not None and whole.ndim in (2, 3) and whole.size and not _beyond(whole):
        return list(range(len(values))), _with_scores(whole, scores), []
    left, arrays = [], {}
    for i, row in enumerate(values):
        array = _numbers(row)
        if array is None or array.ndim not in (1, 2) or not array.size:
            got = f"{len(row)} values" if isinstance(row, list) else repr(row)[:40]
            why = "not numbers x, y, confidence of each landmark"
            left.append(LeftOut(PEOPLE, 1, why, f"{where[i]}: got {got}"))
        elif _beyond(array):
            left.append(LeftOut(PEOPLE, 1, f"coordinates beyond {LARGEST:g}", where[i]))
        else:
            arrays[i] = array
    shapes: dict[tuple[int, ...], list[int]] = {}
    for i, array in arrays.items():
        shapes.setdefault(array.shape, []).append(i)
    if not shapes:
        return [], np.empty((0, 0)), left
    rows = max(shapes.values(), key=lambda rows: (arrays[rows[0]].size >= LEAST, len(rows)))
    if len(rows) < MAJORITY * sum(array.size >= LEAST for array in arrays.values()):
        raise InputError(
            "expected one landmark set, got people with "
            f"{' and '.join(' x '.join(map(str, shape)) for shape in sorted(shapes))} numbers"
        )
    for shape, others in shapes.items():
        if others is not rows:
            why = f"{' x '.join(map(str, shape))} numbers, unlike the others"
            left.append(LeftOut(PEOPLE, len(others), why, where[others[0]]))
    return (
        rows,
        _with_scores(np.stack([arrays[i] for i in rows]), [scores[i] for i in rows]),
        left,
    )


def once(
    rows: list[int],
    block: np.ndarray,
    frame: Sequence[Hashable],
    person: Sequence[object],
    where: Sequence[str],
) -> tuple[list[int], np.ndarray, list[LeftOut]]:
    """The rows and their block without poses that a frame has twice, number for number, as files
    have that a second run was appended to. frame, person, where: of all rows."""
    if len(set(frame)) == len(frame):
        return rows, block, []
    before: dict[Hashable, None] = {}
    keep = []
    for i, row in zip(rows, block, strict=True):
        key = frame[i], str(person[i]), row.tobytes()
        keep.append(key not in before)
        before[key] = None
    if all(keep):
        return rows, block, []
    first = where[rows[keep.index(False)]]
    left = LeftOut(PEOPLE, keep.count(False), "the same pose twice in one frame", first)
    return [i for i, one in zip(rows, keep, strict=True) if one], block[np.array(keep)], [left]


def _beyond(array: np.ndarray) -> bool:
    """Whether a number is larger than a coordinate can be, or infinite; NaN is not."""
    # fmax and fmin pass over NaN.
    return bool(np.fmax.reduce(array, None) > LARGEST or np.fmin.reduce(array, None) < -LARGEST)


def _array(values: Any) -> np.ndarray | None:
    """Lists of numbers inside each other as an array, or None. Quicker than NumPy with lists."""
    try:
        shape, level = [len(values)], values
        # Of the numbers the first one's type is enough: a list among them is none, and raises.
        nested = {list, tuple}
        while level and {type(next(iter(level)))} <= nested and set(map(type, level)) <= nested:
            (size,) = set(map(len, level))
            shape.append(size)
            level = list(chain.from_iterable(level))
        return np.fromiter(level, float, len(level)).reshape(shape)
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        return np.array(values, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return None


def _numbers(values: Any) -> np.ndarray | None:
    """Landmarks as an array, with NaN for what is missing; None if something else is there."""
    array = _array(values)
    return _array(_filled(values)) if array is None else array


def _filled(values: Any) -> Any:
    """Landmarks with NaN for those that are null, or an empty list, or text that says so."""
    if isinstance(values, str):
        return np.nan if values.strip().lower() in MISSING else values
    if not isinstance(values, list | tuple):
        return values
    size = max((len(point) for point in values if isinstance(point, list | tuple)), default=0)
    filled = [_filled(point) for point in values]
    absent = (None, [], np.nan)
    return [[np.nan] * size if size and point in absent else point for point in filled]


def _with_scores(block: np.ndarray, scores: list[Any]) -> np.ndarray:
    """Points (n, S, 2 or more) with the scores that stand apart as their third value."""
    if set(map(type, scores)) <= {type(None)}:
        return block
    confidence = _numbers(scores)
    if confidence is None or block.ndim != 3 or confidence.shape != block.shape[:2]:
        raise InputError(
            f"expected a score for each landmark, got points {block.shape} and scores "
            f"{'of different numbers' if confidence is None else confidence.shape}"
        )
    if block.shape[2] > 2 and not np.array_equal(block[..., 2], confidence, equal_nan=True):
        raise InputError(
            f"expected x and y of each landmark beside its score, got {block.shape[2]} values; "
            "poses in 3D? leave out their depth"
        )
    return with_third(block, confidence)


def with_third(block: np.ndarray, third: np.ndarray | float) -> np.ndarray:
    """x and y of a block (n, S, 2 or more), and another third value (n, S), as (n, S, 3)."""
    result = np.empty((*block.shape[:2], 3))
    for k, values in enumerate((block[..., 0], block[..., 1], third)):
        result[..., k] = values  # one after another: NumPy is slow along axes of two
    return result
