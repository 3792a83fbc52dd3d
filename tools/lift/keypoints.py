"""2D landmarks from the files of other programs: what `read` knows is listed in FORMATS.

The kind of a file is told by its content, and the landmark set by the file or by how many landmarks
there are. Coordinates are pixels of the image; confidences are 0 to 1, 0 for missing.
"""

import csv
import json
import re
import zipfile
from pathlib import Path
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
# Where a count of landmarks says which set it is. 17 may be COCO's or Human3.6M's.
_BY_COUNT = {
    25: landmark_sets.BODY_25,
    18: landmark_sets.OPENPOSE_COCO,
    15: landmark_sets.OPENPOSE_MPI,
    16: landmark_sets.MPII,
    33: landmark_sets.MEDIAPIPE,
}
# In CSV, the columns "NAME x", "NAME_y", "NAME confidence" and so on.
_COLUMN = re.compile(r"(.+?)[ _](x|y|confidence|c|score)", re.IGNORECASE)


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


class _Rows:
    """Collects people as a file is read, each a list of S x (x, y, confidence)."""

    def __init__(self):
        self.values, self.frame, self.person, self.problems = [], [], [], []

    def add(self, where, values, frame, person=-1):
        """One person; a line in `problems` if it is none."""
        try:
            array = np.array(values, dtype=float).reshape(-1, 3)
        except (TypeError, ValueError):
            array = None
        if array is None or not len(array) or np.isinf(array).any():
            found = f"{len(values)} values" if isinstance(values, list) else repr(values)[:40]
            self.problems.append(
                f"{where}: expected numbers x, y, confidence for each landmark, got {found}"
            )
            return
        self.values.append(array)
        self.frame.append(frame)
        self.person.append(person if isinstance(person, int) else -1)

    def keypoints(self, path, frames, given, default=None, rate=None):
        """The Keypoints; the set is `given` or by the count of landmarks, `default` for 17."""
        sizes = {len(values) for values in self.values}
        if len(sizes) > 1:
            raise KeypointError(
                f"{path}: expected one landmark set, got people of "
                f"{' and '.join(map(str, sorted(sizes)))} landmarks"
            )
        size = sizes.pop() if sizes else L
        values = np.array(self.values).reshape(-1, size, 3)
        chosen = _choose(path, size, given, default) if self.values else landmark_sets.HUMAN36M
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


def _choose(path, size, given, default=None):
    """The landmark set of `size` landmarks."""
    chosen = given or default or _BY_COUNT.get(size)
    if chosen is not None and len(chosen.names) == size:
        return chosen
    like = [s.name for s in landmark_sets.LANDMARK_SETS.values() if len(s.names) == size]
    raise KeypointError(
        f"{path}: expected the {len(chosen.names)} landmarks of {chosen.name}, got {size}"
        f"{', as ' + ' or '.join(like) + ' has' if like else ''}; try --landmarks"
        if chosen
        else f"{path}: {size} landmarks may be {' or '.join(like) or 'anything'}: "
        f"{'say which with --landmarks' if like else 'no known set has as many'}"
    )


