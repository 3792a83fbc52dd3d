"""DeepMimic clips (Peng et al., SIGGRAPH 2018), as the `pybullet` package carries them.

A clip is JSON. Each row of "Frames" has 44 numbers: seconds until the next frame, root position
(m), root quaternion (w x y z), then chest, neck, right hip (quaternions), right knee (angle), right
ankle, right shoulder (quaternions), right elbow (angle), and the same for the left side. The world
is right-handed, y up, as ours. At rest the figure stands with its arms down and faces +x, so that
its left (up x forward) is -z.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from prior import foreign
from prior.files import FilePath
from prior.mocap import kinematics
from prior.mocap.clip import Clip, MocapError, check_frames

# The skeleton of pybullet_data's humanoid/humanoid.urdf, whose unit is a quarter of a metre: joint,
# parent, offset from the parent, and how the joint turns. In this order a "ball" joint takes a
# quaternion from the row and a "hinge" an angle; a "fixed" joint takes nothing.
UNIT_M = 0.25
SKELETON = (
    ("root", None, (0, 0, 0), "ball"),
    ("chest", "root", (0, 0.944604, 0), "ball"),
    ("neck", "chest", (0, 0.895576, 0), "ball"),
    ("right hip", "root", (0, 0, 0.339548), "ball"),
    ("right knee", "right hip", (0, -1.686184, 0), "hinge"),
    ("right ankle", "right knee", (0, -1.63948, 0), "ball"),
    ("right shoulder", "chest", (-0.0962, 0.974, 0.73244), "ball"),
    ("right elbow", "right shoulder", (0, -1.099152, 0), "hinge"),
    ("right wrist", "right elbow", (0, -1.035788, 0), "fixed"),
    ("left hip", "root", (0, 0, -0.339548), "ball"),
    ("left knee", "left hip", (0, -1.686184, 0), "hinge"),
    ("left ankle", "left knee", (0, -1.63948, 0), "ball"),
    ("left shoulder", "chest", (-0.0962, 0.974, -0.73244), "ball"),
    ("left elbow", "left shoulder", (0, -1.099152, 0), "hinge"),
    ("left wrist", "left elbow", (0, -1.035788, 0), "fixed"),
)
JOINTS = tuple(name for name, *_ in SKELETON)
PARENTS = tuple(JOINTS.index(parent) if parent else -1 for _, parent, *_ in SKELETON)
OFFSETS_M = UNIT_M * np.array([offset for _, _, offset, _ in SKELETON], dtype=float)
# Hinges turn about +z, the figure's right: a knee flexes by negative angles, an elbow by positive.
HINGE_AXIS = np.array([0.0, 0.0, 1.0])
ROW = 44
# The head is a sphere that moves with the neck.
HEAD_CENTRE_M = UNIT_M * np.array([0, 0.7, 0])
HEAD_RADIUS_M = UNIT_M * 0.41
# Where the 17 landmarks are (see kinematics.place). The chest joint is halfway up the trunk (0.24 m
# above the hips), Human3.6M's spine; the neck joint, between the shoulders, is its neck (thorax).
# The nose is the foremost point of the head's sphere, the head top the highest.
_HEAD_TOP = tuple(1000 * (HEAD_CENTRE_M + [0, HEAD_RADIUS_M, 0]))
_NOSE = tuple(1000 * (HEAD_CENTRE_M + [HEAD_RADIUS_M, 0, 0]))
LANDMARKS_AT: dict[str, kinematics.Place] = {
    "hip": "root",
    "spine": "chest",
    "neck": "neck",
    "nose": ("neck", _NOSE),
    "head top": ("neck", _HEAD_TOP),
    "right foot": "right ankle",
    "left foot": "left ankle",
    **{
        f"{side} {part}": f"{side} {part}"
        for side in ("right", "left")
        for part in ("hip", "knee", "shoulder", "elbow", "wrist")
    },
}
# How far a quaternion's length may be from 1 before it counts as damage. Some clips were
# interpolated and not normalised again: their quaternions are as short as 0.58. The reader
# normalises them.
QUATERNION_TOLERANCE = 0.5


class Motion(NamedTuple):
    """The joint rotations of a clip of F frames.

    local: of each joint of JOINTS relative to its parent, the identity at rest; root_m: the root's
    position, world, m; rate: frames per second.
    """

    local: Float[np.ndarray, "F 15 3 3"]
    root_m: Float[np.ndarray, "F 3"]
    rate: float


def find_clips() -> list[Path]:
    """The clips of a person in the installed package pybullet_data, sorted.

    Does not import the package. Raises MocapError when it is not installed.
    """
    spec = importlib.util.find_spec("pybullet_data")
    if spec is None or not spec.submodule_search_locations:
        raise MocapError("pybullet_data: not installed; expected its clips: pip install pybullet")
    folder = Path(spec.submodule_search_locations[0]) / "data" / "motions"
    # laikago_walk.txt in the same folder is a robot dog.
    files = sorted([*folder.glob("humanoid3d_*.txt"), *folder.glob("walker/*.txt")])
    if not files:
        raise MocapError(f"{folder}: expected humanoid3d_*.txt clips, got none; reinstall pybullet")
    return files


def action(path: FilePath) -> str:
    """The name of the motion: the file's name without "humanoid3d_" and ".txt"."""
    return Path(path).stem.removeprefix("humanoid3d_")


