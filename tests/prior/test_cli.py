import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import prior
from prior import skeleton_file
from prior.__main__ import main
from prior.mocap import clip_npz
from prior.mocap.clip import Clip
from prior.skeleton import HUMAN36M, LANDMARKS
from tests.hands import HAND, random_hands
from tests.poses import random_poses


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mocap")
    for i, name in enumerate(("walk", "wave")):
        np.savez(
            folder / f"{name}.npz",
            poses_mm=random_poses(60, seed=i).astype(np.float32),
            rate=50.0,
            subject="S1",
            action=name,
        )
    arguments = ["--components", "2", "--basis", "5", "--solver", "closed-form"]
    assert main(["fit", str(folder), "--out", str(folder / "model.prior"), *arguments]) == 0
    return folder


def test_fit_is_prior_fit(folder):
    model = prior.load(folder / "model.prior")
    poses = np.concatenate([random_poses(60, seed=i).astype(np.float32) for i in range(2)])
    direct = prior.fit(poses, components=2, basis=5, solver="closed-form")
    np.testing.assert_allclose(model.mean, direct.mean, atol=1e-6)
    assert model.meta["source"] == "120 poses of 2 clips of subjects S1"


@pytest.mark.slow
def test_fit_and_lift_another_skeleton(tmp_path, capsys):
    hands = Clip(random_hands(300), 50.0, "S1", "wave", skeleton=HAND)
    clip_npz.write(tmp_path / "hands.npz", hands)
    (tmp_path / "hand.json").write_text(json.dumps(skeleton_file.to_json(HAND)))
    arguments = ["fit", str(tmp_path / "hands.npz"), "--out", str(tmp_path / "hand.prior")]
    arguments += ["--components", "1", "--basis", "4", "--solver", "closed-form"]
    assert main([*arguments, "--skeleton", str(tmp_path / "hand.json")]) == 0
    assert "21 landmarks" in capsys.readouterr().out
    model = prior.load(tmp_path / "hand.prior")
    assert model.skeleton == HAND
    points = hands.poses[:20, :, :2] * [1, -1]
    np.savez(tmp_path / "points.npz", points=points, landmarks=np.array(HAND.landmarks))
    out = ["--out", str(tmp_path / "poses.npz")]
    assert main(["lift", str(tmp_path / "hand.prior"), str(tmp_path / "points.npz"), *out]) == 0
    lifted = np.load(tmp_path / "poses.npz")
    assert tuple(lifted["landmarks"]) == HAND.landmarks and lifted["pose"].shape == (20, 21, 3)
    assert main(["show", str(tmp_path / "hand.prior"), "--out", str(tmp_path / "hand.png")]) == 0
    # People's motion is no motion of hands, nor the other way round.
    with pytest.raises(prior.ModelFileError, match="expected a model of the landmarks hip"):
        prior.load(tmp_path / "hand.prior", HUMAN36M)
    assert main(arguments) == 1
    assert "expected" in capsys.readouterr().err


@pytest.mark.slow
def test_fit_as_published_and_in_parts(folder, tmp_path):
    # Every option names a field of Method, and those not named are the paper's, or the defaults.
    out = tmp_path / "model.npz"
    arguments = ["fit", str(folder / "walk.npz"), "--out", str(out), "--components", "1"]
    arguments += ["--basis", "2", "--solver", "closed-form"]

    def method(*options):
        assert main([*arguments, *options]) == 0
        return prior.load(out).meta.get("method", {})

    assert method() == {}
    published = {
        "factorisation": "real",
        "alternations": 10,
        "limit": 10,
        "extrapolate": False,
        "first": 0,
    }
    assert method("--as-published") == published
    assert method("--as-published", "--alternations", "3", "--extrapolation") == {
        "factorisation": "real",
        "alternations": 3,
        "limit": 10,
        "first": 0,
    }
    parts = ["--factorisation", "real", "--alternations", "10", "--limit", "10"]
    assert method(*parts, "--no-extrapolation", "--first", "0") == published
    assert method("--no-annealing", "--tolerance", "0.01") == {"annealed": False, "tolerance": 0.01}


