"""Human3.6M's 3D positions: the dataset's own files, or those that VideoPose3D collects in one.

S1/MyPoseFeatures/D3_Positions/Walking 1.cdf holds `Pose`, (1, F, 96), mm. data_3d_h36m.npz holds
`positions_3d`, a pickled dict: subject -> action -> (F, 32, 3), m. Both have the dataset's 32
joints in the world's axes, z up, at 50 Hz. Files outside of folders D3_Positions are left alone:
D3_Positions_mono has the same poses in each camera's axes, in which the vertical is unknown.
"""

import re
from collections.abc import ItemsView
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from prior import cdf, limits, npz, pickled
from prior.files import FilePath
from prior.mocap.clip import Clip, MocapError

RATE = 50.0
JOINTS = 32
# Which of the 32 joints our 17 landmarks are; the others are duplicates, toes and fingers.
LANDMARK_JOINTS = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
# Turns z up to y up, a quarter turn about x: (x, y, z) -> (x, z, -y).
Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
FOLDER = "D3_Positions"
KEY = "positions_3d"
SKELETON = "Human3.6M's skeleton"


def recognises(path: FilePath) -> bool:
    """Whether the file is a .cdf in a folder D3_Positions, or an .npz with positions_3d."""
    path = Path(path)
    return _is_cdf(path) or path.suffix == ".npz" and KEY in npz.names(path)


def _is_cdf(path: Path) -> bool:
    return path.suffix.lower() == ".cdf" and path.resolve().parent.name == FOLDER


def read(path: FilePath) -> list[Clip]:
    """The file's clips; a .cdf's subject is the folder S1, S5, ... that it is in.

    Raises MocapError when the file is damaged or has another layout.
    """
    path = Path(path)
    return [_read_cdf(path)] if _is_cdf(path) else _read_npz(path)


def positions(path: FilePath, axes: int) -> Float[np.ndarray, "F 17 {axes}"]:
    """The landmarks in a .cdf, float64. Raises MocapError.

    axes: 3 for D3_Positions, mm, z up; 2 for D2_Positions, px of the image, with the distortion of
    the lens.
    """
    pose = cdf.load(path, "Pose", MocapError)
    if pose.ndim != 3 or pose.shape[::2] != (1, axes * JOINTS) or pose.dtype.kind != "f":
        raise MocapError(
            f"{path}: expected Pose as (1, F, {axes * JOINTS}) numbers, got {pose.shape} "
            f"{pose.dtype}"
        )
    return pose.reshape(-1, JOINTS, axes)[:, LANDMARK_JOINTS].astype(float)


def _read_cdf(path: Path) -> Clip:
    landmarks = positions(path, 3)
    folders = [name for name in path.resolve().parts[:-1] if re.fullmatch(r"S\d+", name)]
    if not folders:
        raise MocapError(
            f"{path}: expected a subject's folder above {FOLDER}, such as S1, got none; "
            "keep the dataset's folders"
        )
    return Clip(landmarks @ Y_UP.T, RATE, folders[-1], path.stem, placed_on=SKELETON)


def _pickled(path: Path) -> Any:
    """The object in the file's array positions_3d. Raises MocapError and PickledError."""
    values = pickled.read_npy(npz.read_member(path, KEY, MocapError))
    if isinstance(values, list):
        raise pickled.PickledError("an array of several")
    return values


def _read_npz(path: Path) -> list[Clip]:
    layout = f"subject -> action -> (F, {JOINTS}, 3) floats"
    try:
        subjects = _pickled(path)
    except pickled.PickledError as error:
        raise MocapError(
            f"{path}: expected {KEY} as a pickled dict, {layout}, got {error}; copy it again"
        ) from None
    clips: list[Clip] = []
    frames = 0
    for subject, actions in _items(path, "subjects", subjects):
        for action, joints in _items(path, subject, actions):
            if not (
                isinstance(joints, np.ndarray)
                and joints.dtype.kind == "f"
                and joints.ndim == 3
                and joints.shape[1:] == (JOINTS, 3)
            ):
                got = getattr(joints, "shape", type(joints).__name__)
                raise MocapError(f"{path}: {subject}, {action}: expected {layout}, got {got}")
            frames += len(joints)
            limits.check(path, "frames", frames, MocapError)
            poses = 1000 * joints[:, LANDMARK_JOINTS].astype(float) @ Y_UP.T
            clips.append(Clip(poses, RATE, subject, action, placed_on=SKELETON))
    if not clips:
        raise MocapError(f"{path}: expected {layout}, got no clip")
    return clips


def _items(path: Path, name: str, value: Any) -> ItemsView[str, Any]:
    """The items of a dict in the file. Raises MocapError, with `name`, when it is none."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise MocapError(f"{path}: {name}: expected a dict of names, got {type(value).__name__}")
    return value.items()
