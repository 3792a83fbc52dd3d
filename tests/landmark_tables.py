"""Motions as the CSV files of many programs; as tests.landmark_formats, which has their names."""

import csv

import numpy as np

from prior.landmark_sets import COCO
from prior.skeleton import LANDMARKS
from tests.landmark_files import in_frames, in_set


def _rows(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def deeplabcut(path, points):
    """DeepLabCut's analyze_videos as CSV."""
    names = COCO.names
    header = [
        ["scorer", *["DLC_resnet50"] * (3 * len(names))],
        ["bodyparts", *(name for name in names for _ in range(3))],
        ["coords", *["x", "y", "likelihood"] * len(names)],
    ]
    rows = enumerate(in_set(points, COCO))
    return _rows(path, [*header, *([i, *row.ravel().tolist()] for i, row in rows)])


def deeplabcut_several(path, points, count=1):
    """The same of several individuals, of which the last is never there."""
    names, people = COCO.names, [f"individual{i + 1}" for i in range(count + 1)]
    header = [
        ["scorer", *["DLC_resnet50"] * (3 * len(names) * len(people))],
        ["individuals", *(one for one in people for _ in range(3 * len(names)))],
        ["bodyparts", *(name for _ in people for name in names for _ in range(3))],
        ["coords", *["x", "y", "likelihood"] * (len(names) * len(people))],
    ]
    absent = [""] * (3 * len(names))
    frames = enumerate(in_frames(points, COCO, count))
    return _rows(path, [*header, *([i, *row.ravel().tolist(), *absent] for i, row in frames)])


def sleap(path, points, count=1):
    """SLEAP's analysis CSV."""
    header = ["track", "frame_idx", "instance.score"]
    header += [f"{name}.{axis}" for name in COCO.names for axis in ("x", "y", "score")]
    rows = [
        [f"track_{k}", i, 0.9, *row.ravel().tolist()]
        for i, people in enumerate(in_frames(points, COCO, count))
        for k, row in enumerate(people)
    ]
    return _rows(path, [header, *rows])


def free_columns(path, points, count=1):
    """CSV with the columns in another order and spelling, semicolons, and -1 for missing."""
    order = np.random.default_rng(0).permutation(17)
    header = [f"{axis}_{LANDMARKS[i].upper().replace(' ', '_')}" for i in order for axis in "yx"]
    rows = np.where(np.isfinite(points), points, -1)[:, order][..., ::-1]
    lines = [";".join([*header, "Frame"])]
    lines += [";".join(map(str, [*row.ravel().tolist(), i // count])) for i, row in enumerate(rows)]
    path.write_text("\n".join(lines))
    return path


def long_columns(path, points, count=1):
    """CSV with a row for each landmark; those that are missing have none."""
    rows = [
        [i, k, name, *row.tolist()]
        for i, people in enumerate(in_frames(points, COCO, count))
        for k, person in enumerate(people)
        for name, row in zip(COCO.names, person, strict=True)
        if row[2]
    ]
    return _rows(path, [["frame", "person", "landmark", "x", "y", "confidence"], *rows])
