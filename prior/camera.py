"""World and camera frames, rotations about the vertical, projection.

World: right-handed, y up, ground plane x-z. Camera: x right, y down, z forward. A camera rotation
is the 3 x 3 matrix from world to camera axes. Image: pixels, the centre of the top-left one at
(0, 0). Angles are in radians.
"""

import numpy as np
from jaxtyping import Float, Real
from numpy.typing import ArrayLike

from prior.errors import InputError

# A level camera that looks along -z of the world.
LEVEL = np.diag([1.0, -1.0, -1.0])

# How far a camera rotation may be from orthonormal. Our choice: rounding to four digits stays below
# it, and a matrix of another kind does not.
ROTATION_TOLERANCE = 1e-3


def vertical_rotation(angle: ArrayLike) -> Float[np.ndarray, "*angle 3 3"]:
    """The rotation about the vertical (y) axis: with w = x + i z it is w -> w exp(-i angle)."""
    angle = np.asarray(angle, dtype=float)
    rotation = np.zeros((*angle.shape, 3, 3))
    rotation[..., 0, 0] = rotation[..., 2, 2] = np.cos(angle)
    rotation[..., 0, 2] = np.sin(angle)
    rotation[..., 2, 0] = -np.sin(angle)
    rotation[..., 1, 1] = 1
    return rotation


def turned(poses: Real[np.ndarray, "N L 3"], angle: ArrayLike) -> Float[np.ndarray, "N L 3"]:
    """Poses turned about the vertical by an angle, one for all () or one for each (N,)."""
    cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
    x, y, z = np.moveaxis(poses, -1, 0)
    return np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=-1)


def look_at(position: ArrayLike, target: ArrayLike) -> Float[np.ndarray, "3 3"]:
    """The camera rotation of an upright camera at `position` that looks at `target`.

    Both are (3,), world. Raises InputError when the line of sight is vertical: no way is up then.
    """
    forward = np.asarray(target, dtype=float) - np.asarray(position)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    if np.linalg.norm(right) < 1e-9 * np.linalg.norm(forward) or not forward.any():
        raise InputError(
            "camera: expected a line of sight that is not vertical, got a target "
            f"{forward.tolist()} from the camera; move the camera or the target"
        )
    forward /= np.linalg.norm(forward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def perspective(
    points: ArrayLike,
    rotation: Float[np.ndarray, "3 3"],
    position: ArrayLike,
    intrinsics: ArrayLike,
) -> Float[np.ndarray, "*points 2"]:
    """Pinhole projection of points (..., 3), world, mm, to px.

    rotation: world to camera; position: (3,), of the camera, world, mm; intrinsics: (3, 3), px.
    """
    offsets = np.asarray(points) - np.asarray(position)
    homogeneous = offsets @ rotation.T @ np.asarray(intrinsics).T
    return homogeneous[..., :2] / homogeneous[..., 2:]


def check_rotation(camera: ArrayLike, what: str = "camera") -> Float[np.ndarray, "*batch 3 3"]:
    """Camera rotations (..., 3, 3) as float64. Raises InputError unless they are rotations.

    what: how the error names them.
    """
    camera = np.asarray(camera, dtype=float)
    if camera.shape[-2:] != (3, 3):
        raise InputError(f"{what}: expected shape (3, 3) or (N, 3, 3), got {camera.shape}")
    error = np.abs(camera @ np.swapaxes(camera, -1, -2) - np.eye(3)).max(initial=0)
    if not error < ROTATION_TOLERANCE or not (np.linalg.det(camera) > 0).all():
        raise InputError(
            f"{what}: expected a rotation from world to camera (orthonormal, determinant +1); "
            f"it is off by {error:.2g}"
        )
    return camera


def toward(
    rotation: Float[np.ndarray, "*batch 3 3"],
    intrinsics: Float[np.ndarray, "*#batch 3 3"],
    pixel: ArrayLike,
) -> Float[np.ndarray, "*batch 3 3"]:
    """Cameras turned, without roll in their own frames, so that their axes pass through pixels.

    rotation: world to camera; intrinsics: px; pixel: (..., 2). Returns the turned cameras'
    rotations. Weak perspective approximates well near the optical axis only. For a person away from
    the image's centre it holds in the turned camera. Our choice: the paper does not discuss it.
    """
    pixel = np.asarray(pixel, dtype=float)
    homogeneous = np.concatenate([pixel, np.ones_like(pixel[..., :1])], axis=-1)
    return turn_to_axis(np.linalg.solve(intrinsics, homogeneous[..., None])[..., 0]) @ rotation


def turn_to_axis(ray: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3 3"]:
    """The smallest rotations that take rays in a camera's axes, of any length, to its optical
    axis."""
    x, y, z = np.moveaxis(ray / np.linalg.norm(ray, axis=-1, keepdims=True), -1, 0)
    zero = np.zeros_like(x)
    cross = np.array([[zero, zero, -x], [zero, zero, -y], [x, y, zero]])
    cross = np.moveaxis(cross, (0, 1), (-2, -1))
    # Rodrigues' formula, with the sine and cosine of the angle from the axis (0, 0, 1).
    return np.eye(3) + cross + cross @ cross / (1 + z)[..., None, None]


def intrinsics_of_view(degrees: float, width: float, height: float) -> Float[np.ndarray, "3 3"]:
    """The camera matrix, px, of a lens without distortion whose axis is in the image's middle.

    degrees: what the lens sees along the image's longer side, above 0 and below 180; width and
    height of the image, px. Raises InputError.
    """
    if not 0 < degrees < 180:
        raise InputError(
            f"field of view: expected above 0 and below 180 degrees, got {degrees:g}; a phone has "
            "65 to 75 along the longer side"
        )
    focal = max(width, height) / 2 / np.tan(np.deg2rad(degrees) / 2)
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])


