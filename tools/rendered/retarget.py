"""Motion of 17 landmarks on the MakeHuman rig.

Landmarks are points, and bones also have a twist. Each bone gets a frame of axes from landmarks, in
the clip and in the rig at rest; its world rotation takes the one to the other. Limbs point exactly
as in the clip, and twist with the hinge of knee or elbow; where that is stretched, a limb has its
twist by the shortest way from rest. Trunk and head turn with hips, shoulders and nose.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from prior.camera import vertical_rotation
from prior.skeleton import LANDMARKS

INDEX = {name: i for i, name in enumerate(LANDMARKS)}
UP = np.array([0.0, 1.0, 0.0])
ACROSS = np.array([1.0, 0.0, 0.0])  # to the left of a body at rest, which faces +z
# The limbs' bones, upper and lower, with the landmarks at their three ends.
LIMBS = {
    "UpLeg": ("Leg", ("hip", "knee", "foot")),
    "Arm": ("ForeArm", ("shoulder", "elbow", "wrist")),
}
# Bones that follow the forearm: the landmarks end at the wrist.
HAND = ("Hand", "FingerBase", "HandFinger1", "Thumb")
# Trunk and neck bend between the frames of hips, chest and head; on a mesh each bend is spread over
# several bones: bone -> (from, to, how far between them).
SPREAD = {
    "Hips": ("hips", "chest", 0),
    "LHipJoint": ("hips", "chest", 0),
    "RHipJoint": ("hips", "chest", 0),
    "LowerBack": ("hips", "chest", 1 / 3),
    "Spine": ("hips", "chest", 2 / 3),
    "Spine1": ("hips", "chest", 1),
    "Neck": ("chest", "head", 1 / 2),
    "Neck1": ("chest", "head", 1),
    "Head": ("chest", "head", 1),
}
# Below the first sine of its bend a hinge says nothing of the twist, above the second it says all:
# our choice, 9 and 27 degrees. A joint's noise of 10 mm turns the axis of a knee that is bent by 9
# degrees by as much as 10.
HINGE = (0.15, 0.45)
# People are taken to look straight ahead, with straight backs, on the average over the frames in
# which their trunk is within this angle of the vertical.
UPRIGHT = np.radians(20)
# A collar bone rises with the arm, by about this much when the arm is overhead.
SHRUG = np.radians(30)
# A foot is flat while its ankle is less than the first height, mm, above where it is when standing,
# and as the shank has it above the second: our choice, a heel that rises in a step.
FLAT_MM = (25.0, 110.0)
# A clip's feet stand on the ground in most frames. The ground is this percentile, over the frames,
# of the lowest point's height; not the minimum, since a frame or two of a clip may sink in.
GROUND_PERCENTILE = 10


class Motion(NamedTuple):
    """A body's motion: rotations (F, B, 3, 3) and heads (F, B, 3) of its bones, landmarks
    (F, 17, 3); mm, world, y up, the ground at y = 0."""

    rotations: np.ndarray
    heads: np.ndarray
    landmarks: np.ndarray


def retarget(
    poses: Float[np.ndarray, "F 17 3"], body, neutral: dict[str, float], yaw: float = 0.0
) -> Motion:
    """A clip as a motion of the body.

    poses: mm, y up; neutral: of the person, by `neutral_pitches`; yaw: the clip is turned by it
    about the vertical, radians. The path is scaled with the legs and centred on the origin, and the
    feet stand on the ground.
    """
    poses = poses @ vertical_rotation(yaw).T
    rest = body.landmarks(np.eye(3)[None, None].repeat(len(body.bones), 1), body.heads[None])
    rotations = bone_rotations(poses, rest, body, neutral)
    hips = poses[:, INDEX["hip"]] * (body.leg_length / _leg_length(poses))
    hips[:, [0, 2]] -= (hips[:, [0, 2]].min(axis=0) + hips[:, [0, 2]].max(axis=0)) / 2
    heads = body.joints(rotations, hips)
    lowest = body.lowest(rotations, heads)
    lowest -= (ground := np.percentile(lowest, GROUND_PERCENTILE))
    # A body fuller than the actor's would sink into the ground when it lies: it is raised.
    heads[..., 1] += (np.maximum(-lowest, 0) - ground)[:, None]
    return Motion(rotations, heads, body.landmarks(rotations, heads))


def neutral_pitches(poses: Float[np.ndarray, "F 17 3"]) -> dict[str, float]:
    """How far a person's frames of hips, chest and head are pitched when it stands straight.

    Radians, each against the frame below it, and the hips against the trunk: where a skeleton has
    its spine, neck and nose differs from one data set to another. The medians over the upright
    frames, or over all where there is none.
    """
    trunk = poses[:, INDEX["neck"]] - poses[:, INDEX["hip"]]
    upright = _angle(trunk, UP) < UPRIGHT
    poses = poses[upright] if upright.any() else poses
    frames = {"trunk": _trunk_frame(poses)} | _frames(poses)
    pairs = (("trunk", "hips"), ("hips", "chest"), ("chest", "head"))
    return {part: float(np.median(_pitch(frames[below], frames[part]))) for below, part in pairs}


def bone_rotations(poses, rest, body, neutral):
    """World rotations (F, B, 3, 3) of the bones from rest.

    poses (F, 17, 3), rest (1, 17, 3): the body's landmarks at rest; neutral: as of `retarget`.
    """
    # A person that stands straight gets the body's own posture: the frames' pitches cancel.
    at_rest, own, pitch = _frames(rest), neutral_pitches(rest), 0.0
    parts = {}
    for part, frame in _frames(poses).items():
        pitch += neutral[part] - own[part]
        turn = Rotation.from_rotvec([-pitch, 0, 0]).as_matrix()
        parts[part] = frame @ turn @ np.swapaxes(at_rest[part], 1, 2)
    rotations = {
        bone: _between(parts[a], parts[b], share) for bone, (a, b, share) in SPREAD.items()
    }
    for side in ("Left", "Right"):
        rotations |= _limb(side, "UpLeg", poses, rest, parts["hips"])
        rotations |= _limb(side, "Arm", poses, rest, parts["chest"])
        for bone in HAND:
            name = side[0] + bone if bone == "Thumb" else side + bone
            rotations[name] = rotations[side + "ForeArm"]
        foot = _foot(side, poses, body, rotations[side + "Leg"])
        rotations[side + "Foot"] = rotations[side + "ToeBase"] = foot
        rotations[side + "Shoulder"] = parts["chest"] @ _shrug(side, poses, rest, parts["chest"])
    return np.stack([rotations[bone] for bone in body.bones], axis=1)


# Frames of axes (F, 3, 3): the columns are left, up and forward of a person who stands ------------


def _frames(poses):
    """Frames of hips, chest and head, by name, from the lowest to the highest."""
    at = {name: poses[:, i] for name, i in INDEX.items()}
    across = at["left hip"] - at["right hip"]
    up, nose = at["head top"] - at["neck"], at["nose"] - at["neck"]
    return {
        "hips": _axes(_perpendicular(at["spine"] - at["hip"], across), across),
        "chest": _axes(at["neck"] - at["spine"], at["left shoulder"] - at["right shoulder"]),
        "head": _axes(up, np.cross(up, nose)),
    }


def _trunk_frame(poses):
    """The frame of the whole trunk, from hip to neck."""
    at = {name: poses[:, i] for name, i in INDEX.items()}
    return _axes(at["neck"] - at["hip"], at["left hip"] - at["right hip"])


def _axes(up, across):
    """The frames (F, 3, 3) with that upward direction (F, 3), and their left near `across`."""
    y = _unit(up)
    x = _unit(_perpendicular(across, y))
    return np.stack([x, y, np.cross(x, y)], axis=2)


def _pitch(below, frame):
    """The angle (F,), radians, by which each frame is pitched forward against the one below."""
    forward = np.einsum("fij,fi->fj", below, frame[..., 2])
    return np.arctan2(-forward[:, 1], forward[:, 2])


# Limbs -------------------------------------------------------------------------------------------


def _limb(side, upper, poses, rest, trunk):
    """Rotations (F, 3, 3) of a limb's two bones, by name. trunk: that of the part it hangs on."""
    lower, names = LIMBS[upper]
    sign = -1 if upper == "Arm" else 1  # an elbow bends forward, a knee back
    names = [f"{side.lower()} {name}" for name in names]
    ends, ends_at_rest = (p[:, [INDEX[name] for name in names]] for p in (poses, rest))
    first, second = (_unit(ends[:, i + 1] - ends[:, i]) for i in (0, 1))
    first_rest, second_rest = (_unit(ends_at_rest[:, i + 1] - ends_at_rest[:, i]) for i in (0, 1))
    hinge_rest = sign * np.cross(first_rest, second_rest) if upper == "Arm" else ACROSS[None]
    # By the shortest way from rest, in the trunk's frame.
    start = np.einsum("fij,fj->fi", trunk, first_rest)
    plain = np.einsum("fij,fjk,fk->fi", _shortest_turn(start, first), trunk, _unit(hinge_rest))
    hinge = sign * np.cross(first, second)
    bend = np.linalg.norm(hinge, axis=1, keepdims=True)  # its sine
    share = _smooth((bend - HINGE[0]) / (HINGE[1] - HINGE[0]))
    hinge = share * hinge / np.maximum(bend, 1e-9) + (1 - share) * plain
    return {
        side + bone: _axes(-now, hinge) @ np.swapaxes(_axes(-before, hinge_rest), 1, 2)
        for bone, now, before in ((upper, first, first_rest), (lower, second, second_rest))
    }


