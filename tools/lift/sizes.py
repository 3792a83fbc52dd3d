"""How large the frames' images are: as --image-size says, or as --images themselves are."""

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import cv2
from PIL import Image

from prior import foreign
from prior.errors import InputError
from tools.lift import doubtful
from tools.lift.coordinates import SIDES, Size, is_size
from tools.pictures import IMAGES, VIDEOS

# EXIF's tag of an image's orientation, and the values of those that are shown turned by 90 degrees.
ORIENTATION, ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)
# What Pillow raises on what is no image, or a damaged one.
DAMAGE = (*foreign.DAMAGE, OSError, SyntaxError)


class ImageSizes:
    """The sizes of the frames' images. size: (width, height), px, of all; else path: of an image, a
    video, or a folder of images with the frames' names; both None where nobody says it.

    Raises InputError of a size that no image has.
    """

    def __init__(self, size: Sequence[float] | None = None, path: Path | None = None) -> None:
        if size is not None and not is_size(size):
            low, high = SIDES
            raise InputError(
                f"--image-size: expected a width and a height between {low:g} and {high:g} px, got "
                f"{size[0]:g} x {size[1]:g}"
            )
        self._size, self._path = size, path

    def of(self, name: object) -> Size | None:
        """Of the frame of this name; None where it is not known."""
        file = Path(str(name))
        sizes = self._sizes
        return sizes.get(file.name) or sizes.get(file.stem) or self._common

    def one(self) -> Size | None:
        """Of all frames; None where it is not known. Raises InputError if they differ."""
        if self._common is None and self._sizes:
            few = sorted(set(self._sizes.values()))[:2]
            raise InputError(
                f"{self._path}: expected images of one size, got "
                f"{' and '.join(f'{width:g} x {height:g}' for width, height in few)} px; take "
                "those of each size by themselves"
            )
        return self._common

    def doubts(self) -> list[str]:
        """A line where what is said and the images themselves have other proportions."""
        if self._size is None or self._path is None:
            return []
        images = ImageSizes(None, self._path)
        own = [*images._sizes.values(), images._common]
        return doubtful.shapes(
            ((self._common, one) for one in own), "--image-size says", "--images"
        )

    @cached_property
    def _sizes(self) -> dict[str, Size]:
        """By the names of the files in a folder, with and without suffix."""
        if self._size is not None or self._path is None or not self._path.is_dir():
            return {}
        files = [f for f in sorted(self._path.iterdir()) if f.suffix.lower() in IMAGES]
        sizes = {file: size for file in files if (size := _of_file(file))}
        return {key: size for file, size in sizes.items() for key in (file.name, file.stem)}

    @cached_property
    def _common(self) -> Size | None:
        if self._size is not None:
            return self._size[0], self._size[1]
        if self._path is None or self._path.is_dir():
            sizes = set(self._sizes.values())
            return sizes.pop() if len(sizes) == 1 else None
        return (
            _of_video(self._path) if self._path.suffix.lower() in VIDEOS else _of_file(self._path)
        )


def _of_file(path: Path) -> Size | None:
    """Of an image as it is shown, by its head; None of what is none."""
    try:
        with warnings.catch_warnings(), foreign.open_file(path) as file:
            warnings.simplefilter("ignore")  # Pillow's, of what is damaged
            with Image.open(file) as image:
                width, height = image.size
                turned = image.getexif().get(ORIENTATION) in ON_ITS_SIDE
    except (*DAMAGE, InputError):
        return None
    return (height, width) if turned else (width, height)


def _of_video(path: Path) -> Size | None:
    video = cv2.VideoCapture(str(path))
    there, image = video.read()
    video.release()
    return (image.shape[1], image.shape[0]) if there else None
