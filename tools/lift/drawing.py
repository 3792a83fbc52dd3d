"""Pictures of poses: the 2D landmarks beside the 3D skeleton on a ground plane; PNG, GIF, MP4."""

import re
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageColor
from tqdm import tqdm

from prior.camera import level_camera, vertical_rotation
from prior.errors import InputError
from prior.files import replacing
from prior.show import limb_colours
from prior.skeleton import HUMAN36M, LANDMARKS, LIMBS
from python_layers.data import images
from tools.lift.lifted import on_ground
from tools.lift.timeline import rate_of
from tools.pictures import VIDEOS

SIDE = 480  # px of each of the two panels
MARGIN = 0.1
TILE_MM = 500
# The 3D panel looks from the camera's right, and down: our choice, which shows depth.
AZIMUTH, ELEVATION = np.deg2rad(35), np.deg2rad(15)
MOST_ROWS = 8  # of a PNG
MOST_FRAMES = 300  # of a GIF, which is large
GREY, TILE, INK = (245, 245, 245), (225, 225, 225), (70, 70, 70)
# Of what is no plausible person.
DOUBT = (150, 150, 150)
# Landmarks that many sets lack, and the two whose middle stands for them in 2D.
BETWEEN = {"spine": ("hip", "neck"), "nose": ("neck", "head top")}
COLOURS = [ImageColor.getrgb(colour)[::-1] for colour in limb_colours(HUMAN36M)]


class Photos:
    """The images of frames: files of their names in a folder, the frames of a video that the
    numbers at the names' ends count, or one image for all.

    `problems` has a line for each image that cannot be read.
    """

    def __init__(self, path=None):
        self.problems, self._files, self._video = [], {}, None
        path = Path(path) if path else None
        self._only = path if path and not path.is_dir() else None
        if path and path.suffix.lower() in VIDEOS:
            self._video = cv2.VideoCapture(str(path))
        if path and self._only is None:
            self._files = {f.name: f for f in path.iterdir()} | {f.stem: f for f in path.iterdir()}

    def read(self, name):
        """The image of a frame, (H, W, 3) uint8 BGR, or None where there is none."""
        if self._video is not None:
            number = re.search(r"(\d+)$", str(name))
            if number and int(number[1]) != self._video.get(cv2.CAP_PROP_POS_FRAMES):
                self._video.set(cv2.CAP_PROP_POS_FRAMES, int(number[1]))
            return self._video.read()[1] if number else None
        name = Path(str(name)).name
        file = self._only or self._files.get(name) or self._files.get(Path(name).stem)
        if file is None:
            return None
        try:
            return images.read(file, turned=True)
        except images.ImageError as error:
            self.problems.append(str(error).splitlines()[0])
            return None


def with_trunk(points):
    """2D landmarks (N, 17, 2), px, to draw: spine and nose, where missing, are midway between their
    neighbours, so that the trunk and the head are there if both ends are."""
    shown = points.copy()
    for middle, ends in BETWEEN.items():
        at, between = LANDMARKS.index(middle), [LANDMARKS.index(end) for end in ends]
        missing = ~np.isfinite(points[:, at]).all(axis=1, keepdims=True)
        shown[:, at] = np.where(missing, points[:, between].mean(axis=1), points[:, at])
    return shown


