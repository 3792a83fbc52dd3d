import json

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from prior import metrics
from prior.camera import decompose
from prior.mocap import Clip, clip_npz
from tests.poses import random_poses
from tools import bench_lift, lift_accuracy


def test_the_room_is_seen_by_cameras_like_human36ms():
    scene = lift_accuracy.room(random_poses(200), seed=0)
    assert np.abs(scene.points - [512, 512]).max() < 400  # wholly in the image
    assert np.abs(scene.points.mean(axis=1) - [512, 512]).max() < 30  # turned towards the person
    elevation = np.rad2deg(decompose(scene.cameras)[1])
    assert 0 < elevation.min() and elevation.max() < 20
    np.testing.assert_allclose(scene.truth[..., 1].min(axis=1), 0, atol=1e-9)
    noise = scene.seen(10) - scene.points
    assert noise.std() == pytest.approx(10, rel=0.05)
    np.testing.assert_array_equal(noise, scene.seen(10) - scene.points)


def test_clips_are_held_out_whole():
    clips = [Clip(np.full((3, 17, 3), i), 1, "", "") for i in range(9)]
    training, held = lift_accuracy.split(clips, seed=0)
    numbers = [[int(p[0, 0, 0]) for p in part] for part in (training, held)]
    assert len(numbers[1]) == 2 and sorted(sum(numbers, [])) == list(range(9))


def test_a_regressor_answers_in_the_world():
    scene = lift_accuracy.room(random_poses(400), seed=0)
    learned = lift_accuracy.Regressor(Ridge(1e-3), scene, seed=0)
    pose = learned.lift(scene.points, scene.cameras)
    error = lift_accuracy.errors(pose, scene.truth)
    mean = np.repeat(pose.mean(axis=0)[None], 400, axis=0)
    assert error["mean"] < 0.8 * lift_accuracy.errors(mean, scene.truth)["mean"]
    assert error["Procrustes"] < error["mean"]
    known = metrics.with_scale_of(pose, scene.truth)
    assert error["root, known scale"] == metrics.root_aligned(known, scene.truth).mean()


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
    assert "Shares of truths" in capsys.readouterr().out
    assert lift_accuracy.main(["--mocap", str(tmp_path / "nothing")]) == 1
    assert "error: " in capsys.readouterr().err
    out = tmp_path / "lift.json"
    assert bench_lift.main(["--poses", "300", "--rounds", "1", "--out", str(out)]) == 0
    speed = json.loads(out.read_text())["K = 1"]
    assert speed["poses_per_second"]["best"] > 100 * speed["twin_poses_per_second"]
