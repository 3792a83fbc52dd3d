"""World and camera frames, rotation about the vertical, projection.

World: right-handed, y up, ground plane x-z. Camera: x right, y down, z forward. A camera rotation
is the 3 x 3 matrix from world to camera axes. Image: pixels, the centre of the top-left one at
(0, 0).
"""

import numpy as np

# A level camera looking along -z of the world.
LEVEL = np.diag([1.0, -1.0, -1.0])


def vertical_rotation(angle):
    """Rotation about the vertical (y) axis.

    angle: (...) radians. Returns (..., 3, 3). With w = x + i z it is w -> w exp(-i angle).
    """
    angle = np.asarray(angle, dtype=float)
    rotation = np.zeros((*angle.shape, 3, 3))
    rotation[..., 0, 0] = rotation[..., 2, 2] = np.cos(angle)
    rotation[..., 0, 2] = np.sin(angle)
    rotation[..., 2, 0] = -np.sin(angle)
    rotation[..., 1, 1] = 1
    return rotation


def turned(poses, angle):
    """Poses (N, L, 3) turned by angle (N,) or () about the vertical."""
    cos, sin = (np.asarray(f(angle))[..., None] for f in (np.cos, np.sin))
    x, y, z = np.moveaxis(poses, -1, 0)
    return np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=-1)


def look_at(position, target):
    """Rotation (3, 3), world to camera, of an upright camera at `position` looking at `target`.

    Both (3,), world. Raises ValueError when the line of sight is vertical: no way is up then.
    """
    forward = np.asarray(target, dtype=float) - position
    right = np.cross(forward, [0.0, 1.0, 0.0])
    if np.linalg.norm(right) < 1e-9 * np.linalg.norm(forward) or not forward.any():
        raise ValueError("the line of sight is vertical: move the camera or the target")
    forward /= np.linalg.norm(forward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def perspective(points, rotation, position, intrinsics):
    """Pinhole projection.

    points (..., 3) and position (3,), world, mm; rotation (3, 3) world to camera; intrinsics
    (3, 3), px. Returns (..., 2), px.
    """
    homogeneous = (np.asarray(points) - position) @ rotation.T @ np.asarray(intrinsics).T
    return homogeneous[..., :2] / homogeneous[..., 2:]


def check_rotation(camera, what="camera"):
    """The camera rotation(s) (..., 3, 3) as float64; ValueError unless proper rotations."""
    camera = np.asarray(camera, dtype=float)
    if camera.shape[-2:] != (3, 3):
        raise ValueError(f"{what}: expected shape (3, 3) or (N, 3, 3), got {camera.shape}")
    error = np.abs(camera @ np.swapaxes(camera, -1, -2) - np.eye(3)).max(initial=0)
    if not error < 1e-3 or not (np.linalg.det(camera) > 0).all():
        raise ValueError(
            f"{what}: expected a rotation from world to camera (orthonormal, determinant +1); "
            f"it is off by {error:.2g}"
        )
    return camera


def toward(rotation, intrinsics, pixel):
    """The camera turned, without roll in its own frame, so that its axis passes through a pixel.

    rotation (3, 3) world to camera, intrinsics (3, 3) px, pixel (2,). Returns (3, 3). Weak
    perspective is a good approximation around the optical axis only; for a person away from the
    image's centre it holds in this turned camera. Our choice: the paper does not discuss it.
    """
    ray = np.linalg.solve(intrinsics, [pixel[0], pixel[1], 1.0])
    ray /= np.linalg.norm(ray)
    axis = np.cross(ray, [0.0, 0.0, 1.0])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    # Rodrigues' formula for the smallest rotation that takes the ray to the axis (0, 0, 1).
    return (np.eye(3) + cross + cross @ cross / (1 + ray[2])) @ rotation


def decompose(camera):
    """The angles of camera rotations (..., 3, 3): (roll, elevation, yaw), radians, each (...).

    camera = roll about the optical axis @ level_camera(elevation) @ vertical_rotation(yaw), with
    elevation how far the camera looks down. Only it changes what the lifting precomputes: the yaw
    adds to the person's, the roll turns the image.
    """
    forward = camera[..., 2, :]
    elevation = np.arcsin(np.clip(-forward[..., 1], -1, 1))
    yaw = np.arctan2(forward[..., 0], -forward[..., 2])
    turn = camera @ (level_camera(elevation) @ vertical_rotation(yaw)).swapaxes(-1, -2)
    return np.arctan2(turn[..., 1, 0], turn[..., 0, 0]), elevation, yaw


def compose(roll, elevation, yaw):
    """Camera rotations (..., 3, 3) of the angles that `decompose` finds, each (...)."""
    turn = np.zeros((*np.shape(roll), 3, 3))
    turn[..., 0, 0] = turn[..., 1, 1] = np.cos(roll)
    turn[..., 1, 0] = np.sin(roll)
    turn[..., 0, 1] = -turn[..., 1, 0]
    turn[..., 2, 2] = 1
    return turn @ level_camera(elevation) @ vertical_rotation(yaw)


def level_camera(elevation):
    """Camera rotation (..., 3, 3) without roll or yaw that looks down by elevation (...)."""
    elevation = np.asarray(elevation, dtype=float)
    camera = np.zeros((*elevation.shape, 3, 3))
    camera[..., 0, 0] = 1
    camera[..., 1, 1] = camera[..., 2, 2] = -np.cos(elevation)
    camera[..., 1, 2] = np.sin(elevation)
    camera[..., 2, 1] = -np.sin(elevation)
    return camera
