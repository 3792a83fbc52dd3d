"""2D landmarks in arrays: .npz, JSON with "points", and CSV."""

import csv
import re
import zipfile

import numpy as np

from prior import landmark_sets
from prior.skeleton import L
from tools.lift.people import KeypointError, Keypoints, People, looks_like, set_named, set_of

# In CSV, the columns "NAME x", "NAME_y", "NAME confidence" and so on.
COLUMN = re.compile(r"(.+?)[ _](x|y|confidence|c|score)", re.IGNORECASE)


def npz(path, landmarks):
    """The Keypoints in an .npz, as `keypoints` has it."""
    try:
        # Opened here: NumPy leaves a file that is no archive open.
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            return keypoints(path, dict(file), landmarks)
    except zipfile.BadZipFile:
        raise KeypointError(f"{path}: expected an .npz, found {looks_like(path)}") from None


def keypoints(path, values, landmarks):
    """The Keypoints in named arrays.

    points (N, S, 2 or 3), px; where they are there, confidence (N, S), landmarks (S names), frame
    (N,), person (N,) and rate. Without `frame` every pose is a frame of its own.
    """
    if "points" not in values:
        raise KeypointError(
            f"{path}: expected 'points', N x landmarks x 2, px, found {sorted(values)[:8]}"
        )
    if isinstance(values["points"], list) and not values["points"]:
        return People().keypoints(path, values.get("frames", ()), landmarks)
    try:
        # null in JSON is NaN here.
        points = np.asarray(values["points"], dtype=float)
        count = len(points)
        if points.ndim != 3 or points.shape[2] not in (2, 3):
            raise ValueError(f"points of shape {points.shape}")
        confidence = values.get("confidence")
        if confidence is None:
            confidence = points[..., 2] if points.shape[2] == 3 else np.ones(points.shape[:2])
        confidence = np.broadcast_to(np.asarray(confidence, float), points.shape[:2])
        frame = np.asarray(values.get("frame", np.arange(count)), dtype=int)
        person = np.asarray(values.get("person", np.full(count, -1)), dtype=int)
        rate = float(values["rate"]) if values.get("rate") is not None else None
        if frame.shape != (count,) or person.shape != (count,) or (frame < 0).any():
            raise ValueError("frame or person of another length")
        if np.isinf(points).any() or not (rate is None or 0 < rate < np.inf):
            raise ValueError("infinite coordinates, or a rate that is not positive")
    except (TypeError, ValueError, OverflowError) as error:
        raise KeypointError(
            f"{path}: expected points (N, landmarks, 2), px, and arrays that "
            f"belong to them; got {error}"
        ) from None
    if values.get("landmarks") is not None:
        landmarks = set_named(path, values["landmarks"])
    chosen = set_of(
        path, points.shape[1], landmarks, None if points.shape[1] != L else landmark_sets.HUMAN36M
    )
    ours, confidence = chosen.to_ours(points[..., :2], np.nan_to_num(confidence).clip(0, 1))
    order = np.argsort(frame, kind="stable")
    frames = values.get("frames")
    if frames is None or len(frames) <= frame.max(initial=-1):
        frames = range(frame.max(initial=-1) + 1)
    return Keypoints(
        ours[order], confidence[order], frame[order], person[order], tuple(map(str, frames)), rate
    )


def csv_table(path, text, landmarks):
    """The Keypoints in CSV with a row for each pose.

    Columns: NAME x and NAME y of each landmark; where they are there, NAME confidence, frame and
    person.
    """
    header, *lines = text.splitlines() or [""]
    columns = [name.strip() for name in next(csv.reader([header]), ())]
    parts = [COLUMN.fullmatch(name) for name in columns]
    names = list(dict.fromkeys(part[1] for part in parts if part and part[2].lower() in "xy"))
    if not names:
        raise KeypointError(
            f"{path}: expected a header with columns such as 'hip x', 'hip y', "
            f"'hip confidence', 'frame', got {header[:60]!r}"
        )
    at = {(part[1], part[2].lower()[0]): i for i, part in enumerate(parts) if part}
    if any((name, axis) not in at for name in names for axis in "xy"):
        raise KeypointError(f"{path}: expected an x and a y column for each landmark")
    try:
        # An empty cell is a missing landmark.
        filled = (re.sub(r"(?<=,)(?=,|$)|^(?=,)", "nan", line) for line in lines if line.strip())
        cells = np.loadtxt(filled, delimiter=",", ndmin=2, dtype=float)
        if cells.size and cells.shape[1] != len(columns):
            raise ValueError(f"{cells.shape[1]} columns under {len(columns)} names")
    except ValueError as error:
        raise KeypointError(f"{path}: expected a table of numbers, got {error}") from None
    cells = cells.reshape(-1, len(columns))
    values = {
        "points": np.stack([cells[:, [at[n, "x"], at[n, "y"]]] for n in names], axis=1),
        "landmarks": names,
    }
    confidence = [at.get((n, "c"), at.get((n, "s"))) for n in names]
    if None not in confidence:
        values["confidence"] = cells[:, confidence]
    for key in ("frame", "person"):
        if key in columns:
            values[key] = np.nan_to_num(cells[:, columns.index(key)], nan=-1)
    return keypoints(path, values, landmarks)
