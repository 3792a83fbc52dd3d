"""What is no file of landmarks is refused with what is in it."""

import gzip
import json

import numpy as np
import pytest

from tools.lift import keypoints
from tools.lift.people import KeypointError


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"shapes": [{"label": "person", "points": [1, 2]}]}, "shapes: a list of an object"),
        ({"version": "4", "data": {"a": 1}}, "version: text, data: an object with a"),
        ([[1, 2], [3, 4]], "a list of a list"),
    ],
)
def test_an_unknown_file_is_described(tmp_path, content, expected):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    with pytest.raises(KeypointError) as caught:
        keypoints.read(path)
    assert expected in str(caught.value) and "expected 2D landmarks, as" in str(caught.value)


def test_an_unknown_archive_is_described(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, poses=np.zeros((5, 24, 3)), gender="f")
    with pytest.raises(KeypointError, match="poses: float64 5 x 24 x 3, gender"):
        keypoints.read(path)


def test_a_compressed_file_is_named(tmp_path):
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(b'{"people": []}'))
    with pytest.raises(KeypointError, match="gzip archive .unpack it."):
        keypoints.read(path)
