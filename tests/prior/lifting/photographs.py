"""Poses before cameras of their own, for the tests of the lifting."""

import numpy as np

from prior.camera import look_at, perspective
from tests.poses import random_poses

INTRINSICS = np.array([[1145.0, 0, 512], [0, 1145, 512], [0, 0, 1]])


def photographs(count, seed=9, noise_px=0.0):
    """Poses (mm) the model has not seen, their 2D points and cameras, one for each."""
    random = np.random.default_rng(seed)
    truth = random_poses(count, seed=seed)
    points, cameras = np.empty((count, 17, 2)), np.empty((count, 3, 3))
    for i, pose in enumerate(truth):
        centre = pose.mean(axis=0)
        azimuth = random.uniform(-np.pi, np.pi)
        offset = [5000 * np.sin(azimuth), random.uniform(-300, 1500), 5000 * np.cos(azimuth)]
        cameras[i] = look_at(centre + offset, centre)
        points[i] = perspective(pose, cameras[i], centre + offset, INTRINSICS)
    return truth, points + random.normal(size=points.shape) * noise_px, cameras


def covariances(count, seed=0):
    """Of ellipses of 2 to 12 px, any way round."""
    random = np.random.default_rng(seed)
    axes = random.normal(size=(count, 17, 2, 2))
    size = random.uniform(2, 12, (count, 17, 1, 2))
    q = np.linalg.qr(axes)[0] * size
    return q @ q.swapaxes(-1, -2)
