import json

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from prior import metrics
from prior.mocap import Clip, clip_npz
from prior.simulation import room
from prior.skeleton import L
from tests.poses import random_poses
from tools.bench import lift as bench_lift
from tools.bench import lift_accuracy, lift_ways, tracks


def test_a_regressor_answers_in_the_world():
    images = room(random_poses(400), seed=0)
    learned = lift_accuracy.Regressor(Ridge(1e-3), images, seed=0)
    pose = learned.lift(images.points, images.cameras)
    error = lift_accuracy.errors(pose, images.truth)
    mean = np.repeat(pose.mean(axis=0)[None], 400, axis=0)
    assert error["mean"] < 0.8 * lift_accuracy.errors(mean, images.truth)["mean"]
    assert error["Procrustes"] < error["mean"]
    known = metrics.with_scale_of(pose, images.truth)
    assert error["root, known scale"] == metrics.root_aligned(known, images.truth).mean()


@pytest.mark.slow
def test_the_programs_write_their_results(tmp_path, capsys):
    for i in range(8):
        clip = Clip(random_poses(60, seed=i), 25, "S1", str(i))
        clip_npz.write(tmp_path / "clips" / f"{i}.npz", clip)
    out = tmp_path / "bench" / "accuracy.json"
    arguments = ["--mocap", str(tmp_path / "clips"), "--poses", "40", "--views", "1"]
    assert lift_accuracy.main([*arguments, "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["training_poses"] == 360 and "lifted, K = 3" in result["errors_mm"]["0 px"]
    assert "Shares of true landmarks" in capsys.readouterr().out
    assert lift_accuracy.main(["--mocap", str(tmp_path / "nothing")]) == 1
    assert capsys.readouterr().err.startswith("python -m tools.bench.lift_accuracy: ")
    out = tmp_path / "lift.json"
    assert bench_lift.main(["--poses", "300", "--rounds", "1", "--out", str(out)]) == 0
    speed = json.loads(out.read_text())["models"]["K = 1"]
    assert speed["poses_per_second"]["best"] > 100 * speed["twin_poses_per_second"]


CONDITIONS = ((5, 0.0), (5, 0.05))


def test_a_share_of_the_landmarks_is_anywhere_about_the_person():
    images = room(random_poses(200), seed=0)
    points, std = lift_ways.detected(images, 5, 0.1, seed=1)
    off = np.linalg.norm(points - images.points, axis=2) / std
    assert 0.05 < (off > 5).mean() < 0.12
    low, high = images.points.min(axis=1), images.points.max(axis=1)
    wrong = off > 5
    inside = (points >= low[:, None]) & (points <= high[:, None])
    assert inside[wrong].all()
    clean, _ = lift_ways.detected(images, 0, 0.0, seed=1)
    np.testing.assert_array_equal(clean, images.points)
    assert np.sqrt(np.square(std).mean()) == pytest.approx(5, rel=0.02)


@pytest.mark.slow
def test_every_way_of_lifting_is_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(lift_ways, "COMPONENTS", (1,))
    monkeypatch.setattr(lift_ways, "CONDITIONS", CONDITIONS)
    monkeypatch.setattr(lift_ways, "BASIS", 5)
    monkeypatch.setattr(lift_ways, "VIEWS", 1)
    monkeypatch.setattr(lift_ways, "FREEDOMS", (4.0,))
    monkeypatch.setattr(lift_ways, "DOUBTS", (9.0, 20.0))
    for i in range(8):
        clip = Clip(random_poses(40, seed=i), 25, "S1", str(i))
        clip_npz.write(tmp_path / "clips" / f"{i}.npz", clip)
    out = tmp_path / "ways.json"
    arguments = ["--mocap", str(tmp_path / "clips"), "--poses", "6", "--out", str(out)]
    assert lift_ways.main(arguments) == 0
    record = json.loads(out.read_text())
    lifted = [row for row in record["rows"] if row["components"] == 1]
    assert [row["way"] for row in lifted] == list(lift_ways.WAYS) * 2
    learned = [row for row in record["rows"] if row["components"] is None]
    for rows in (lifted, learned):
        assert {(row["noise_px"], row["outliers"]) for row in rows} == set(CONDITIONS)
    assert len(record["robust_on_training_poses"]) == 2
    assert lifted[0]["noise_mm"] == 0 and lifted[1]["noise_mm"] == 20
    printed = capsys.readouterr().out
    assert lift_ways.markdown(record) in printed and printed.count("as published") == 1
    assert printed.count(lift_ways.REGRESSION) == 1


@pytest.mark.slow
def test_clips_are_lifted_as_motions(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tracks, "NOISES_PX", (5,))
    monkeypatch.setattr(tracks, "BASIS", 5)
    for i in range(6):
        clip = Clip(random_poses(12, seed=i), 25, "S1", str(i))
        clip_npz.write(tmp_path / "clips" / f"{i}.npz", clip)
    out = tmp_path / "tracks.json"
    assert tracks.main(["--mocap", str(tmp_path / "clips"), "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["held_out_clips"] == 2 and result["held_out_frames"] == 24
    assert len(result["rows"]) == 2 * 3
    assert "| K = 3, and smoothed" in capsys.readouterr().out


def test_a_flip_is_a_step_that_the_truth_does_not_make():
    truth = np.zeros((6, L, 3)) + np.arange(6)[:, None, None] * random_poses(1, seed=1)[0] / 100
    pose = truth.copy()
    pose[3, :, 2] *= -1
    assert tracks.flips(truth, truth) == 0 and tracks.flips(pose, truth) == 0
    pose[3, 4:, 2] += 400 * (-1) ** np.arange(L - 4)
    assert tracks.flips(pose, truth) == 2
    assert tracks.flips(pose + 5000 * np.arange(6)[:, None, None], truth) == 2
