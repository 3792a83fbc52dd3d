"""What is taken for a person: excerpts of real motion, and what is none."""

from functools import cache

import numpy as np
import pytest
from scipy.linalg import null_space

import prior
from prior import mocap
from prior.camera import vertical_rotation
from prior.lifting import plausibility
from prior.mocap import motion
from prior.simulation import room
from prior.skeleton import LANDMARKS, MIRROR
from tests.real_mocap import CLIPS
from tools.bench.plausibility import TRACK_FRAMES, cut, quadrupeds, tracks

EXCERPTS = mocap.read(CLIPS)
POSES = np.concatenate([clip.poses for clip in EXCERPTS])
# Who climbs a wall, crouches on it and jumps down. Though the model was fitted to this clip, too,
# it knows few such poses: four of these 22 are refused.
JUMPS = np.concatenate([[clip.action == "01_14"] * len(clip.poses) for clip in EXCERPTS])
IMAGES = room(POSES, seed=1)
MODEL = prior.load()


@cache
def lifter_of(noise_mm):
    return prior.Lifter(MODEL, noise_mm=noise_mm)


def judged(points, cameras, noise_mm=20.0):
    lifter = lifter_of(noise_mm)
    lifted = lifter.lift(points, camera=cameras)
    return lifted, plausibility.judge(lifted, MODEL, lifter.noise_mm)


@pytest.mark.slow
@pytest.mark.parametrize("missing", [(), ("spine", "head top"), ("spine", "nose"), ("left wrist",)])
@pytest.mark.parametrize("noise_px", [0, 5])
def test_hardly_any_real_person_is_refused(missing, noise_px):
    points = IMAGES.noisy_points(noise_px, seed=2)
    points[:, [LANDMARKS.index(name) for name in missing]] = np.nan
    _, verdict = judged(points, IMAGES.cameras)
    refused = np.array([bool(reason) for reason in verdict.reason])
    assert (refused == ~verdict.plausible).all()
    assert not refused[~JUMPS].any(), verdict.reason
    assert refused.sum() <= 5 and JUMPS.sum() == 22
    assert np.median(verdict.misfit) < 1.5


def test_a_person_who_turns_the_other_way_is_a_person():
    for points in (IMAGES.points * [-1, 1], IMAGES.points[:, MIRROR]):
        assert judged(points, IMAGES.cameras)[1].plausible.mean() > 0.95


@pytest.mark.slow
def test_noise_that_is_said_is_no_reason():
    points = IMAGES.noisy_points(20, seed=3)
    assert judged(points, IMAGES.cameras)[1].plausible.mean() < 0.9
    told = judged(points, IMAGES.cameras, noise_mm=80.0)[1].plausible
    assert told[~JUMPS].mean() > 0.97 and told.mean() > 0.94


@pytest.mark.filterwarnings("ignore:.*could not be lifted")
@pytest.mark.parametrize("missing", [(), ("spine", "head top")])
def test_no_shuffled_person_passes(missing):
    random = np.random.default_rng(4)
    for _ in range(3):
        order = np.argsort(random.random(IMAGES.points.shape[:2]), axis=1)
        points = np.take_along_axis(IMAGES.points, order[..., None], axis=1)
        points[:, [LANDMARKS.index(name) for name in missing]] = np.nan
        lifted, verdict = judged(points, IMAGES.cameras)
        assert not verdict.plausible.any()
        assert all(verdict.reason)
        assert {r for r, ok in zip(verdict.reason, lifted.ok, strict=True) if not ok} <= {
            "could not be lifted"
        }


@pytest.mark.filterwarnings("ignore:.*could not be lifted")
def test_animals_from_the_side_and_random_points_do_not_pass():
    animals = quadrupeds(300, seed=5)[:, 0]
    # Trunks along x, in the image's plane of a camera that looks along -z.
    side = animals @ vertical_rotation(np.pi / 2).T
    points = 0.2 * side[..., :2] * [1, -1] + [500, 500]
    assert not judged(points, None)[1].plausible.any()
    random = np.random.default_rng(6).normal(size=(300, 17, 2))
    assert not judged(100 * random, None)[1].plausible.any()


