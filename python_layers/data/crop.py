"""A person's box in an image -> the square input of a network, as CPM makes it.

The data layer, evaluation and prediction all use it. Image and input coordinates are in pixels, the
centre of the top-left one at (0, 0).
"""

import functools
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, Real, UInt8
from numpy.typing import ArrayLike

from prior import camera as cameras
from prior.errors import InputError
from prior.skeleton import HUMAN36M, Skeleton
from python_layers import belief_maps

# The part of the input that a person fills. CPM scales a person to 200 px (MPII's unit) times its
# target size 41/35, in a 368 px input.
CPM_FRACTION = 200 * 41 / 35 / belief_maps.LABEL_INPUT
# The same in a smaller input, which has no pixels to spare for CPM's margin. Our choice: the margin
# that is left takes an enlargement by a tenth.
TIGHT_FRACTION = 0.9
# Standard deviation of CPM's centre map, as a part of its 368 px input.
CENTRE_SIGMA = 21 / belief_maps.LABEL_INPUT
# CPM's grey: it fills a crop beyond the image's border, and is subtracted in the network's input.
GREY = 128

# Mirrors left and right.
FLIP = np.diag([-1.0, 1.0, 1.0])


class Augmentation(NamedTuple):
    """What is done to a crop beyond framing the person; the default does nothing."""

    scale: float = 1.0  # the person becomes this much larger
    angle: float = 0.0  # radians; positive turns the picture's x axis towards its y axis
    flip: bool = False  # mirrored, left and right, after the rotation
    shift: tuple[float, float] = (0.0, 0.0)  # of the person's centre, parts of the input's size
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of B, G and R about grey: contrast, hue
    brightness: float = 0.0  # added, parts of the range from black to white
    # A grey rectangle that hides what is behind it: x, y, width, height, parts of the input's size
    hidden: tuple[float, float, float, float] | None = None


PLAIN = Augmentation()


class Ranges(NamedTuple):
    """What random augmentations are drawn from, evenly; the defaults are CPM's.

    CPM's release shifts nobody: its training/genProto.py sets center_perterb_max to 0. The 40 px of
    368 that are often called CPM's are those of its successor for several people (Cao et al.).
    """

    scale: tuple[float, float] = (0.7, 1.3)
    degrees: float = 40.0  # to either side
    shift: float = 0.0  # of the centre, along each axis to either side, parts of the input
    colour: float = 0.0  # of the gains and, halved, of the brightness, to either side
    occlusion: float = 0.0  # the part of the samples that has a hidden rectangle
    flip: float = 0.5  # the part that is mirrored


# Sides of a hidden rectangle, parts of the input: our choice, from a hand to half a trunk.
HIDDEN_SIDES = 0.08, 0.3


class Crop(NamedTuple):
    """Where a square input lies in an image."""

    size: int  # of the input, px
    matrix: Float[np.ndarray, "2 3"]  # image px -> input px: a similarity, or a mirrored one
    pivot: Float[np.ndarray, "2"]  # the person's centre, image px
    augmentation: Augmentation


CPM_RANGES = Ranges()


def ranges(augment: bool | dict[str, Any]) -> Ranges | None:
    """The Ranges of the data layer's `augment`.

    None for False, CPM's for True; a dict names those that are to be others than CPM's. Raises
    InputError on ranges that cannot be.
    """
    if augment is False:
        return None
    try:
        chosen = CPM_RANGES if augment is True else Ranges(**augment)
        low, high = chosen.scale
        good = 0 < low <= high and 0 <= chosen.degrees <= 180 and 0 <= chosen.shift <= 1
        good = good and 0 <= chosen.colour < 1 and 0 <= chosen.occlusion <= 1
        good = good and 0 <= chosen.flip <= 1
    except (TypeError, ValueError):
        good = False
    if not good:
        raise InputError(
            'augment: expected true, false or some of {"scale": [0.7, 1.3], "degrees": 40, '
            f'"shift": 0.1, "colour": 0.2, "occlusion": 0.3, "flip": 0.5}}, '
            f"got {json.dumps(augment)}"
        )
    return chosen


