"""The table of the ready prior's errors on people whom no training saw."""

import json

import numpy as np
import pytest

import prior
from prior.metrics import root_aligned, with_scale_of
from prior.mocap import motion
from prior.model import READY
from prior.simulation import room
from tools.bench import ready_prior

COUNT = 44


@pytest.fixture(scope="module")
def record():
    return ready_prior.measure([("ready", READY)], COUNT, 3)


def test_only_test_subjects_and_every_kind(record):
    assert set(record["subjects"]) <= set(motion.TEST_SUBJECTS)
    counts = dict(record["poses"])
    assert counts.pop("all") == COUNT == sum(counts.values())
    assert set(counts.values()) == {4} and len(counts) == 11


def test_errors_by_hand(record):
    clips = ready_prior.sampling.balanced(motion.load("test"), COUNT)
    images = room(np.concatenate([clip.poses for clip in clips]), 3)
    lifted = prior.lift(images.points, prior.load(), camera=images.cameras)
    each = root_aligned(with_scale_of(lifted.pose, images.truth), images.truth)
    kinds = [clip.kind for clip in clips for _ in clip.poses]
    expected = np.mean([e for e, kind in zip(each, kinds, strict=True) if kind == "sit"])
    row = record["rows"][0]
    assert row["lens"] == "unknown"
    assert row["errors"]["sit"]["mpjpe_mm"] == pytest.approx(expected)
    assert row["errors"]["all"]["mpjpe_mm"] == pytest.approx(each.mean())


@pytest.mark.slow
def test_other_motion_by_its_actions(tmp_path):
    """Of clips that say no kind of motion, each action is one."""
    walk = motion.load("test", kind="walk")[0].poses
    for name in "run", "climb":
        path = tmp_path / f"somebody_{name}.npz"
        np.savez(path, poses_mm=walk[:40], rate=30.0, subject="somebody", action=name)
    record = ready_prior.measure([("ready", READY)], 20, 3, [tmp_path])
    assert record["poses"] == {"all": 20, "climb": 10, "run": 10}
    assert record["subjects"] == ["somebody"]


@pytest.mark.slow
def test_the_table_and_the_file(record, tmp_path, capsys):
    out = tmp_path / "a.json"
    assert ready_prior.main(["--poses", "22", "--out", str(out)]) == 0
    assert "cmu_training, lens known" in capsys.readouterr().out
    assert json.loads(out.read_text())["poses"]["all"] == 22
    assert ready_prior.main(["--poses", "0", "--out", str(out)]) == 1
    assert "| sit " in ready_prior.markdown(record)
