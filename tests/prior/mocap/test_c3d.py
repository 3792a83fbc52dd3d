"""C3D files, damaged ones too: ezc3d works in a process that is limited."""

import ezc3d
import numpy as np
import pytest

from prior.mocap import c3d
from prior.mocap.clip import MocapError


@pytest.fixture
def path(tmp_path):
    """Three frames of two markers."""
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [100.0]
    file["parameters"]["POINT"]["LABELS"]["value"] = ["A", "B"]
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["data"]["points"] = np.concatenate([positions().T, np.ones((1, 2, 3))])
    file.write(str(tmp_path / "a.c3d"))
    return tmp_path / "a.c3d"


def positions():
    return np.arange(18.0).reshape(3, 2, 3) + 1


def test_what_was_written_comes_back(path):
    values = c3d.load(path)
    np.testing.assert_allclose(values["positions"], positions())
    assert values["names"].tolist() == ["A", "B"] and values["unit"] == "mm"
    assert values["rate"] == 100 and values["hidden"].shape == (3, 2)


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_file_is_refused_or_read(path, seed):
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for place in rng.integers(12, len(content), 30):
        content[place] = rng.integers(256)
    path.write_bytes(content)
    try:
        c3d.load(path)
    except MocapError as error:
        assert str(path) in str(error) and "\n" not in str(error)
