"""Tables and archives of arrays with another structure: they are read, or refused in one line.

Every change is one of a list, at every column, row or array: it says by itself what broke, so there
is nothing for hypothesis to search or to shrink.
"""

import csv

import numpy as np
import pytest

from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import tried

# Cells of each kind that a column may hold.
CELLS = (
    "",
    " ",
    "x",
    "-1",
    "1e400",
    "nan",
    "inf",
    "0x1F",
    "1,5",
    "1_000",
    "=1+1",
    "\x00",
    "９",
    '"',
)
MOST, FEW = 120, 40  # changes of a file, by a seed; of one that is drawn each time
# Types that NumPy writes without pickle, of either byte order; of text, one cut short.
DTYPES = ("?", "i1", "<u8", ">i8", "f2", "<f4", ">f8", "g", "c8", "U1", ">U9", "S9")
VALUES = (np.nan, np.inf, 1e308, -1, 0)
# What is too large for another type is infinite or another number there, as in a file.
OVERFLOW = pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:Casting")
DRAWN = "loss.csv"
SLOW = (
    DRAWN,
    "keypoints long.csv",
    "keypoints deeplabcut-several.csv",
    "keypoints free-columns.csv",
    "lifted .npz",
    "model .npz",
)
# A name of a column may have characters that no font has.
GLYPHS = pytest.mark.filterwarnings("ignore:Glyph")


def tables(rows):
    """(what was done, the rows of a table) of every change."""
    ends = sorted({0, 1, len(rows) // 2, len(rows) - 1})
    for i in ends:
        for j in range(len(rows[i])):
            for cell in CELLS:
                yield (
                    (i, j, cell),
                    [
                        [cell if (k, m) == (i, j) else c for m, c in enumerate(row)]
                        for k, row in enumerate(rows)
                    ],
                )
        yield (i, "longer"), [[*row, "1"] if k == i else row for k, row in enumerate(rows)]
        yield (i, "shorter"), [row[:-1] if k == i else row for k, row in enumerate(rows)]
        yield (i, "twice"), [*rows[: i + 1], *rows[i:]]
        yield (i, "missing"), rows[:i] + rows[i + 1 :]
        yield (i, "empty"), [[] if k == i else row for k, row in enumerate(rows)]
    for j in range(len(rows[0])):
        yield (j, "column missing"), [row[:j] + row[j + 1 :] for row in rows]
        yield (j, "column twice"), [row[: j + 1] + row[j:] for row in rows]
        yield (j, "column last"), [row[:j] + row[j + 1 :] + row[j : j + 1] for row in rows]
    yield "backwards", rows[::-1]
    yield "across", [list(column) for column in zip(*rows, strict=False)]


def shapes(array):
    """(what was done, array) of every other shape and order."""
    yield "scalar", np.array(array.ravel()[0] if array.size else 0)
    yield "none", array[:0] if array.ndim else array.reshape(1)[:0]
    yield "more axes", array[None]
    yield "32 axes", array.reshape((1,) * (32 - array.ndim) + array.shape)
    yield "flat", array.ravel()
    yield "fortran", np.asfortranarray(array)
    if array.ndim:
        yield "shorter", array[:-1]
        yield "twice", np.concatenate([array, array])
        yield "across", array.T
        yield "fewer last", array[..., :-1]
        yield "none last", array[..., :0]


def archives(arrays):
    """(what was done, arrays by name) of every change."""
    for name, array in arrays.items():
        rest = {other: value for other, value in arrays.items() if other != name}
        yield (name, "missing"), rest
        yield (name, "renamed"), {**rest, f"{name}2": array}
        for what, changed in shapes(array):
            yield (name, what), arrays | {name: changed}
        for dtype in DTYPES:
            try:
                with np.errstate(all="ignore"):
                    changed = array.astype(dtype)
            except (TypeError, ValueError, OverflowError):
                continue  # words that are no numbers, numbers that are too large
            yield (name, dtype), arrays | {name: changed}
        for value in VALUES if array.dtype.kind == "f" and array.size else ():
            changed = array.copy()
            changed.flat[-1] = value
            yield (name, value), arrays | {name: changed}
    yield "more", arrays | {"more": np.zeros(3)}
    yield "nothing", {}


def broken(target, path, changes, write):
    """What is neither read nor refused in a line, and the kinds of all that was tried."""
    changes, rng = list(changes), np.random.default_rng(0)
    bad, kinds = [], []
    most = FEW if target.name == DRAWN else MOST
    for i in rng.permutation(len(changes))[:most]:
        what, content = changes[i]
        write(content)
        kind, words = tried(target.read, path)
        kinds.append(kind)
        if kind not in ("ok", "refused"):
            bad.append((what, kind, words))
    return bad, kinds


def of_suffix(suffix, but=()):
    return [t for t in TARGETS if t.name.endswith(suffix) and t.name not in but]


ARCHIVES = of_suffix(".npz", ("keypoints detectron.npz", "keypoints videopose3d.npz"))  # pickled
ARCHIVES += [t for t in TARGETS if t.name in ("mocap carried", "mocap SMPL")]
ARCHIVES, TABLES = (
    [pytest.param(t, marks=pytest.mark.slow) if t.name in SLOW else t for t in targets]
    for targets in (ARCHIVES, of_suffix(".csv"))
)


@OVERFLOW
@GLYPHS
@pytest.mark.parametrize("target", TABLES, ids=lambda one: one.name)
def test_tables_of_another_structure_are_read_or_refused(tmp_path, target):
    path = target.make(tmp_path)
    with open(path, newline="") as file:
        rows = list(csv.reader(file))

    def write(changed):
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows(changed)

    bad, kinds = broken(target, path, tables(rows), write)
    assert not bad, bad[:5]
    assert {"ok", "refused"} <= set(kinds)


@OVERFLOW
@pytest.mark.parametrize("target", ARCHIVES, ids=lambda one: one.name)
def test_arrays_of_another_structure_are_read_or_refused(tmp_path, target):
    path = target.make(tmp_path)
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    bad, kinds = broken(target, path, archives(arrays), lambda changed: np.savez(path, **changed))
    assert not bad, bad[:5]
    assert "refused" in kinds
