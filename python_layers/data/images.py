"""Encoded images: read, checked and decoded, or refused with a reason."""

import cv2
import numpy as np


class ImageError(ValueError):
    """An image that cannot be used: which, what was expected, what came."""


def decode(data, name, size=None):
    """The bytes of an image file as (H, W, 3) uint8 BGR, of `size` (width, height) if given.

    Raises ImageError, with `name` before the reason, when they are damaged, cut short or of
    another size.
    """
    # A JPEG ends in the marker EOI; without it OpenCV makes up the missing part in grey.
    if data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data[-1024:]:
        raise ImageError(f"{name}: expected a whole JPEG, got one cut short")
    try:
        # Turned by a camera's note in the file it would no longer fit its annotation.
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"{name}: expected an image, got: {error}".strip()) from None
    if image is None:
        raise ImageError(f"{name}: expected an image, got something else or a damaged one")
    if size is not None and image.shape[1::-1] != tuple(size):
        raise ImageError(
            f"{name}: expected {size[0]} x {size[1]} px, got {image.shape[1]} x {image.shape[0]}"
        )
    return image


class Files:
    """Images that are files of their own, by their number."""

    def __init__(self, paths):
        self.paths = paths

    def read(self, number):
        """The bytes of an image. Raises ImageError when there is no such file."""
        path = self.paths[number]
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise ImageError(f"{path}: expected an image, got: {error}".strip()) from None


def read(path, size=None):
    """An image file as `decode` gives it. Raises ImageError."""
    return decode(Files([path]).read(0), path, size)
