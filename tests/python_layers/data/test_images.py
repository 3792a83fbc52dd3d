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


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tiff", ".webp"])
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
