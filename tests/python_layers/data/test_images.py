"""Images by their heads: what would take gigabytes is refused before it is decoded."""

import struct
import time
import zlib

import cv2
import numpy as np
import pytest

from prior import limits
from python_layers.data import images
from python_layers.data.images import ImageError


def encoded(suffix, size=(60, 40)):
    rng = np.random.default_rng(0)
    return cv2.imencode(suffix, rng.integers(0, 255, (*size[::-1], 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tiff", ".webp", ".gif"])
def test_images_of_all_kinds_are_decoded(suffix, monkeypatch):
    data = encoded(suffix)
    assert images.decode(data, "a", (60, 40)).shape == (40, 60, 3)
    monkeypatch.setenv(limits.ENVIRONMENT, "megapixels=0.001")
    with pytest.raises(ImageError, match="a: expected at most 0.001 megapixels, got 0.0024"):
        images.decode(data, "a")


def test_a_small_jpeg_of_30000_by_30000_is_refused_at_once():
    data = bytearray(encoded(".jpg"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 30_000, 30_000)
    began = time.process_time()
    with pytest.raises(ImageError, match="at most 200 megapixels, got 900"):
        images.decode(bytes(data), "a")
    assert time.process_time() - began < 0.5


def test_a_png_bomb_is_refused():
    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    with pytest.raises(ImageError, match="at most 200 megapixels, got 2,500"):
        images.decode(b"\x89PNG\r\n\x1a\n" + chunk, "a")


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xd9", b"GIF89a" + bytes(50), b"<svg/>"])
def test_what_is_no_photo_is_refused(data):
    with pytest.raises(ImageError, match="a: expected an image"):
        images.decode(data, "a")


@pytest.mark.parametrize(
    "side, most, message",
    [
        (20_000, 200, "at most 200 megapixels, got 400"),
        (20_000, 500, "got something else or a damaged one"),  # its pixels are not there
    ],
)
def test_our_limit_of_pixels_is_the_one_that_counts(monkeypatch, side, most, message):
    data = bytearray(encoded(".bmp"))
    data[18:26] = struct.pack("<ii", side, side)
    monkeypatch.setenv(limits.ENVIRONMENT, f"megapixels={most}")
    with pytest.raises(ImageError, match=message):
        images.decode(bytes(data), "a")


def test_a_part_of_a_png_that_is_longer_than_the_file_is_refused():
    good = cv2.imencode(".png", np.zeros((40, 60, 3), np.uint8))[1].tobytes()
    at = good.index(b"IDAT") - 4
    longer = good[:at] + (2**31 - 1).to_bytes(4, "big") + good[at + 4 :]
    with pytest.raises(images.ImageError, match="a part longer than the file"):
        images.check_size(longer, "a.png")
    images.check_size(good, "a.png")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tiff", ".webp", ".gif"])
def test_damaged_heads_are_refused_and_nothing_else(suffix):
    good, rng = encoded(suffix), np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(good[: max(30, rng.integers(len(good)))])
        for _ in range(rng.integers(1, 5)):
            damaged[rng.integers(4, min(200, len(damaged)))] = rng.integers(256)
        try:
            images.check_size(bytes(damaged), "a")
        except ImageError:
            refused += 1
    assert refused


def test_a_jpeg_is_decoded_to_a_part_of_its_pixels():
    """Each is the mean of a block, but for the rounding of colours."""
    y, x = np.mgrid[:70, :101]
    image = np.stack([x, 2 * y, 255 - x - y], axis=-1).astype(np.uint8)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    for block, part in ((0, 1), (1, 1), (2, 2), (3, 1), (12, 4), (8, 8), (30, 2)):
        assert images.part_of(data, block) == part
        small = images.decode(data, "a.jpg", (101, 70), part=part)
        assert small.shape == (-(-70 // part), -(-101 // part), 3)
        blocks = image[: 70 // part * part, : 101 // part * part].astype(float)
        means = blocks.reshape(70 // part, part, 101 // part, part, 3).mean(axis=(1, 3))
        difference = np.abs(small[: 70 // part, : 101 // part] - means)
        assert difference.mean() < 1 and difference.max() < 6
    with pytest.raises(images.ImageError, match="expected 102 x 72 px, got 101 x 70"):
        images.decode(data, "a.jpg", (102, 72), part=2)
    png = cv2.imencode(".png", image)[1].tobytes()
    assert images.part_of(png, 8) == 1
