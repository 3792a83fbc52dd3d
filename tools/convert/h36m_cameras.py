"""Human3.6M's cameras, as metadata.xml of its code release has them.

    <w0>[300 numbers]</w0>: for each camera and each of the subjects S1 ... S11 three angles and the
    position, mm; then for each camera f (2), c (2), k (3) and p (2), px

The 2D positions have the lens's distortion, and so have the pictures. The network needs only the
cameras' direction; lifting with the lens takes its distortion off.
"""

from typing import NamedTuple

import numpy as np

from prior.camera import perspective
from prior.errors import short
from prior.mocap.human36m import Y_UP
from tools.convert.entries import ConversionError
from tools.convert.h36m_files import read_metadata
from tools.evaluate.protocols import CAMERAS

SUBJECTS = 11
# Positions belong to a camera if the median over the frames of their mean distance, px, is below
# this. The dataset's own agree within a fraction of a pixel; those of another camera are off by
# hundreds.
MISMATCH = 5.0


class Camera(NamedTuple):
    """A camera with its lens.

    rotation (3, 3), world (y up) to camera; position (3,), mm, world; intrinsics (3, 3), px;
    radial (3,) and tangential (2,), the coefficients of the lens's distortion.
    """

    rotation: np.ndarray
    position: np.ndarray
    intrinsics: np.ndarray
    radial: np.ndarray
    tangential: np.ndarray

    @property
    def distortion(self):
        """OpenCV's coefficients (5,) that come nearest to `project`, within 0.3 px in the picture.

        Of a tangential coefficient q OpenCV's terms are 2 q x y and q (x^2 + 3 y^2), where with p
        the dataset's are p x y and p (x^2 + 2 y^2): they lie nearest for q = 2/3 p.
        """
        return np.concatenate([self.radial[:2], self.tangential * 2 / 3, self.radial[2:]])

    def project(self, points):
        """Points (..., 3), mm, world, to px (..., 2), distorted as in the pictures.

        The dataset's model is Brown's without the factor 2 in the tangential term. Without it the
        result is the dataset's 2D positions to their last digit; with it, up to 0.3 px away.
        """
        x, y = np.moveaxis(perspective(points, self.rotation, self.position, np.eye(3)), -1, 0)
        r2 = x * x + y * y
        k, p = self.radial, self.tangential
        bend = 1 + r2 * (k[0] + r2 * (k[1] + r2 * k[2])) + p[0] * y + p[1] * x
        point = np.stack([x * bend + p[1] * r2, y * bend + p[0] * r2, np.ones_like(x)], axis=-1)
        return (point @ self.intrinsics.T)[..., :2]


def cameras(path):
    """{"S1/54138969": Camera} from metadata.xml. Raises ConversionError."""
    numbers = _w0(path)
    placed = numbers[: 6 * SUBJECTS * 4].reshape(4, SUBJECTS, 6)
    lenses = numbers[6 * SUBJECTS * 4 :].reshape(4, 9)
    views = {}
    for camera, name in enumerate(CAMERAS):
        fx, fy, cx, cy = lenses[camera, :4]
        for subject in range(SUBJECTS):
            angles, position = np.split(placed[camera, subject], 2)
            views[f"S{subject + 1}/{name}"] = Camera(
                rotation=_rotation(*angles) @ Y_UP.T,
                position=Y_UP @ position,
                intrinsics=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]),
                radial=lenses[camera, 4:7],
                tangential=lenses[camera, 7:],
            )
    return views


def as_json(views, subjects):
    """Of the Cameras that `cameras` returns, those of the subjects, as in the JSON format."""
    return {
        name: {
            "rotation": c.rotation,
            "position_mm": c.position,
            "intrinsics": c.intrinsics,
            "distortion": c.distortion,
        }
        for name, c in views.items()
        if name.split("/")[0] in subjects
    }


def _w0(path):
    """The 300 numbers."""
    text = read_metadata(path, ConversionError).findtext("w0") or ""
    try:
        numbers = np.array(text.strip(" \n[]").replace(",", " ").split(), dtype=float)
    except ValueError as error:
        said = short(str(error), 100)
        raise ConversionError(f"{path}: expected Human3.6M's metadata.xml: {said}") from None
    expected = 6 * SUBJECTS * 4 + 9 * 4
    if numbers.shape != (expected,) or not np.isfinite(numbers).all():
        raise ConversionError(f"{path}: expected {expected} numbers in <w0>, got {numbers.size}")
    return numbers


def _rotation(x, y, z):
    """World to camera from the three angles: about x after y after z."""
    result = np.eye(3)
    for axis, angle in enumerate((x, y, z)):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        result = result @ turn
    return result


def check(path, points, poses, camera):
    """Raises ConversionError unless poses (F, 17, 3), mm, y up, project onto points (F, 17, 2), px,
    before a Camera. path: the file that the error names."""
    if len(points) != len(poses):
        raise ConversionError(f"{path}: {len(points)} frames of 2D and {len(poses)} of 3D")
    if not (np.isfinite(points).all() and np.isfinite(poses).all()):
        raise ConversionError(f"{path}: expected finite 2D and 3D positions")
    distance = np.linalg.norm(camera.project(poses) - points, axis=-1).mean(axis=1)
    if not np.median(distance) < MISMATCH:
        raise ConversionError(
            f"{path}: its 3D positions project {np.median(distance):.0f} px away from its 2D ones: "
            "do metadata.xml and the positions belong together?"
        )
