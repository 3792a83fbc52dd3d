"""Images and videos."""

import cv2
import numpy as np

from prior.errors import InputError
from python_layers.data import images
from tests.fuzz.target import Target
from tools.pictures import Pictures


def _picture(suffix):
    def make(folder):
        path = folder / f"a.{suffix}"
        rng = np.random.default_rng(0)
        cv2.imwrite(str(path), rng.integers(0, 255, (40, 60, 3), np.uint8))
        return path

    return make


def _video(suffix, code):
    def make(folder):
        path = folder / f"a.{suffix}"
        video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, (64, 48))
        rng = np.random.default_rng(0)
        for _ in range(5):
            video.write(rng.integers(0, 255, (48, 64, 3), np.uint8))
        video.release()
        return path

    return make


def _read_video(path):
    pictures = Pictures([path])
    for _ in pictures:
        pass
    if pictures.problems:  # what a program says of a damaged file, and goes on with the next
        raise InputError(pictures.problems[0])


TARGETS = (
    *(
        Target(f"image .{suffix}", _picture(suffix), images.read)
        for suffix in ("jpg", "png", "bmp", "tiff", "webp", "gif")
    ),
    Target("video .mp4", _video("mp4", "mp4v"), _read_video),
    Target("video .avi", _video("avi", "MJPG"), _read_video),
)
