"""Human3.6M: videos, 2D and 3D positions, and the cameras in metadata.xml of its release.

    S1/Videos/Directions 1.54138969.mp4                           50 frames a second
    S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf      Pose (1, F, 64), px
    S1/MyPoseFeatures/D3_Positions/Directions 1.cdf               Pose (1, F, 96), mm, z up
    metadata.xml: <w0>[300 numbers]</w0>: for each camera and each of the subjects S1 ... S11 three
        angles and the position, mm; then for each camera f (2), c (2), k (3) and p (2), px

The 2D positions have the lens's distortion, and so have the pictures; the camera given with them
here has not, since the network's needs only its direction. Whether cameras and positions belong
together is checked: a video whose 3D positions do not project onto its 2D ones is left out.
"""

import re
import xml.etree.ElementTree
from typing import NamedTuple

import cv2
import numpy as np

from prior import skeleton
from prior.camera import perspective
from prior.mocap import MocapError
from prior.mocap import human36m as motion
from prior.mocap.human36m import Y_UP
from python_layers.data import crop
from tools.convert.entries import ConversionError, Entry, box_round, person
from tools.evaluate.protocols import CAMERAS

SUBJECTS = 11
MISMATCH = 5.0  # px, mean over a pose: the dataset's own agree within a fraction of one
QUALITY = 95  # of the JPEGs
# Our choice: the side of the square that is kept, in longer sides of the person's box: what the
# network's input covers when augmentation makes the person smallest.
REACH = 1 / (crop.CPM_FRACTION * crop.CPM_RANGES.scale[0])


class Camera(NamedTuple):
    """rotation (3, 3) world (y up) to camera, position (3,) mm, intrinsics (3, 3) px, and the
    lens: radial (3,) and tangential (2,) coefficients."""

    rotation: np.ndarray
    position: np.ndarray
    intrinsics: np.ndarray
    radial: np.ndarray
    tangential: np.ndarray

    def project(self, points):
        """(..., 3) mm to (..., 2) px, distorted as in the pictures.

        The dataset's model is Brown's without the factor 2 in the tangential term: so its 2D
        positions are met to their last digit, with it they are up to 0.3 px away.
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
    found = {}
    for camera, name in enumerate(CAMERAS):
        fx, fy, cx, cy = lenses[camera, :4]
        for subject in range(SUBJECTS):
            angles, position = np.split(placed[camera, subject], 2)
            found[f"S{subject + 1}/{name}"] = Camera(
                rotation=_rotation(*angles) @ Y_UP.T,
                position=Y_UP @ position,
                intrinsics=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]),
                radial=lenses[camera, 4:7],
                tangential=lenses[camera, 7:],
            )
    return found


def _w0(path):
    try:
        text = xml.etree.ElementTree.parse(path).getroot().findtext("w0") or ""
        numbers = np.array(text.strip(" \n[]").replace(",", " ").split(), dtype=float)
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read: {error}") from None
    except (xml.etree.ElementTree.ParseError, ValueError) as error:
        raise ConversionError(f"{path}: expected Human3.6M's metadata.xml: {error}") from None
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


def videos(folder, subjects):
    """The paths of the subjects' videos, in order. Raises ConversionError when there is none."""
    found = [path for s in subjects for path in sorted((folder / s / "Videos").glob("*.*.mp4"))]
    # "_ALL" shows the calibration, and belongs to no action.
    found = [path for path in found if not path.stem.startswith("_")]
    if not found:
        raise ConversionError(
            f"{folder}: expected videos as S1/Videos/Directions 1.{CAMERAS[0]}.mp4, got none of "
            f"{', '.join(subjects)}"
        )
    return found


def read(path, views, wanted, report, places=None):
    """Yields an Entry for each wanted frame of a video.

    views: of `cameras`; wanted: from the number of frames to the numbers of those, rising; places:
    {"D2_Positions": folder, "D3_Positions": folder} if they are not beside the video's. A video
    that cannot be used is left out, in the report.
    """
    match = re.fullmatch(r"(.+)\.(\d+)", path.stem)
    subject = path.parent.parent.name
    name = f"{subject}/{match[2]}" if match else path.stem
    if name not in views:
        report.leave_out(f"{path}: expected a camera of {', '.join(CAMERAS)} in its name")
        return
    features = path.parent.parent / "MyPoseFeatures"
    places = places or {name: features / name for name in ("D2_Positions", "D3_Positions")}
    try:
        points = motion.positions(places["D2_Positions"] / f"{path.stem}.cdf", 2)
        poses = motion.positions(places["D3_Positions"] / f"{match[1]}.cdf", 3) @ Y_UP.T
        check(path, points, poses, views[name])
    except (ConversionError, MocapError) as error:
        report.leave_out(str(error))
        return
    facts = {"subject": subject, "action": match[1], "camera": name}
    for frame, picture in _frames(path, wanted(len(points)), len(points), report):
        yield _entry(picture, points[frame], poses[frame], facts | {"frame": frame})


def check(path, points, poses, camera):
    """ConversionError unless points (F, 17, 2) px are those of poses (F, 17, 3) mm, y up, before a
    Camera."""
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


def _frames(path, wanted, count, report):
    """Yields (frame, picture) of the wanted frames of a video of `count`."""
    video = cv2.VideoCapture(str(path))
    try:
        at = -1
        for frame in map(int, wanted):
            while at < frame and video.grab():
                at += 1
            whole, picture = video.retrieve() if at == frame else (False, None)
            if not whole:
                report.leave_out(f"{path}: ends at frame {at + 1} of {count}")
                return
            yield frame, picture
    finally:
        video.release()


def _entry(picture, points, pose, facts):
    box = box_round(points)
    size = np.array(picture.shape[1::-1])
    centre, half = box[:2] + box[2:] / 2, REACH * box[2:].max() / 2
    low = np.clip(np.floor(centre - half), 0, size - 1).astype(int)
    high = np.clip(np.ceil(centre + half), low + 1, size).astype(int)
    picture = picture[low[1] : high[1], low[0] : high[0]]
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    width, height = high - low
    name = "{subject}/{action}.{number}.{frame:06}.jpg".format(
        number=facts["camera"].split("/")[1], **facts
    )
    image = {
        "file_name": name,
        "width": int(width),
        "height": int(height),
        "offset": low.tolist(),
    } | facts
    found = {
        name: (*point, 2) for name, point in zip(skeleton.LANDMARKS, points - low, strict=True)
    }
    box = (*(box[:2] - low), *box[2:])
    return Entry(image, [person(found, box, pose_mm=pose)], data.tobytes())
