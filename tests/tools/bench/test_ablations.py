import json

import numpy as np
import pytest

import prior
from prior import metrics
from prior.camera import LEVEL
from prior.skeleton import LANDMARKS, PROTOCOL_14
from tests.poses import random_poses
from tools.bench import ablations
from tools.evaluate import predictions, protocols, truth

INTRINSICS = np.array([[1145.0, 0, 500], [0, 1145, 500], [0, 0, 1]])


@pytest.fixture(scope="module")
def model():
    return prior.fit(random_poses(400), components=2, basis=6, solver="closed-form")


@pytest.fixture(scope="module")
def frames():
    """Poses of S9, 20 m before a level camera: nearly in weak perspective."""
    poses = random_poses(30, seed=1)
    poses -= poses[:, :1]
    place = np.array([0, 0, 20000.0])
    in_camera = (poses - place) @ LEVEL.T
    points = (in_camera @ INTRINSICS.T)[..., :2] / in_camera[..., 2:]
    count = len(poses)
    index = protocols.index(
        ["S9"] * count, ["Walking"] * count, ["54138969"] * count, range(0, 5 * count, 5)
    )
    return truth.Truth(
        "here",
        True,
        index,
        points,
        poses,
        np.tile(LEVEL, (count, 1, 1)),
        np.tile(INTRINSICS, (count, 1, 1)),
        np.zeros((count, 14)),
    )


def _predictions(frames, points, tmp_path):
    np.savez(
        tmp_path / "p.npz",
        landmarks=np.array(LANDMARKS),
        points=points,
        subject=frames.index.subject,
        action=frames.index.sequence,
        camera=frames.index.camera,
        frame=frames.index.frame,
    )
    return predictions.load(tmp_path / "p.npz")


def test_every_ablation_is_there(frames, model, tmp_path):
    fitted = []

    def fit(components, basis):
        fitted.append((components, basis))
        return model

    detected = {"net": _predictions(frames, frames.points + 1, tmp_path)}
    few = ablations.evenly(frames, 7)
    settings = list(ablations.settings(frames, few, model, fit, detected))
    by_group = {}
    for setting in settings:
        by_group.setdefault(setting.group.split(",")[0], []).append(setting)
    rotations = [s.rotations for s in by_group["rotations"] if not s.options]
    assert rotations == [20, 80, 100, 10000] and len(few) == 7
    assert {k for k, j in fitted if j == 25} >= {1, 3} and {j for k, j in fitted if k == 3} >= {5}
    (refined,) = [s for s in settings if s.options.get("refine")]
    (searched,) = [s for s in settings if s.options.get("tilt")]
    assert refined.rotations == 20 and searched.group == "camera"
    assert [s.name for s in by_group["landmarks"]] == ["true 2D", "detected: net"]
    np.testing.assert_array_equal(by_group["landmarks"][1].points, frames.points + 1)
    noise = by_group["noise added to the true 2D landmarks"]
    assert np.std(noise[-1].points - frames.points) == pytest.approx(10, rel=0.05)


def test_a_row_against_the_lifting_itself(frames, model):
    setting = ablations.Setting(
        "camera", "known", frames, frames.points, model, camera="known", rotations=40
    )
    row = ablations.measure(setting)
    pose = prior.lift(frames.points, model, camera=LEVEL, rotations=40).pose
    error = np.linalg.norm(
        (pose - pose[:, :1]) - (frames.poses_mm - frames.poses_mm[:, :1]), axis=-1
    )
    assert row["root_aligned_mm"] == pytest.approx(error.mean(), rel=1e-6)
    subset = metrics.procrustes_aligned(pose[:, PROTOCOL_14], frames.poses_mm[:, PROTOCOL_14])
    assert row["procrustes_14_mm"] == pytest.approx(subset.mean(), rel=1e-6)
    assert row["frames"] == 30 and row["not_lifted"] == 0


def test_poses_not_lifted_are_counted_and_left_out(frames, model):
    points = frames.points.copy()
    points[:4] = 100  # all in one place
    row = ablations.measure(ablations.Setting("landmarks", "x", frames, points, model))
    rest = frames.take(np.arange(4, 30))
    alone = ablations.measure(ablations.Setting("landmarks", "x", rest, rest.points, model))
    assert row["not_lifted"] == 4
    assert row["root_aligned_mm"] == pytest.approx(alone["root_aligned_mm"])


def test_without_a_camera_only_procrustes_counts(frames, model):
    row = ablations.measure(
        ablations.Setting("camera", "level", frames, frames.points, model, camera="level")
    )
    assert row["root_aligned_mm"] is None and row["procrustes_14_mm"] > 0
    assert (
        ablations.measure(
            ablations.Setting(
                "camera",
                "tilt",
                ablations.evenly(frames, 5),
                frames.points[:5],
                model,
                camera="tilt",
                options={"tilt": True},
            )
        )["root_aligned_mm"]
        is None
    )


def test_pages(frames, model, tmp_path):
    rows = [
        ablations.measure(ablations.Setting("camera", name, frames, frames.points, model))
        for name in ("a", "b")
    ]
    record = {"data": "here", "human36m": False, "prior": "p", "mocap": [], "rows": rows}
    ablations.write(tmp_path / "out", record)
    assert json.loads((tmp_path / "out/ablations.json").read_text()) == record
    for name in ("ablations.md", "ablations.html"):
        text = (tmp_path / "out" / name).read_text()
        assert "which is not Human3.6M" in text and "No motion capture" in text
        assert f"{rows[0]['root_aligned_mm']:.1f}" in text


def test_wrong_data_is_one_line(tmp_path, capsys):
    assert ablations.main(["--data", str(tmp_path / "none.json"), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1 and not list(tmp_path.iterdir())