def _shrug(side, poses, rest, chest):
    """The collar bone's turn (F, 3, 3) in the chest's frame: none at rest, SHRUG overhead."""
    shoulder, elbow = INDEX[f"{side.lower()} shoulder"], INDEX[f"{side.lower()} elbow"]
    arm = np.einsum("fji,fj->fi", chest, _unit(poses[:, elbow] - poses[:, shoulder]))
    height = _unit(rest[:, elbow] - rest[:, shoulder])[0, 1]
    raised = np.clip((arm[:, 1] - height) / (1 - height), 0, 1)
    turn = SHRUG * raised * (1 if side == "Left" else -1)
    return Rotation.from_rotvec(turn[:, None] * [0, 0, 1]).as_matrix()


def _foot(side, poses, body, shank):
    """Rotations (F, 3, 3) of a foot: flat on the ground while its ankle is low, otherwise as the
    shank has it, and never through the ground."""
    height = poses[:, INDEX[f"{side.lower()} foot"], 1]
    standing = np.percentile(poses[:, [INDEX["left foot"], INDEX["right foot"]], 1].min(axis=1), 10)
    above = (height - standing) * body.leg_length / _leg_length(poses)
    flat = 1 - _smooth((above - FLAT_MM[0]) / (FLAT_MM[1] - FLAT_MM[0]))
    forward = _perpendicular(shank[..., 2], UP)
    # A shank that lies has no forward direction on the ground: its foot is not flat.
    flat = flat * _smooth(2 * np.linalg.norm(forward, axis=1))
    level = _axes(np.tile(UP, (len(poses), 1)), np.cross(UP, forward))
    turned = _between(shank, level, flat[:, None])
    bone = body.bone[f"{side}Foot"]
    toes = body.tails[bone] - body.heads[bone]
    down = turned @ toes - [0, toes[1], 0]  # beside a flat foot's
    room = np.maximum(above, 0)  # as far may the toes be below
    excess = np.maximum(-down[:, 1] - room, 0) / np.linalg.norm(toes)
    pitch = np.arcsin(np.clip(excess, 0, 1))
    return turned @ Rotation.from_rotvec(-pitch[:, None] * ACROSS).as_matrix()


