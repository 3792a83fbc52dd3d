"""Smoothing over time, beside a slow twin."""

import numpy as np
import pytest

from prior.skeleton import limb_scale
from tests import landmark_files as files
from tests.tools.lift.made import made
from tools.lift import __main__ as tool
from tools.lift import lifted
from tools.lift.smoothing import smooth

RATE = 20.0


def clip(pose_mm, **arrays):
    """lifted.Poses at RATE."""
    frame = arrays.get("frame", np.arange(len(pose_mm)))
    return made(pose_mm, {"frames": list(range(frame.max() + 1)), "rate": RATE}, **arrays)


def twin(poses, seconds):
    """Pose by pose, landmark by landmark."""
    trust = np.where(np.isfinite(poses.deviation_mm), poses.deviation_mm, 1) ** -2.0
    result = np.empty_like(poses.pose_mm)
    for i in range(len(result)):
        total, weights = np.zeros((17, 3)), np.zeros((17, 1))
        for j in range(len(result)):
            apart = (poses.frame[i] - poses.frame[j]) / RATE / seconds
            if poses.person[i] == poses.person[j] and abs(apart) <= 3:
                weight = np.exp(-(apart**2) / 2) * trust[j][:, None]
                total, weights = total + weight * poses.pose_mm[j], weights + weight
        result[i] = total / weights
    result *= (limb_scale(poses.pose_mm) / limb_scale(result))[:, None, None]
    return result - result.mean(axis=1, keepdims=True)


def test_it_is_the_slow_twin_with_gaps_and_people():
    random = np.random.default_rng(0)
    frame = np.sort(random.choice(60, 40, replace=False))
    poses = clip(
        files.walk(40),
        deviation_mm=random.uniform(5, 80, (40, 17)),
        frame=frame,
        person=np.arange(40) % 2,
    )
    np.testing.assert_allclose(smooth(poses, 0.15).pose_mm, twin(poses, 0.15), atol=2e-3)
    plain = poses._replace(deviation_mm=np.full((40, 17), np.nan))
    np.testing.assert_allclose(smooth(plain, 0.15).pose_mm, twin(plain, 0.15), atol=2e-3)


def test_what_stands_still_stays_and_noise_falls():
    still = clip(np.repeat(files.walk(1), 30, axis=0))
    np.testing.assert_allclose(smooth(still, 0.2).pose_mm, still.pose_mm, atol=2e-3)
    truth = clip(files.walk(200)).pose_mm
    noise = np.random.default_rng(1).normal(scale=30, size=truth.shape)
    noisy = clip(truth + noise)

    def error(poses):
        return np.linalg.norm(poses - truth, axis=2).mean()

    assert error(smooth(noisy, 0.1).pose_mm) < 0.6 * error(noisy.pose_mm)


def test_it_is_said_and_not_done_twice(tmp_path, capsys):
    source = files.arrays(tmp_path / "a.npz", files.image_points(files.walk(20)), rate=RATE)
    out = tmp_path / "out.npz"
    arguments = [str(a) for a in (source, "--out", out, "--elevation", 10, "--smooth", 0.1)]
    assert tool.main(arguments) == 0
    assert "not in the paper" in capsys.readouterr().out
    assert lifted.read(out).meta["smoothed_s"] == 0.1
    assert tool.main([str(out), "--out", str(tmp_path / "b.npz"), "--smooth", "0.1"]) == 1
    assert "smoothed already" in capsys.readouterr().err
    with pytest.raises(ValueError, match="expected a positive"):
        smooth(clip(files.walk(3)), 0)
