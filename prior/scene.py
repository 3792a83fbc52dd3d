"""Motion capture as cameras like Human3.6M's see it: poses, their image points, and the cameras."""

from typing import NamedTuple

import numpy as np

from prior.camera import look_at, toward, turned
from prior.normalise import centred

# Human3.6M's: 1000 x 1000 px, 1145 px focal length, in the corners of the capture area, about 4.5 m
# from its middle and 1.6 m high.
INTRINSICS = np.array([[1145.0, 0, 512], [0, 1145, 512], [0, 0, 1]])
CAMERAS_MM = np.array([[x, 1600.0, z] for x in (-2000, 2000) for z in (-4000, 4000)])
TARGET_MM = np.array([0.0, 900.0, 0.0])


class Scene(NamedTuple):
    """Poses (N, L, 3), mm, world; their true points (N, L, 2), px; cameras (N, 3, 3)."""

    truth: np.ndarray
    points: np.ndarray
    cameras: np.ndarray

    def seen(self, noise_px, seed=0):
        """The points with Gaussian noise."""
        noise = np.random.default_rng(seed).normal(size=self.points.shape)
        return self.points + noise_px * noise


def room(poses, seed):
    """The Scene of poses (N, L, 3), mm, within a metre of the middle of a room, any way round, each
    before one of the four cameras in its corners.

    The camera counts as turned towards the person, which known intrinsics allow.
    """
    random = np.random.default_rng(seed)
    count = len(poses)
    truth = turned(centred(poses), random.uniform(-np.pi, np.pi, count))
    # Feet on the ground, within a metre of the middle.
    radius, azimuth = np.sqrt(random.random(count)) * 1000, random.uniform(-np.pi, np.pi, count)
    truth[..., 0] += (radius * np.cos(azimuth))[:, None]
    truth[..., 2] += (radius * np.sin(azimuth))[:, None]
    truth[..., 1] -= truth[..., 1].min(axis=1, keepdims=True)
    place = CAMERAS_MM[random.integers(len(CAMERAS_MM), size=count)]
    fixed = {tuple(p): look_at(p, TARGET_MM) for p in CAMERAS_MM}
    cameras = np.stack(
        [
            toward(fixed[tuple(p)], INTRINSICS, _project(c[None] - p, fixed[tuple(p)])[0])
            for p, c in zip(place, truth.mean(axis=1), strict=True)
        ]
    )
    return Scene(truth, _project(truth - place[:, None], cameras), cameras)


def tilted(poses, elevation, seed):
    """The Scene of poses 4.5 m before one camera that looks down on them by elevation, radians."""
    random = np.random.default_rng(seed)
    truth = turned(centred(poses), random.uniform(-np.pi, np.pi, len(poses)))
    place = 4500 * np.array([0, np.sin(elevation), np.cos(elevation)])
    camera = look_at(place, np.zeros(3))
    return Scene(truth, _project(truth - place, camera), np.tile(camera, (len(poses), 1, 1)))


def _project(offsets, cameras):
    seen = offsets @ np.swapaxes(cameras, -1, -2) @ INTRINSICS.T
    return seen[..., :2] / seen[..., 2:]