def _leg_length(poses):
    """The mean length of the legs, hip to knee to ankle, mm."""
    parts = [
        np.linalg.norm(poses[:, INDEX[f"{side} {a}"]] - poses[:, INDEX[f"{side} {b}"]], axis=1)
        for side in ("left", "right")
        for a, b in (("hip", "knee"), ("knee", "foot"))
    ]
    return np.mean(parts) * 2


# Vectors and rotations ---------------------------------------------------------------------------


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _perpendicular(vectors, axis):
    """The part of the vectors (F, 3) at right angles to an axis (F, 3) or (3,)."""
    axis = _unit(np.broadcast_to(axis, vectors.shape))
    return vectors - np.sum(vectors * axis, axis=1, keepdims=True) * axis


def _angle(vectors, direction):
    return np.arccos(np.clip(_unit(vectors) @ direction, -1, 1))


def _smooth(share):
    """0 below 0, 1 above 1, and smooth between."""
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


def _shortest_turn(start, end):
    """The smallest rotations (F, 3, 3) that take directions `start` (F, 3) to `end` (F, 3)."""
    axis = np.cross(start, end)
    x, y, z = axis.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    cosine = np.sum(start * end, axis=1)[:, None, None]
    return np.eye(3) + cross + cross @ cross / np.maximum(1 + cosine, 1e-6)


def _between(a, b, share):
    """The rotations (F, 3, 3) at that share, a number or (F, 1), of the way from a to b."""
    step = Rotation.from_matrix(np.swapaxes(a, 1, 2) @ b).as_rotvec()
    return a @ Rotation.from_rotvec(share * step).as_matrix()