class Panels:
    """Draws each frame of Poses as two panels: 2D landmarks on its photo, and poses on the ground.

    photos: Photos.
    """

    def __init__(self, poses, photos=None):
        self.poses, self.photos = poses, photos or Photos()
        self.placed, self._points = on_ground(poses), with_trunk(poses.points)
        camera = poses.camera[0]
        # The 3D panel's camera stands to the right of the poses' own camera, and looks down.
        heading = np.arctan2(camera[2, 0], -camera[2, 2])
        self._rotation = level_camera(ELEVATION) @ vertical_rotation(heading + AZIMUTH)
        flat = (self.placed @ self._rotation.T)[..., :2].reshape(-1, 2)
        self._low, self._high = flat.min(axis=0), flat.max(axis=0)
        points = poses.points.reshape(-1, 2)
        self._extent = np.nanmin(points, axis=0), np.nanmax(points, axis=0)

    def frame(self, number):
        """The two panels of a frame (SIDE, 2 SIDE, 3) uint8 BGR."""
        rows = np.flatnonzero(self.poses.frame == number)
        left = self._overlay(rows, self.poses.frame_name(number))
        return np.concatenate([left, self._space(rows)], axis=1)

    def _overlay(self, rows, name):
        image = self.photos.read(name)
        if image is None:
            low, high = self._extent
            canvas = np.full((SIDE, SIDE, 3), GREY, np.uint8)
            factor, shift = _into(low, high)
        else:
            height, width = image.shape[:2]
            factor = SIDE / max(height, width)
            size = max(1, round(factor * width)), max(1, round(factor * height))
            canvas = np.full((SIDE, SIDE, 3), GREY, np.uint8)
            shift = np.array([(SIDE - size[0]) // 2, (SIDE - size[1]) // 2], float)
            x, y = shift.astype(int)
            canvas[y : y + size[1], x : x + size[0]] = cv2.resize(
                image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
            )
        for row in rows:
            _limbs(canvas, factor * self._points[row] + shift, self._colours(row))
        odd = np.count_nonzero(~self.poses.plausible[rows])
        cv2.putText(
            canvas,
            Path(str(name)).name[-40:] + (f"   no plausible person: {odd}" if odd else ""),
            (8, SIDE - 10),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.4,
            INK,
            1,
            cv2.LINE_AA,
        )
        return canvas

    def _space(self, rows):
        canvas = np.full((SIDE, SIDE, 3), 255, np.uint8)
        factor, shift = _into(self._low, self._high)

        def flat(points):
            return factor * (np.asarray(points, float) @ self._rotation.T)[..., :2] + shift

        ends = self.placed[..., [0, 2]].reshape(-1, 2)
        low = np.floor(ends.min(axis=0) / TILE_MM - 0.5)
        high = np.ceil(ends.max(axis=0) / TILE_MM + 0.5)
        # Where people are far apart the tiles are larger.
        step = max(1, int(np.max(high - low) // 20))
        for axis in (0, 1):
            for at in np.arange(low[axis], high[axis] + 1, step):
                line = np.zeros((2, 3))
                line[:, 2 * axis] = at
                line[:, 2 - 2 * axis] = low[1 - axis], high[1 - axis]
                _line(canvas, *flat(TILE_MM * line), TILE, 1)
        depth = (self.placed[rows] @ self._rotation.T)[..., 2].mean(axis=1)
        for row in rows[np.argsort(-depth)]:
            shadow = self.placed[row] * [1, 0, 1]
            _limbs(canvas, flat(shadow), [(210, 210, 210)] * len(LIMBS))
            _limbs(canvas, flat(self.placed[row]), self._colours(row), width=3)
        return canvas

    def _colours(self, row):
        """Of the limbs of a pose."""
        return COLOURS if self.poses.plausible[row] else [DOUBT] * len(LIMBS)


def _into(low, high):
    """(factor, shift (2,)) from coordinates between low and high (2,) into a panel."""
    factor = (1 - 2 * MARGIN) * SIDE / max(float(np.max(high - low)), 1e-9)
    return factor, SIDE / 2 - factor * (np.asarray(low) + high) / 2


def _line(canvas, a, b, colour, width):
    """Draw a line from a to b (2,), px, in sixteenths of a pixel."""
    a, b = (tuple(int(v) for v in np.clip(np.round(16 * p), -1e6, 1e6)) for p in (a, b))
    cv2.line(canvas, a, b, colour, width, cv2.LINE_AA, 4)


def _limbs(canvas, points, colours=COLOURS, width=2):
    """Draw the limbs of landmarks (L, 2), px; one with a missing end is left out."""
    for (a, b), colour in zip(LIMBS, colours, strict=True):
        if np.isfinite(points[[a, b]]).all():
            _line(canvas, points[a], points[b], colour, width)


def evenly(frames, count):
    """At most `count` of the frames, spread evenly."""
    at = np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int))
    return [frames[i] for i in at]


def write_png(path, poses, photos=None):
    """Frames with people, evenly spread, one below the other."""
    panels = Panels(poses, photos)
    rows = [panels.frame(n) for n in evenly(np.unique(poses.frame).tolist(), MOST_ROWS)]
    with replacing(path) as temporary:
        Image.fromarray(np.concatenate(rows)[..., ::-1]).save(temporary, "PNG")


def write_gif(path, poses, photos=None):
    """All frames, or every Nth if there are many."""
    panels = Panels(poses, photos)
    numbers = list(range(int(poses.frame[0]), int(poses.frame[-1]) + 1))
    step = -(-len(numbers) // MOST_FRAMES)
    rate = rate_of(poses) / step
    pictures = (
        Image.fromarray(panels.frame(n)[..., ::-1]).quantize(64)
        for n in tqdm(numbers[::step], "draw", unit="frame", disable=None, delay=1)
    )
    # GIFs count in hundredths of a second, and players refuse less than two.
    with replacing(path) as temporary:
        next(pictures).save(
            temporary,
            "GIF",
            save_all=True,
            append_images=pictures,
            loop=0,
            duration=max(20, round(1000 / rate, -1)),
        )


def write_mp4(path, poses, photos=None):
    """All frames. Raises InputError if OpenCV has no encoder, or where the disk is full."""
    panels = Panels(poses, photos)
    with replacing(path) as temporary:
        video = cv2.VideoWriter(
            str(temporary),
            cv2.VideoWriter_fourcc(*"mp4v"),
            rate_of(poses),
            (2 * SIDE, SIDE),
        )
        if not video.isOpened():
            raise InputError(f"{path}: this OpenCV has no encoder for MP4; write a .gif")
        numbers = range(int(poses.frame[0]), int(poses.frame[-1]) + 1)
        for number in tqdm(numbers, "draw", unit="frame", disable=None, delay=1):
            video.write(panels.frame(number))
        video.release()
        # OpenCV does not say when it cannot write.
        if (count := _frames_in(temporary)) != len(numbers):
            raise InputError(
                f"{path}: expected {len(numbers)} frames when it is read back, got {count}; is the "
                "disk full?"
            )


def _frames_in(path):
    """How many frames of a video can be decoded."""
    video, count = cv2.VideoCapture(str(path)), 0
    while video.grab():
        count += 1
    video.release()
    return count
