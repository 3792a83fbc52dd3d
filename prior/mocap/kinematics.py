"""Skeletons as trees of joints: forward kinematics, and the 17 landmarks on them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from prior.skeleton import LANDMARKS


class OnPerson(NamedTuple):
    """An offset, mm, from a joint that turns with it: to the person's left, up and forward,
    whatever axes the maker of the skeleton gave the joint."""

    joint: str
    offset_mm: Sequence[float]


# Where a landmark is: at a joint, in the middle of several, or at an offset (x, y, z), mm, from a
# joint, in its frame or in the person's.
Place: TypeAlias = str | list[str] | tuple[str, Sequence[float]] | OnPerson
# Of each landmark, by its name.
Places: TypeAlias = Mapping[str, Place]


def turns(
    orders: Sequence[str], angles: Sequence[Float[np.ndarray, "F _"]], degrees: bool
) -> Float[np.ndarray, "F B 3 3"]:
    """Rotations of B joints by angles about the axes of their orders, as SciPy writes these: "xyz"
    with the first axis innermost, "XYZ" with the first one outermost; "" is no turn.

    Joints of one order are turned at once, since a call takes as long as some thousand turns.
    """
    result = np.tile(np.eye(3), (len(angles[0]), len(orders), 1, 1))
    for order in set(filter(None, orders)):
        joints = [j for j, one in enumerate(orders) if one == order]
        several = np.stack([angles[j] for j in joints], axis=1)
        turned = Rotation.from_euler(order, several.reshape(-1, len(order)), degrees=degrees)
        result[:, joints] = turned.as_matrix().reshape(*several.shape[:2], 3, 3)
    return result


def forward(
    parents: Sequence[int],
    offsets: Float[np.ndarray, "B 3"] | Float[np.ndarray, "F B 3"],
    local: Float[np.ndarray, "F B 3 3"],
    root: Float[np.ndarray, "F 3"],
) -> tuple[Float[np.ndarray, "F B 3 3"], Float[np.ndarray, "F B 3"]]:
    """World rotations and positions of B joints in F frames.

    parents: an index for each joint, -1 for the root; a parent comes before its children. offsets:
    of each joint from its parent, in the parent's frame. local: rotations relative to the parent.
    root: the root's position. Positions are in the unit of offsets and root.
    """
    rotations, positions = np.empty_like(local), np.empty(local.shape[:-1])
    for j, parent in enumerate(parents):
        if parent < 0:
            rotations[:, j], positions[:, j] = local[:, j], root
        else:
            rotations[:, j] = rotations[:, parent] @ local[:, j]
            step = rotations[:, parent] @ offsets[..., j, :, None]
            positions[:, j] = positions[:, parent] + step[..., 0]
    return rotations, positions


def place(
    table: Places,
    names: Sequence[str],
    rotations: Float[np.ndarray, "F B 3 3"],
    positions_mm: Float[np.ndarray, "F B 3"],
    axes: Mapping[str, Float[np.ndarray, "3 3"]] = MappingProxyType({}),
) -> Float[np.ndarray, "F 17 3"]:
    """The landmarks, mm, of a skeleton in motion: table says where they are on it.

    names: of the B joints; rotations, positions_mm: of the joints, as `forward` returns them. axes:
    of each joint of an OnPerson, the rotation from the person's axes to its own.
    """
    poses = np.empty((len(positions_mm), len(LANDMARKS), 3))
    for i, landmark in enumerate(LANDMARKS):
        joints, offset_mm = joints_and_offset(table[landmark])
        if isinstance(table[landmark], OnPerson):
            offset_mm = axes[joints[0]] @ offset_mm
        at = [names.index(joint) for joint in joints]
        poses[:, i] = sum(positions_mm[:, j] for j in at) / len(at)
        if offset_mm.any():
            poses[:, i] += rotations[:, at[0]] @ offset_mm
    return poses


def joints_and_offset(where: Place) -> tuple[list[str], Float[np.ndarray, "3"]]:
    """A Place as the joints in whose middle it is, and an offset, mm, in the first one's frame or
    the person's."""
    offset = np.array(where[1], dtype=float) if isinstance(where, tuple) else np.zeros(3)
    return _joints_at(where), offset


def _joints_at(where: Place) -> list[str]:
    if isinstance(where, tuple):
        return [where[0]]
    return [where] if isinstance(where, str) else where


def joints_of(table: Places) -> list[str]:
    """The joints that a table names, each once."""
    return list(dict.fromkeys(joint for where in table.values() for joint in _joints_at(where)))
