"""Motion of the DeepMimic figure on the MakeHuman rig.

Both skeletons have a pose in which each limb points the same way: standing, facing +x, arms and
legs straight down; for DeepMimic that is the rest pose. A bone's world rotation is then that of
the DeepMimic joint after the one that brings it from MakeHuman's rest to that common pose.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from prior.camera import vertical_rotation
from prior.mocap.deepmimic import JOINTS, OFFSETS_M, forward

# MakeHuman faces +z at rest, DeepMimic +x.
FACE_X = vertical_rotation(np.pi / 2)
DOWN = np.array([0.0, -1.0, 0.0])
# Limbs, from the body outwards: bone -> the joint that turns it.
TURNED = {
    "UpLeg": "hip",
    "Leg": "knee",
    "Arm": "shoulder",
    "ForeArm": "elbow",
}
# Bones that keep MakeHuman's rest pose relative to a joint.
FOLLOW = {
    "HipJoint": "root",
    "Foot": "ankle",
    "ToeBase": "ankle",
}
# Bones that follow the forearm: the clips have no motion of the hand.
HAND = ("Hand", "FingerBase", "HandFinger1", "Thumb")
# DeepMimic bends the trunk at one joint and the neck at another; on a mesh each bend is spread over
# several bones: bone -> (from joint, to joint, how far between them).
SPREAD = {
    "Hips": ("root", "chest", 0),
    "LowerBack": ("root", "chest", 1 / 3),
    "Spine": ("root", "chest", 2 / 3),
    "Spine1": ("root", "chest", 1),
    "Neck": ("chest", "neck", 1 / 2),
    "Neck1": ("chest", "neck", 1),
    "Head": ("chest", "neck", 1),
}
# A collar bone rises with the arm, by about this much when the arm is overhead.
SHRUG = np.radians(30)
# A clip's feet stand on the ground in most frames. The ground is this percentile, over the frames,
# of the lowest point's height; not the minimum, since a frame or two of a clip may sink in.
GROUND_PERCENTILE = 10


class Motion(NamedTuple):
    """A body's motion: rotations (F, B, 3, 3) and heads (F, B, 3) of its bones, landmarks
    (F, 17, 3); mm, world, y up, the ground at y = 0."""

    rotations: np.ndarray
    heads: np.ndarray
    landmarks: np.ndarray


def _turn(start, end):
    """The smallest rotation (3, 3) that takes direction `start` to `end`."""
    return Rotation.align_vectors(end[None], start[None])[0].as_matrix()


def _between(a, b, share):
    """The rotations (F, 3, 3) at that share of the way from a to b."""
    step = Rotation.from_matrix(np.swapaxes(a, 1, 2) @ b).as_rotvec()
    return a @ Rotation.from_rotvec(share * step).as_matrix()


def to_common_pose(body):
    """Rotation (3, 3) of each limb's bone from the rig's rest to the common pose, by name."""
    common = {}
    for side in ("Left", "Right"):
        for upper, lower in (("UpLeg", "Leg"), ("Arm", "ForeArm")):
            # The lower bone first moves with the upper one, so that it unbends about its hinge.
            rotation = FACE_X
            for name in (side + upper, side + lower):
                b = body.bone[name]
                rotation = _turn(rotation @ (body.tails[b] - body.heads[b]), DOWN) @ rotation
                common[name] = rotation
    return common


def bone_rotations(body, joints):
    """World rotations (F, B, 3, 3) of the bones from rest, of joints (F, 15, 3, 3) likewise."""
    joint = {name: joints[:, j] for j, name in enumerate(JOINTS)}
    common = to_common_pose(body)
    rotations = {
        bone: _between(joint[a], joint[b], share) @ FACE_X for bone, (a, b, share) in SPREAD.items()
    }
    for side, right in (("Left", -1.0), ("Right", 1.0)):
        lower = side.lower() + " "
        for bone, name in TURNED.items():
            rotations[side + bone] = joint[lower + name] @ common[side + bone]
        for bone in HAND:
            name = side[0] + bone if bone == "Thumb" else side + bone
            rotations[name] = rotations[side + "ForeArm"]
        for bone, name in FOLLOW.items():
            turn = joint["root" if name == "root" else lower + name]
            rotations[(side[0] if name == "root" else side) + bone] = turn @ FACE_X
        # How far the arm is raised, in the chest's frame: 0 hanging, 1 overhead.
        arm = np.swapaxes(joint["chest"], 1, 2) @ joint[lower + "shoulder"] @ DOWN
        raised = (1 + arm[:, 1]) / 2
        shrug = Rotation.from_rotvec(np.outer(raised, [-right * SHRUG, 0, 0])).as_matrix()
        rotations[side + "Shoulder"] = joint["chest"] @ shrug @ FACE_X
    return np.stack([rotations[bone] for bone in body.bones], axis=1)


def retarget(motion, body, yaw=0.0):
    """The clip as a motion of the body.

    motion: deepmimic.Motion; yaw: the clip is turned by it about the vertical, radians. The path
    is scaled with the legs and centred on the origin, and the feet stand on the ground.
    """
    world = vertical_rotation(yaw)
    joints, _ = forward(motion)
    rotations = world @ bone_rotations(body, joints)
    knee, ankle = JOINTS.index("left knee"), JOINTS.index("left ankle")
    leg = -(OFFSETS_M[knee] + OFFSETS_M[ankle])[1]
    hips = motion.root_m * (body.leg_length / leg) @ world.T
    hips[:, [0, 2]] -= (hips[:, [0, 2]].min(axis=0) + hips[:, [0, 2]].max(axis=0)) / 2
    heads = body.joints(rotations, hips)
    lowest = body.lowest(rotations, heads)
    lowest -= (ground := np.percentile(lowest, GROUND_PERCENTILE))
    # A body fuller than the actor's would sink into the ground when it lies: it is raised.
    heads[..., 1] += (np.maximum(-lowest, 0) - ground)[:, None]
    return Motion(rotations, heads, body.landmarks(rotations, heads))
