"""A person's box in an image -> the square input of a network, as CPM makes it.

Used alike by the data layer, by evaluation and by prediction. Image and input coordinates are in
pixels, the centre of the top-left one at (0, 0).
"""

import json
from typing import NamedTuple

import cv2
import numpy as np

from prior import camera as cameras
from prior import skeleton
from python_layers import belief_maps

# CPM scales a person to 200 px (MPII's unit) times its target size 41/35, of a 368 px input.
CPM_FRACTION = 200 * 41 / 35 / belief_maps.LABEL_INPUT
# Our choice: a smaller input has no pixels to spare for CPM's margin. What is left holds a tenth
# of enlargement.
TIGHT_FRACTION = 0.9
# Standard deviation of CPM's centre map, as a part of its 368 px input.
CENTRE_SIGMA = 21 / 368
# CPM's grey: the border of a warp, and what the network's input subtracts.
GREY = 128

FLIP = np.diag([-1.0, 1.0, 1.0])


class Augmentation(NamedTuple):
    """What is done to a crop beyond framing the person; the default does nothing."""

    scale: float = 1.0  # the person becomes this much larger
    angle: float = 0.0  # radians; positive turns the picture's x axis towards its y axis
    flip: bool = False  # mirrored, left and right, after the rotation
    shift: tuple = (0.0, 0.0)  # of the person's centre, parts of the input's size


PLAIN = Augmentation()


class Ranges(NamedTuple):
    """What random augmentations are drawn from, evenly; the defaults are CPM's.

    CPM's release shifts nobody: its training/genProto.py sets center_perterb_max to 0. The 40 px of
    368 that are often called CPM's are those of its successor for several people (Cao et al.).
    """

    scale: tuple = (0.7, 1.3)
    degrees: float = 40.0  # to either side
    shift: float = 0.0  # of the centre, along each axis to either side, parts of the input


class Crop(NamedTuple):
    """Where a square input lies in an image."""

    size: int  # of the input, px
    matrix: np.ndarray  # (2, 3), image px -> input px: a similarity, or a mirrored one
    pivot: np.ndarray  # (2,) image px: the person's centre
    augmentation: Augmentation


CPM_RANGES = Ranges()


def ranges(augment):
    """Ranges of the data layer's `augment`: None of False, CPM's of True, or those that a dict
    names and CPM's for the others. Raises ValueError on what they cannot be."""
    if augment is False:
        return None
    try:
        found = CPM_RANGES if augment is True else Ranges(**augment)
        low, high = found.scale
        good = 0 < low <= high and 0 <= found.degrees <= 180 and 0 <= found.shift <= 1
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(
            'augment: expected true, false or some of {"scale": [0.7, 1.3], "degrees": 40, '
            f'"shift": 0.1}}, got {json.dumps(augment)}'
        )
    return found


def draw(rng, within=CPM_RANGES):
    """A random Augmentation within Ranges from a numpy Generator; half of them flips."""
    return Augmentation(
        scale=rng.uniform(*within.scale),
        angle=np.deg2rad(rng.uniform(-within.degrees, within.degrees)),
        flip=bool(rng.random() < 0.5),
        shift=tuple(rng.uniform(-within.shift, within.shift, size=2)),
    )


def person_fraction(size):
    """The part of an input of `size` px that a person fills."""
    return CPM_FRACTION if size >= belief_maps.LABEL_INPUT else TIGHT_FRACTION


def frame(box, size, augmentation=PLAIN):
    """The Crop of `size` px around a person's box (x, y, width, height), image px.

    The longer side of the box comes to `person_fraction` of the input. Our choice: CPM takes the
    height, which for a lying person or spread arms leaves hands or feet outside.
    Raises ValueError on a box that is not finite or has no extent.
    """
    box = np.asarray(box, dtype=float)
    if box.shape != (4,) or not np.isfinite(box).all() or not (box[2:] > 0).all():
        raise ValueError(f"box: expected x, y, width > 0, height > 0, got {box.tolist()}")
    pivot = box[:2] + box[2:] / 2
    scale = person_fraction(size) * size / box[2:].max() * augmentation.scale
    cos, sin = scale * np.cos(augmentation.angle), scale * np.sin(augmentation.angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    if augmentation.flip:
        linear = FLIP[:2, :2] @ linear
    target = (size - 1) / 2 + size * np.asarray(augmentation.shift)
    matrix = np.column_stack([linear, target - linear @ pivot])
    return Crop(size, matrix, pivot, augmentation)


def to_input(points, crop):
    """Image px -> input px: (..., 2). Landmarks keep their order, see `landmarks`."""
    return np.asarray(points) @ crop.matrix[:, :2].T + crop.matrix[:, 2]


def to_image(points, crop):
    """Input px -> image px: (..., 2), the inverse of `to_input`."""
    return (np.asarray(points) - crop.matrix[:, 2]) @ np.linalg.inv(crop.matrix[:, :2]).T


def landmarks(points, crop):
    """A person's landmarks (17, 2) image px -> input px; a flip swaps left and right."""
    points = to_input(points, crop)
    return points[skeleton.MIRROR] if crop.augmentation.flip else points


def pose(pose_mm, crop):
    """The pose (17, 3), world, that the input shows: mirrored in a flipped one."""
    return skeleton.mirrored(pose_mm) if crop.augmentation.flip else np.asarray(pose_mm)


def camera(rotation, crop, intrinsics=None):
    """The rotation (3, 3), world to camera, of the camera that sees the input.

    `rotation` is that of the camera that took the image. With its intrinsics (3, 3) px it is
    first turned toward the person, since weak perspective holds about that ray; then about its
    axis, as the picture was. A flipped picture is one of the mirrored person in the mirrored
    world, F E F with F = diag(-1, 1, 1): so it goes with `pose`, and remains a rotation.
    """
    if intrinsics is not None:
        rotation = cameras.toward(rotation, intrinsics, crop.pivot)
    cos, sin = np.cos(crop.augmentation.angle), np.sin(crop.augmentation.angle)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ rotation
    return FLIP @ rotation @ FLIP if crop.augmentation.flip else rotation


def warp(image, crop):
    """The input (size, size, 3) uint8 of an image (H, W, 3) uint8, grey beyond its border.

    Bilinear, as CPM's. An image that shrinks to less than a half is averaged over whole blocks of
    pixels first, so that a small input has no aliasing (our choice).
    """
    matrix = crop.matrix
    block = int(1 / np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    block = min(block, *image.shape[:2])
    if block > 1:
        height, width = (side // block for side in image.shape[:2])
        image = image[: height * block, : width * block]
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        # Pixel x of the small image covers block x to block x + block - 1 of the large one.
        offset = matrix[:, :2].sum(axis=1) * (block - 1) / 2 + matrix[:, 2]
        matrix = np.column_stack([matrix[:, :2] * block, offset])
    border = (GREY, GREY, GREY)
    return cv2.warpAffine(
        image, matrix, (crop.size, crop.size), flags=cv2.INTER_LINEAR, borderValue=border
    )


def input_blob(image):
    """An input (size, size, 3) uint8 BGR -> what the network sees: (3, size, size) float32."""
    return (image.transpose(2, 0, 1).astype(np.float32) - GREY) / 256


def centre_map(crop):
    """CPM's Gaussian at the person's centre, which is told to the network: (size, size) float32."""
    centre = to_input(crop.pivot, crop)
    return belief_maps.gaussians(centre, crop.size, crop.size, CENTRE_SIGMA * crop.size)
