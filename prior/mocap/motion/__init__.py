"""The motion that the project carries: everyday and other motion of many people, from CMU.

`load` gives its clips. The file, cmu.npz, is made by tools/convert/cmu.py; README.md beside it says
what is in it. An .npz without pickle:

    steps (51, F) int16: of each clip, its first pose and then the change from each frame to the
    next, mm, of the 17 landmarks' x, y and z, each relative to its parent's (the hip's to nothing);
    frames, subject, action, name, kind (C,): of each clip; rate: frames per second.

Whole millimetres, so that nothing is lost in adding up, in the order in which they compress best.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Int

from prior import npz
from prior.errors import InputError
from prior.files import FilePath
from prior.mocap.clip import Clip, MocapError
from prior.skeleton import PARENTS, L

PATH = Path(__file__).with_name("cmu.npz")
TEXTS = ("subject", "action", "name", "kind")
KEYS = ("steps", "frames", "rate", *TEXTS)

# The subjects for testing, once and for ever; all others are for training. Our choice, before any
# model was fitted: of every four subjects about one, so that every kind of motion that several
# subjects do is on both sides (14 sits, reaches and climbs too; others dance, kick and walk), and
# none of those whom the first ready model knew (01, 02, Indian dance, martial arts, salsa).
TEST_SUBJECTS = ("05", "08", "11", "13", "16", "39", "55", "113", "136", "143")

SPLITS = ("training", "test")


def recognises(path: FilePath) -> bool:
    """Whether the file is an .npz with the arrays of this format."""
    return Path(path).suffix == ".npz" and set(KEYS) <= set(npz.names(path))


def read(path: FilePath) -> list[Clip]:
    """The file's clips, poses as float64. Raises MocapError when it is damaged."""
    arrays = npz.read(path, KEYS, error=MocapError)
    steps, frames, rate = arrays["steps"], arrays["frames"], arrays["rate"]
    names = [arrays[key] for key in TEXTS]
    good = (
        steps.ndim == 2
        and len(steps) == 3 * L
        and steps.dtype == np.int16
        and frames.ndim == 1
        and frames.dtype.kind in "iu"
        and (frames > 0).all()
        and frames.sum() == steps.shape[1]
        and all(n.shape == frames.shape and n.dtype.kind == "U" for n in names)
        and rate.shape == ()
        and rate.dtype.kind in "fiu"
    )
    if not good:
        raise MocapError(
            f"{path}: expected steps as ({3 * L}, F) int16, and the frames, which add up to F, "
            f"{', '.join(TEXTS)} of each clip, got {steps.shape} {steps.dtype}, {frames.shape}; "
            "copy the file again"
        )
    parts = np.split(steps, np.cumsum(frames)[:-1], axis=1)
    return [
        Clip(
            _poses(part).astype(float), float(rate), str(subject), str(action), str(name), str(kind)
        )
        for part, subject, action, name, kind in zip(parts, *names, strict=True)
    ]


def _poses(steps: Int[np.ndarray, "C F"]) -> Int[np.ndarray, "F L 3"]:
    """The poses, mm, of a clip's steps."""
    poses = np.cumsum(steps, axis=1, dtype=np.int64).T.reshape(-1, L, 3)
    for landmark in range(1, L):
        poses[:, landmark] += poses[:, PARENTS[landmark]]
    return poses


def _steps(poses: Int[np.ndarray, "F L 3"]) -> Int[np.ndarray, "C F"]:
    """The steps of a clip's poses, mm."""
    relative = poses.copy()
    relative[:, 1:] -= poses[:, PARENTS[1:]]
    return np.diff(relative.reshape(len(poses), -1), axis=0, prepend=0).T


def write(path: FilePath, clips: Sequence[Clip]) -> None:
    """Write clips of one rate, in whole mm: all of them, or nothing. The folder is made.

    Raises InputError when the rates differ, or a step is 32,768 mm or more.
    """
    rates = sorted({clip.rate for clip in clips})
    if len(rates) != 1:
        raise InputError(f"{path}: expected clips of one rate, got {rates}; resample them")
    steps = np.concatenate(
        [_steps(np.round(clip.poses).astype(np.int64)) for clip in clips], axis=1
    )
    if abs(steps).max() > np.iinfo(np.int16).max:
        raise InputError(f"{path}: expected steps below 32,768 mm, got {abs(steps).max()}")
    texts = {key: np.array([getattr(clip, key) for clip in clips]) for key in TEXTS}
    npz.write(
        path,
        compressed=True,
        steps=steps.astype(np.int16),
        frames=np.array([len(clip.poses) for clip in clips], dtype=np.int32),
        rate=np.float64(rates[0]),
        **texts,
    )


@cache
def _carried() -> tuple[Clip, ...]:
    return tuple(read(PATH))


def split_of(subject: str) -> str:
    """Whether a subject is for training or for testing."""
    return "test" if subject in TEST_SUBJECTS else "training"


def load(
    split: str | None = None,
    *,
    subject: str | None = None,
    action: str | None = None,
    kind: str | None = None,
) -> list[Clip]:
    """The clips that the project carries, 30 Hz, mm, y up, as CMU's database names them.

    split: "training" or "test", the subjects' once and for ever; subject: such as "13"; action:
    what CMU calls it, or a part of that ("drink soda"); kind: walk, run, jump, climb, sit, bend,
    reach, drink, gesture, exercise, fight, ball or dance. Raises InputError when no clip is so.
    """
    if split not in (None, *SPLITS):
        raise InputError(f"split: expected training or test, got {split!r}")
    clips = [
        clip._replace(poses=clip.poses.copy())
        for clip in _carried()
        if split in (None, split_of(clip.subject))
        and subject in (None, clip.subject)
        and (action is None or action in clip.action)
        and kind in (None, clip.kind)
    ]
    if not clips:
        wanted = {"split": split, "subject": subject, "action": action, "kind": kind}
        wanted = {key: value for key, value in wanted.items() if value is not None}
        kinds = ", ".join(sorted({clip.kind for clip in _carried()}))
        raise InputError(f"no clip of {wanted}; the subjects and actions are listed in "
                         f"{PATH.with_name('README.md')}; kinds: {kinds}")  # fmt: skip
    return clips
