"""Left and right of the body, beside those of the face and of the shoulders."""

import numpy as np
import pytest

from prior.landmark_sets import COCO
from tests import landmark_files as files
from tools.lift import __main__ as tool
from tools.lift import keypoints


def facing(swap=False, hips=False):
    """(1, 17, 3) COCO's landmarks of a standing person who faces the camera; swap: left and right
    of the body exchanged; hips: those of the hips alone."""
    names = list(COCO.names)
    place = {
        "nose": (0, -300), "eye": (12, -310), "ear": (25, -305), "shoulder": (60, -240),
        "elbow": (75, -150), "wrist": (80, -80), "hip": (35, -60), "knee": (35, 60),
        "ankle": (35, 170),
    }  # fmt: skip
    rows = np.ones((1, 17, 3))
    for i, name in enumerate(names):
        side, _, part = name.rpartition("_")
        x, y = place[part]
        # A person's left is on the right-hand side of the image.
        sign = {"left": 1, "right": -1, "": 0}[side]
        if (swap and part not in ("eye", "ear")) or (hips and part == "hip"):
            sign = -sign
        rows[0, i, :2] = 320 + sign * x, 400 + y
    return rows


@pytest.mark.parametrize(
    ("rows", "doubt"),
    [
        (facing(), None),
        (facing(swap=True), "of the body contradict the face in 1 of 1"),
        (facing(hips=True), "of the hips contradict the shoulders in 1 of 1"),
    ],
)
def test_left_and_right_that_contradict_each_other_are_said(tmp_path, rows, doubt):
    path = files.results(tmp_path / "a.json", rows)
    doubts = keypoints.read(path).doubts
    assert (not doubts) if doubt is None else doubt in doubts[0]
    # From the side, and with an unsure face, nobody can tell.
    narrow = rows.copy()
    narrow[..., 0] = 320 + 0.2 * (narrow[..., 0] - 320)
    assert not keypoints.read(files.results(path, narrow)).doubts
    unsure = facing(swap=True)
    unsure[0, 1:5, 2] = 0.1
    assert not keypoints.read(files.results(path, unsure)).doubts


def test_a_doubt_changes_the_exit_status(tmp_path, capsys):
    path, out = files.results(tmp_path / "a.json", facing(swap=True)), tmp_path / "o.npz"
    assert tool.main([str(path), "--out", str(out), "--elevation", "0"]) == 3
    assert "contradict the face" in capsys.readouterr().err
