"""The frames of images, folders of images, and videos, one after another. Needs only OpenCV.

Images are turned as their EXIF data say, as every viewer shows them.
"""

import math
from pathlib import Path

import cv2

from python_layers.data import images

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"}
VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"}
# Larger ones are made smaller before anyone looks at them; our choice: 8K.
LARGEST = 8192


class Pictures:
    """The frames of paths; `len` of it, as far as the files tell, its `rate` (of a single video,
    or None), and, once it was read, `problems`, a line for each file that is damaged."""

    def __init__(self, paths):
        self.problems, self._files = [], []
        for path in map(Path, paths):
            if path.is_dir():
                pictures = [f for f in sorted(path.iterdir()) if f.suffix.lower() in IMAGES]
                if not pictures:
                    self.problems.append(f"{path}: expected images in the folder, found none")
                self._files += pictures
            else:
                self._files.append(path)
        self._lengths = {f: _length(f) for f in self._files if f.suffix.lower() in VIDEOS}
        only = self._lengths.get(self._files[0]) if len(self._files) == 1 else None
        self.rate = only[1] if only else None

    def __len__(self):
        return sum(self._lengths.get(file, (1,))[0] for file in self._files)

    def __iter__(self):
        """Yields (name, image (H, W, 3) uint8 BGR or None where damaged, px of the file per px)."""
        for file in self._files:
            if file in self._lengths:
                yield from self._video(file)
                continue
            try:
                yield str(file), *_smaller(images.read(file, turned=True))
            except images.ImageError as error:
                self.problems.append(str(error).splitlines()[0])
                yield str(file), None, 1.0

    def _video(self, file):
        video, number = cv2.VideoCapture(str(file)), 0
        while True:
            there, image = video.read()
            if not there:
                break
            yield f"{file} {number:06d}", *_smaller(image)
            number += 1
        video.release()
        expected = self._lengths[file][0]
        if number < expected or not number:
            self.problems.append(
                f"{file}: expected a video of {expected} frames, it broke off after {number}"
            )


def _length(file):
    """(frames, rate or None) that a video's head tells."""
    video = cv2.VideoCapture(str(file))
    count, rate = (video.get(key) for key in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS))
    video.release()
    return max(0, int(count)), rate if 0 < rate < math.inf else None


def _smaller(image):
    """(image with sides of LARGEST at most, px of the original per px of it)."""
    factor = max(1.0, max(image.shape[:2]) / LARGEST)
    if factor > 1:
        size = [max(1, round(side / factor)) for side in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return image, factor
