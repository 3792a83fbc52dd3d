"""Positions of SMPL's joints, as code of AMASS and of SMPL fitters writes them, as clips.

An .npz with `joints` (F, J, 3), m, of which the first 24 are SMPL's (or the first 22 SMPL-H's and
SMPL-X's, which have fingers in the place of hands), and the rate, `mocap_frame_rate`,
`mocap_framerate`, `fps` or `rate`. AMASS has z up; `up` may say "y". Body parameters are not
enough: the joints' positions need SMPL's own model, which has a licence.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from prior import limits, npz
from prior.files import FilePath
from prior.mocap.clip import Clip, MocapError
from prior.skeleton import HUMAN36M

JOINTS, RATES = "joints", ("mocap_frame_rate", "mocap_framerate", "fps", "rate")
OPTIONAL = (*RATES, "up", "subject", "action")

# SMPL's joints in their order (smpl.is.tue.mpg.de), as far as they are read: 22 and 23, the hands,
# are not.
NAMES = (
    "pelvis",
    *("left hip", "right hip", "spine1", "left knee", "right knee", "spine2"),
    *("left ankle", "right ankle", "spine3", "left foot", "right foot", "neck"),
    *("left collar", "right collar", "head", "left shoulder", "right shoulder"),
    *("left elbow", "right elbow", "left wrist", "right wrist"),
)

# Our landmarks that are joints of SMPL's under other names. Our spine is in the middle of the
# trunk, and our neck between the shoulders, where the collars are.
TABLE = {"hip": "pelvis", "spine": "spine2", "left foot": "left ankle", "right foot": "right ankle"}

# mm from the head joint, which is where the skull sits on the neck: up along the neck, and forward.
# Our choice, as an adult's head is from there.
ON_HEAD_MM = {"nose": (50.0, 110.0), "head top": (190.0, 15.0)}

# From AMASS's axes, z up, to ours.
Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def recognises(path: FilePath) -> bool:
    """Whether the file is an .npz that holds joints and a rate."""
    names = npz.names(path) if Path(path).suffix == ".npz" else ()
    return JOINTS in names and any(rate in names for rate in RATES)


def read(path: FilePath) -> list[Clip]:
    """The file's clip, in a list; without other word the subject is the folder's name, the action
    the file's. Raises MocapError."""
    path = Path(path)
    arrays = npz.read(path, (JOINTS,), OPTIONAL, MocapError)
    joints = arrays[JOINTS]
    if joints.ndim != 3 or joints.shape[1] < len(NAMES) or joints.shape[2] != 3:
        raise MocapError(
            f"{path}: expected joints (F, 24, 3), m, in SMPL's order, got {joints.shape}; "
            "positions are wanted, not the parameters of the body"
        )
    if joints.dtype.kind != "f" or not np.isfinite(joints[:, : len(NAMES)]).all():
        raise MocapError(f"{path}: joints: expected finite floats, got {joints.dtype}")
    limits.check(path, "frames", len(joints), MocapError)
    rate = arrays[next(name for name in RATES if name in arrays)]
    up = str(arrays.get("up", "z"))
    if rate.size != 1 or rate.dtype.kind not in "fiu" or up not in ("y", "z"):
        raise MocapError(f"{path}: expected a rate, one number, and up y or z, got {rate} and {up}")
    poses = landmarks(joints[:, : len(NAMES)].astype(float) @ (Z_UP.T if up == "z" else np.eye(3)))
    subject = str(arrays.get("subject", path.resolve().parent.name))
    action = str(arrays.get("action", path.stem))
    return [Clip(poses, float(rate.item()), subject, action, placed_on="SMPL's joints")]


def landmarks(joints: Float[np.ndarray, "F 22 3"]) -> Float[np.ndarray, "F L 3"]:
    """Our landmarks, mm, of SMPL's joints, m, y up. The face looks as the shoulders do."""
    at = {name: 1000 * joints[:, i] for i, name in enumerate(NAMES)}
    at |= {ours: at[theirs] for ours, theirs in TABLE.items()}
    up = _unit(at["head"] - at["neck"])
    across = at["left shoulder"] - at["right shoulder"]
    forward = _unit(np.cross(across - np.sum(across * up, axis=1, keepdims=True) * up, up))
    for name, (above, before) in ON_HEAD_MM.items():
        at[name] = at["head"] + above * up + before * forward
    at["neck"] = (at["left shoulder"] + at["right shoulder"]) / 2
    return np.stack([at[name] for name in HUMAN36M.landmarks], axis=1)


def _unit(vectors: Float[np.ndarray, "F 3"]) -> Float[np.ndarray, "F 3"]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(length, np.finfo(float).tiny)
