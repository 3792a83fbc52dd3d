"""What a covariance of each landmark does to the lifting."""

import numpy as np
import pytest

import prior
from prior import metrics
from tests.prior.lifting.photographs import INTRINSICS, covariances, photographs


def test_a_covariance_of_the_noise_that_is_reckoned_with_changes_nothing(model):
    """noise_mm at the scale of the body is a covariance in px."""
    lifter = prior.Lifter(model, rotations=24, noise_mm=20)
    _, points, cameras = photographs(20, noise_px=4)
    weak = lifter.lift(points, camera=cameras)
    px = 20 / model.scale_mm * weak.scale
    same = np.square(px)[:, None, None, None] * np.broadcast_to(np.eye(2), (20, 17, 2, 2))
    full = lifter.lift(points, camera=cameras, covariance=same)
    assert (np.abs(full.log_likelihood - weak.log_likelihood) < 0.02).mean() > 0.7
    off = np.abs(full.pose - weak.pose).max(axis=(1, 2))
    assert (off < 1).mean() > 0.8  # mm; the others were next to equally probable


def test_a_surer_landmark_is_known_better(lifter):
    _, points, cameras = photographs(30, noise_px=3)
    covariance = np.tile(36.0 * np.eye(2), (30, 17, 1, 1))
    alike = lifter.lift(points, camera=cameras, covariance=covariance)
    covariance[:, 13] = 4000 * np.eye(2)
    less = lifter.lift(points, camera=cameras, covariance=covariance)
    ratio = lifter.deviation(less, spread=False) / lifter.deviation(alike, spread=False)
    assert np.median(ratio[:, 13]) > 1.1 and np.median(np.delete(ratio, 13, axis=1)) < 1.1


@pytest.mark.parametrize("intrinsics", [None, INTRINSICS], ids=["weak perspective", "lens"])
@pytest.mark.parametrize("px", [1e4, 1e7])
def test_a_landmark_of_huge_covariance_is_as_good_as_missing(model, intrinsics, px):
    """However far off it is: neither the rotation is that which it would have, nor does its density
    favour small persons. With a lens the scale is that before perspective is solved."""
    lifter = prior.Lifter(model, rotations=40)
    truth, points, cameras = photographs(60, noise_px=4)
    points, which = points.copy(), np.arange(60) % 17
    covariance = np.tile(16.0 * np.eye(2), (60, 17, 1, 1))
    covariance[np.arange(60), which] = px**2 * np.eye(2)
    points[np.arange(60), which] += np.random.default_rng(0).normal(size=(60, 2)) * 200
    options = {"camera": cameras, "intrinsics": intrinsics, "covariance": covariance}
    lifted = lifter.lift(points, **options)
    points[np.arange(60), which] = np.nan
    without = lifter.lift(points, **options)
    off = np.abs(lifted.pose - without.pose).max(axis=(1, 2))
    assert (off < 5).mean() >= (0.95 if intrinsics is None else 0.85)  # mm
    assert np.median(off) < 0.1
    error = [metrics.procrustes_aligned(a.pose, truth).mean() for a in (lifted, without)]
    assert error[0] < 1.05 * error[1]
    np.testing.assert_array_equal(lifted.ok, without.ok)


@pytest.mark.parametrize("intrinsics", [None, INTRINSICS], ids=["weak perspective", "lens"])
def test_the_covariance_of_what_is_missing_may_be_anything(lifter, intrinsics):
    _, points, cameras = photographs(6, noise_px=3)
    points[:, 4], points[5] = np.nan, np.nan
    covariance = covariances(6)
    options = {"camera": cameras, "intrinsics": intrinsics}
    expected = lifter.lift(
        points[:5], covariance=covariance[:5], **options | {"camera": cameras[:5]}
    )
    covariance[:, 4], covariance[5] = np.nan, np.inf
    with pytest.warns(UserWarning, match="1 of 6 poses"):
        lifted = lifter.lift(points, covariance=covariance, **options)
    np.testing.assert_allclose(lifted.pose[:5], expected.pose, atol=1e-4)
    assert np.isfinite(lifted.pose).all()


@pytest.mark.parametrize("intrinsics", [None, INTRINSICS], ids=["weak perspective", "lens"])
@pytest.mark.parametrize("noise_px", [1e30, 1e80, 1e140])
def test_a_covariance_is_never_too_large(lifter, intrinsics, noise_px):
    """Its products are above the largest number; it is as one that is large enough."""
    _, points, cameras = photographs(6, noise_px=3)
    points[:, 4] += 300
    covariance = covariances(6)
    options = {"camera": cameras, "intrinsics": intrinsics, "covariance": covariance}
    covariance[:, 4] = 1e12 * np.eye(2)
    expected = lifter.lift(points, **options)
    covariance[:, 4] = noise_px**2 * np.eye(2)
    lifted = lifter.lift(points, **options)
    np.testing.assert_array_equal(lifted.rotation, expected.rotation)
    np.testing.assert_allclose(lifted.pose, expected.pose, atol=0.1)  # mm
