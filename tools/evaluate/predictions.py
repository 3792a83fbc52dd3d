"""A detector's landmarks, or anybody's 3D poses, in a file: read, checked and matched to frames.

An .npz, or JSON of the same names, with one entry for each of M frames:

    landmarks   the 17 names, in the order of prior.skeleton
    subject     "S9"; action: the sequence, "Walking 1"; camera: "54138969"; frame: 0, 1, ...
    points      (M, 17, 2) px of the original image; NaN (null in JSON): not found
    poses       (M, 17, 3) mm, world axes, y up
    confidence  (M, 17), weights for the lifting; may be left out
    covariance  (M, 17, 2, 2) px^2, of the noise of the points, for the lifting; may be left out
    offset      (M, 2) px, where the image that was cropped from the original, and whose px the
                points are, lies in it; may be left out

`points`, `poses` or both; both, and `covariance`, may have a first axis of stages, of which the
last is compared and the others are shown. `tools.evaluate` writes such files, with `beliefs`
(T, M, 17, 2), the landmarks of the maps before fusion, and `fusion` (T,), the weights w_t, of a
network that has them, and `peaks` (M, 17), the maxima of the last maps.
Whatever does not fit is named and counted, and gives no numbers.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from prior import foreign, npz
from prior.errors import InputError, short
from prior.normalise import PoseError, check_poses
from prior.skeleton import LANDMARKS, L
from tools.evaluate.truth import camera_name

KEYS = ("subject", "action", "camera", "frame")
SHOWN = 3  # examples of what is wrong


class PredictionError(InputError):
    """Predictions that cannot be compared: what was expected, what came, how many."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """points (T, M, 17, 2), px, poses (T', M, 17, 3), mm, one of them maybe None; confidence
    (M, 17) or None; rows: {(subject, sequence, camera, frame): row of M}, empty where the data does
    not say; of a network beliefs (T, M, 17, 2), px, before fusion, fusion (T,), w_t, and peaks
    (M, 17), the maxima of its last maps; covariance (T, M, 17, 2, 2), px^2, of the points' noise,
    or None."""

    points: np.ndarray | None
    poses: np.ndarray | None = None
    confidence: np.ndarray | None = None
    rows: dict = field(default_factory=dict)
    beliefs: np.ndarray | None = None
    fusion: np.ndarray | None = None
    peaks: np.ndarray | None = None
    covariance: np.ndarray | None = None

    def take(self, index):
        """Those of the frames of a protocols.Index, in its order.

        Raises PredictionError where frames have none, or 3D poses are not finite, in mm.
        """
        keys = index.keys()
        missing = [key for key in keys if key not in self.rows]
        if missing:
            raise PredictionError(_missing(missing, index, len(self.rows)))
        rows = np.array([self.rows[key] for key in keys], dtype=int)
        points, poses, covariance = (
            None if a is None else a[:, rows] for a in (self.points, self.poses, self.covariance)
        )
        if poses is not None:
            _check_3d(poses[-1], keys)
        confidence = None if self.confidence is None else self.confidence[rows]
        places = {key: i for i, key in enumerate(keys)}
        return Predictions(points, poses, confidence, places, covariance=covariance)


def save(path, predictions, which):
    """Write Predictions as .npz. which: the arrays that say of what they are, `frames_of`."""
    names = ("points", "poses", "confidence", "beliefs", "fusion", "peaks", "covariance")
    arrays = {name: getattr(predictions, name) for name in names}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    npz.write(path, compressed=True, **arrays, **which)


def frames_of(people):
    """The landmarks' names, and which frame each annotation is, where the data says it, as arrays
    of the file."""
    columns = {
        "subject": people.subjects,
        "action": people.actions,
        "camera": people.camera_names,
        "frame": people.frames,
    }
    which = {"landmarks": np.array(people.skeleton.landmarks)}
    if any(None in column for column in columns.values()):
        return which
    named = {name: np.array(column) for name, column in columns.items()}
    return which | named | {"offset": people.offsets}


def _name(key):
    return "{}/{}.{} frame {}".format(*key)


def _examples(keys):
    names = "; ".join(map(_name, keys[:SHOWN]))
    return names + ("; ..." if len(keys) > SHOWN else "")


def _missing(missing, index, have):
    """What to say of frames without prediction."""
    text = f"no prediction for {len(missing)} of {len(index.frame)} frames"
    lost = {key[:3] for key in missing}
    actions, all_keys = {}, index.keys()
    for key, action in zip(all_keys, index.action.tolist(), strict=True):
        actions.setdefault(action, []).append(key)
    missing_keys = set(missing)
    whole = [action for action, keys in actions.items() if missing_keys.issuperset(keys)]
    if len(missing) == len(all_keys):
        text += f": the {have} predicted are of other frames"
    elif whole:
        text += f"; none at all of the actions {', '.join(sorted(whole))}"
    return f"{text}; in {len(lost)} sequences: {_examples(missing)}"


def _check_3d(poses, keys):
    bad = np.flatnonzero(~np.isfinite(poses).all(axis=(1, 2)))
    if len(bad):
        raise PredictionError(
            f"{len(bad)} of {len(keys)} poses have NaN or infinite coordinates: "
            f"{_examples([keys[i] for i in bad])}"
        )
    try:
        check_poses(poses)
    except PoseError as error:
        raise PredictionError(str(error)) from None


def load(path):
    """Read and check a file. Raises PredictionError."""
    path = Path(path)
    values = _read(path)
    try:
        _check_names(values)
        keys = _keys(values)
        count = len(keys)
        points, poses = (_stages(values, *a, count) for a in (("points", (2,)), ("poses", (3,))))
        covariance = _stages(values, "covariance", (2, 2), count)
        if points is None and poses is None:
            raise PredictionError("expected points (M, 17, 2) or poses (M, 17, 3), found neither")
        if points is not None and values.get("offset") is not None:
            offset = _array(values, "offset")
            if offset.shape != (count, 2):
                raise PredictionError(f"offset: expected ({count}, 2), got {offset.shape}")
            points = points + offset[:, None]
        confidence = None
        if values.get("confidence") is not None:
            confidence = _array(values, "confidence")
            if confidence.shape != (count, L):
                raise PredictionError(
                    f"confidence: expected ({count}, {L}), got {confidence.shape}"
                )
    except PredictionError as error:
        raise PredictionError(f"{path}: {error}") from None
    rows = {key: i for i, key in enumerate(keys)}
    if len(rows) < count:
        twice = sorted({key for key in keys if keys.count(key) > 1}) if count < 10000 else []
        raise PredictionError(
            f"{path}: expected one prediction for each frame, {count - len(rows)} are there again"
            f"{': ' + _examples(twice) if twice else ''}"
        )
    return Predictions(points, poses, confidence, rows, covariance=covariance)


def _read(path):
    if path.suffix == ".npz":
        return npz.read(path, optional=None, error=PredictionError)
    values = foreign.read_json(path, PredictionError)
    if not isinstance(values, dict):
        raise PredictionError(f"{path}: expected an object of arrays, got {type(values).__name__}")
    return values


def _check_names(values):
    if values.get("landmarks") is None:
        raise PredictionError("expected `landmarks`, the names in the order of the columns")
    names = [str(name) for name in _column(values, "landmarks")]
    if names != list(LANDMARKS):
        pairs = zip(names, LANDMARKS, strict=False)
        order = [i for i, (name, ours) in enumerate(pairs) if name != ours]
        what = "the same names in another order" if set(names) == set(LANDMARKS) else "other names"
        raise PredictionError(
            f"landmarks: expected {', '.join(LANDMARKS)}; got {what}, {len(order)} of {len(names)} "
            f"elsewhere{': the first is ' + repr(names[order[0]]) if order else ''}; reorder the "
            "columns"
        )


def _keys(values):
    """(subject, sequence, camera, frame) of each."""
    lost = [name for name in KEYS if values.get(name) is None]
    if lost:
        raise PredictionError(f"expected {', '.join(KEYS)} of each frame; no {', '.join(lost)}")
    columns = [_column(values, name) for name in KEYS]
    lengths = {name: len(column) for name, column in zip(KEYS, columns, strict=True)}
    if len(set(lengths.values())) > 1 or not columns[0]:
        raise PredictionError(f"expected as many of each, and some, got {lengths}")
    try:
        return [
            (str(subject), str(action), camera_name(camera), int(frame))
            for subject, action, camera, frame in zip(*columns, strict=True)
        ]
    except (TypeError, ValueError, OverflowError) as error:
        raise PredictionError(f"frame: expected whole numbers, got {error}") from None


def _column(values, name):
    """The values of a name as a flat list."""
    try:
        return np.ravel(values[name]).tolist()
    except ValueError:
        raise PredictionError(f"{name}: expected a list of values, got rows of rows") from None


def _array(values, name):
    try:
        return np.array(values[name], dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
        said = short(str(error), 100)
        raise PredictionError(f"{name}: expected numbers, all rows alike, got {said}") from None


def _stages(values, name, shape, count):
    """(T, count, 17, *shape), or None."""
    if values.get(name) is None:
        return None
    array, expected = _array(values, name), (count, L, *shape)
    array = array[None] if array.ndim == len(expected) else array
    if array.shape[1:] != expected or not len(array):
        raise PredictionError(f"{name}: expected {expected}, got {array.shape}")
    return array
