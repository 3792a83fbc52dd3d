"""3D poses of people in frames, and the files that hold them: .npz, JSON, CSV.

An .npz has the arrays of `Poses` by name, and `meta`, JSON text. JSON has the same: the keys of
`meta`, and "poses", an object for each pose with the arrays' rows. NaN is null there, and
poses.schema.json says what it looks like. Both hold the same numbers, so each can be made of the
other. CSV has a row for each pose: frame, name of the frame, person, component, whether it is
plausible and why not, and for each landmark x, y, z and deviation; it is not read back.
"""

import csv
import json
from pathlib import Path
from typing import NamedTuple

import jsonschema
import numpy as np

from prior import foreign, npz
from prior.errors import InputError, short
from prior.files import replacing
from prior.skeleton import LANDMARKS, PARENTS, L

FORMAT = "lifted poses 1"
# What the JSON looks like, for programs that read it.
SCHEMA = Path(__file__).with_name("poses.schema.json")
UNITS = {
    "pose_mm": "mm, world: right-handed, y up, centred on the mean landmark, typical limb scale",
    "deviation_mm": "mm, standard deviation in 3D",
    "points": "px, x right, y down, centre of the top-left pixel at (0, 0)",
    "camera": "rotation from world to camera (x right, y down, z forward)",
    "scale": "px per mm",
    "translation_mm": "mm, of the mean landmark in the camera's axes, at the typical limb scale",
    "misfit": "about 1 for poses like those that the model was fitted to",
}
# How many decimals are kept: rounding is far below any error, and the text is short.
_DECIMALS = {
    "pose_mm": 3,
    "deviation_mm": 2,
    "points": 3,
    "confidence": 4,
    "camera": 8,
    "component_probability": 5,
    "log_likelihood": 4,
    "scale": 7,
    "translation_mm": 2,
    "misfit": 3,
}
_KINDS = {"component": int, "frame": int, "person": int, "plausible": bool, "reason": str}
# Of a row; what is not here is one number or text, component_probability K numbers.
_SHAPES = {
    "pose_mm": (L, 3),
    "deviation_mm": (L,),
    "points": (L, 2),
    "confidence": (L,),
    "camera": (3, 3),
    "component_probability": (0,),
    "translation_mm": (3,),
}
# The poses, and the names of frames, whose schema is checked.
_CHECKED = 20
# What a file of before there was a verdict says.
_NOT_JUDGED = "not judged"


# What formulas begin with.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Poses(NamedTuple):
    """N poses, by frame and person.

    pose_mm (N, 17, 3), world, centred on the mean landmark; deviation_mm (N, 17), NaN if it was not
    asked for; points (N, 17, 2), px, and confidence (N, 17), what was lifted; camera (N, 3, 3),
    world to camera; scale (N,), px per mm; component (N,), from 0; component_probability (N, K);
    log_likelihood (N,); translation_mm (N, 3), in the camera's axes, NaN where the intrinsics are
    not known; misfit (N,), plausible (N,) bool and reason (N,) text: the verdict of
    prior.lifting.plausibility; frame, person (N,) int; meta: a dict with "frames" (names, of the
    frames from number "first_frame" on), "rate" (frames a second, or None), "landmarks", "parents",
    "units", "model".
    """

    pose_mm: np.ndarray
    deviation_mm: np.ndarray
    points: np.ndarray
    confidence: np.ndarray
    camera: np.ndarray
    scale: np.ndarray
    component: np.ndarray
    component_probability: np.ndarray
    log_likelihood: np.ndarray
    translation_mm: np.ndarray
    misfit: np.ndarray
    plausible: np.ndarray
    reason: np.ndarray
    frame: np.ndarray
    person: np.ndarray
    meta: dict

    def frame_name(self, number):
        """The name of a frame by its number."""
        return self.meta["frames"][number - self.meta["first_frame"]]

    def of(self, rows):
        """The poses of these rows."""
        return Poses(*(array[rows] for array in self[:-1]), self.meta)


class PosesError(InputError):
    """A file of poses that cannot be used: which, what was expected, what came."""


def make(meta, **arrays):
    """The Poses of these arrays, rounded, with what `meta` always has."""
    arrays = {
        k: np.round(np.asarray(v, float), _DECIMALS[k]) if k in _DECIMALS else v
        for k, v in arrays.items()
    }
    meta = {
        "format": FORMAT,
        "landmarks": list(LANDMARKS),
        "parents": PARENTS.tolist(),
        "units": UNITS,
        "rate": None,
        "first_frame": 0,
        **meta,
    }
    return Poses(**arrays, meta=meta)


def write_npz(path, poses):
    """Write the Poses."""
    arrays = dict(zip(Poses._fields, poses[:-1], strict=False))
    npz.write(path, **arrays, meta=json.dumps(poses.meta))


def write_json(path, poses):
    """Write the Poses."""
    columns = [_plain(array) for array in poses[:-1]]
    records = [dict(zip(Poses._fields, row, strict=False)) for row in zip(*columns, strict=True)]
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(poses.meta | {"poses": records}, allow_nan=False))


