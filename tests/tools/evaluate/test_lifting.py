"""How landmarks of known cameras are lifted for comparison."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

import prior
from prior import metrics
from prior.camera import look_at, perspective, toward
from tests.hands import HAND, random_hands
from tests.poses import random_poses
from tools.evaluate.lifting import LandmarkLifter

INTRINSICS = np.array([[1145.0, 0, 512], [0, 1145, 512], [0, 0, 1]])


@pytest.fixture(scope="module")
def model():
    return prior.fit(random_poses(200), components=2, basis=10, solver="closed-form")


@pytest.fixture(scope="module")
def scene():
    """Poses (12, 17, 3) off the axis of one camera, their points, rotations and intrinsics."""
    truth = random_poses(12, seed=4) + [700, 0, 0]
    place = np.array([0, 1500.0, 3500])
    camera = look_at(place, np.zeros(3))
    points = perspective(truth, camera, place, INTRINSICS)
    return truth, points, np.tile(camera, (12, 1, 1)), np.tile(INTRINSICS, (12, 1, 1))


def test_as_published_is_weak_perspective_toward_the_person(model, scene):
    _, points, rotations, intrinsics = scene
    lifted = LandmarkLifter(model, as_published=True).lift(points, rotations, intrinsics)
    cameras = np.stack(
        [
            toward(r, k, p.mean(axis=0))
            for r, k, p in zip(rotations, intrinsics, points, strict=True)
        ]
    )
    assert np.abs(cameras - rotations).max() > 0.05
    expected = prior.lift(points, model, camera=cameras, rotations=80, noise_mm=0, criterion="cost")
    np.testing.assert_allclose(lifted.pose, expected.pose, atol=1e-6)


def test_by_default_it_is_in_full_perspective_and_nearer_the_truth(model, scene):
    truth, points, rotations, intrinsics = scene
    full = LandmarkLifter(model).lift(points, rotations, intrinsics)
    expected = prior.lift(points, model, camera=rotations, intrinsics=intrinsics)
    np.testing.assert_allclose(full.pose, expected.pose, atol=1e-6)
    plain = prior.lift(points, model, camera=rotations)
    error = [metrics.procrustes_aligned(a.pose, truth).mean() for a in (full, plain)]
    assert error[0] < error[1]


@pytest.mark.slow
def test_the_lenss_distortion_is_taken_off_but_as_published(model, scene):
    _, points, rotations, intrinsics = scene
    distortion = np.array([-0.2, 0.2, -0.001, -0.002, -0.002])
    rays = (points - INTRINSICS[:2, 2]) / INTRINSICS[[0, 1], [0, 1]]
    ahead = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=2).reshape(-1, 3)
    zero = np.zeros(3)
    bent = cv2.projectPoints(ahead, zero, zero, INTRINSICS, distortion)[0].reshape(points.shape)
    assert np.abs(bent - points).max() > 10
    distortions = np.tile(np.append(distortion, np.zeros(9)), (len(points), 1))
    lifted = LandmarkLifter(model).lift(bent, rotations, intrinsics, distortions)
    straight = LandmarkLifter(model).lift(points, rotations, intrinsics)
    np.testing.assert_allclose(lifted.pose, straight.pose, atol=0.01)
    published = LandmarkLifter(model, as_published=True)
    as_seen = published.lift(bent, rotations, intrinsics, distortions)
    np.testing.assert_array_equal(as_seen.pose, published.lift(bent, rotations, intrinsics).pose)


def test_without_intrinsics_it_is_weak_perspective_in_the_cameras_as_they_stand(model, scene):
    _, points, rotations, intrinsics = scene
    lifted = LandmarkLifter(model).lift(points, rotations, intrinsics * np.nan)
    expected = prior.lift(points, model, camera=rotations)
    np.testing.assert_allclose(lifted.pose, expected.pose, atol=1e-6)


@pytest.mark.slow
def test_without_a_vertical_poses_are_in_the_worlds_axes(scene):
    """Although the lifting is told no camera, and finds its own."""
    skeleton = replace(HAND, vertical=False)
    model = prior.fit(random_hands(300), skeleton=skeleton, components=1, basis=5)
    truth, rotations = random_hands(6, seed=5, turns="all"), scene[2][:6]
    points = 300 + 0.5 * np.einsum("nab,nlb->nla", rotations, truth)[..., :2]
    lifted = LandmarkLifter(model).lift(points, rotations, scene[3][:6] * np.nan)
    pose = metrics.with_scale_of(lifted.pose, truth, skeleton)
    # A hand is some 180 mm long; in other axes it would be about that far off.
    assert metrics.mean_aligned(pose, truth).mean() < 15
