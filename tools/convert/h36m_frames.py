"""Frames of Human3.6M's videos, with their 2D and 3D positions, as entries of a packed file.

    S1/Videos/Directions 1.54138969.mp4                           50 frames a second
    S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf      Pose (1, F, 64), px
    S1/MyPoseFeatures/D3_Positions/Directions 1.cdf               Pose (1, F, 96), mm, z up

A video whose 3D positions do not project onto its 2D ones is left out: then cameras and positions
do not belong together.
"""

import re

import cv2
import numpy as np

from prior import skeleton
from prior.mocap import MocapError
from prior.mocap import human36m as motion
from prior.mocap.human36m import Y_UP
from python_layers.data import crop
from python_layers.data.people import box_round, person
from tools.convert.entries import ConversionError, Entry
from tools.convert.h36m_cameras import check
from tools.evaluate.protocols import CAMERAS

QUALITY = 95  # of the JPEGs
# Our choice: the side of the square that is kept, in longer sides of the person's box: what the
# network's input covers when augmentation makes the person smallest.
REACH = 1 / (crop.CPM_FRACTION * crop.CPM_RANGES.scale[0])


def read(path, places, views, wanted, report):
    """Yields an Entry for each wanted frame of a video, S1/Videos/Directions 1.54138969.mp4.

    places: {"D2_Positions": folder, "D3_Positions": folder} of the subject; views: the Cameras, by
    h36m_cameras.cameras; wanted: a function of the number of frames that gives the numbers of the
    wanted ones, ascending. A video that cannot be used is left out, and the report says so.
    """
    match = re.fullmatch(r"(.+)\.(\d+)", path.stem)
    subject = path.parent.parent.name
    name = f"{subject}/{match[2]}" if match else path.stem
    if name not in views:
        report.leave_out(f"{path}: expected a camera of {', '.join(CAMERAS)} in its name")
        return
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
    """The Entry of a frame: the part of the picture round the person, px of which its points are.

    points (17, 2), px of the whole picture; pose (17, 3), mm; facts: subject, action, camera and
    frame, for the image's object of the JSON format.
    """
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
    landmarks = {
        name: (*point, 2) for name, point in zip(skeleton.LANDMARKS, points - low, strict=True)
    }
    box = (*(box[:2] - low), *box[2:])
    return Entry(image, [person(landmarks, box, pose_mm=pose)], data.tobytes())
