"""What is taken for a person: excerpts of real motion, and what is none."""

from functools import cache

import numpy as np
import pytest
from scipy.linalg import null_space

import prior
from prior import mocap
from prior.camera import vertical_rotation
from prior.lifting import plausibility
from prior.simulation import room
from prior.skeleton import LANDMARKS, MIRROR
from tests.real_mocap import CLIPS
from tools.bench.plausibility import quadrupeds

POSES = np.concatenate([clip.poses for clip in mocap.read(CLIPS)])
IMAGES = room(POSES, seed=1)
MODEL = prior.load()


@cache
def lifter_of(noise_mm):
    return prior.Lifter(MODEL, noise_mm=noise_mm)


def judged(points, cameras, noise_mm=20.0):
    lifter = lifter_of(noise_mm)
    lifted = lifter.lift(points, camera=cameras)
    return lifted, plausibility.judge(lifted, MODEL, lifter.noise_mm)


@pytest.mark.parametrize("missing", [(), ("spine", "head top"), ("spine", "nose"), ("left wrist",)])
@pytest.mark.parametrize("noise_px", [0, 5])
def test_no_real_person_is_refused(missing, noise_px):
    points = IMAGES.noisy_points(noise_px, seed=2)
    points[:, [LANDMARKS.index(name) for name in missing]] = np.nan
    _, verdict = judged(points, IMAGES.cameras)
    assert verdict.plausible.all(), [r for r in verdict.reason if r]
    assert not any(verdict.reason)
    assert np.median(verdict.misfit) < 1.5


def test_a_person_who_turns_the_other_way_is_a_person():
    for points in (IMAGES.points * [-1, 1], IMAGES.points[:, MIRROR]):
        assert judged(points, IMAGES.cameras)[1].plausible.mean() > 0.95


def test_noise_that_is_said_is_no_reason():
    points = IMAGES.noisy_points(20, seed=3)
    assert judged(points, IMAGES.cameras)[1].plausible.mean() < 0.9
    assert judged(points, IMAGES.cameras, noise_mm=80.0)[1].plausible.mean() > 0.99


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


def test_animals_from_the_side_and_random_points_do_not_pass():
    animals = quadrupeds(300, seed=5)
    # Trunks along x, in the image's plane of a camera that looks along -z.
    side = animals @ vertical_rotation(np.pi / 2).T
    points = 0.2 * side[..., :2] * [1, -1] + [500, 500]
    assert not judged(points, None)[1].plausible.any()
    random = np.random.default_rng(6).normal(size=(300, 17, 2))
    assert not judged(100 * random, None)[1].plausible.any()


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


def test_as_published_is_judged_with_the_least_noise():
    lifted, verdict = judged(IMAGES.noisy_points(3, seed=8), IMAGES.cameras, noise_mm=0.0)
    assert lifted.ok.all() and verdict.plausible.mean() > 0.95