def test_a_method_that_does_not_exist_is_one_line(folder, tmp_path, capsys):
    out = str(tmp_path / "model.npz")
    assert main(["fit", str(folder / "walk.npz"), "--out", out, "--first", "-1"]) == 1
    assert capsys.readouterr().err.endswith("first: expected 0 or more, got -1\n")


@pytest.mark.slow
def test_select_prints_and_writes_what_it_found(folder, tmp_path, capsys):
    out = tmp_path / "select.json"
    sizes = ["--components", "1", "2", "--basis", "3", "5", "--hold-out", "clip"]
    clips = [str(folder / name) for name in ("walk.npz", "wave.npz")]
    assert main(["select", *clips, *sizes, "--solver", "closed-form", "--out", str(out)]) == 0
    candidates = json.loads(out.read_text())["candidates"]
    assert [(c["components"], c["basis"]) for c in candidates] == [(1, 3), (2, 3), (1, 5), (2, 5)]
    lines = capsys.readouterr().out.splitlines()
    assert "fitted to 60 poses of 1 clips" in lines[0] and len(lines) == 8
    best = min(candidates, key=lambda c: c["mpjpe_mm"])
    assert f"lifting error: K = {best['components']}, J = {best['basis']}" in lines[-2]


def test_one_subject_cannot_be_held_out(folder, capsys):
    assert main(["select", str(folder / "walk.npz")]) == 1
    error = capsys.readouterr().err
    assert "expected motion capture of 2 subjects" in error and error.count("\n") == 1


@pytest.mark.slow
def test_show_describes_and_draws(folder, tmp_path, capsys):
    out = tmp_path / "pictures" / "model.png"
    assert main(["show", str(folder / "model.prior"), "--out", str(out)]) == 0
    assert "5 basis vectors" in capsys.readouterr().out
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_figure_of_no_known_kind_is_one_line(folder, tmp_path, capsys):
    out = tmp_path / "model.doc"
    assert main(["show", str(folder / "model.prior"), "--out", str(out)]) == 1
    assert f"{out}: expected a figure, .png, .svg, .pdf" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("command", ["fit", "select", "show", "lift", "import", "export"])