def _plain(array):
    """Lists, with None for NaN."""
    if array.dtype.kind == "f" and np.isnan(array).any():
        array = np.where(np.isnan(array), None, array.astype(object))
    return array.tolist()


def as_cell(text):
    """Text as a cell of a table: what a spreadsheet would take for a formula is quoted."""
    return f"'{text}" if text[:1] in FORMULA else text


def write_csv(path, poses):
    """Write the Poses as a table."""
    header = ["frame", "name", "person", "component", "plausible", "reason"]
    header += [f"{name} {what}" for name in LANDMARKS for what in ("x", "y", "z", "deviation")]
    values = np.concatenate([poses.pose_mm, poses.deviation_mm[..., None]], axis=2)
    rows = values.reshape(len(values), -1).round(3).tolist()
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for i, row in enumerate(rows):
            frame = int(poses.frame[i])
            numbers = ["" if value != value else value for value in row]
            verdict = "yes" if poses.plausible[i] else "no", as_cell(str(poses.reason[i]))
            name = as_cell(poses.frame_name(frame))
            start = frame, name, poses.person[i], poses.component[i]
            writer.writerow([*start, *verdict, *numbers])


def is_lifted(path):
    """Whether a file holds Poses."""
    start = foreign.head(path, 64)
    if start.startswith(b"PK"):
        return {"pose_mm", "meta"} <= set(npz.names(path))
    return FORMAT.encode() in start


def read(path):
    """The Poses that `write_npz` or `write_json` wrote. Raises PosesError."""
    path = Path(path)
    if foreign.head(path, 2) == b"PK":
        arrays = npz.read(path, {"meta"}, set(Poses._fields), PosesError)
        meta = foreign.parse_json(str(arrays.pop("meta")), path, PosesError)
        _check_schema(path, meta | {"poses": []} if isinstance(meta, dict) else meta)
    else:
        meta = foreign.read_json(path, PosesError)
        _check_schema(path, meta)
        records = meta.pop("poses")
        arrays = {name: [r[name] for r in records if name in r] for name in Poses._fields[:-1]}
        arrays = {name: column for name, column in arrays.items() if column or not records}
    try:
        arrays = {k: np.array(v, dtype=_KINDS.get(k, float)) for k, v in arrays.items()}
        count = len(arrays["frame"])
        # Files of before there was a translation, or a verdict, have none.
        arrays.setdefault("translation_mm", np.full((count, 3), np.nan))
        arrays.setdefault("misfit", np.full(count, np.nan))
        arrays.setdefault("plausible", np.ones(count, dtype=bool))
        arrays.setdefault("reason", np.full(count, _NOT_JUDGED))
        if not count:  # no row says how many components there are
            arrays = {k: v.reshape(0, *_SHAPES.get(k, ())) for k, v in arrays.items()}
        # Nor do their frames begin elsewhere than at 0.
        poses = Poses(**arrays, meta={"first_frame": 0} | meta)
        for name, array in zip(Poses._fields, poses[:-1], strict=False):
            shape = (count, *_SHAPES.get(name, ()))
            if name != "component_probability" and array.shape != shape:
                raise ValueError(f"{name} of shape {array.shape} for {count} poses")
        first = poses.meta["first_frame"]
        if not all(isinstance(name, str) for name in meta["frames"]) or not (
            first <= poses.frame.min(initial=first)
            and poses.frame.max(initial=first - 1) < first + len(meta["frames"])
        ):
            raise ValueError(f"{len(meta['frames'])} frames")
        return poses
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PosesError(f"{path}: expected poses as tools.lift writes them, got {error}") from None


def _check_schema(path, document):
    """Raise PosesError where a JSON document is none of poses.schema.json.

    Of the poses and the frames' names the first few are checked, whose faults tell what is wrong;
    all are checked afterwards, as arrays and as text, which is a hundred times faster.
    """
    document = dict(document) if isinstance(document, dict) else document
    for key in ("poses", "frames"):
        if isinstance(document, dict) and isinstance(document.get(key), list):
            document[key] = document[key][:_CHECKED]
    schema = json.loads(SCHEMA.read_text())
    wrong = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(schema).iter_errors(document)
    )
    if wrong is not None:
        raise PosesError(f"{path}: {wrong.json_path}: {short(wrong.message, 120)}")


def on_ground(poses):
    """The poses (N, 17, 3), mm, placed for showing them: on the ground, side by side.

    A picture does not say how far away a person is. The lowest landmark of each pose is put on the
    plane y = 0. The pose is then moved along the camera's horizontal axis to its place in the
    image, at the person's median scale; the median of all places is at x = z = 0.
    """
    placed = poses.pose_mm.copy()
    if not len(placed):
        return placed
    placed[..., 1] -= placed[..., 1].min(axis=1, keepdims=True)
    across = np.nanmean(poses.points[..., 0], axis=1)
    for person in np.unique(poses.person):
        rows = poses.person == person
        across[rows] /= np.median(poses.scale[rows])
    right = poses.camera[:, 0] * [1, 0, 1]
    right /= np.maximum(np.linalg.norm(right, axis=1, keepdims=True), 1e-9)
    placed += ((across - np.median(across))[:, None] * right)[:, None]
    return placed
