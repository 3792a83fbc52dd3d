"""TRC files: five lines of head, then a line of text for each frame.

    PathFileType  4  (X/Y/Z)  walk.trc
    DataRate  CameraRate  NumFrames  NumMarkers  Units  ...
    100       100         250        40          mm     ...
    Frame#  Time  LASI          RASI          ...
                  X1  Y1  Z1    X2  Y2  Z2    ...

A marker that is hidden has empty cells, or nan.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from prior import foreign, limits
from prior.errors import short
from prior.mocap.clip import MocapError


def read_trc(
    path: Path, units_mm: Mapping[str, float]
) -> tuple[tuple[str, ...], Float[np.ndarray, "F M 3"], float]:
    """The markers' names, positions (F, M, 3), mm, NaN where hidden, and the rate. Raises
    MocapError."""
    lines = foreign.read_text(path, MocapError).splitlines()
    if len(lines) < 6 or not lines[0].startswith("PathFileType"):
        raise MocapError(
            f"{path}: expected a TRC file, PathFileType, a head of five lines and frames, got "
            f"{short(lines[0] if lines else 'nothing', 40)!r}; export it again"
        )
    head = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
    head = {key.strip(): value.strip() for key, value in head.items()}
    try:
        rate, frames, count = (
            float(head["DataRate"]),
            int(head["NumFrames"]),
            int(head["NumMarkers"]),
        )
        unit = units_mm[head["Units"].lower()]
    except (KeyError, ValueError):
        raise MocapError(
            f"{path}: expected DataRate, NumFrames, NumMarkers and Units, one of "
            f"{', '.join(units_mm)}, in line 3, got {short(lines[2], 100)!r}; export it again"
        ) from None
    limits.check(path, "frames", frames, MocapError)
    names = tuple(cell.strip() for cell in lines[3].split("\t")[2:] if cell.strip())
    rows = [line.rstrip("\r\n").split("\t") for line in lines[5:] if line.strip()]
    if len(names) != count or len(rows) != frames:
        raise MocapError(
            f"{path}: expected {frames} frames of {count} markers, got {len(rows)} frames and "
            f"{len(names)} names; the file is cut off or was edited"
        )
    positions = np.full((frames, 3 * count), np.nan)
    for i, row in enumerate(rows):
        cells = row[2 : 2 + 3 * count]
        try:
            values = [float(cell) if cell.strip() else np.nan for cell in cells]
        except ValueError:
            raise MocapError(
                f"{path}: line {i + 6}: expected numbers, got {short(' '.join(row), 60)!r}; "
                "export it again"
            ) from None
        positions[i, : len(values)] = values
    positions = unit * positions.reshape(frames, count, 3)
    positions[~np.isfinite(positions).all(axis=2)] = np.nan
    return names, positions, rate
