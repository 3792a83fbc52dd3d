"""Landmarks of every detector, and lifted poses."""

import json

import numpy as np

from prior import points_file
from tests import landmark_files
from tests.fuzz.target import Target
from tests.landmark_formats import FORMATS, SIZE
from tools.lift import keypoints, lifted
from tools.lift.people import How


def points():
    """(3, 17, 2), px: a person who walks."""
    return landmark_files.image_points(landmark_files.walk(3))


def _written(name):
    def make(folder):
        place = folder / name
        FORMATS[name][0](place, points())
        return place if place.is_file() else sorted(place.iterdir())[1]

    return make


def _read(name):
    def read(path):
        keypoints.read(path if path.name == name else path.parent, How(size=lambda _: SIZE))

    return read


def _points_json(folder):
    values = {"points": points().tolist(), "camera": np.diag([1, -1, -1]).tolist()}
    (folder / "a.json").write_text(json.dumps(values))
    return folder / "a.json"


def _points_npz(folder):
    np.savez(folder / "a.npz", points=points(), confidence=np.ones((3, 17)))
    return folder / "a.npz"


def _lifted(suffix):
    def make(folder):
        from tools.lift import __main__ as tool

        source = _points_npz(folder)
        out = folder / f"lifted.{suffix}"
        assert tool.main([str(source), "--no-deviation", "--out", str(out)]) in (0, 3)
        source.unlink()
        return out

    return make


TARGETS = (
    *(Target(f"keypoints {name}", _written(name), _read(name)) for name in FORMATS),
    Target("points .json", _points_json, points_file.read),
    Target("points .npz", _points_npz, points_file.read),
    Target("keypoints points.json", _points_json, keypoints.read),
    Target("lifted .json", _lifted("json"), lifted.read),
    Target("lifted .npz", _lifted("npz"), lifted.read),
)