def read(path, landmarks=None):
    """The Keypoints in a file or folder.

    landmarks: a LandmarkSet, for files that do not say which it is. People and files that are
    damaged are left out, named in `problems`. Raises KeypointError if nothing can be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _folder(path, landmarks)
        if path.suffix.lower() == ".npz":
            return _npz(path, landmarks)
        data = path.read_bytes()
        if path.suffix.lower() == ".csv":
            return _csv(path, data.decode("utf-8-sig"), landmarks)
        return _json(path, json.loads(data), landmarks)
    except OSError as error:
        raise KeypointError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, KeypointError):
            raise
        raise KeypointError(f"{path}: expected {FORMATS}; found {_looks_like(path)}") from None


def _looks_like(path):
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


# JSON --------------------------------------------------------------------------------------------


def _json(path, document, given):
    first = document[0] if isinstance(document, list) and document else document
    if isinstance(document, list) and not document:
        return _Rows().keypoints(path, (), given)
    if isinstance(document, dict):
        if "people" in document:
            return _openpose(path, [(path.stem, document)], given)
        if "points" in document:
            return _arrays(path, document, given)
        if "landmark_names" in document:
            return _predicted(path, document, given)
        if isinstance(document.get("annotations"), list):
            return _coco(path, document["annotations"], document, given)
    elif isinstance(first, dict) and isinstance(document, list):
        if "keypoints" in first:
            return _coco(path, document, {}, given)
        if "joints" in first:
            return _mpii(path, document, given)
    keys = sorted(first)[:6] if isinstance(first, dict) else type(first).__name__
    raise KeypointError(f"{path}: expected {FORMATS}; found JSON with {keys}")


def _folder(path, given):
    """OpenPose's folder: one file for each frame, in the order of their names."""
    files = sorted(path.glob("*.json"), key=natural)
    if not files:
        raise KeypointError(f"{path}: expected OpenPose's JSON files in the folder, found none")
    documents = []
    for file in files:
        try:
            documents.append((file.stem, json.loads(file.read_bytes())))
        except (OSError, ValueError, RecursionError):
            documents.append((file.stem, f"{file}: expected JSON, found {_looks_like(file)}"))
    return _openpose(path, documents, given)


def _openpose(path, documents, given):
    """documents: (name, document) of each frame, or what is wrong in its place."""
    rows = _Rows()
    for frame, (name, document) in enumerate(documents):
        people = document.get("people") if isinstance(document, dict) else None
        if not isinstance(people, list):
            like = document if isinstance(document, str) else f"{name}: found no 'people'"
            rows.problems.append(like)
            continue
        for person in people:
            values = person.get("pose_keypoints_2d") if isinstance(person, dict) else None
            identity = person.get("person_id", -1) if isinstance(person, dict) else -1
            identity = identity[0] if isinstance(identity, list) and identity else identity
            rows.add(name, values, frame, identity)
    if len(rows.problems) and not rows.values and len(rows.problems) >= len(documents):
        raise KeypointError(f"{path}: expected OpenPose JSON; {rows.problems[0]}")
    names = [name.removesuffix("_keypoints") for name, _ in documents]
    return rows.keypoints(path, names, given)


def _coco(path, records, document, given):
    """COCO's annotations (v of 0, 1, 2), or results (a score for each landmark)."""
    categories = document.get("categories") or [{}]
    names = categories[0].get("keypoints") if isinstance(categories[0], dict) else None
    found = landmark_sets.find_set(names) if names else None
    annotated = bool(document)
    images = {
        image.get("id"): image.get("file_name", image.get("id"))
        for image in document.get("images", [])
        if isinstance(image, dict)
    }
    records = [record for record in records if isinstance(record, dict)]
    if not any("keypoints" in record for record in records):
        raise KeypointError(
            f"{path}: expected COCO's keypoints, found annotations without any "
            "(instances or captions?)"
        )
    if not annotated:
        images = {i: i for i in sorted({r.get("image_id") for r in records}, key=natural)}
    number = {identity: i for i, identity in enumerate(images)}
    rows = _Rows()
    for i, record in enumerate(records):
        if record.get("iscrowd") or record.get("num_keypoints") == 0:
            continue
        if record.get("image_id") not in number:
            rows.problems.append(f"record {i}: its image_id is not among the images")
            continue
        values = record.get("keypoints")
        if annotated and isinstance(values, list):
            values = [
                min(v, 1) if k % 3 == 2 and isinstance(v, int | float) else v
                for k, v in enumerate(values)
            ]
        identity = record.get("track_id", record.get("idx", -1))
        rows.add(f"record {i}", values, number[record["image_id"]], identity)
    return rows.keypoints(path, images.values(), given or found, landmark_sets.COCO)


