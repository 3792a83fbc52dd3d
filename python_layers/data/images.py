"""Encoded images: read, checked and decoded, or refused with a reason.

Types are numpy's: tools.infer.detect runs in an environment without jaxtyping.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from prior.errors import InputError
from prior.files import FilePath


class ImageError(InputError):
    """An image that cannot be used; the message begins with its name."""


def decode(data: bytes, name: FilePath, size: tuple[int, int] | None = None) -> np.ndarray:
    """The bytes of an image file as an image (H, W, 3) uint8, BGR.

    size: the width and height that it is to have. Raises ImageError, which begins with `name`, when
    the bytes are damaged, cut short or of an image of another size.
    """
    # A JPEG ends in the marker EOI; without it OpenCV fills in the missing part in grey.
    if data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data[-1024:]:
        raise ImageError(f"{name}: expected a whole JPEG, got one cut short")
    try:
        # An image that is turned as the file's EXIF data say would not fit its annotation.
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

    def __init__(self, paths: Sequence[FilePath]) -> None:
        self.paths = paths

    def read(self, number: int | np.integer) -> bytes:
        """The bytes of an image. Raises ImageError when there is no such file."""
        path = self.paths[int(number)]
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise ImageError(f"{path}: expected an image, got: {error}".strip()) from None


def read(path: FilePath, size: tuple[int, int] | None = None) -> np.ndarray:
    """The image (H, W, 3) uint8, BGR, in a file. Raises ImageError."""
    return decode(Files([path]).read(0), path, size)
