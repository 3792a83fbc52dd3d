"""Cameras of calibration files, as OpenCV writes and names them."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from prior.camera import check_rotation, focal_length, turn_to_axis
from prior.errors import InputError

# The names that OpenCV's samples and other programs have for the same thing.
KEYS = {
    "intrinsics": ("camera_matrix", "K", "M", "intrinsics", "cameraMatrix", "mtx"),
    "distortion": ("distortion_coefficients", "D", "dist", "distCoeffs", "distortion"),
    "rotation": ("R", "rotation", "rvec", "rotation_vector", "R_world_to_camera"),
}
# By the axis of the calibration's world that points up: the rotation to our world, where y does.
UP = {
    "y": np.eye(3),
    "-y": np.diag([1.0, -1, -1]),
    "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "-z": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
}


class CalibrationError(InputError):
    """A calibration file that cannot be used: which, what was expected, what came."""


class Calibration(NamedTuple):
    """rotation (3, 3) world (y up) to camera, or None; intrinsics (3, 3), px, or None; distortion,
    OpenCV's coefficients, or None."""

    rotation: np.ndarray | None
    intrinsics: np.ndarray | None
    distortion: np.ndarray | None

    def undistorted(self, points):
        """Points (N, 17, 2), px, as a camera of these intrinsics without distortion sees them."""
        rays = self._rays(points)
        return rays @ self.intrinsics[:2, :2].T + self.intrinsics[:2, 2]

    def straighten(self, points, rotation):
        """What lifting by weak perspective wants of points (N, 17, 2), px, seen by a camera of
        `rotation` (3, 3).

        Without intrinsics: both as they are. With them the lens's distortion is removed, and each
        person is seen by the camera turned towards them (prior.camera.toward), in whose images weak
        perspective holds. Returns points (N, 17, 2) and rotations (N, 3, 3) or (3, 3).
        """
        if self.intrinsics is None or not len(points):
            return points, rotation
        rays = self._rays(points)
        middle = np.nanmean(rays, axis=1)
        turns = turn_to_axis(np.concatenate([middle, np.ones_like(middle[:, :1])], axis=1))
        rays = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=2) @ turns.swapaxes(1, 2)
        return focal_length(self.intrinsics) * rays[..., :2] / rays[..., 2:], turns @ rotation

    def _rays(self, points):
        """Where the rays through points (N, 17, 2), px, meet the plane one unit before the camera:
        (N, 17, 2), without the lens's distortion."""
        flat = points.reshape(-1, 1, 2)
        there = np.isfinite(flat).all(axis=(1, 2))
        rays = np.full((len(flat), 2), np.nan)
        if there.any():
            rays[there] = cv2.undistortPoints(
                np.ascontiguousarray(flat[there]), self.intrinsics, self.distortion
            )[:, 0]
        return rays.reshape(points.shape)


def read(path, up="y"):
    """The Calibration in a file: OpenCV's YAML, XML or JSON (FileStorage), or .npz.

    up: a key of UP. Raises CalibrationError.
    """
    path = Path(path)
    try:
        values = _npz(path) if path.suffix.lower() == ".npz" else _storage(path)
    except (OSError, ValueError, SystemError, cv2.error) as error:
        said = str(error).splitlines()[0] if str(error) else "nothing readable"
        raise CalibrationError(
            f"{path}: expected a calibration in OpenCV's YAML, XML or JSON, or an .npz: {said}"
        ) from None
    rotation, intrinsics, distortion = (
        next((np.asarray(values[k], float) for k in KEYS[name] if k in values), None)
        for name in ("rotation", "intrinsics", "distortion")
    )
    if rotation is None and intrinsics is None:
        raise CalibrationError(
            f"{path}: expected a camera matrix ({', '.join(KEYS['intrinsics'][:2])}) or a rotation "
            f"(R, rvec), found {', '.join(values) or 'nothing'}"
        )
    if rotation is not None:
        if rotation.size == 3:
            rotation = cv2.Rodrigues(rotation.reshape(3, 1))[0]
        try:
            rotation = check_rotation(rotation, f"{path}: rotation") @ UP[up].T
        except ValueError as error:
            raise CalibrationError(str(error)) from None
    if intrinsics is not None and not (
        intrinsics.shape == (3, 3)
        and np.isfinite(intrinsics).all()
        and min(intrinsics[0, 0], intrinsics[1, 1]) > 0
    ):
        raise CalibrationError(
            f"{path}: camera matrix: expected 3 x 3, px, with positive focal "
            f"lengths, got {intrinsics.tolist()}"
        )
    return Calibration(rotation, intrinsics, None if distortion is None else distortion.ravel())


NONE = Calibration(None, None, None)


def _npz(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _storage(path):
    text = path.read_text()
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    root = storage.root()
    values = {}
    for key in root.keys() if root.isMap() else ():
        node = root.getNode(key)
        value = node.mat() if node.isMap() else None
        if value is None and node.isSeq():
            value = _sequence(node)
        if value is not None:
            values[key] = value
    if not values:
        raise ValueError(f"found {text[:30]!r}")
    return values


def _sequence(node):
    """A list of numbers, or of lists of them, as JSON has it; None for anything else."""
    items = [node.at(i) for i in range(node.size())]
    if all(item.isInt() or item.isReal() for item in items):
        return np.array([item.real() for item in items])
    rows = [_sequence(item) if item.isSeq() else None for item in items]
    if rows and all(row is not None and row.shape == rows[0].shape for row in rows):
        return np.array(rows)
    return None
