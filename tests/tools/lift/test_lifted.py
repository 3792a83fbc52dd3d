"""Names of frames are text in tables, whatever they begin with."""

import csv

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
