"""--track: each person's frames lifted as a motion."""

import numpy as np
import pytest

import prior
from prior.camera import compose
from tests import landmark_files as files
from tools.lift import __main__ as tool
from tools.lift import lifted
from tools.lift.motions import of_people, stretches

RATE = 20.0
ELEVATION = 10


def run(*arguments):
    return tool.main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def frames():
    """Noisy points of two people who alternate in the file: one with a gap of 3 frames and one of
    3 seconds, one who is there once."""
    points = files.image_points(files.walk(12, seed=1))
    points = points + np.random.default_rng(0).normal(size=points.shape) * 5
    return (
        points,
        np.array([0, 1, 2, 3, 3, 7, 8, 9, 70, 71, 72, 73]),
        np.array([5] * 4 + [2] + [5] * 7),
    )


def test_stretches_are_one_person_and_without_long_gaps(frames):
    _, frame, person = frames
    parts = [rows.tolist() for rows in stretches(frame, person, 20)]
    assert parts == [[0, 1, 2, 3, 5, 6, 7], [8, 9, 10, 11]]
    backwards = stretches(frame[::-1], person[::-1], 20)
    assert [(11 - rows).tolist() for rows in backwards] == parts
    assert not stretches(frame[:1], person[:1], 20)


@pytest.mark.slow
def test_each_stretch_is_that_motion(frames, tmp_path, capsys):
    points, frame, person = frames
    source = files.arrays(tmp_path / "a.npz", points, frame=frame, person=person, rate=RATE)
    plain, out = tmp_path / "plain.npz", tmp_path / "out.npz"
    assert run(source, "--elevation", ELEVATION, "--out", plain) == 0
    capsys.readouterr()
    assert run(source, "--elevation", ELEVATION, "--track", "--out", out) == 0
    assert "as motions" in capsys.readouterr().out
    poses, single = lifted.read(out), lifted.read(plain)
    np.testing.assert_array_equal(poses.frame, single.frame)
    lifter, camera = prior.Lifter(prior.load()), compose(0.0, np.deg2rad(ELEVATION), 0.0)
    for rows in ([0, 1, 2, 3, 5, 6, 7], [8, 9, 10, 11]):
        where = frame[rows] - frame[rows[0]]
        every = np.full((where[-1] + 1, 17, 2), np.nan)
        every[where] = points[rows]
        motion = lifter.lift_track(every, RATE, camera=camera).pose[where]
        mine = poses.pose_mm[(poses.person == 5) & np.isin(poses.frame, frame[rows])]
        np.testing.assert_allclose(mine, motion, atol=0.1)
    alone = poses.person == 2
    np.testing.assert_allclose(poses.pose_mm[alone], single.pose_mm[alone], atol=1e-3)
    assert np.abs(poses.pose_mm - single.pose_mm).max() > 1
    assert np.isfinite(poses.deviation_mm).all()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "add --rate HZ"),
        (("--rate", 20, "--search-each"), "expected it without --search-each"),
        (("--rate", 20, "--constant-bones"), "expected it without --constant-bones"),
        (("--rate", 20, "--as-published"), "expected it without --as-published"),
        (("--rate", 20, "--smooth", 0.1), "expected it without --smooth"),
    ],
)
def test_what_it_cannot_be_with_is_said(frames, tmp_path, capsys, more, message):
    points, frame, person = frames
    source = files.arrays(tmp_path / "a.npz", points, frame=frame, person=person)
    arguments = ("--elevation", ELEVATION, "--track", "--out", tmp_path / "b.npz")
    assert run(source, *arguments, *more) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "b.npz").exists()


def test_each_frame_keeps_its_own_camera_and_confidences(frames):
    points, frame, person = frames
    random = np.random.default_rng(1)
    camera = np.stack([compose(0.0, np.deg2rad(e), 0.0) for e in range(len(frame))])
    observed = {
        "points": points,
        "camera": camera,
        "confidence": random.choice([0.2, 1.0], points.shape[:2]),
        "intrinsics": np.array([[1000.0, 0, 500], [0, 1000, 500], [0, 0, 1]]),
    }
    lifter = prior.Lifter(prior.load())
    single = lifter.lift(**observed)
    result = of_people(lifter, single, observed, frame, person, RATE)
    rows = np.array([0, 1, 2, 3, 5, 6, 7])
    # Frames 4 to 6, in which the person is not there, are seen as frame 3.
    every = rows[[0, 1, 2, 3, 3, 3, 3, 4, 5, 6]]
    motion = {name: observed[name][every] for name in ("points", "camera", "confidence")}
    motion["points"][4:7] = np.nan
    expected = lifter.lift_track(rate=RATE, intrinsics=observed["intrinsics"], **motion)
    np.testing.assert_allclose(result.pose[rows], expected.pose[frame[rows]], atol=1e-6)
    np.testing.assert_array_equal(result.pose[4], single.pose[4])
