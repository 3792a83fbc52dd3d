"""Which axis of a file's world points up, and which way a person faces in a joint's own axes.

Files rarely say either. A skeleton's rest pose tells both if it stands; where makers let every bone
point along its own x, the motion does.
"""

import logging
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from prior.files import FilePath
from prior.mocap.clip import MocapError
from prior.skeleton import LANDMARKS

log = logging.getLogger(__name__)

# Of each axis that may point up, the rotation from that world to ours, y up.
UP = MappingProxyType({
    "y": np.eye(3),
    "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "x": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    "-y": np.diag([1.0, -1, -1]),
    "-z": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "-x": np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
})  # fmt: skip

# Our choices. A person is upright along an axis if the trunk, or the line from the feet to the
# hips, is within 60 degrees of it: also who sits, bends and climbs, but not who lies.
UPRIGHT = 0.5
# What is up must be upright in this share of the frames; and no other axis in twice as many.
SHARE = 0.2
# Without a rest pose that stands, in this share of them.
CLEAR_SHARE = 0.8
# Whoever walks so far, mm, across the axis of the trunk stands along it; who lies does not, and who
# crawls or swims goes along the trunk.
WALKED_MM = 1000.0
# A rest pose stands if it is as tall as this share of legs and trunk, and upright to 20 degrees.
STRETCHED, STRAIGHT = 0.75, 0.94

# A knee is bent by 25 degrees or more; of so many bent knees, or frames, this share bends or faces
# alike. In the clips that the project carries 98 % of a clip's bent knees bend backward, or more.
# Knees that hardly move, by less than the last number as a sine, tell nothing.
BENT, KNEES, SAME_WAY, MOVING = np.sin(np.radians(25)), 20, 0.9, 0.1

_AT = {name: LANDMARKS.index(name) for name in LANDMARKS}


def _middle(poses: Float[np.ndarray, "*F 17 3"], part: str) -> Float[np.ndarray, "*F 3"]:
    return (poses[..., _AT[f"left {part}"], :] + poses[..., _AT[f"right {part}"], :]) / 2


def _unit(vectors: Float[np.ndarray, "*F 3"]) -> Float[np.ndarray, "*F 3"]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-12)


def axes_of_person(poses: Float[np.ndarray, "*F 17 3"]) -> Float[np.ndarray, "*F 3 3"]:
    """Rotations whose columns are the person's left, up (along the trunk) and forward."""
    up = _unit(poses[..., _AT["neck"], :] - _middle(poses, "hip"))
    across = sum(
        poses[..., _AT[f"left {part}"], :] - poses[..., _AT[f"right {part}"], :]
        for part in ("hip", "shoulder")
    )
    left = _unit(across - np.sum(across * up, axis=-1, keepdims=True) * up)
    return np.stack([left, up, np.cross(left, up)], axis=-1)


def stands(rest: Float[np.ndarray, "17 3"]) -> str | None:
    """The axis, a key of UP, along which a rest pose stands; None if it does not stand."""
    feet, knees, hips = (_middle(rest, part) for part in ("foot", "knee", "hip"))
    neck = rest[_AT["neck"]]
    whole = sum(
        float(np.linalg.norm(b - a)) for a, b in ((feet, knees), (knees, hips), (hips, neck))
    )
    up = neck - feet
    across = rest[_AT["left hip"]] - rest[_AT["right hip"]]
    if whole == 0 or np.linalg.norm(up) < STRETCHED * whole or not across.any():
        return None
    axis = max(UP, key=lambda name: float(_unit(up) @ UP[name][1]))
    heights = np.array([feet, knees, hips, neck]) @ UP[axis][1]
    good = (
        _unit(up) @ UP[axis][1] > STRAIGHT
        and (np.diff(heights) > 0).all()
        and abs(_unit(across) @ UP[axis][1]) < 0.5
    )
    return axis if good else None


