"""Cameras of calibration files: which axis of their world is up, and what their lens does."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from prior.camera import check_rotation, decompose, focal_length, turn_to_axis
from prior.errors import short
from prior.files import FilePath
from python_layers.data import lens
from tools.lift import unknown
from tools.lift.cameras import (
    anipose,
    content,
    easymocap,
    human36m,
    opencv,
    openpose,
    panoptic,
    ros,
)
from tools.lift.cameras.raw import CalibrationError, RawCamera, numbers

# By the axis of the calibration's world that points up: the rotation to our world, where y does.
UP = {
    "y": np.eye(3),
    "-y": np.diag([1.0, -1, -1]),
    "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "-z": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
}


# The first that recognises what is in the file reads it.
READERS = (human36m, panoptic, easymocap, anipose, openpose, ros, opencv)
# Where nobody says which axis is up, it is the one for which the camera's elevation, down from the
# horizon, and roll are within these, degrees. A camera that looks down by 60 degrees could as well
# look up by 30 in a world whose other axis is up: our choice is what people do.
ELEVATIONS, ROLL = (-10.0, 60.0), 30.0
# Its image's upward direction against the world's, as a cosine, below which it would stand on its
# head: our choice; nobody turns a camera by more than 120 degrees.
ON_ITS_HEAD = -0.5


class Calibration(NamedTuple):
    """rotation (3, 3) world (y up) to camera, or None; intrinsics (3, 3), px, or None; distortion,
    OpenCV's coefficients, or None; note: what was assumed, or empty."""

    rotation: np.ndarray | None
    intrinsics: np.ndarray | None
    distortion: np.ndarray | None
    note: str = ""

    def undistorted(self, points):
        """Points (N, 17, 2), px, as a camera of these intrinsics without distortion sees them."""
        rays = self._rays(points)
        return rays @ self.intrinsics[:2, :2].T + self.intrinsics[:2, 2]

    def hidden(self, points):
        """Which of points (N, 17, 2), px, this lens cannot show anything at: (N, 17)."""
        if self.intrinsics is None:
            return np.zeros(points.shape[:2], dtype=bool)
        return np.isfinite(points).all(axis=2) & np.isnan(self._rays(points)).any(axis=2)

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
        return lens.rays(points, self.intrinsics, self.distortion)


def read(path: FilePath, up: str | None = None, name: str | None = None) -> Calibration:
    """The Calibration in a file.

    up: a key of UP, the axis of its world that points up; without it the format says it, or the
    axis that the camera sees pointing up. name: of the camera, where there are several. Raises
    CalibrationError.
    """
    path = Path(path)
    values = content.read(path)
    reader = next((reader for reader in READERS if reader.recognises(values)), None)
    if reader is None:
        raise CalibrationError(
            f"{path}: got {unknown.describe(values)}; expected a camera, as "
            f"{'; '.join(reader.FORMAT for reader in READERS)}"
        )
    camera = _chosen(path, reader.cameras(values), name)
    if camera.lens is not None:
        raise CalibrationError(
            f"{path}: expected OpenCV's model of a lens, got {short(camera.lens)}: undistort the "
            "images, and leave its coefficients out"
        )
    intrinsics = _intrinsics(path, numbers(camera.intrinsics, f"{path}: camera matrix"))
    distortion = numbers(camera.distortion, f"{path}: distortion")
    rotation = numbers(camera.rotation, f"{path}: rotation")
    if rotation is None and intrinsics is None:
        raise CalibrationError(
            f"{path}: expected a camera matrix or a rotation, got {unknown.describe(values)}"
        )
    note = ""
    if rotation is not None:
        rotation, note = _upright(path, rotation, up, camera.up)
    return Calibration(rotation, intrinsics, _coefficients(path, distortion), note)


def _chosen(path: Path, cameras: dict[str, RawCamera], name: str | None) -> RawCamera:
    """The camera of this name; the only one, if nobody says which."""
    if name is None and len(cameras) == 1:
        return next(iter(cameras.values()))
    if name is not None and name in cameras:
        return cameras[name]
    # A part of the name is enough if one camera has it.
    alike = [key for key in cameras if name is not None and name in key.split("/")]
    if len(alike) == 1:
        return cameras[alike[0]]
    listed = ", ".join(list(alike or cameras)[:6]) + (", ..." if len(alike or cameras) > 6 else "")
    asked = "" if name is None else f", got {short(name)}"
    raise CalibrationError(f"{path}: expected --camera-name, one of {listed or 'none'}{asked}")


def _intrinsics(path: Path, matrix: np.ndarray | None) -> np.ndarray | None:
    if matrix is not None and not (
        matrix.shape == (3, 3)
        and np.isfinite(matrix).all()
        and min(matrix[0, 0], matrix[1, 1]) > 0
        and matrix[2].tolist() == [0, 0, 1]
    ):
        raise CalibrationError(
            f"{path}: camera matrix: expected 3 x 3, px, with positive focal lengths and 0, 0, 1 "
            f"as the last row, got {short(matrix.tolist(), 120)}"
        )
    return matrix


def _coefficients(path: Path, values: np.ndarray | None) -> np.ndarray | None:
    """The coefficients of the lens in OpenCV's order, those that are left out 0."""
    if values is None or not values.size:
        return None
    flat = values.ravel()
    count = next((n for n in lens.COEFFICIENTS if n >= flat.size), None)
    if count is None or not np.isfinite(flat).all():
        raise CalibrationError(
            f"{path}: distortion: expected at most {lens.COEFFICIENTS[-1]} numbers, got "
            f"{short(flat.tolist(), 120)}"
        )
    return np.concatenate([flat, np.zeros(count - flat.size)])


def _upright(
    path: Path, rotation: np.ndarray, said: str | None, usual: str | None
) -> tuple[np.ndarray, str]:
    """(rotation (3, 3) from our world to the camera, a note on which axis is up)."""
    if rotation.size == 3:
        rotation = cv2.Rodrigues(rotation.reshape(3, 1))[0]
    if rotation.shape != (3, 3):
        raise CalibrationError(f"{path}: rotation: expected 3 x 3 or 3, got {rotation.shape}")
    try:
        rotation = check_rotation(rotation, f"{path}: rotation")
    except ValueError as error:
        raise CalibrationError(str(error)) from None
    turned = {axis: rotation @ turn.T for axis, turn in UP.items()}
    # In the camera's axes y points down.
    best = min(turned, key=lambda axis: turned[axis][1, 1])
    up = said or usual
    if up is None:
        usable = [axis for axis, camera in turned.items() if _is_usual(camera)]
        if len(usable) != 1:
            raise CalibrationError(
                f"{path}: expected --up, the axis of its world that points up: the camera is too "
                "steep to tell"
            )
        up = usable[0]
    if -turned[up][1, 1] < ON_ITS_HEAD:
        raise CalibrationError(
            f"{path}: with --up {up} the camera stands on its head: try --up={best}"
        )
    note = "" if said else f"{path.name}: {up} points up in its world; if not, say it with --up"
    return turned[up], note


def _is_usual(camera: np.ndarray) -> bool:
    """Whether a rotation (3, 3) is that of a camera as people put it up."""
    roll, elevation, _ = np.rad2deg(decompose(camera))
    return abs(roll) <= ROLL and ELEVATIONS[0] <= elevation <= ELEVATIONS[1]


NONE = Calibration(None, None, None)
