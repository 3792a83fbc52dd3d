"""Images and videos."""

import cv2
import numpy as np

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
        for i in range(5):
            video.write(np.full((48, 64, 3), 40 * i, np.uint8))
        video.release()
        return path

    return make


def _read_pictures(path):
    for _ in Pictures([path]):
        pass


TARGETS = (
    *(
        Target(f"image .{suffix}", _picture(suffix), images.read)
        for suffix in ("jpg", "png", "bmp", "tiff", "webp", "gif")
    ),
    Target("video .mp4", _video("mp4", "mp4v"), _read_pictures),
    Target("video .avi", _video("avi", "MJPG"), _read_pictures),
)
