"""What every reader of 2D landmarks gives, Keypoints, and People, which collects them."""

from typing import NamedTuple

import numpy as np

from prior import landmark_sets
from prior.errors import InputError
from prior.skeleton import L

FORMATS = (
    "OpenPose JSON (a file, or a folder with one for each frame), COCO keypoints JSON (annotations "
    "or results), MPII JSON (a list with 16 'joints' each), what tools.infer writes, "
    "JSON or .npz with 'points', or CSV"
)
# The set that a count of landmarks stands for, where it stands for one alone: 17 may be COCO's or
# Human3.6M's.
BY_COUNT = {
    25: landmark_sets.BODY_25,
    18: landmark_sets.OPENPOSE_COCO,
    15: landmark_sets.OPENPOSE_MPI,
    16: landmark_sets.MPII,
    33: landmark_sets.MEDIAPIPE,
}


class KeypointError(InputError):
    """A file of landmarks that cannot be used: which, what was expected, what came."""


class Keypoints(NamedTuple):
    """N people in F frames.

    points (N, 17, 2), px, NaN where missing; confidence (N, 17), 0 where missing; frame (N,), from
    0, rising; person (N,), -1 where the file does not say who it is; frames: F names; rate: frames
    a second or None; problems: a line for each part of the input that was left out.
    """

    points: np.ndarray
    confidence: np.ndarray
    frame: np.ndarray
    person: np.ndarray
    frames: tuple
    rate: float | None = None
    problems: tuple = ()


class People:
    """Collects people as a file is read, each a list of S x (x, y, confidence)."""

    def __init__(self):
        self.values, self.frame, self.person, self.problems = [], [], [], []

    def add(self, where, values, frame, person=-1):
        """Add one person; where the values are none of a person, a line to `problems` instead."""
        try:
            array = np.array(values, dtype=float).reshape(-1, 3)
        except (TypeError, ValueError):
            array = None
        if array is None or not len(array) or np.isinf(array).any():
            got = f"{len(values)} values" if isinstance(values, list) else repr(values)[:40]
            self.problems.append(
                f"{where}: expected numbers x, y, confidence for each landmark, got {got}"
            )
            return
        self.values.append(array)
        self.frame.append(frame)
        self.person.append(person if isinstance(person, int) else -1)

    def keypoints(self, path, frames, landmarks, default=None, rate=None):
        """The Keypoints of the people. Raises KeypointError where the landmark set is not certain.

        landmarks: their LandmarkSet, or None; then it is told by how many landmarks there are, or
        is `default`.
        """
        sizes = {len(values) for values in self.values}
        if len(sizes) > 1:
            raise KeypointError(
                f"{path}: expected one landmark set, got people of "
                f"{' and '.join(map(str, sorted(sizes)))} landmarks"
            )
        size = sizes.pop() if sizes else L
        values = np.array(self.values).reshape(-1, size, 3)
        chosen = set_of(path, size, landmarks, default) if self.values else landmark_sets.HUMAN36M
        confidence = np.where(np.isfinite(values).all(axis=2), values[..., 2], 0).clip(0, 1)
        points, confidence = (
            chosen.to_ours(values[..., :2], confidence)
            if len(values)
            else (np.empty((0, L, 2)), np.empty((0, L)))
        )
        frame = np.array(self.frame, dtype=int)
        order = np.argsort(frame, kind="stable")
        return Keypoints(
            points[order],
            confidence[order],
            frame[order],
            np.array(self.person, dtype=int)[order],
            tuple(map(str, frames)),
            rate,
            tuple(self.problems),
        )


def set_of(path, size, landmarks, default=None):
    """The LandmarkSet of `size` landmarks: `landmarks`, or `default`, or the one of that size.

    Raises KeypointError where it has another size, or where no set or several have this one.
    """
    chosen = landmarks or default or BY_COUNT.get(size)
    if chosen is not None and len(chosen.names) == size:
        return chosen
    like = [s.name for s in landmark_sets.LANDMARK_SETS.values() if len(s.names) == size]
    if chosen:
        hint = f", as {' or '.join(like)} has" if like else ""
        raise KeypointError(
            f"{path}: expected the {len(chosen.names)} landmarks of {chosen.name}, got {size}"
            f"{hint}; try --landmarks"
        )
    raise KeypointError(
        f"{path}: {size} landmarks may be {' or '.join(like) or 'anything'}: "
        f"{'say which with --landmarks' if like else 'no known set has as many'}"
    )


def set_named(path, names):
    """The LandmarkSet whose landmarks are `names`, in order. Raises KeypointError."""
    landmarks = landmark_sets.find_set(names)
    if landmarks is None:
        raise KeypointError(
            f"{path}: expected the landmarks of one of "
            f"{', '.join(s.name for s in landmark_sets.LANDMARK_SETS.values())} in "
            f"their order, got {', '.join(map(str, names))[:80]}"
        )
    return landmarks


def looks_like(path):
    """What a file that is none of ours seems to be."""
    with open(path, "rb") as file:
        head = file.read(512)
    starts = {
        b"\x89PNG": "a PNG image",
        b"\xff\xd8": "a JPEG image",
        b"PK": "a zip archive",
        b"\x89HDF": "an HDF5 file",
        b"MATLAB": "a MATLAB file",
        b"HIERARCHY": "BVH motion",
        b"\x93NUMPY": "a single NumPy array (put it into an .npz as 'points')",
        b"<": "XML or HTML",
    }
    for start, name in starts.items():
        if head.startswith(start):
            return name
    if head[4:8] == b"ftyp":
        return "a video"
    if not head.strip():
        return "an empty file"
    try:
        text = head.decode()
    except UnicodeDecodeError:
        return "binary data"
    return "damaged JSON" if text.lstrip()[:1] in "[{" else f"text: {text.split(chr(10))[0][:40]!r}"
