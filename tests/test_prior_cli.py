import json
import subprocess
import sys

import numpy as np
import pytest

import prior
from prior.__main__ import main
from prior.skeleton import LANDMARKS
from tests.poses import random_poses


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mocap")
    for i, name in enumerate(("walk", "wave")):
        np.savez(folder / f"{name}.npz", poses_mm=random_poses(60, seed=i).astype(np.float32),
                 rate=50.0, subject="S1", action=name)  # fmt: skip
    arguments = ["--components", "2", "--basis", "5", "--solver", "closed-form"]
    assert main(["fit", str(folder), "--out", str(folder / "model.prior"), *arguments]) == 0
    return folder


def test_fit_is_prior_fit(folder):
    model = prior.load(folder / "model.prior")
    poses = np.concatenate([random_poses(60, seed=i).astype(np.float32) for i in range(2)])
    direct = prior.fit(poses, components=2, basis=5, solver="closed-form")
    np.testing.assert_allclose(model.mean, direct.mean, atol=1e-6)
    assert model.meta["source"] == "2 clips of S1"


def test_show_describes_and_draws(folder, tmp_path, capsys):
    out = tmp_path / "pictures" / "model.png"
    assert main(["show", str(folder / "model.prior"), "--out", str(out)]) == 0
    assert "5 basis vectors" in capsys.readouterr().out
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["json", "npz"])
def test_lift_is_prior_lift(folder, tmp_path, kind):
    points = random_poses(4, seed=7)[..., :2] * [0.2, -0.2]
    path = tmp_path / f"points.{kind}"
    if kind == "json":
        path.write_text(json.dumps({"points": points.tolist(), "landmarks": LANDMARKS}))
    else:
        np.savez(path, points=points)
    out = tmp_path / "poses.npz"
    assert main(["lift", str(folder / "model.prior"), str(path), "--out", str(out)]) == 0
    expected = prior.lift(points, prior.load(folder / "model.prior"))
    with np.load(out) as file:
        np.testing.assert_allclose(file["pose"], expected.pose)
        assert file["landmarks"].tolist() == list(LANDMARKS)


def test_lift_has_the_options_of_prior_lift(folder, tmp_path):
    points = random_poses(4, seed=7)[..., :2] * [0.2, -0.2]
    path, out = tmp_path / "points.npz", tmp_path / "poses.npz"
    np.savez(path, points=points)
    options = ["--rotations", "20", "--refine", "--tilt", "--deviation", "--noise-mm", "30"]
    assert main(["lift", str(folder / "model.prior"), str(path), "--out", str(out), *options]) == 0
    lifter = prior.Lifter(prior.load(folder / "model.prior"), 20, 30)
    expected = lifter.lift(points, refine=True, tilt=True)
    with np.load(out) as file:
        np.testing.assert_allclose(file["pose"], expected.pose)
        np.testing.assert_allclose(file["camera"], expected.camera)
        np.testing.assert_allclose(
            file["deviation_mm"], lifter.deviation(points, expected, expected.camera)
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected points as JSON"),
        ("[]", "expected 'points'"),
        ('{"points": [[1, 2], [3]]}', "expected arrays of numbers"),
        ('{"points": [], "landmarks": ["a"]}', "landmarks: expected"),
    ],
)
def test_bad_points_are_one_line(folder, tmp_path, capsys, content, message):
    path = tmp_path / "points.json"
    path.write_text(content)
    out = tmp_path / "poses.npz"
    assert main(["lift", str(folder / "model.prior"), str(path), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and str(path) in error
    assert not out.exists()


def test_no_motion_capture_is_one_line(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "prior", "fit", str(tmp_path), "--out", str(tmp_path / "m.npz")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 2 and "no motion capture found" in run.stderr
    assert run.stderr.count("\n") == 1 and not list(tmp_path.iterdir())
