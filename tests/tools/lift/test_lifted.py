"""Lifted poses: names of frames are text in tables; what is no `meta` is one line."""

import csv
import json

import numpy as np
import pytest

from tests.poses import random_poses
from tests.tools.lift.made import made
from tools.lift import angles, lifted

NAMES = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "a=1", "7.jpg"]


@pytest.mark.parametrize("table", ["poses", "angles"])
def test_no_cell_is_a_formula(tmp_path, table):
    pose_mm = random_poses(len(NAMES), seed=0)
    poses = made(pose_mm, {"frames": NAMES, "first_frame": 0, "rate": None})
    path = tmp_path / "a.csv"
    if table == "poses":
        lifted.write_csv(path, poses)
    else:
        angles.write_csv(path, poses, pose_mm)
    with open(path, newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    assert [name.removeprefix("'") for name in names] == NAMES
    assert [name[0] == "'" for name in names] == [True] * 5 + [False] * 2


@pytest.mark.parametrize(
    "meta",
    [
        lambda text: text.replace('"rate": null', f'"rate": {"1" * 5000}'),
        lambda text: text.replace('"rate": null', '"rates": null'),
        lambda text: text.replace('"first_frame": 0', f'"first_frame": {10**400}'),
        lambda text: text.replace('"rate": null', '"rate": "fast"'),
        lambda text: text.replace('"rate": null', '"rate": null, "searched_tilt": {}'),
        lambda text: text.replace('["a", "b"]', '["a", 2]'),
        lambda text: text[:-1],
        lambda text: json.dumps([text]),
    ],
)
def test_what_is_no_meta_is_one_line(tmp_path, meta):
    poses = made(random_poses(2, seed=0), {"frames": ["a", "b"], "first_frame": 0, "rate": None})
    path = tmp_path / "a.npz"
    lifted.write_npz(path, poses)
    arrays = dict(np.load(path))
    text = str(arrays["meta"])
    assert meta(text) != text
    np.savez(path, **arrays | {"meta": meta(text)})
    with pytest.raises(lifted.PosesError, match=r"a.npz: (expected|\$)") as caught:
        lifted.read(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