def recognises(path: FilePath) -> bool:
    """Whether the file looks like a DeepMimic clip: a .txt that starts as JSON with "Frames"."""
    path = Path(path)
    if path.suffix != ".txt":
        return False
    start = foreign.head(path, 4096)
    return start.lstrip().startswith(b"{") and b'"Frames"' in start


def read_motion(path: FilePath) -> Motion:
    """The Motion in a file. Raises MocapError when it is damaged."""
    document = foreign.read_json(path, MocapError)
    frames = document.get("Frames") if isinstance(document, dict) else None
    if frames is None:
        raise MocapError(
            f"{path}: expected DeepMimic JSON with a list 'Frames', got none; copy the file again"
        )
    if not isinstance(frames, list) or len(frames) < 2:
        count = len(frames) if isinstance(frames, list) else type(frames).__name__
        raise MocapError(f"{path}: expected at least 2 frames, got {count}; use a longer clip")
    for number, row in enumerate(frames):
        if not isinstance(row, list) or len(row) != ROW:
            got = len(row) if isinstance(row, list) else type(row).__name__
            raise MocapError(
                f"{path}: frame {number}: expected {ROW} numbers, got {got}; "
                "only the humanoid's clips can be read"
            )
    try:
        rows = np.array(frames, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise MocapError(f"{path}: expected numbers in 'Frames'; copy the file again") from None
    check_frames(path, np.isfinite(rows).all(axis=1), "finite numbers", rows.sum(axis=1))
    # The median is the time between frames of the capture: the last frame's time is often 0, and
    # where a frame was dropped it is longer.
    step = float(np.median(rows[:-1, 0]))
    if not step > 0:
        raise MocapError(f"{path}: expected a positive frame time, got {step}; copy the file again")
    local = np.tile(np.eye(3), (len(rows), len(JOINTS), 1, 1))
    column = 4
    for j, (_, _, _, kind) in enumerate(SKELETON):
        if kind == "ball":
            quaternion = rows[:, column : column + 4]
            length = np.linalg.norm(quaternion, axis=1)
            check_frames(path, abs(length - 1) < QUATERNION_TOLERANCE, "unit quaternions", length)
            local[:, j] = Rotation.from_quat(quaternion, scalar_first=True).as_matrix()
            column += 4
        elif kind == "hinge":
            local[:, j] = Rotation.from_rotvec(rows[:, column, None] * HINGE_AXIS).as_matrix()
            column += 1
    return Motion(local, rows[:, 1:4], 1 / step)


def forward(
    motion: Motion,
) -> tuple[Float[np.ndarray, "F 15 3 3"], Float[np.ndarray, "F 15 3"]]:
    """World rotations and positions, m, of the joints."""
    return kinematics.forward(PARENTS, OFFSETS_M, motion.local, motion.root_m)


def read(path: FilePath) -> list[Clip]:
    """The file's clip, in a list. Raises MocapError when it is damaged."""
    motion = read_motion(path)
    rotations, positions = forward(motion)
    poses = kinematics.place(LANDMARKS_AT, JOINTS, rotations, 1000 * positions)
    name = action(path)
    return [Clip(poses, motion.rate, "humanoid", name, placed_on="DeepMimic's humanoid")]
