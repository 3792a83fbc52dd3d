"""Optical markers: C3D and TRC files, and the marker map that says where the landmarks are.

C3D (c3d.org) is binary and read by ezc3d; TRC, of Motion Analysis and OpenSim, is a table of text.
Both name their markers, and give rate and unit. Neither says which way is up, so the map does:

    {"up": "z", "left knee": ["LKNM", "LKNL"], "hip": ["LASI", "RASI", "LPSI", "RPSI"], ...}

Each landmark of the skeleton is in the middle of the markers named, which sit on the skin around
it. A marker that is hidden for a moment is interpolated; where it is hidden for long, the clip is
cut.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from prior import foreign, limits
from prior.errors import short
from prior.files import FilePath
from prior.mocap import c3d
from prior.mocap.clip import Clip, MocapError
from prior.mocap.orientation import UP
from prior.mocap.trc import read_trc
from prior.skeleton import HUMAN36M, Skeleton

SUFFIXES = (".c3d", ".trc")

# Units that the files name, in mm.
UNITS_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "in": 25.4, "ft": 304.8}

# A marker that is hidden for less than this, seconds, is interpolated. Our choice: a step takes
# half a second, and moves a foot there and back.
GAP_S = 0.1

# A marker that is missing in more than this share of the frames is none.
MISSING = 0.5


class Recording(NamedTuple):
    """Markers of a file: names; positions (F, M, 3), mm, NaN where hidden; frames per second."""

    names: tuple[str, ...]
    positions_mm: Float[np.ndarray, "F M 3"]
    rate: float


class MarkerMap(NamedTuple):
    """The axis that is up, and of each landmark the markers in whose middle it is."""

    path: FilePath
    up: str
    table: Mapping[str, tuple[str, ...]]


def recognises(path: FilePath) -> bool:
    """Whether the file's name ends in .c3d or .trc."""
    return Path(path).suffix.lower() in SUFFIXES


def read_map(path: FilePath, skeleton: Skeleton = HUMAN36M) -> MarkerMap:
    """The MarkerMap of a skeleton in a JSON file. Raises MocapError."""
    document = foreign.read_document(path, MocapError)
    up, table = "", {}
    for key, value in document.items():
        if key == "up":
            up = value.text(tuple(UP))
        else:
            names = [value] if isinstance(value.value, str) else value.elements(least=1)
            table[key] = tuple(name.text() for name in names)
    missing = [name for name in skeleton.landmarks if name not in table]
    unknown = [name for name in table if name not in skeleton.landmarks]
    if missing or unknown or not up:
        raise MocapError(
            f"{path}: expected up, one of {', '.join(UP)}, and the markers of "
            f"{short(', '.join(skeleton.landmarks), 300)}; missing: "
            f"{short(', '.join([*missing, *([] if up else ['up'])]), 300) or 'none'}; "
            f"unknown: {short(', '.join(unknown)) or 'none'}"
        )
    return MarkerMap(path, up, table)


def read(path: FilePath, marker_map: MarkerMap, skeleton: Skeleton = HUMAN36M) -> list[Clip]:
    """The file's clips: one, or several where markers are hidden for long. The subject is the
    folder's name, the action the file's. Raises MocapError."""
    path = Path(path)
    recording = read_c3d(path) if path.suffix.lower() == ".c3d" else read_trc(path, UNITS_MM)
    limits.check(path, "frames", len(recording[1]), MocapError)
    recording = Recording(*recording)
    names = [name.rpartition(":")[2] for name in recording.names]
    wanted = sorted({marker for markers in marker_map.table.values() for marker in markers})
    absent = [marker for marker in wanted if marker not in names]
    if absent:
        raise MocapError(
            f"{path}: expected the markers of {marker_map.path}, missing: "
            f"{short(', '.join(absent), 200)}; the file has {short(', '.join(names), 300)}"
        )
    at = [names.index(marker) for marker in wanted]
    positions = recording.positions_mm[:, at] @ UP[marker_map.up].T
    hidden = np.isnan(positions).any(axis=2)
    share = hidden.mean(axis=0)
    if (share > MISSING).any():
        worst = int(share.argmax())
        raise MocapError(
            f"{path}: expected markers that are seen most of the time, got {wanted[worst]} missing "
            f"in {share[worst]:.0%} of the frames; use other markers in {marker_map.path}"
        )
    filled = _filled(positions, hidden, GAP_S * recording.rate)
    poses = np.stack(
        [
            filled[:, [wanted.index(marker) for marker in marker_map.table[name]]].mean(axis=1)
            for name in skeleton.landmarks
        ],
        axis=1,
    )
    parts = _whole(poses)
    if not parts:
        raise MocapError(
            f"{path}: expected all markers of {marker_map.path} at once in two frames on end, got "
            "none; use markers that are hidden less"
        )
    subject = path.resolve().parent.name
    return [
        Clip(part, recording.rate, subject, path.stem, f"{path.stem} {i}", skeleton=skeleton)
        for i, part in enumerate(parts)
    ]


def _filled(
    positions: Float[np.ndarray, "F M 3"], hidden: Bool[np.ndarray, "F M"], longest: float
) -> Float[np.ndarray, "F M 3"]:
    """The positions, linear in time where a marker is hidden for fewer than `longest` frames."""
    result, frames = positions.copy(), np.arange(len(positions))
    for m in np.flatnonzero(hidden.any(axis=0)):
        there = np.flatnonzero(~hidden[:, m])
        gaps = np.diff(there)
        for start, gap in zip(there[:-1][gaps > 1], gaps[gaps > 1], strict=True):
            if gap - 1 < longest:
                inside = frames[start + 1 : start + gap]
                part = ((inside - start) / gap)[:, None]
                ends = positions[start, m], positions[start + gap, m]
                result[inside, m] = (1 - part) * ends[0] + part * ends[1]
    return result


def _whole(poses: Float[np.ndarray, "F L 3"]) -> list[Float[np.ndarray, "f L 3"]]:
    """The stretches of two frames or more in which nothing is missing."""
    good = np.isfinite(poses).all(axis=(1, 2))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(int)))
    return [poses[a:b] for a, b in edges.reshape(-1, 2) if b - a > 1]


def read_c3d(path: Path) -> Recording:
    """The markers of a C3D file. Raises MocapError."""
    file = c3d.load(path)
    unit = str(file["unit"])
    if unit not in UNITS_MM:
        raise MocapError(
            f"{path}: expected a unit of {', '.join(UNITS_MM)}, got {short(repr(unit))}; "
            "set POINT:UNITS"
        )
    positions = file["positions"] * UNITS_MM[unit]
    # A hidden marker has a negative residual, and by custom stands at the origin.
    positions[file["hidden"] | ~positions.any(axis=2)] = np.nan
    return Recording(tuple(file["names"].tolist()), positions, float(file["rate"]))
