"""Excerpts of real motion capture for tests, and what is true of any person."""

from pathlib import Path

import numpy as np

from prior.skeleton import LANDMARKS

# See its README.md.
CLIPS = Path("tests/data/cmu")
INDEX = {name: i for i, name in enumerate(LANDMARKS)}


def landmark(poses, name):
    """(F, 3): one landmark, or the middle of the left and the right one."""
    if name in INDEX:
        return poses[:, INDEX[name]]
    return (poses[:, INDEX[f"left {name}"]] + poses[:, INDEX[f"right {name}"]]) / 2


def check_person(poses):
    """Upright on the ground for most of the time, of an adult's size, and left is left."""
    up = landmark(poses, "head top") - landmark(poses, "foot")
    assert np.median(up[:, 1] / np.linalg.norm(up, axis=1)) > 0.9
    assert 1300 < np.median(np.linalg.norm(up, axis=1)) < 1900
    lowest = np.percentile(poses[:, :, 1].min(axis=1), 20)
    assert -60 < lowest < 160  # ankles, mm above the ground
    # The face is in front of the head's middle, and up x forward is the left side.
    middle = (landmark(poses, "head top") + landmark(poses, "neck")) / 2
    forward = landmark(poses, "nose") - middle
    for part in ("hip", "shoulder"):
        across = landmark(poses, f"left {part}") - landmark(poses, f"right {part}")
        leftness = np.einsum("fi,fi->f", np.cross([0, 1, 0], forward), across)
        assert (leftness > 0).mean() > 0.95, part
    for side in ("left", "right"):
        hip, knee, foot = (landmark(poses, f"{side} {part}") for part in ("hip", "knee", "foot"))
        across = landmark(poses, "left hip") - landmark(poses, "right hip")
        bend = np.einsum("fi,fi->f", np.cross(knee - hip, foot - knee), across)
        # A knee bends backwards: the shank turns about the axis from right to left.
        assert (bend > 0).mean() > 0.9, side


def bone_lengths(poses, bones):
    """(F, len(bones)) from pairs of landmarks' names."""
    a, b = (np.array([INDEX[bone[end]] for bone in bones]) for end in (0, 1))
    return np.linalg.norm(poses[:, a] - poses[:, b], axis=-1)


RIGID = [
    (f"{side} {a}", f"{side} {b}")
    for side in ("left", "right")
    for a, b in (("hip", "knee"), ("knee", "foot"), ("shoulder", "elbow"))
]
