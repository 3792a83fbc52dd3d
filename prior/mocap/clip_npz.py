"""Clips in our own format: an .npz (no pickle) with the poses of one clip, or of several.

poses_mm: (F, L, 3) floats, mm, world, y up; rate (or fps): frames per second. Optional are subject
and action, text, by default the file's name; clip: (F,) names, one per frame, for several clips in
one file; landmarks: (L,) names. Without them they are those of skeleton.HUMAN36M, in their order.
"""

from pathlib import Path
from typing import Any

import numpy as np

from prior import npz
from prior.errors import short
from prior.files import FilePath
from prior.mocap.clip import Clip, MocapError
from prior.skeleton import COCO, HUMAN36M, LANDMARKS, Skeleton

KEYS = ("poses_mm", "rate", "fps", "subject", "action", "clip", "landmarks")
# Other common names of landmarks. "LKnee" needs no line here: it is read as "left knee".
SYNONYMS = {"thorax": "neck", "neck/nose": "nose", "head": "head top"}


def recognises(path: FilePath) -> bool:
    """Whether the file is an .npz that holds poses_mm (other .npz are not motion capture)."""
    return Path(path).suffix == ".npz" and "poses_mm" in npz.names(path)


def _name(landmark: str) -> str:
    """Our name for a landmark: "LKnee" and "Left knee" are "left knee"."""
    name = landmark.strip()
    if name[:1] in "LR" and name[1:2].isupper():
        name = f"{'left' if name[0] == 'L' else 'right'} {name[1:]}"
    name = name.lower().replace("_", " ")
    return SYNONYMS.get(name, name)


def _order(path: Path, landmarks: np.ndarray, skeleton: Skeleton) -> list[int]:
    """Where each of the landmarks is among those of the file, text. Raises MocapError."""
    if skeleton != HUMAN36M:
        return [landmarks.ravel().tolist().index(name) for name in skeleton.landmarks]
    names = [_name(str(landmark)) for landmark in landmarks.ravel()]
    if sorted(names) != sorted(LANDMARKS):
        unknown = [name for name in names if name not in LANDMARKS]
        missing = [name for name in LANDMARKS if name not in names]
        raise MocapError(
            f"{path}: landmarks: expected {', '.join(LANDMARKS)}, each once; "
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
        )
    return [names.index(name) for name in LANDMARKS]


def _skeleton_of(path: Path, landmarks: np.ndarray | None, wanted: Skeleton) -> Skeleton:
    """The skeleton of a file with these names: the one that is wanted, or Human3.6M's. Raises
    MocapError where the one that is wanted cannot be had from it."""
    names = [] if landmarks is None else [str(name) for name in landmarks.ravel()]
    if sorted(names) == sorted(wanted.landmarks):
        return wanted
    if wanted in (HUMAN36M, COCO):
        return HUMAN36M  # COCO's keypoints are made of Human3.6M's landmarks
    raise MocapError(
        f"{path}: landmarks: expected those of the skeleton, {short(', '.join(wanted.landmarks))}, "
        f"each once, got {short(', '.join(names)) or 'none'}; two kinds of skeleton are no one "
        "model's"
    )


def read(path: FilePath, skeleton: Skeleton = HUMAN36M) -> list[Clip]:
    """The file's clips, poses as float64; skeleton: what they are wanted for, whose landmarks the
    file may have. Raises MocapError when it is damaged."""
    path = Path(path)
    arrays = npz.read(path, optional=KEYS, error=MocapError)
    poses, rate = arrays.get("poses_mm"), arrays.get("rate", arrays.get("fps"))
    if poses is None or rate is None:
        raise MocapError(
            f"{path}: expected poses_mm and rate, got {', '.join(arrays) or 'neither'}; "
            "write the file with prior.mocap.clip_npz.write"
        )
    skeleton = _skeleton_of(path, arrays.get("landmarks"), skeleton)
    L = len(skeleton)
    if poses.ndim != 3 or poses.shape[1:] != (L, 3) or poses.dtype.kind != "f":
        raise MocapError(
            f"{path}: expected poses_mm as (F, {L}, 3) floats, "
            f"got {poses.shape} {poses.dtype}; use the landmarks of "
            "prior.skeleton, or say theirs: --skeleton FILE.json"
        )
    if not len(poses):
        raise MocapError(f"{path}: poses_mm: expected poses, got none; leave the file out")
    if rate.size != 1 or rate.dtype.kind not in "fiu":
        raise MocapError(
            f"{path}: expected rate as one positive number, got {rate}; give frames per second"
        )
    poses = poses.astype(float)
    if "landmarks" in arrays:
        poses = poses[:, _order(path, arrays["landmarks"], skeleton)]
    subject, action = (str(arrays.get(key, path.stem)) for key in ("subject", "action"))
    if "clip" not in arrays:
        return [Clip(poses, float(rate.item()), subject, action, skeleton=skeleton)]
    names = arrays["clip"].astype(str)
    if names.shape != (len(poses),):
        raise MocapError(
            f"{path}: expected clip as {len(poses)} names, one per frame, got {names.shape}"
        )
    starts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1)]
    return [
        Clip(part, float(rate.item()), subject, str(names[start]), skeleton=skeleton)
        for start, part in zip(starts, np.split(poses, starts[1:]), strict=True)
    ]


def write(path: FilePath, clip: Clip) -> None:
    """Write a Clip: all of it, or nothing. The folder is made."""
    ours = clip.skeleton == HUMAN36M
    names: dict[str, Any] = {} if ours else {"landmarks": np.array(clip.skeleton.landmarks)}
    npz.write(
        path,
        compressed=True,
        poses_mm=np.asarray(clip.poses, dtype=np.float32),
        rate=float(clip.rate),
        subject=clip.subject,
        action=clip.action,
        **names,
    )