def find_up(
    where: FilePath,
    poses: Float[np.ndarray, "F 17 3"],
    rest: Float[np.ndarray, "17 3"] | None,
    said: str | None = None,
) -> str:
    """The axis, a key of UP, that points up in a clip's world.

    poses, rest: of the body, mm; where head and nose are is not looked at. rest: the rest pose of
    its skeleton, None for a format that is y up by itself. said: what a user said. Says on the log
    where it is not y. Raises MocapError, which begins with `where`, when it cannot be told.
    """
    if said is not None:
        return said
    trunk = _unit(poses[:, _AT["neck"]] - _middle(poses, "hip"))
    legs = _unit(_middle(poses, "hip") - _middle(poses, "foot"))
    share = {
        axis: float((np.maximum(trunk @ turn[1], legs @ turn[1]) > UPRIGHT).mean())
        for axis, turn in UP.items()
    }
    best = max(share, key=lambda axis: share[axis])
    at_rest = "y" if rest is None else stands(rest)
    for axis in dict.fromkeys([at_rest, "y"]):
        clear = SHARE if axis == at_rest else CLEAR_SHARE
        if axis is not None and share[axis] >= max(clear, share[best] / 2):
            return _told(where, axis)
    if share[best] >= CLEAR_SHARE and (best == at_rest or _walks(poses, UP[best][1])):
        return _told(where, best)
    raise MocapError(
        f"{where}: expected a person who stands, sits or walks, to tell which axis points up; the "
        f"person is upright along y in {share['y']:.0%} of the frames, along {best} in "
        f"{share[best]:.0%}; if the person lies all the time, say --up y, else --up={best}, or "
        '"up" in the joint map'
    )


def _told(where: FilePath, axis: str) -> str:
    if axis != "y":
        log.warning("%s: %s points up in this file, by how the person stands", where, axis)
    return axis


def _walks(poses: Float[np.ndarray, "F 17 3"], up: Float[np.ndarray, "3"]) -> bool:
    """Whether the hips go far across an axis, and not along it."""
    hips = _middle(poses, "hip")
    along = np.ptp(hips @ up)
    across = np.ptp(hips - (hips @ up)[:, None] * up, axis=0).max()
    return bool(across > WALKED_MM and along < across / 2)


def joint_axes(
    rest: Float[np.ndarray, "17 3"],
    poses: Float[np.ndarray, "F 17 3"],
    rotations: Mapping[str, Float[np.ndarray, "F 3 3"]],
) -> dict[str, Float[np.ndarray, "3 3"]]:
    """Of each joint, the rotation from the person's axes (left, up, forward) to the joint's own.

    rest: the body with no joint turned, in whose axes all joints' own are the world's; it counts if
    it stands. Else a joint, such as the head, faces as the trunk does on the average of the poses.
    rotations: of the joints, to the world.
    """
    if stands(rest) is not None:
        axes = axes_of_person(rest)
        square = np.round(axes)
        # A person at rest faces along an axis; what is left is how the shoulders lean back.
        clean = abs(axes - square).max() < 0.35 and abs(np.linalg.det(square)) == 1
        return dict.fromkeys(rotations, square if clean else axes)
    person = axes_of_person(poses)
    result = {}
    for joint, rotation in rotations.items():
        mean = np.einsum("fji,fjk->ik", rotation, person)
        left, _, right = np.linalg.svd(mean)
        result[joint] = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    return result


def check_sides(where: FilePath, poses: Float[np.ndarray, "F 17 3"]) -> None:
    """Raise MocapError, which begins with `where`, where left and right are exchanged: where knees
    bend forward. Say on the log where the nose is behind the head."""
    left, _, forward = np.moveaxis(axes_of_person(poses), -1, 0)
    bends, sines = [], []
    for side in ("left", "right"):
        hip, knee, foot = (poses[:, _AT[f"{side} {part}"]] for part in ("hip", "knee", "foot"))
        thigh, shank = _unit(knee - hip), _unit(foot - knee)
        turn = np.cross(thigh, shank)
        sine = np.linalg.norm(turn, axis=-1)
        bent = sine > BENT
        sines.append(sine[bent])
        bends.append(np.sum(turn * left, axis=-1)[bent] > 0)
    bend, sine = np.concatenate(bends), np.concatenate(sines)
    if len(bend) >= KNEES and np.ptp(sine) > MOVING and bend.mean() < 1 - SAME_WAY:
        raise MocapError(
            f"{where}: expected knees that bend backward, got {1 - bend.mean():.0%} that bend "
            "forward; left and right are exchanged, or the axes are left-handed"
        )
    head = (poses[:, _AT["head top"]] + poses[:, _AT["neck"]]) / 2
    ahead = np.sum((poses[:, _AT["nose"]] - head) * forward, axis=-1)
    if len(poses) >= KNEES and (ahead > 0).mean() < 1 - SAME_WAY:
        log.warning(
            "%s: the nose is behind the head; is it another landmark? What is learned from it does "
            "not suit other people's landmarks",
            where,
        )
