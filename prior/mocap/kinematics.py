"""Skeletons as trees of joints: forward kinematics, and the 17 landmarks on them."""

import numpy as np

from prior.skeleton import LANDMARKS


def forward(parents, offsets, local, root):
    """World rotations (F, B, 3, 3) and positions (F, B, 3) of B joints.

    parents: B indices, each before its children, -1 for the root; offsets: (B, 3) or (F, B, 3), of
    each joint from its parent, in the parent's frame; local: (F, B, 3, 3), rotation relative to the
    parent; root: (F, 3), position of the root. Positions are in the unit of offsets and root.
    """
    offsets = np.asarray(offsets)
    rotations, positions = np.empty_like(local), np.empty(local.shape[:-1])
    for j, parent in enumerate(parents):
        if parent < 0:
            rotations[:, j], positions[:, j] = local[:, j], root
        else:
            rotations[:, j] = rotations[:, parent] @ local[:, j]
            step = rotations[:, parent] @ offsets[..., j, :, None]
            positions[:, j] = positions[:, parent] + step[..., 0]
    return rotations, positions


def place(table, names, rotations, positions_mm):
    """The landmarks (F, 17, 3), mm, of a skeleton in motion.

    table: for each landmark's name an entry; names: of the B joints; rotations: (F, B, 3, 3);
    positions_mm: (F, B, 3). An entry is the name of a joint, a list of joints (the point in the
    middle), or a joint and an offset in its frame, mm, as a tuple.
    """
    poses = np.empty((len(positions_mm), len(LANDMARKS), 3))
    for i, landmark in enumerate(LANDMARKS):
        joints, offset = joints_and_offset(table[landmark])
        at = [names.index(joint) for joint in joints]
        poses[:, i] = positions_mm[:, at].mean(axis=1) + rotations[:, at[0]] @ offset
    return poses


def joints_and_offset(entry):
    """An entry of a table as a list of joints and an offset (3,), mm."""
    if isinstance(entry, tuple):
        joint, offset = entry
        return [joint], np.array(offset, dtype=float)
    return [entry] if isinstance(entry, str) else entry, np.zeros(3)