def test_help_says_what_each_option_is(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert "--out" in text and "None" not in text


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
        np.testing.assert_allclose(file["deviation_mm"], lifter.deviation(expected))


def test_lift_takes_frames_as_one_motion(folder, tmp_path, capsys):
    points = random_poses(4, seed=7)[..., :2] * [0.2, -0.2]
    path, out = tmp_path / "points.npz", tmp_path / "poses.npz"
    np.savez(path, points=points)
    arguments = ["lift", str(folder / "model.prior"), str(path), "--out", str(out), "--track"]
    assert main([*arguments, "25"]) == 0
    lifter = prior.Lifter(prior.load(folder / "model.prior"))
    with np.load(out) as file:
        np.testing.assert_allclose(file["pose"], lifter.lift_track(points, 25).pose)
        assert np.abs(file["pose"] - lifter.lift(points).pose).max() > 1
    for wrong, message in (
        (["25", "--robust"], "without --robust"),
        (["25", "--as-published"], "without --as-published"),
        (["0"], "rate: expected"),
    ):
        assert main([*arguments, *wrong]) == 1
        assert message in capsys.readouterr().err


def test_lift_as_published(folder, tmp_path):
    points = random_poses(4, seed=7)[..., :2] * [0.2, -0.2]
    path, out = tmp_path / "points.npz", tmp_path / "poses.npz"
    np.savez(path, points=points)
    arguments = [str(folder / "model.prior"), str(path), "--out", str(out)]
    assert main(["lift", *arguments, "--as-published", "--rotations", "20"]) == 0
    model = prior.load(folder / "model.prior")
    expected = prior.lift(points, model, rotations=80, noise_mm=0, criterion="cost")
    with np.load(out) as file:
        np.testing.assert_allclose(file["pose"], expected.pose)
    assert main(["lift", *arguments, "--criterion", "cost"]) == 0
    expected = prior.lift(points, model, criterion="cost")
    with np.load(out) as file:
        np.testing.assert_allclose(file["pose"], expected.pose)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "expected 'points'"),
        ('{"points": [[1, 2], [3]]}', "expected arrays of numbers"),
        ('{"points": [], "landmarks": ["a"]}', "landmarks: expected"),
    ],
)
def test_bad_points_are_one_line(folder, tmp_path, capsys, content, message):
    path = tmp_path / "points.json"
    path.write_text(content)
    out = tmp_path / "poses.npz"
    assert main(["lift", str(folder / "model.prior"), str(path), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and str(path) in error
    assert not out.exists()


def test_no_motion_capture_is_one_line(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "prior", "fit", str(tmp_path), "--out", str(tmp_path / "m.npz")],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1 and "no motion capture found" in run.stderr
    assert run.stderr.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def long_fit(tmp_path_factory):
    """Starts a fit that takes many seconds, and gives its process when it has read the motion."""
    folder = tmp_path_factory.mktemp("long")
    np.savez(folder / "clip.npz", poses_mm=random_poses(20_000).astype(np.float32), rate=50.0)

    def start(out):
        run = subprocess.Popen(
            [sys.executable, "-m", "prior", "fit", str(folder), "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell's background job ignores it, and what it starts inherits that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert "poses of 1 clips" in run.stdout.readline()
        return run

    return start


def _wait_for_process(parent, name):
    """Until the process has a child with this name in its command."""
    for _ in range(3000):
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            for child in children.read_text().split():
                try:
                    if name in Path(f"/proc/{child}/cmdline").read_text():
                        return
                except OSError:  # it has ended
                    continue
        time.sleep(0.01)
    pytest.fail(f"no process {name} was started")


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.1, 2.0])
def test_ctrl_c_leaves_nothing_behind(long_fit, tmp_path, seconds):
    """After so many seconds of Ceres' processes: as they begin, as they import, as they solve."""
    run = long_fit(tmp_path / "model.npz")
    _wait_for_process(run.pid, "popen_loky")
    time.sleep(seconds)
    os.killpg(run.pid, signal.SIGINT)
    _, error = run.communicate(timeout=60)
    assert run.returncode == 130
    assert error.splitlines()[-1] == "python -m prior: interrupted; nothing was written"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_ceres_processes_end_with_a_killed_fit(long_fit, tmp_path):
    run = long_fit(tmp_path / "model.npz")
    _wait_for_process(run.pid, "popen_loky")
    time.sleep(1)  # until they solve
    assert run.poll() is None
    run.kill()
    run.communicate()
    for _ in range(100):
        try:
            os.killpg(run.pid, 0)  # its group is there as long as one of its processes is
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(run.pid, signal.SIGKILL)
    pytest.fail("processes were left behind")


def test_a_full_disk_leaves_the_old_file(folder, tmp_path, monkeypatch, capsys):
    model = prior.load(folder / "model.prior")
    out = tmp_path / "model.npz"
    model.save(out)
    before = out.read_bytes()

    def full(self, content):
        with open(self, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    clip = str(folder / "walk.npz")
    arguments = ["--components", "1", "--basis", "3", "--solver", "closed-form"]
    assert main(["fit", clip, "--out", str(out), *arguments]) == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith("No space left on device")
    assert out.read_bytes() == before and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--basis", "51"], "basis size: expected 1 to"),
        (["--components", "0"], "components: expected 1 or more, got 0"),
        (["--restarts", "0"], "restarts: expected 1 or more, got 0"),
    ],
)
def test_impossible_sizes_are_one_line(folder, tmp_path, capsys, arguments, message):
    clip, out = str(folder / "walk.npz"), str(tmp_path / "m.npz")
    assert main(["fit", clip, "--out", out, "--solver", "closed-form", *arguments]) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())