def draw(rng: np.random.Generator, within: Ranges = CPM_RANGES) -> Augmentation:
    """A random Augmentation within Ranges."""
    scale = rng.uniform(*within.scale)
    angle = np.deg2rad(rng.uniform(-within.degrees, within.degrees))
    flip = bool(rng.random() < within.flip)
    x, y = rng.uniform(-within.shift, within.shift, size=2)
    common, *own = rng.uniform(-within.colour, within.colour, size=4)
    gains = tuple((1 + common) * (1 + channel / 2) for channel in own)
    brightness = rng.uniform(-within.colour, within.colour) / 2
    hidden = None
    if rng.random() < within.occlusion:
        width, height = rng.uniform(*HIDDEN_SIDES, size=2)
        left, top = rng.uniform(size=2) * (1 - width, 1 - height)
        hidden = (left, top, width, height)
    return Augmentation(scale, angle, flip, (x, y), gains, brightness, hidden)


def person_fraction(size: int) -> float:
    """The part of an input of `size` px that a person fills."""
    return CPM_FRACTION if size >= belief_maps.LABEL_INPUT else TIGHT_FRACTION


def frame(box: ArrayLike | Sequence[float], size: int, augmentation: Augmentation = PLAIN) -> Crop:
    """The Crop of `size` px around a person's box (x, y, width, height), image px.

    The longer side of the box becomes `person_fraction` of the input. Our choice: CPM takes the
    height, which leaves hands or feet outside when a person lies or spreads the arms. Raises
    InputError on a box that is not finite or has no extent.
    """
    box = np.asarray(box, dtype=float)
    if box.shape != (4,) or not np.isfinite(box).all() or not (box[2:] > 0).all():
        raise InputError(f"box: expected x, y, width > 0, height > 0, got {box.tolist()}")
    pivot = box[:2] + box[2:] / 2
    scale = person_fraction(size) * size / box[2:].max() * augmentation.scale
    cos, sin = scale * np.cos(augmentation.angle), scale * np.sin(augmentation.angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    if augmentation.flip:
        linear = FLIP[:2, :2] @ linear
    target = (size - 1) / 2 + size * np.asarray(augmentation.shift)
    matrix = np.column_stack([linear, target - linear @ pivot])
    return Crop(size, matrix, pivot, augmentation)


def to_input(points: ArrayLike | Sequence[float], crop: Crop) -> Float[np.ndarray, "*points 2"]:
    """Image px -> input px. A flip leaves landmarks in their order: see `landmarks`."""
    return np.asarray(points) @ crop.matrix[:, :2].T + crop.matrix[:, 2]


def to_image(points: ArrayLike, crop: Crop) -> Float[np.ndarray, "*points 2"]:
    """Input px -> image px, the inverse of `to_input`."""
    return (np.asarray(points) - crop.matrix[:, 2]) @ np.linalg.inv(crop.matrix[:, :2]).T


def covariance_to_image(
    covariance: Float[np.ndarray, "*points 2 2"], crop: Crop
) -> Float[np.ndarray, "*points 2 2"]:
    """Covariances of points, input px^2 -> image px^2."""
    linear = np.linalg.inv(crop.matrix[:, :2])
    return linear @ covariance @ linear.T


def landmarks(
    points: Real[np.ndarray, "L 2"], crop: Crop, skeleton: Skeleton = HUMAN36M
) -> Float[np.ndarray, "L 2"]:
    """A person's landmarks, image px -> input px; a flip swaps the skeleton's left and right."""
    moved = to_input(points, crop)
    return moved[skeleton.mirror] if crop.augmentation.flip else moved


def pose(pose_mm: Real[np.ndarray, "17 3"], crop: Crop) -> Real[np.ndarray, "17 3"]:
    """The pose, world, that the input shows: mirrored if the crop is flipped."""
    return HUMAN36M.mirrored(pose_mm) if crop.augmentation.flip else pose_mm


def camera(
    rotation: Float[np.ndarray, "3 3"],
    crop: Crop,
    intrinsics: Float[np.ndarray, "3 3"] | None = None,
) -> Float[np.ndarray, "3 3"]:
    """The rotation, world to camera, of the camera that sees the input.

    rotation: of the camera that took the image. With its intrinsics, px, it is first turned toward
    the person, since weak perspective holds about that ray; then about its axis, as the crop is. A
    flipped crop shows the mirrored person in the mirrored world, where the camera is F E F with
    F = diag(-1, 1, 1). That is a rotation too, and it goes with `pose`.
    """
    if intrinsics is not None:
        rotation = cameras.toward(rotation, intrinsics, crop.pivot)
    cos, sin = np.cos(crop.augmentation.angle), np.sin(crop.augmentation.angle)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ rotation
    return FLIP @ rotation @ FLIP if crop.augmentation.flip else rotation


def block(matrix: Float[np.ndarray, "2 3"]) -> int:
    """The side of the blocks of pixels of which each becomes a pixel at most; 0 or 1: none."""
    return int(1 / np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def warp(
    image: UInt8[np.ndarray, "H W 3"], crop: Crop, part: int = 1
) -> UInt8[np.ndarray, "{crop.size} {crop.size} 3"]:
    """The crop's part of an image, as an input; grey beyond the image's border.

    Bilinear, as CPM's. An image that shrinks to less than a half is first averaged over whole
    blocks of pixels, so that a small input has no aliasing (our choice). part: the side of the
    blocks that are averaged already, as annotations.Annotations.reduced has it.
    """
    matrix = _of_blocks(crop.matrix, part)
    side = min(block(matrix), *image.shape[:2])
    if side > 1:
        height, width = (length // side for length in image.shape[:2])
        image = image[: height * side, : width * side]
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        matrix = _of_blocks(matrix, side)
    border = (GREY, GREY, GREY)
    return cv2.warpAffine(
        image, matrix, (crop.size, crop.size), flags=cv2.INTER_LINEAR, borderValue=border
    )


def _of_blocks(matrix: Float[np.ndarray, "2 3"], side: int) -> Float[np.ndarray, "2 3"]:
    """The matrix for an image of whose pixels x covers side x to side x + side - 1 of before."""
    offset = matrix[:, :2].sum(axis=1) * (side - 1) / 2 + matrix[:, 2]
    return np.column_stack([matrix[:, :2] * side, offset])


def input_blob(
    image: UInt8[np.ndarray, "size size 3"], augmentation: Augmentation = PLAIN
) -> Float32[np.ndarray, "3 size size"]:
    """An input, BGR -> what the network sees, with the augmentation's colours."""
    blob = image.transpose(2, 0, 1).astype(np.float32, order="C")
    blob -= GREY
    blob /= 256
    a = augmentation
    if (a.gains, a.brightness) != (PLAIN.gains, PLAIN.brightness):
        blob = blob * np.array(a.gains, np.float32)[:, None, None] + np.float32(a.brightness)
        blob = blob.clip(-0.5, 0.5 - 1 / 256)  # as an image that is saved again
    if a.hidden is not None:
        left, top, width, height = (round(part * len(image)) for part in a.hidden)
        blob[:, top : top + height, left : left + width] = 0
    return blob


def centre_map(crop: Crop) -> Float32[np.ndarray, "{crop.size} {crop.size}"]:
    """CPM's Gaussian at the person's centre, by which the network knows who is meant; read-only."""
    x, y = to_input(crop.pivot, crop).astype(np.float32).tolist()
    return _centre_map(x, y, crop.size)


# A person who is not shifted is always in the middle: the same map for every sample.
@functools.lru_cache(maxsize=4)
def _centre_map(x: float, y: float, size: int) -> Float32[np.ndarray, "{size} {size}"]:
    values = belief_maps.gaussians(np.array([x, y]), size, size, CENTRE_SIGMA * size)
    values.setflags(write=False)
    return values
