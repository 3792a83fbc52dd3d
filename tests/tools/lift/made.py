"""Poses as if they had been lifted, for tests of what is made of them."""

import numpy as np

from tools.lift import lifted


def made(pose_mm, meta, **arrays):
    """The lifted.Poses of pose_mm (N, 17, 3), moved to their mean landmark, with this meta and
    these arrays; what is left out has a plain value: a level camera, one component, one person in
    frames from 0 on."""
    count = len(pose_mm)
    plain = {
        "deviation_mm": np.full((count, 17), np.nan),
        "points": np.zeros((count, 17, 2)),
        "confidence": np.ones((count, 17)),
        "camera": np.tile(np.diag([1.0, -1, -1]), (count, 1, 1)),
        "scale": np.ones(count),
        "component": np.zeros(count, int),
        "component_probability": np.ones((count, 1)),
        "log_likelihood": np.zeros(count),
        "translation_mm": np.full((count, 3), np.nan),
        "misfit": np.ones(count),
        "plausible": np.ones(count, bool),
        "reason": np.full(count, ""),
        "frame": np.arange(count),
        "person": np.zeros(count, int),
    }
    centred = pose_mm - pose_mm.mean(axis=1, keepdims=True)
    return lifted.make(meta, pose_mm=centred, **plain | arrays)
