import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.spatial.transform import Rotation

from prior.errors import InputError
from prior.mocap import Clip
from prior.mocap.sampling import balanced, by_change, change_mm, shared, to_rate
from prior.normalise import centred
from tests.poses import random_poses


def _clip(frames=60, rate=120.0):
    """A clip that passes slowly from one random pose to the next."""
    poses, steps = random_poses(7), np.linspace(0, 5.99, frames)
    part = (steps % 1)[:, None, None]
    return Clip(
        (1 - part) * poses[steps.astype(int)] + part * poses[steps.astype(int) + 1],
        rate,
        "S1",
        "walk",
    )


@pytest.mark.parametrize(("rate", "hz"), [(120, 10), (120, 50), (30, 29), (120.00005, 30), (24, 7)])
def test_nearest_frames(rate, hz):
    clip = Clip(np.arange(100.0)[:, None, None] * np.ones((17, 3)), rate, "S1", "x")
    fewer = to_rate(clip, hz)
    kept = fewer.poses[:, 0, 0]
    assert fewer.rate == hz and (np.diff(kept) > 0).all()
    for k, frame in enumerate(kept):
        gaps = abs(np.arange(100) / rate - k / hz)
        assert gaps[int(frame)] == pytest.approx(gaps.min())
    assert len(kept) / hz == pytest.approx(100 / rate, abs=1 / hz)


def test_never_up():
    clip = _clip(rate=25.0)
    for hz in (25, 50):
        assert to_rate(clip, hz) is clip
    with pytest.raises(ValueError, match="expected a positive number"):
        to_rate(clip, 0)


def test_change_is_that_of_the_best_fitting_turn():
    poses = centred(random_poses(2, seed=3))

    def cost(yaw):
        turned = Rotation.from_euler("y", yaw).apply(poses[0])
        return np.sum((turned - poses[1]) ** 2)

    start = min(np.linspace(-np.pi, np.pi, 30), key=cost)
    best = minimize_scalar(cost, bounds=(start - 0.3, start + 0.3), options={"xatol": 1e-9}).x
    gaps = np.linalg.norm(Rotation.from_euler("y", best).apply(poses[0]) - poses[1], axis=1)
    assert change_mm(poses[:1], poses[1])[0] == pytest.approx(gaps.max(), abs=1e-3)


def test_going_and_turning_are_no_change():
    poses = np.repeat(random_poses(1), 5, axis=0)
    turn = Rotation.from_euler("y", np.arange(5)[:, None])
    moved = np.stack([turn[i].apply(poses[i]) + [100 * i, 3 * i, 7] for i in range(5)])
    np.testing.assert_allclose(change_mm(moved, poses[0]), 0, atol=1e-9)
    assert len(by_change(Clip(moved, 50.0, "S1", "x"), 1.0).poses) == 1
    lying = Rotation.from_euler("x", 90, degrees=True).apply(poses[0])
    assert change_mm(lying[None], poses[0])[0] > 500


@pytest.mark.parametrize("mm", [0, 20, 80, 300, 1e6])
def test_by_change_as_frame_by_frame(mm):
    clip = _clip(400)
    kept = [0]
    for i in range(1, 400):
        if change_mm(clip.poses[i : i + 1], clip.poses[kept[-1]])[0] >= mm:
            kept.append(i)
    fewer = by_change(clip, mm)
    np.testing.assert_array_equal(fewer.poses, clip.poses[kept])
    assert fewer.rate == pytest.approx(120 * len(kept) / 400)


def test_standing_still_does_not_dominate():
    clip = _clip(60)
    waiting = np.repeat(clip.poses[:1], 900, axis=0)
    still = clip._replace(poses=np.concatenate([waiting, clip.poses]))
    np.testing.assert_array_equal(by_change(still, 30).poses, by_change(clip, 30).poses)


def test_a_negative_change_is_an_error():
    with pytest.raises(ValueError, match="0 or more"):
        by_change(_clip(), -1)


def _named(kind, subject, frames):
    poses = np.arange(frames)[:, None, None] * np.ones((17, 3))
    return Clip(poses, 30.0, subject, "x", kind=kind)


def _counts(clips, field):
    counts = {}
    for clip in clips:
        name = getattr(clip, field)
        counts[name] = counts.get(name, 0) + len(clip.poses)
    return counts


def test_shares_by_hand():
    assert shared({"a": 50, "b": 50}, 20) == {"a": 10, "b": 10}
    assert shared({"a": 3, "b": 50, "c": 50}, 21) == {"a": 3, "b": 9, "c": 9}
    assert shared({"a": 3, "b": 4}, 20) == {"a": 3, "b": 4}


def test_neither_a_kind_nor_a_subject_dominates():
    clips = [
        _named("walk", "1", 900),
        _named("walk", "1", 100),
        _named("walk", "2", 60),
        _named("sit", "2", 300),
        _named("drink", "1", 20),
    ]
    kept = balanced(clips, 320)
    assert _counts(kept, "kind") == {"drink": 20, "walk": 150, "sit": 150}
    walks = [clip for clip in kept if clip.kind == "walk"]
    assert _counts(walks, "subject") == {"1": 90, "2": 60}
    # Those of subject 1 are evenly spread over both clips, and the mean rate says how far apart.
    assert [len(clip.poses) for clip in walks] == [81, 9, 60]
    assert set(np.diff(walks[0].poses[:, 0, 0])) <= {11, 12}
    assert walks[0].rate == pytest.approx(30 * 81 / 900)
    assert walks[0].poses[0, 0, 0] == 0


def test_few_frames_are_all_kept():
    clips = [_named("walk", "1", 10), _named("sit", "1", 5)]
    assert sum(len(clip.poses) for clip in balanced(clips, 100)) == 15
    with pytest.raises(InputError, match="balance: expected a positive number"):
        balanced(clips, 0)
