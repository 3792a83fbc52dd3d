"""The most probable motion: against enumeration of all sequences, dense matrices, and the truth."""

import itertools

import numpy as np
import pytest

import prior
from prior import metrics
from prior.camera import compose, decompose, vertical_rotation
from prior.lifting import track
from prior.lifting.candidates import DOUBT, ELEVATIONS, ROLLS
from prior.lifting.full import Solved
from prior.simulation import INTRINSICS, filmed

RATE = 25.0


def solved(row, pose, log_density, ok):
    """A Solved of which only these matter."""
    return Solved(row, None, None, None, pose, None, None, log_density, ok, None)


def candidates(seed):
    """Three candidates of each of five frames, in any order; one of them is not ok."""
    rng = np.random.default_rng(seed)
    row = rng.permutation(np.repeat(np.arange(5), 3))
    ok = np.ones(15, dtype=bool)
    ok[4] = False
    pose = rng.normal(0, 60, size=(15, 17, 3))
    return solved(row, pose, rng.normal(0, 4, size=15), ok)


@pytest.mark.parametrize("seed", range(5))
def test_the_sequence_is_the_best_of_all(seed):
    frames = candidates(seed)
    best, expected = -np.inf, None
    for which in itertools.product(*(np.flatnonzero(frames.row == i) for i in range(5))):
        total = sum(frames.log_density[c] if frames.ok[c] else -np.inf for c in which)
        for a, b in itertools.pairwise(which):
            squared = np.mean(np.sum((frames.pose[a] - frames.pose[b]) ** 2, axis=1))
            total += max(-squared / 2 * (RATE / 750) ** 2, -30)
        if total > best:
            best, expected = total, which
    assert track.most_probable(frames, RATE).tolist() == list(expected)
    # The motion counts: frame by frame another sequence is the best.
    alone = [
        max(np.flatnonzero((frames.row == i) & frames.ok), key=lambda c: frames.log_density[c])
        for i in range(5)
    ]
    assert alone != list(expected) or seed


def test_frames_without_a_pose_are_bridged():
    """The motion over a gap has the time of two frames."""
    frames = candidates(0)
    middle = frames.row == 2
    lost = frames._replace(ok=frames.ok & ~middle)
    which = track.most_probable(lost, RATE)
    assert frames.row[which].tolist() == [0, 1, 2, 3, 4]
    near = track.motion(frames.pose[:2], frames.pose[2:4], 2 / RATE)
    squared = np.square(frames.pose[:2, None] - frames.pose[None, 2:4]).sum(axis=-1).mean(axis=-1)
    np.testing.assert_allclose(near, np.maximum(-squared / 2 / (750 * 2 / RATE) ** 2, -30))
    nothing = track.most_probable(frames._replace(ok=np.zeros(15, dtype=bool)), RATE)
    assert frames.row[nothing].tolist() == [0, 1, 2, 3, 4]


def test_smoothing_is_that_of_dense_matrices():
    rng = np.random.default_rng(0)
    pose = rng.normal(0, 100, size=(9, 4, 3)).cumsum(axis=0)
    pose -= pose.mean(axis=1, keepdims=True)
    roots = rng.normal(0, 20, size=(9, 12, 12))
    moments = roots @ roots.swapaxes(1, 2)
    moments[4] = np.nan
    second = np.diff(np.eye(9), n=2, axis=0)
    roughness = np.kron(second.T @ second, np.eye(3)) * (RATE**2 / track.ACCELERATION) ** 2
    expected = np.empty_like(pose)
    for landmark in range(4):
        own = slice(3 * landmark, 3 * landmark + 3)
        precision = np.zeros((27, 27))
        for t in (0, 1, 2, 3, 5, 6, 7, 8):
            inverse = np.linalg.inv(moments[t, own, own] + np.eye(3))
            precision[3 * t : 3 * t + 3, 3 * t : 3 * t + 3] = inverse
        data = precision @ pose[:, landmark].ravel()
        expected[:, landmark] = np.linalg.solve(precision + roughness, data).reshape(9, 3)
    expected -= expected.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(track.smoothed(pose, moments, RATE), expected, atol=1e-6)


@pytest.fixture(scope="module")
def model():
    return prior.load()


@pytest.fixture(scope="module")
def film(model):
    """A person of the model who sways and turns slowly: 24 frames of one second."""
    rng = np.random.default_rng(2)
    time = np.linspace(0, 1, 24)
    ends = rng.normal(size=(2, model.basis_size)) * model.std[0]
    coefficients = ends[0] + time[:, None] * (ends[1] - ends[0])
    shape = model.mean[0] + np.einsum("nj,jlc->nlc", coefficients, model.basis[0])
    turns = vertical_rotation(0.6 * time)
    return filmed(model.scale_mm * np.einsum("nab,nlb->nla", turns, shape), seed=1)


def test_a_motion_is_nearer_the_truth_than_its_frames(model, film):
    lifter = prior.Lifter(model, noise_mm=40)
    points = film.noisy_points(10)
    known = {"camera": film.cameras[0], "intrinsics": INTRINSICS}
    single, sequence, smooth = (
        lifter.lift(points, **known),
        lifter.lift_track(points, RATE, smooth=False, **known),
        lifter.lift_track(points, RATE, **known),
    )
    error = [metrics.root_aligned(a.pose, film.truth).mean() for a in (single, sequence, smooth)]
    assert error[2] < 0.9 * error[0] and error[1] < 1.05 * error[0]

    def jerk(pose):
        return np.abs(np.diff(pose, n=2, axis=0)).mean()

    assert jerk(smooth.pose) < 0.3 * jerk(single.pose)
    # The other fields are of the sequence, and go on to the posterior.
    np.testing.assert_array_equal(smooth.projection, sequence.projection)
    assert np.isfinite(lifter.deviation(sequence)).all()


def test_frames_that_cannot_be_lifted_are_bridged_and_said(model, film):
    lifter = prior.Lifter(model, noise_mm=40)
    points = film.noisy_points(2)
    points[10:12] = np.nan
    lifted = lifter.lift_track(points, RATE, camera=film.cameras[0], intrinsics=INTRINSICS)
    assert lifted.ok.tolist() == [not 10 <= i < 12 for i in range(24)]
    error = metrics.root_aligned(lifted.pose, film.truth)
    assert error[10:12].mean() < 2 * error.mean()
    assert len(lifter.lift_track(np.empty((0, 17, 2)), RATE)) == 0
    assert not lifter.lift_track(np.full((3, 17, 2), np.nan), RATE).ok.any()
    with pytest.raises(ValueError, match="rate: expected frames a second, above 0, got 0"):
        lifter.lift_track(points, 0)


@pytest.mark.slow
def test_a_shared_tilt_is_the_most_probable_of_the_grid(model, film):
    """Enumerated by lifting with each; it cannot be that of single frames, which differ."""
    lifter = prior.Lifter(model, rotations=24, noise_mm=40)
    points = film.noisy_points(10)[::4]
    lifted = lifter.lift_track(points, RATE, tilt=True, smooth=False)
    roll, elevation, _ = decompose(lifted.camera)
    assert np.ptp(roll) < 1e-9 and np.ptp(elevation) < 1e-9
    grid = [(r, e) for e in ELEVATIONS for r in ROLLS]
    scores = np.stack(
        [lifter.lift(points, camera=compose(r, e, 0.0)).log_likelihood for r, e in grid]
    )
    total = np.maximum(scores - scores.max(axis=0), -DOUBT).sum(axis=1)
    np.testing.assert_allclose([roll[0], elevation[0]], grid[total.argmax()], atol=1e-9)
