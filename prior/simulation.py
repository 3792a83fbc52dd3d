"""Simulated images of motion capture: the image points of poses before cameras like Human3.6M's."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real

from prior.camera import look_at, toward, turned
from prior.normalise import centred

# Human3.6M's cameras: 1000 x 1000 px, a focal length of 1145 px, in the corners of the capture
# area, about 4.5 m from its middle and 1.6 m high.
INTRINSICS = np.array([[1145.0, 0, 512], [0, 1145, 512], [0, 0, 1]])
CAMERAS_MM = np.array([[x, 1600.0, z] for x in (-2000, 2000) for z in (-4000, 4000)])
# What they look at, and how far from them a person stands.
TARGET_MM = np.array([0.0, 900.0, 0.0])
DISTANCE_MM = 4500.0
# People stand within this distance of the middle.
RADIUS_MM = 1000.0


class Simulation(NamedTuple):
    """N poses, mm, world; their true image points, px; and the cameras, world to camera."""

    truth: Float[np.ndarray, "N L 3"]
    points: Float[np.ndarray, "N L 2"]
    cameras: Float[np.ndarray, "N 3 3"]

    def noisy_points(self, noise_px: float, seed: int = 0) -> Float[np.ndarray, "N L 2"]:
        """The points with Gaussian noise of this standard deviation."""
        noise = np.random.default_rng(seed).normal(size=self.points.shape)
        return self.points + noise_px * noise


def room(poses: Real[np.ndarray, "N L 3"], seed: int) -> Simulation:
    """Poses, mm, near the middle of a room, before the cameras in its corners.

    Each pose gets a random place, a random yaw, and one of the four cameras. The cameras of the
    result are turned towards the person, which their known intrinsics allow.
    """
    random = np.random.default_rng(seed)
    count = len(poses)
    truth = turned(centred(poses), random.uniform(-np.pi, np.pi, count))
    radius = np.sqrt(random.random(count)) * RADIUS_MM
    azimuth = random.uniform(-np.pi, np.pi, count)
    truth[..., 0] += (radius * np.cos(azimuth))[:, None]
    truth[..., 2] += (radius * np.sin(azimuth))[:, None]
    truth[..., 1] -= truth[..., 1].min(axis=1, keepdims=True)  # feet on the ground
    which = random.integers(len(CAMERAS_MM), size=count)
    place = CAMERAS_MM[which]
    fixed = np.stack([look_at(p, TARGET_MM) for p in CAMERAS_MM])[which]
    middle = _project(truth.mean(axis=1, keepdims=True) - place[:, None], fixed)[:, 0]
    cameras = toward(fixed, np.broadcast_to(INTRINSICS, (count, 3, 3)), middle)
    return Simulation(truth, _project(truth - place[:, None], cameras), cameras)


def filmed(poses: Real[np.ndarray, "N L 3"], seed: int) -> Simulation:
    """The frames of a motion, mm, in the middle of a room, before one camera in a corner of it,
    which stands as it is: not turned towards the person."""
    random = np.random.default_rng(seed)
    truth = poses - poses.mean(axis=(0, 1))
    truth = turned(truth, np.full(len(poses), random.uniform(-np.pi, np.pi)))
    truth[..., 1] -= truth[..., 1].min()  # feet on the ground
    place = CAMERAS_MM[random.integers(len(CAMERAS_MM))]
    camera = look_at(place, TARGET_MM)
    cameras = np.tile(camera, (len(poses), 1, 1))
    return Simulation(truth, _project(truth - place, camera), cameras)


def tilted(poses: Real[np.ndarray, "N L 3"], elevation: float, seed: int) -> Simulation:
    """Poses, mm, of random yaw before one camera that looks down on them.

    elevation: by how much it looks down, radians.
    """
    random = np.random.default_rng(seed)
    truth = turned(centred(poses), random.uniform(-np.pi, np.pi, len(poses)))
    place = DISTANCE_MM * np.array([0, np.sin(elevation), np.cos(elevation)])
    camera = look_at(place, np.zeros(3))
    cameras = np.tile(camera, (len(poses), 1, 1))
    return Simulation(truth, _project(truth - place, camera), cameras)


def _project(
    offsets: Float[np.ndarray, "*batch 3"], cameras: Float[np.ndarray, "*cameras 3 3"]
) -> Float[np.ndarray, "*batch 2"]:
    """The image points, px, of offsets, mm, from the cameras, which are (3, 3) or (N, 3, 3)."""
    homogeneous = offsets @ np.swapaxes(cameras, -1, -2) @ INTRINSICS.T
    return homogeneous[..., :2] / homogeneous[..., 2:]
