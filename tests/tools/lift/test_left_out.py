"""What tools.lift leaves out, and that it says so: landmarks, people, frames."""

import json

import numpy as np

import prior
from prior.camera import compose
from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tests.tools.lift.test_lift_tool import POINTS, lift, masked, run
from tools.lift import lifted


def test_a_landmark_where_the_lens_shows_nothing_is_missing_and_counted(tmp_path, capsys):
    # By this lens no ray comes further than 0.41 focal lengths from the axis.
    camera = {"K": [[1100, 0, 320], [0, 1100, 260], [0, 0, 1]], "dist": [-0.9, 0, 0, 0]}
    (tmp_path / "camera.json").write_text(json.dumps(camera))
    points = files.image_points(files.walk(4))
    away, gone = points.copy(), points.copy()
    wrist = LANDMARKS.index("left wrist")
    away[2, wrist], gone[2, wrist] = [1200, 260], np.nan
    poses = []
    for name, these in (("away", away), ("gone", gone)):
        out = tmp_path / f"{name}.npz"
        source = files.arrays(tmp_path / f"in-{name}.npz", these)
        how = ("--camera", tmp_path / "camera.json", "--elevation", 5, "--out", out)
        assert run(source, *how) == 0
        poses.append(lifted.read(out).pose_mm)
        said = capsys.readouterr()
        where = "where the camera's lens shows nothing, by its distortion (first: 2)"
        assert (where in said.out + said.err) == (name == "away")
    np.testing.assert_array_equal(*poses)


def test_confidence_counts(tmp_path):
    confidence = np.full((6, 17), 0.9)
    confidence[:, 13] = 0.15
    wrong = POINTS.copy()
    wrong[:, 13] += 200
    path = files.arrays(tmp_path / "a.npz", wrong, confidence=confidence)
    expected = lift(files.arrays(tmp_path / "b.npz", masked("left wrist")))
    np.testing.assert_allclose(lift(path).pose_mm, expected.pose_mm, atol=2e-3)
    # With a weight it counts a little.
    poses = lift(path, "--min-confidence", "0.1", "--weigh")
    camera = compose(0.0, files.ELEVATION, 0.0)
    expected = prior.lift(wrong, prior.load(), camera=camera, confidence=confidence)
    np.testing.assert_allclose(poses.pose_mm, expected.pose, atol=2e-3)


def test_landmarks_that_the_others_contradict_are_left_out_and_counted(tmp_path, capsys):
    wrong, wrist = POINTS.copy(), LANDMARKS.index("left wrist")
    wrong[2, wrist] += 200
    path = files.arrays(tmp_path / "a.npz", wrong)
    expected = lift(files.arrays(tmp_path / "b.npz", POINTS))
    capsys.readouterr()
    poses = lift(path, "--robust")
    line = (
        f"landmarks: {17 * 6} = {17 * 6 - 1} used + 1 left out: contradicted by the person's others"
    )
    assert f"{line} (first: left wrist in 2)" in capsys.readouterr().out
    assert np.isnan(poses.points[2, wrist]).all() and poses.confidence[2, wrist] == 0
    others = np.arange(6) != 2
    np.testing.assert_allclose(poses.pose_mm[others], expected.pose_mm[others], atol=2e-3)
    off = [
        np.linalg.norm(of.pose_mm[2] - expected.pose_mm[2], axis=1).mean()
        for of in (poses, lift(path))
    ]
    assert off[0] < 0.5 * off[1]
    # As one motion the wrist is out, too.
    moving = lift(path, "--robust", "--track", "--rate", "30")
    assert np.isnan(moving.points[2, wrist]).all()
    smooth = lift(files.arrays(tmp_path / "b.npz", POINTS), "--track", "--rate", "30")
    off = np.linalg.norm(moving.pose_mm[2] - smooth.pose_mm[2], axis=1)
    assert off.mean() < 30


def test_robust_is_not_as_published(tmp_path, capsys):
    path = files.arrays(tmp_path / "a.npz", POINTS)
    out = tmp_path / "out.npz"
    assert run(path, "--out", out, "--robust", "--as-published") == 1
    assert "--robust: expected it without --as-published" in capsys.readouterr().err


def test_what_is_left_out_is_said(tmp_path, capsys):
    few = np.full((17, 2), np.nan)
    few[[0, 1, 4, 8, 9]] = POINTS[0, [0, 1, 4, 8, 9]]
    same = np.full((17, 2), 100.0)
    folder = files.openpose(tmp_path / "frames", [POINTS[0], None, np.nan_to_num(few), same])
    for path in sorted(folder.iterdir())[2:3]:
        document = json.loads(path.read_text())
        values = np.array(document["people"][0]["pose_keypoints_2d"]).reshape(-1, 3)
        values[(values[:, :2] == 0).all(axis=1), 2] = 0
        document["people"][0]["pose_keypoints_2d"] = values.ravel().tolist()
        path.write_text(json.dumps(document))
    (folder / "clip_000000000004_keypoints.json").write_text("{")
    out = tmp_path / "out.npz"
    assert run(folder, "--out", out, "--elevation", "10") == 3
    printed = capsys.readouterr()
    assert "1 poses of 1 people in 1 of 5 frames" in printed.out
    people, frames, landmarks = printed.out.splitlines()[1:4]
    assert people == (
        "people: 3 = 1 lifted + 1 left out: fewer than 6 landmarks of confidence 0.2 (first: "
        "clip_000000000002) + 1 left out: all landmarks in one place, or upside down (first: "
        "clip_000000000003)"
    )
    assert frames == (
        "frames: 5 = 1 with people lifted + 3 without + 1 left out: could not be read (first: "
        "clip_000000000004_keypoints.json: expected JSON, got Expecting property name enclosed in "
        "double quotes: line 1 column 2 (char 1))"
    )
    assert landmarks == "landmarks: 17 = 15 used + 2 that OpenPose BODY_25 lacks"
    assert lifted.read(out).frame.tolist() == [0]


def test_nobody_is_an_answer(tmp_path, capsys):
    folder = files.openpose(tmp_path / "frames", [None, None])
    out = tmp_path / "out.npz"
    assert run(folder, "--out", out) == 3
    assert "nobody found" in capsys.readouterr().out and not out.exists()