def verdict_of(misfit, limits=()):
    """A Verdict of these misfits; poses in `limits` have another reason."""
    reason = ["long limbs" if i in limits else "" for i in range(len(misfit))]
    reason = ["odd" if m > 5 and not r else r for m, r in zip(misfit, reason, strict=True)]
    return plausibility.Verdict(
        np.array(misfit, float),
        np.ones(len(misfit)),
        np.zeros(len(misfit)),
        np.array([not r for r in reason]),
        tuple(reason),
    )


def test_a_track_is_judged_as_a_whole():
    least = plausibility.LEAST_FRAMES
    # Of three tracks, one behind another in turns: unlike a person in most frames, odd in a few,
    # and too short to say.
    misfit, track = [], []
    for i in range(2 * least):
        misfit += [4.0 if i % 3 else 1.0, 6.0 if i % 4 == 0 else 3.4]
        track += [7, 3]
    misfit += [4.0] * (least - 1) + [np.nan]
    track += [5] * least
    before = verdict_of(misfit, limits=[2])
    after = plausibility.judge_tracks(before, np.array(track))
    of = np.array(track)
    assert not after.plausible[of == 7].any()
    assert after.reason[0] == (
        "most of this track is unlike a person: median misfit 4.0 (at most 3.5)"
    )
    assert after.reason[2] == "long limbs"
    assert (after.plausible == before.plausible)[of != 7].all()
    assert [r for r, t in zip(after.reason, of, strict=True) if t != 7] == [
        r for r, t in zip(before.reason, of, strict=True) if t != 7
    ]
    np.testing.assert_array_equal(after.misfit, before.misfit)
    empty = plausibility.judge_tracks(verdict_of([]), np.empty(0, int))
    assert empty.reason == () and empty.plausible.shape == (0,)


def test_no_motion_of_a_real_person_is_refused_and_hardly_an_animal_passes():
    pieces = cut(motion.load("test"))
    pieces = pieces[np.linspace(0, len(pieces) - 1, 16).astype(int)]
    sets, people = tracks(pieces, seed=1)
    for name, (points, cameras) in sets.items():
        verdict = judged(points, cameras)[1]
        whole = plausibility.judge_tracks(verdict, np.arange(len(points)) // TRACK_FRAMES)
        marked = ~whole.plausible.reshape(-1, TRACK_FRAMES)
        if name in people[:3]:  # 0, 5, 10 px
            assert marked.all(axis=1).sum() == 0, name
            assert (whole.plausible == verdict.plausible).all()
        elif name.startswith(("animals", "shuffled")):
            assert marked.all(axis=1).mean() > (0.99 if "front" not in name else 0.7), name


def test_the_misfit_is_the_mahalanobis_distance():
    """From the density of equation 4's landmarks, written out."""
    lifted, verdict = judged(IMAGES.noisy_points(5, seed=7)[:20], IMAGES.cameras[:20])
    contrast = null_space(np.ones((1, 17))).T
    for i, k in enumerate(lifted.component):
        project = (lifted.camera[i] @ vertical_rotation(lifted.yaw[i]))[:2].T
        scale = lifted.scale[i]
        nu = MODEL.noise_std[k] ** 2 + (20 / MODEL.scale_mm) ** 2
        basis = (contrast @ (MODEL.basis[k] @ project)).reshape(len(MODEL.std[k]), -1)
        covariance = basis.T @ np.diag(MODEL.std[k] ** 2) @ basis + nu * np.eye(32)
        rest = contrast @ (lifted.inputs.points[i] / scale - MODEL.mean[k] @ project)
        distance = rest.ravel() @ np.linalg.solve(covariance, rest.ravel())
        assert verdict.misfit[i] == pytest.approx(distance / 30, rel=1e-4)


def test_the_verdict_does_not_depend_on_the_image_s_size():
    one, two = (judged(f * IMAGES.points[:30], IMAGES.cameras[:30])[1] for f in (1, 7))
    np.testing.assert_allclose(two.misfit, one.misfit, rtol=1e-4)
    np.testing.assert_allclose(two.residual_mm, one.residual_mm, rtol=1e-4)


@pytest.mark.slow
def test_as_published_is_judged_with_the_least_noise():
    lifted, verdict = judged(IMAGES.noisy_points(3, seed=8), IMAGES.cameras, noise_mm=0.0)
    assert lifted.ok.all() and verdict.plausible.mean() > 0.95
