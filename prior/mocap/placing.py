"""The landmarks of a skeleton in motion, in our world: y up, nose and head top on the person."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from prior.files import FilePath
from prior.mocap import kinematics, orientation
from prior.mocap.clip import MocapError
from prior.mocap.kinematics import OnPerson, Places
from prior.skeleton import HUMAN36M

log = logging.getLogger(__name__)

# A top of the head is so far from the joint of the head, mm, and so far upward, as a cosine: our
# choice. An End Site that has no length, or points elsewhere, is none.
HEAD_MM, UPWARD = (40.0, 350.0), 0.7
# Where it is then, above the nose, mm: as skeletons.py says.
ABOVE_NOSE_MM = 150.0


class Joints(NamedTuple):
    """Names, rotations to the world and positions, mm, of the B joints of a skeleton in motion."""

    names: Sequence[str]
    rotations: Float[np.ndarray, "F B 3 3"]
    positions_mm: Float[np.ndarray, "F B 3"]


def body(
    table: Places,
    names: Sequence[str],
    rotations: Float[np.ndarray, "F B 3 3"],
    positions: Float[np.ndarray, "F B 3"],
) -> Float[np.ndarray, "F 17 3"]:
    """The landmarks at their joints, in the unit of the positions; offsets are left out."""
    joints = {name: kinematics.joints_and_offset(where)[0] for name, where in table.items()}
    return kinematics.place(joints, names, rotations, positions)


def landmarks(
    where: FilePath,
    table: Places,
    joints: Joints,
    rest_mm: Float[np.ndarray, "B 3"],
    up: str | None,
) -> Float[np.ndarray, "F 17 3"]:
    """The landmarks, mm, y up.

    rest_mm: the joints if none is turned; up: the axis that a user says points up. Raises
    MocapError when it cannot be told, or the joints are of no person's size.
    """
    still = np.tile(np.eye(3), (1, len(rest_mm), 1, 1))
    rest = body(table, joints.names, still, rest_mm[None])[0]
    bare = body(table, joints.names, joints.rotations, joints.positions_mm)
    _check_size(where, bare)
    turn = orientation.UP[orientation.find_up(where, bare, rest, up)]
    rotations, positions_mm = turn @ joints.rotations, joints.positions_mm @ turn.T
    on_person = {place.joint for place in table.values() if isinstance(place, OnPerson)}
    axes = orientation.joint_axes(
        rest, bare @ turn.T, {name: rotations[:, joints.names.index(name)] for name in on_person}
    )
    joints = Joints(joints.names, rotations, positions_mm)
    return kinematics.place(_with_head_top(where, table, joints, axes), *joints, axes)


def _check_size(where: FilePath, bare_mm: Float[np.ndarray, "F 17 3"]) -> None:
    """Raises MocapError unless joints are of a person's size. By them alone: the offsets of nose
    and head top have a person's size whatever the joints' unit is."""
    scale, (low, high) = float(np.median(HUMAN36M.limb_scale(bare_mm))), HUMAN36M.limb_scale_mm
    if not low <= scale <= high:
        raise MocapError(
            f"{where}: expected a person, that is a limb scale of {low:.0f} to {high:.0f} mm, got "
            f'{scale:.4g} mm; are its lengths in another unit? "unit" of a joint map (--joint-map) '
            "says in which"
        )


def _with_head_top(
    where: FilePath,
    table: Places,
    joints: Joints,
    axes: dict[str, Float[np.ndarray, "3 3"]],
) -> Places:
    """The table, with the head's top above the nose where the End Site for it is none; says so."""
    top, nose = table["head top"], table["nose"]
    if not isinstance(top, str) or not isinstance(nose, OnPerson):
        return table
    end, head = joints.names.index(top), joints.names.index(nose.joint)
    local = joints.rotations[0, head].T @ (
        joints.positions_mm[0, end] - joints.positions_mm[0, head]
    )
    length = float(np.linalg.norm(local))
    if HEAD_MM[0] <= length <= HEAD_MM[1] and (axes[nose.joint].T @ local)[1] >= UPWARD * length:
        return table
    log.warning("%s: %s is no top of the head; it is put above the nose", where, top)
    left, above, _ = nose.offset_mm
    return {**table, "head top": OnPerson(nose.joint, (left, above + ABOVE_NOSE_MM, 0.0))}
