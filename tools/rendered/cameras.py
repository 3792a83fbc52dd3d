"""Four cameras around the person, as in Human3.6M's room."""

from typing import NamedTuple

import numpy as np

from prior.camera import look_at

# Human3.6M's names, and about where its cameras stand, m: x, height, z.
PLACES_M = {
    "54138969": (1.8, 1.6, -5.0),
    "55011271": (1.8, 1.6, 5.1),
    "58860488": (-1.8, 1.5, -5.2),
    "60457274": (-1.8, 1.6, 3.7),
}
# Our cameras stand nearer by this factor, since our people walk less far. People are then half of
# the image's height, as is usual in Human3.6M's crops.
NEARER = 0.72
VARIATION_MM = 150.0  # standard deviation of a camera's place between subjects
TARGET_MM = 850.0  # cameras look at this height in the middle of the room
TARGET_VARIATION_MM = 80.0
FOCAL = 1.145  # Human3.6M's 1145 px for 1000 px of image
FOCAL_VARIATION = 0.01


class Camera(NamedTuple):
    """rotation (3, 3) world to camera; position (3,) mm; intrinsics (3, 3) px."""

    rotation: np.ndarray
    position: np.ndarray
    intrinsics: np.ndarray


def make(generator, size):
    """The four cameras of a subject, by name, for square images of `size` px."""
    cameras = {}
    for name, place in PLACES_M.items():
        position = 1000 * NEARER * np.array(place) * [1, 1 / NEARER, 1]
        position = position + VARIATION_MM * generator.standard_normal(3) * [1, 0.5, 1]
        target = [0, TARGET_MM, 0] + TARGET_VARIATION_MM * generator.standard_normal(3)
        focal = FOCAL * size * (1 + FOCAL_VARIATION * generator.standard_normal())
        centre = (size - 1) / 2 + 0.005 * size * generator.standard_normal(2)
        intrinsics = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])
        cameras[name] = Camera(look_at(position, target), position, intrinsics)
    return cameras
