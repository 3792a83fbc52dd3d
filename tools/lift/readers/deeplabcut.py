"""DeepLabCut's CSV, and what pandas writes of its HDF5: header rows "scorer", maybe "individuals",
"bodyparts", "coords", then a row for each frame with x, y, likelihood of each landmark and animal.
"""

from math import isfinite
from operator import itemgetter

from tools.lift.people import KeypointError, People
from tools.lift.readers.table import cell, numbers_of

FORMAT = "DeepLabCut's CSV (rows 'scorer', 'bodyparts', 'coords')"
_HEADER = ("scorer", "individuals", "bodyparts", "coords")


def recognises(rows: list[list[str]]) -> bool:
    """Whether the rows that name scorer, body parts and coordinates are there."""
    first = [row[0].strip() for row in rows[:4] if row]
    return "bodyparts" in first and "coords" in first


def collect(rows: list[list[str]]) -> People:
    """The People in it. Raises KeypointError."""
    data = (i for i, row in enumerate(rows) if row and row[0].strip() not in _HEADER)
    count = next(data, len(rows))
    header = {row[0].strip(): [text.strip() for text in row] for row in rows[:count] if row}
    if not {"bodyparts", "coords"} <= set(header):
        raise KeypointError("expected the rows 'bodyparts' and 'coords' before all others")
    parts, coords = header["bodyparts"], header["coords"]
    individuals = header.get("individuals", [""] * len(parts))
    if not len(parts) == len(coords) == len(individuals):
        raise KeypointError(
            f"expected as many individuals as bodyparts and coords, got {len(individuals)}, "
            f"{len(parts)} and {len(coords)} cells"
        )
    # The columns of an index, which say the frame, have no coordinate.
    index = [i for i, text in enumerate(coords) if i == 0 or not text]
    others = set(coords[1:]) - {"", "x", "y", "likelihood"}
    if others:
        raise KeypointError(
            f"expected x, y and likelihood as coords, got {', '.join(sorted(others))[:40]}; poses "
            "in 3D? take the files of one camera, before they were triangulated"
        )
    columns: dict[str, dict[str, list[int]]] = {}
    for i, (one, part) in enumerate(zip(individuals, parts, strict=True)):
        if i not in index:
            columns.setdefault(one, {}).setdefault(part, []).append(i)
    names = list(dict.fromkeys(part for parts in columns.values() for part in parts))
    people = People(names=names)
    sizes = {len(at) for parts in columns.values() for at in parts.values()}
    if len(sizes) != 1 or any(list(parts) != names for parts in columns.values()):
        raise KeypointError("expected the same landmarks with x, y, likelihood of every individual")
    size = sizes.pop()
    cells_of = {
        one: itemgetter(*(k for at in parts_of.values() for k in at))
        for one, parts_of in columns.items()
    }
    for i, row in enumerate(rows[count:], count + 1):
        if not any(text.strip() for text in row):
            continue
        key = cell("/".join(row[k].strip() for k in index if k < len(row)))
        if len(row) != len(coords) or key is None:
            people.leave_out(f"not a row of {len(coords)} cells", f"line {i}")
            continue
        people.listed[key] = None
        for one, cells in cells_of.items():
            if not any(cells(row)):  # the common form of an individual that is not there
                continue
            try:
                values = numbers_of(cells(row))
            except ValueError as error:
                people.leave_out("not a row of numbers", f"line {i}: {error}")
                continue
            if any(map(isfinite, values)):  # else it is not there either
                points = [values[k : k + size] for k in range(0, len(values), size)]
                people.add(f"line {i}", points, key, one or 0)
    return people
