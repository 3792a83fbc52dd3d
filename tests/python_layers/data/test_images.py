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
