"""Encoded images: read, checked and decoded, or refused with a reason.

Types are numpy's: tools.infer.detect runs in an environment without jaxtyping.
"""

import io
import warnings
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from prior import foreign, limits
from prior.errors import InputError, short
from prior.files import FilePath

# OpenCV's flags by how many pixels, along each side, a JPEG is decoded to one of.
REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
# What is decoded, by Pillow's names.
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")
# Pillow's own limit, 179 megapixels, which no user could raise; ours is checked instead.
Image.MAX_IMAGE_PIXELS = None


class ImageError(InputError):
    """An image that cannot be used; the message begins with its name."""


def decode(
    data: bytes,
    name: FilePath,
    size: tuple[int, int] | None = None,
    *,
    turned: bool = False,
    part: int = 1,
) -> np.ndarray:
    """The bytes of an image file as an image (H, W, 3) uint8, BGR: of grey and transparent ones,
    and the first frame of an animation, too.

    size: the width and height that it is to have; turned: as the file's EXIF data say, which
    viewers do, and annotations of data sets do not; part: see `part_of`. Raises ImageError, which
    begins with `name`, when the bytes are damaged, cut short or of an image of another size.
    """
    if not data:
        raise ImageError(f"{name}: expected an image, got an empty file")
    # A JPEG ends in the marker EOI; without it OpenCV fills in the missing part in grey.
    if data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data[-1024:]:
        raise ImageError(f"{name}: expected a whole JPEG, got one cut short")
    check_size(data, name)
    try:
        flags = REDUCED[part] | (0 if turned else cv2.IMREAD_IGNORE_ORIENTATION)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        said = short(str(error), 100)
        raise ImageError(f"{name}: expected an image, got: {said}") from None
    if image is None:
        raise ImageError(f"{name}: expected an image, got something else or a damaged one")
    if size is not None and image.shape[1::-1] != tuple(-(-side // part) for side in size):
        width, height = _jpeg_size(data) or image.shape[1::-1]
        raise ImageError(f"{name}: expected {size[0]} x {size[1]} px, got {width} x {height}")
    return image


def part_of(data: bytes, block: int) -> int:
    """How many pixels along each side of an image may become one when it is decoded, where blocks
    of `block` are to become one later: a whole part of these, so that the rest of the averaging
    gives the same but for the rounding of colours. 1 for other images than JPEGs."""
    if data[:2] != b"\xff\xd8":
        return 1
    return max(part for part in REDUCED if max(block, 1) % part == 0)


def check_size(data: bytes, name: FilePath) -> None:
    """Refuse, by its head, an image that would take more memory than a photo can.

    Raises ImageError, also where the head is that of no image.
    """
    size = _jpeg_size(data) or _png_size(data)
    if size is None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's, of damage that is refused below
                with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                    size = image.size
        except (*foreign.DAMAGE, OSError):
            raise ImageError(
                f"{name}: expected an image, as {', '.join(FORMATS)}, got something else or a "
                "damaged one"
            ) from None
    limits.check(name, "megapixels", size[0] * size[1] / 1e6, ImageError)
    if data[:4] == b"\x89PNG" and not _whole_png(data):
        raise ImageError(f"{name}: expected a whole PNG, got a part longer than the file")
    # A pixel has a bit at least, and deflate, PNG's compression, shrinks to a thousandth at most.
    if data[:4] == b"\x89PNG" and size[0] * size[1] / 8 > 1100 * len(data):
        raise ImageError(f"{name}: expected a whole PNG of {size[0]} x {size[1]} px, got a part")


def _png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in the head of a PNG; None for other files."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _whole_png(data: bytes) -> bool:
    """Whether the parts of a PNG, up to its end, lie in the file: OpenCV takes as much memory as a
    part says that it has, up to 2 GB."""
    at = 8
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        at += 12 + length
        if kind == b"IEND":
            break
    return at <= len(data)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in the first frame header (SOFn) of a JPEG; None for other files."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return (
                int.from_bytes(data[at + 7 : at + 9], "big"),
                int.from_bytes(data[at + 5 : at + 7], "big"),
            )
        # Fill bytes, and markers without a length (TEM, RSTn), are followed by the next marker.
        alone = marker == 0x01 or 0xD0 <= marker <= 0xD7
        length = 0 if alone else int.from_bytes(data[at + 2 : at + 4], "big")
        at += 1 if marker == 0xFF else 2 + length
    return None


class Files:
    """Images that are files of their own, by their number."""

    def __init__(self, paths: Sequence[FilePath]) -> None:
        self.paths = paths

    def read(self, number: int | np.integer) -> bytes:
        """The bytes of an image. Raises ImageError when there is no such file."""
        path = self.paths[int(number)]
        return foreign.read_bytes(path, ImageError)


def read(
    path: FilePath, size: tuple[int, int] | None = None, *, turned: bool = False
) -> np.ndarray:
    """The image (H, W, 3) uint8, BGR, in a file; see `decode`. Raises ImageError."""
    return decode(Files([path]).read(0), path, size, turned=turned)
