"""What predictions are compared with: frames, their true landmarks in 2D and 3D, their cameras.

Read from files of annotations (the rendered dataset, or Human3.6M's frames as packed by `make
h36m`), or from the folder of positions that `make h36m` writes (all frames, without images).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from prior import foreign, npz
from prior.errors import InputError
from prior.normalise import PoseError, check_poses
from prior.skeleton import L
from python_layers.data import annotations, lens
from tools.evaluate import protocols

# Beside the data, says that it is Human3.6M, and which trial each sequence is:
# {"trials": {"S9": {"Walking 1": 1, "Walking": 2}}}.
MARKER = "human36m.json"
POSITIONS = "positions"  # folder of S9.npz beside it


class TruthError(InputError):
    """Data that cannot be compared with: what was expected, what came, what to try."""


@dataclass(frozen=True, eq=False)
class Truth:
    """M frames; human36m: whether of Human3.6M, where the frames are those of its videos.

    points (M, 17, 2) px of the original image, NaN where missing; poses_mm (M, 17, 3) world, y up;
    rotations (M, 3, 3) world to camera; intrinsics (M, 3, 3) px; distortions (M, 14), OpenCV's.
    """

    source: str
    human36m: bool
    index: protocols.Index
    points: np.ndarray
    poses_mm: np.ndarray
    rotations: np.ndarray
    intrinsics: np.ndarray
    distortions: np.ndarray

    def __len__(self):
        return len(self.points)

    def take(self, rows):
        """The Truth of some rows."""
        return Truth(
            self.source,
            self.human36m,
            self.index.take(rows),
            self.points[rows],
            self.poses_mm[rows],
            self.rotations[rows],
            self.intrinsics[rows],
            self.distortions[rows],
        )

    def select(self, protocol):
        """The Truth of the frames that a protocol tests on."""
        return self.take(protocols.select(protocol, self.index, video=self.human36m))


def load(paths):
    """The Truth of one or more files of annotations, or of a folder made by `make h36m`.

    Raises TruthError, AnnotationError.
    """
    paths = [Path(path) for path in paths]
    if paths[0].is_dir():
        if len(paths) > 1:
            raise TruthError(f"{paths[0]}: expected one folder, or only files of annotations")
        truth = _from_positions(paths[0])
    else:
        parts = [_from_annotations(path) for path in paths]
        if len({part.human36m for part in parts}) > 1:
            raise TruthError("expected data of one set, got Human3.6M and another; compare apart")
        truth = _joined(parts)
    try:
        check_poses(truth.poses_mm)
    except PoseError as error:
        raise TruthError(f"{truth.source}: truth: {error}") from None
    return truth


def _joined(parts):
    columns = ("points", "poses_mm", "rotations", "intrinsics", "distortions")
    return Truth(
        ", ".join(part.source for part in parts),
        parts[0].human36m,
        protocols.Index(*map(np.concatenate, zip(*(part.index for part in parts), strict=True))),
        *(np.concatenate([getattr(part, name) for part in parts]) for name in columns),
    )


def _marker(folder):
    """{(subject, sequence): trial} beside Human3.6M's data, None where it is something else."""
    path = folder / MARKER
    if not path.is_file():
        return None
    trials = foreign.read_document(path, TruthError)["trials"]
    return {
        (subject, name): trial.integer(1, 2)
        for subject, names in trials.items()
        for name, trial in names.items()
    }


def camera_name(name):
    """ "S9/54138969" -> "54138969"."""
    return str(name).rpartition("/")[2]


def _from_annotations(path):
    people = annotations.load(path, check_images=False)
    named = zip(people.subjects, people.actions, people.frames, people.camera_names, strict=True)
    lost = [i for i, row in enumerate(named) if None in row]
    if lost:
        raise TruthError(
            f"{path}: expected subject, action, frame and camera with every image; {len(lost)} of "
            f"{len(people)} lack one, the first is {people.files[lost[0]]}"
        )
    without = ~np.isfinite(people.poses_mm).all(axis=(1, 2))
    if without.any():
        raise TruthError(
            f"{path}: expected a 3D pose with every person; {np.count_nonzero(without)} of "
            f"{len(people)} have none, the first is in {people.files[np.argmax(without)]}"
        )
    trials = _marker(Path(path).resolve().parent)
    cameras = map(camera_name, people.camera_names)
    index = protocols.index(people.subjects, people.actions, cameras, people.frames, trials)
    # From px of images that were cropped to those of the original.
    intrinsics = people.intrinsics.copy()
    intrinsics[:, :2, 2] += people.offsets
    return Truth(
        str(path),
        trials is not None,
        index,
        people.points + people.offsets[:, None],
        people.poses_mm,
        people.rotations,
        intrinsics,
        people.distortions,
    )


def _from_positions(folder):
    trials = _marker(folder)
    files = sorted((folder / POSITIONS).glob("S*.npz"))
    if trials is None or not files:
        raise TruthError(
            f"{folder}: expected {MARKER} and {POSITIONS}/S9.npz, ... in it; run make h36m"
        )
    wanted = {subject for protocol in protocols.PROTOCOLS for subject in protocol.subjects}
    parts = [
        part
        for path in tqdm(files, "read", unit="subject", disable=None)
        if path.stem in wanted
        for part in _sequences(path, path.stem, trials)
    ]
    if not parts:
        raise TruthError(f"{folder}: expected positions of {', '.join(sorted(wanted))}")
    truth = _joined(parts)
    return Truth(str(folder), *(getattr(truth, name) for name in list(vars(truth))[1:]))


def _sequences(path, subject, trials):
    """A Truth for each video of a subject, of the frames that some protocol tests on."""
    try:
        arrays = npz.read(path, optional=None, error=TruthError)
        for name in [name for name in arrays if name.startswith("points/")]:
            sequence, camera = name.removeprefix("points/").rsplit(".", 1)
            count = len(arrays[name])
            _check_shapes(arrays, sequence, camera)
            index = protocols.index(
                [subject] * count, [sequence] * count, [camera] * count, range(count), trials
            )
            rows = protocols.tested(index)
            distortion = np.zeros(lens.COEFFICIENTS[-1])
            distortion[:5] = arrays[f"distortion/{camera}"]
            if len(rows):
                yield Truth(
                    str(path),
                    True,
                    index.take(rows),
                    arrays[name][rows].astype(float),
                    arrays[f"poses_mm/{sequence}"][rows].astype(float),
                    np.tile(arrays[f"rotation/{camera}"], (len(rows), 1, 1)),
                    np.tile(arrays[f"intrinsics/{camera}"], (len(rows), 1, 1)),
                    np.tile(distortion, (len(rows), 1)),
                )
    except TruthError:
        raise
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise TruthError(f"{path}: expected positions, got {error}; run make h36m again") from None


def _check_shapes(arrays, sequence, camera):
    """Raise ValueError unless a video's arrays are of the shapes that `make h36m` writes."""
    count = arrays[f"points/{sequence}.{camera}"].shape[:1]
    for name, shape in (
        (f"points/{sequence}.{camera}", (*count, L, 2)),
        (f"poses_mm/{sequence}", (*count, L, 3)),
        (f"rotation/{camera}", (3, 3)),
        (f"intrinsics/{camera}", (3, 3)),
        (f"distortion/{camera}", (5,)),
    ):
        array = arrays[name]
        if array.shape != shape or array.dtype.kind != "f":
            raise ValueError(f"{name} as {array.dtype} {array.shape} in place of {shape}")
