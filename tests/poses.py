"""Articulated poses for tests: a skeleton with constant limb lengths and random joint angles."""

import numpy as np
from scipy.spatial.transform import Rotation

from prior.skeleton import PARENTS, L

# Offset of each landmark from its parent in a standing person who faces +z, mm.
OFFSETS = np.array([
    [0, 0, 0],
    [-130, 0, 0], [0, -440, 10], [0, -430, -10],
    [130, 0, 0], [0, -440, 10], [0, -430, -10],
    [0, 240, 0], [0, 250, 0], [0, 110, 60], [0, 120, -50],
    [170, -20, 0], [20, -280, 0], [0, -250, 20],
    [-170, -20, 0], [-20, -280, 0], [0, -250, 20],
])  # fmt: skip


def random_poses(count, seed=0, yaw=True):
    """(count, 17, 3), mm: two kinds of posture, arms down or up, random yaw and place."""
    random = np.random.default_rng(seed)
    poses = np.zeros((count, L, 3))
    up = random.random(count) < 0.5
    turn = {-1: Rotation.from_rotvec(random.uniform(-np.pi, np.pi, (count, 1)) * [[0, yaw, 0]])}
    for i, parent in enumerate(PARENTS):
        spread = 0.1 if i in (1, 4, 11, 14) else 0.35
        angles = random.normal(size=(count, 3)) * spread
        if i in (12, 15):
            angles[:, 0] -= 2.2 * up
        if i in (2, 5):
            angles[:, 0] -= 0.6 * up
        turn[i] = turn[parent] * Rotation.from_rotvec(angles)
        start = poses[:, parent] if parent >= 0 else random.normal(size=(count, 3)) * [900, 30, 900]
        poses[:, i] = start + turn[i].apply(OFFSETS[i])
    return poses