def focal_length(intrinsics: Float[np.ndarray, "*batch 3 3"]) -> Float[np.ndarray, "*batch"]:
    """The focal length, px: the geometric mean of both axes'."""
    return np.asarray(np.sqrt(intrinsics[..., 0, 0] * intrinsics[..., 1, 1]))


def decompose(
    camera: Float[np.ndarray, "*batch 3 3"],
) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]:
    """Roll, elevation and yaw of camera rotations.

    camera = (roll about the optical axis) @ level_camera(elevation) @ vertical_rotation(yaw); the
    elevation says how far the camera looks down. What the lifting computes in advance depends on
    the elevation alone: the camera's yaw adds to the person's, and its roll turns the image.
    """
    forward = camera[..., 2, :]
    elevation = np.asarray(np.arcsin(np.clip(-forward[..., 1], -1, 1)))
    yaw = np.asarray(np.arctan2(forward[..., 0], -forward[..., 2]))
    roll = camera @ (level_camera(elevation) @ vertical_rotation(yaw)).swapaxes(-1, -2)
    return np.asarray(np.arctan2(roll[..., 1, 0], roll[..., 0, 0])), elevation, yaw


def compose(
    roll: ArrayLike, elevation: ArrayLike, yaw: ArrayLike
) -> Float[np.ndarray, "*batch 3 3"]:
    """The camera rotations whose roll, elevation and yaw, each (...), `decompose` gives."""
    turn = np.zeros((*np.shape(roll), 3, 3))
    turn[..., 0, 0] = turn[..., 1, 1] = np.cos(roll)
    turn[..., 1, 0] = np.sin(roll)
    turn[..., 0, 1] = -turn[..., 1, 0]
    turn[..., 2, 2] = 1
    return turn @ level_camera(elevation) @ vertical_rotation(yaw)


def level_camera(elevation: ArrayLike) -> Float[np.ndarray, "*elevation 3 3"]:
    """The camera rotation without roll or yaw that looks down by `elevation`."""
    elevation = np.asarray(elevation, dtype=float)
    camera = np.zeros((*elevation.shape, 3, 3))
    camera[..., 0, 0] = 1
    camera[..., 1, 1] = camera[..., 2, 2] = -np.cos(elevation)
    camera[..., 1, 2] = np.sin(elevation)
    camera[..., 2, 1] = -np.sin(elevation)
    return camera
