"""What is asked of clips whatever their format, and reading folders of several."""

import argparse
import re

import numpy as np
import pytest

from prior import mocap
from prior.__main__ import main
from prior.mocap import Clip, MocapError
from prior.mocap.arguments import add_clips, read_clips
from prior.mocap.clip import check
from tests.poses import random_poses
from tests.prior.mocap.bvh_files import MAKERS, write_bvh


def _nan(poses):
    poses = poses.copy()
    poses[3, 4, 1] = np.nan
    return poses


def _mixed(poses):
    poses = poses.copy()
    poses[7:] *= 1.2
    return poses


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda poses: poses[:0], "expected at least 2 frames, got 0"),
        (lambda poses: poses[:1], "expected at least 2 frames, got 1"),
        (_nan, "1 of 20 have NaN or infinite coordinates, the first is number 3"),
        (lambda poses: poses / 1000, "are they in metres?"),
        (lambda poses: poses * 10, "expected millimetres"),
        (_mixed, "frame 0: expected one skeleton"),
        (lambda poses: _mixed(poses[:10]), "frame 7: expected one skeleton"),
    ],
)
def test_clips_that_cannot_be_used(tmp_path, change, says):
    poses = change(random_poses(20))
    with pytest.raises(MocapError, match=re.escape(says)) as caught:
        check(Clip(poses, 50.0, "S1", "walk"), "a file")
    assert str(caught.value).startswith("a file: ") and "\n" not in str(caught.value)
    names = ["good"] * 20 + ["bad"] * len(poses)
    np.savez(
        tmp_path / "both.npz",
        rate=50,
        subject="S1",
        poses_mm=np.concatenate([random_poses(20), poses]),
        clip=names,
    )
    if len(poses):
        with pytest.raises(MocapError, match=r"both.npz: S1, bad: "):
            mocap.read(tmp_path)


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf])
def test_a_rate_is_positive(rate):
    with pytest.raises(MocapError, match="expected a positive rate"):
        check(Clip(random_poses(3), rate, "S1", "walk"), "a file")


def test_what_is_no_motion_capture(tmp_path):
    with pytest.raises(MocapError, match="no such file"):
        mocap.read(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "01.asf").write_text(":version 1.10")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(MocapError, match="no motion capture found; expected .amc with .asf"):
            mocap.find(path)


@pytest.fixture
def folder(tmp_path):
    for name, frames in (("stand", 300), ("wave", 60)):
        poses = random_poses(60, seed=frames)
        poses = np.repeat(poses[:1], frames, axis=0) if name == "stand" else poses
        np.savez(tmp_path / f"{name}.npz", poses_mm=poses, rate=50.0, subject="S1", action=name)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "360 poses of 2 clips"),
        (["--rate", "25"], "kept 180 of 360 frames"),
        (["--min-change", "1"], "kept 61 of 360 frames"),
        (["--rate", "25", "--min-change", "1"], "kept 31 of 360 frames"),
    ],
)
def test_fit_leaves_out_frames(folder, capsys, options, says):
    out = folder / "model.prior"
    fit = ["fit", str(folder), "--out", str(out), "--components", "1", "--basis", "3"]
    assert main([*fit, "--solver", "closed-form", *options]) == 0
    assert says in capsys.readouterr().out and out.exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rate", "0"], "rate: expected a positive number"),
        (["--min-change", "-1"], "change: expected millimetres"),
        (["--joint-map", "none.json"], "none.json: cannot be read"),
    ],
)
def test_bad_options_are_one_line(folder, capsys, options, says):
    out = folder / "model.prior"
    assert main(["fit", str(folder), "--out", str(out), *options]) == 1
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and not out.exists()


def test_clips_of_two_kinds_of_skeleton_are_said(tmp_path, caplog):
    for name in ("a", "b"):
        write_bvh(tmp_path / f"{name}.bvh", still=True)
    mocap.read(tmp_path)
    assert not caplog.text
    write_bvh(tmp_path / "c.bvh", still=True, rename=MAKERS["Unreal"])
    mocap.read(tmp_path)
    assert "clips of 2 kinds of skeleton" in caplog.text
    assert "1 on Unreal's skeleton" in caplog.text and "2 on a skeleton with Hips" in caplog.text
    caplog.clear()
    parser = argparse.ArgumentParser()
    add_clips(parser)
    read_clips(parser.parse_args([str(tmp_path)]))
    assert caplog.text.count("clips of 2 kinds of skeleton") == 1