def _mpii(path, records, given):
    """A list of {"image", "joints": 16 x [x, y], "joints_vis": 16 numbers}."""
    number, rows = {}, _Rows()
    for i, record in enumerate(records):
        record = record if isinstance(record, dict) else {}
        joints = record.get("joints")
        seen = record.get("joints_vis") or [1] * len(joints or ())
        frame = number.setdefault(record.get("image", i), len(number))
        try:
            # Missing ones are at or below 0 and not visible.
            values = [[x, y, float(v > 0)] for (x, y), v in zip(joints, seen, strict=True)]
        except (TypeError, ValueError):
            values = joints
        rows.add(f"record {i}", values, frame)
    return rows.keypoints(path, number, given or landmark_sets.MPII)


def _predicted(path, document, given):
    """What tools.infer.predict wrote: one person in each image. Peaks of belief maps are no
    probabilities, so each landmark counts."""
    rows = _Rows()
    images = {name: found for name, found in document.items() if name != "landmark_names"}
    for frame, (name, found) in enumerate(images.items()):
        points = found.get("landmarks") if isinstance(found, dict) else None
        if isinstance(points, list):
            points = [[0, 0, 0] if point is None else [*point, 1] for point in points]
        rows.add(name, points, frame, 0)
    return rows.keypoints(path, images, given or _named(path, document["landmark_names"]))


# Arrays ------------------------------------------------------------------------------------------


def _npz(path, given):
    try:
        # Opened here: NumPy leaves a file that is no archive open.
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            return _arrays(path, dict(file), given)
    except zipfile.BadZipFile:
        raise KeypointError(f"{path}: expected an .npz, found {_looks_like(path)}") from None


def _arrays(path, values, given):
    """points (N, S, 2 or 3) and maybe confidence (N, S), landmarks (S names), frame (N,), person
    (N,), rate. Without `frame` each pose is one of its own."""
    if "points" not in values:
        raise KeypointError(
            f"{path}: expected 'points', N x landmarks x 2, px, found {sorted(values)[:8]}"
        )
    if isinstance(values["points"], list) and not values["points"]:
        return _Rows().keypoints(path, values.get("frames", ()), given)
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
    found = given
    if values.get("landmarks") is not None:
        found = _named(path, values["landmarks"])
    chosen = _choose(
        path, points.shape[1], found, None if points.shape[1] != L else landmark_sets.HUMAN36M
    )
    ours, sure = chosen.to_ours(points[..., :2], np.nan_to_num(confidence).clip(0, 1))
    order = np.argsort(frame, kind="stable")
    frames = values.get("frames")
    if frames is None or len(frames) <= frame.max(initial=-1):
        frames = range(frame.max(initial=-1) + 1)
    return Keypoints(
        ours[order], sure[order], frame[order], person[order], tuple(map(str, frames)), rate
    )


def _named(path, names):
    found = landmark_sets.find_set(names)
    if found is None:
        raise KeypointError(
            f"{path}: expected the landmarks of one of "
            f"{', '.join(s.name for s in landmark_sets.LANDMARK_SETS.values())} in "
            f"their order, got {', '.join(map(str, names))[:80]}"
        )
    return found


def _csv(path, text, given):
    """A row for each pose: columns NAME x, NAME y, maybe NAME confidence, frame, person."""
    header, *lines = text.splitlines() or [""]
    columns = [name.strip() for name in next(csv.reader([header]), ())]
    parts = [_COLUMN.fullmatch(name) for name in columns]
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
        table = np.loadtxt(filled, delimiter=",", ndmin=2, dtype=float)
        if table.size and table.shape[1] != len(columns):
            raise ValueError(f"{table.shape[1]} columns under {len(columns)} names")
    except ValueError as error:
        raise KeypointError(f"{path}: expected a table of numbers, got {error}") from None
    table = table.reshape(-1, len(columns))
    values = {
        "points": np.stack([table[:, [at[n, "x"], at[n, "y"]]] for n in names], axis=1),
        "landmarks": names,
    }
    sure = [at.get((n, "c"), at.get((n, "s"))) for n in names]
    if None not in sure:
        values["confidence"] = table[:, sure]
    for key in ("frame", "person"):
        if key in columns:
            values[key] = np.nan_to_num(table[:, columns.index(key)], nan=-1)
    return _arrays(path, values, given)


def natural(name):
    """A key that sorts names with numbers by the numbers."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"(\d+)", str(name))
        if part
    ]
