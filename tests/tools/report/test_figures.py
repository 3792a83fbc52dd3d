"""Which images the figures show, and what is drawn; figure 3 is in tests/caffe/test_evaluate.py."""

import json
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from prior import show
from prior.camera import LEVEL, vertical_rotation
from tests.poses import random_poses
from tools.report import evaluated, figures


@pytest.fixture
def run():
    """12 images of two actions; errors rise with the number within an action."""
    count = 12
    truth = np.random.default_rng(0).uniform(20, 80, (count, 17, 2))
    poses = random_poses(count)
    people = SimpleNamespace(
        image=lambda i: np.full((100, 100, 3), 200, np.uint8),
        subjects=("S9",) * count,
        actions=("punch",) * 6 + ("run",) * 6,
        boxes=np.tile([20.0, 20, 60, 60], (count, 1)),
        points=truth,
        poses_mm=poses,
        rotations=np.tile(LEVEL, (count, 1, 1)),
    )
    gain = np.array([0.0, 1, 5, 2, 0, 0, 3, -4, 0, 0, 0, 0])  # px, of the fusion
    before = truth + [10, 0]
    after = truth + np.array([10, 0]) * (1 - gain / 10)[:, None, None]
    predictions = {
        "beliefs": np.stack([truth, before]),
        "points": np.stack([truth, after]),
        "poses": np.stack([poses, poses]),
    }
    error = np.array([10.0, 20, 30, 40, 50, 60, 600, 500, 400, 300, 200, 100])
    yield evaluated.EvaluatedNetwork(people, None, predictions, None, None, error)
    plt.close("all")


def test_typical_images_and_failures(run):
    # The quarter of six: the second lowest of each.
    assert figures.typical(run) == [1, 10]
    assert figures.failures(run) == [5, 6]


def test_refined_images_gain_most_in_the_last_stage(run):
    refined = figures.refined(run)
    assert [i for i, *_ in refined] == [2, 6, 3, 1]  # the best of each action first
    for i, before, after in refined:
        assert before == pytest.approx(10)
        assert after == pytest.approx({2: 5, 6: 7, 3: 8, 1: 9}[i])


@pytest.mark.slow
def test_figures_4_and_5_draw_what_they_say(run):
    four = figures.figure_4(run)
    titles = [axes.get_title() for axes in four.axes]
    assert titles.count("S9 punch") == 2 and "20 mm" in titles and "600 mm" in titles
    five = figures.figure_5(run)
    titles = [axes.get_title() for axes in five.axes]
    assert titles[:3] == ["predicted, 10.0 px", "refined, 5.0 px", "true: S9 punch"]
    # The refined landmarks' limbs are what is drawn, in px of the image.
    hip = five.axes[1].lines[0].get_xydata()[0]
    assert hip == pytest.approx(run.predictions["points"][1, 2, 0])


def test_a_pose_is_drawn_as_its_camera_sees_it():
    """Turn the camera about the vertical: what is drawn is x to the right of that camera."""
    pose = random_poses(1)[0]
    for angle in (0.0, 0.7, 2.5, -1.2):
        rotation = LEVEL @ vertical_rotation(angle)
        people = SimpleNamespace(rotations=rotation[None])
        flat = show.flattened(pose, evaluated.facing(people, 0))
        np.testing.assert_allclose(flat, (pose @ rotation.T)[:, :2] * [1, -1], atol=1e-9)


def test_what_is_missing_is_named(tmp_path, capsys):
    arguments = ["--eval", str(tmp_path), "--out", str(tmp_path / "out")]
    assert figures.main(arguments) == 1
    assert "predictions.npz: no such file; run make eval" in capsys.readouterr().err
    np.savez(tmp_path / "predictions.npz", points=np.zeros((3, 1, 17, 2)))
    (tmp_path / "errors.json").write_text(json.dumps({}))
    assert figures.main([*arguments, "--data", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("predictions.npz", b"", "predictions.npz: expected an .npz"),
        ("predictions.npz", b"PK\x03\x04", "predictions.npz: expected an .npz"),
    ],
)
def test_a_damaged_evaluation_is_one_line(tmp_path, capsys, name, content, message):
    for file in ("predictions.npz", "errors.json"):
        (tmp_path / file).write_bytes(b"{}")
    (tmp_path / name).write_bytes(content)
    assert figures.main(["--eval", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
