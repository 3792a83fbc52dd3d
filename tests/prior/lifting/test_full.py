"""Full perspective and covariances, against scipy's least squares on the exact projection."""

import dataclasses

import numpy as np
import pytest
from scipy.optimize import least_squares

import prior
from prior import metrics
from prior.camera import LEVEL, look_at, perspective, vertical_rotation
from tests.poses import random_poses
from tests.prior.lifting.exact_projection import SKEWED, objective
from tests.prior.lifting.photographs import INTRINSICS, covariances, photographs


def whitening_of(model, lifter, lifted, i, covariance, weight):
    """W of one pose, from the definition."""
    nu = lifter.search.nu[lifted.component[i]]
    if covariance is None:
        return weight[:, None, None] * np.eye(2)
    body = model.noise_std[lifted.component[i]] ** 2
    # The scale is that of the lift by weak perspective: taken from the result itself.
    precision = lifted.full.whitening[i].swapaxes(1, 2) @ lifted.full.whitening[i]
    noise = nu * np.linalg.inv(precision) - body * np.eye(2)
    scale = np.sqrt(covariance / np.where(noise == 0, 1, noise))[:, 0, 0]
    np.testing.assert_allclose(scale, scale[0], rtol=1e-6)
    assert scale[0] == pytest.approx(lifted.scale[i], rel=0.3)
    return lifted.full.whitening[i]


@pytest.mark.parametrize(
    ("intrinsics", "kind"),
    [
        *((INTRINSICS, kind) for kind in ("plain", "missing", "confidence", "covariance")),
        *((SKEWED, kind) for kind in ("plain", "missing", "confidence", "covariance")),
        (None, "covariance"),
    ],
)
def test_it_is_the_least_squares_of_the_exact_projection(model, lifter, intrinsics, kind):
    _, points, cameras = photographs(10, noise_px=4)
    points = points + [40, -90]  # off the axis
    confidence, covariance = np.ones((10, 17)), None
    random = np.random.default_rng(1)
    if kind == "missing":
        points[random.random((10, 17)) < 0.2] = np.nan
    if kind == "confidence":
        confidence = random.uniform(0.2, 1, (10, 17))
    if kind == "covariance":
        covariance = covariances(10)
    lifted = lifter.lift(
        points,
        camera=cameras,
        intrinsics=intrinsics,
        covariance=covariance,
        confidence=confidence if kind == "confidence" else None,
    )
    assert lifted.ok.all()
    for i in range(10):
        weight = np.where(np.isnan(points[i]).any(axis=1), 0, confidence[i])
        own = None if covariance is None else covariance[i]
        residuals = objective(
            model,
            cameras[i],
            intrinsics,
            whitening_of(model, lifter, lifted, i, own, weight),
            lifter.search.nu[lifted.component[i]],
            np.nan_to_num(points[i]),
            lifted.component[i],
            lifted.yaw[i],
        )
        scale = lifted.scale[i]
        mine = np.concatenate([lifted.full.place[i], lifted.coefficients[i] * scale, [scale]])
        start = np.concatenate([np.nanmean(points[i], axis=0), np.zeros(12), [scale * 1.2]])
        best = least_squares(residuals, start, xtol=1e-12, ftol=1e-12, gtol=1e-12)
        np.testing.assert_allclose(mine, best.x, atol=2e-5 * scale)
        assert np.square(residuals(mine)).sum() <= 2 * best.cost * (1 + 1e-9)
        shape = model.mean[lifted.component[i]] + np.tensordot(
            lifted.coefficients[i], model.basis[lifted.component[i]], 1
        )
        world = shape @ vertical_rotation(lifted.yaw[i]).T
        np.testing.assert_allclose(lifted.pose[i], model.scale_mm * world, atol=1e-6)
        if intrinsics is not None:
            np.testing.assert_allclose(
                lifted.projection[i],
                perspective(
                    lifted.pose[i], cameras[i], -cameras[i].T @ lifted.translation[i], intrinsics
                ),
                atol=1e-6,
            )


def test_a_long_lens_is_weak_perspective(lifter):
    """With the camera turned toward the person, and nothing but the distance different."""
    truth = random_poses(20, seed=3)
    truth -= truth.mean(axis=1, keepdims=True)
    camera = look_at([0, 300e3, 4000e3], np.zeros(3))
    lens = np.array([[1e6, 0, 0], [0, 1e6, 0], [0, 0, 1]])
    points = perspective(truth, camera, [0, 300e3, 4000e3], lens)
    weak, full = (lifter.lift(points, camera=camera, intrinsics=k) for k in (None, lens))
    np.testing.assert_allclose(full.pose, weak.pose, atol=0.5)
    np.testing.assert_allclose(full.log_likelihood, weak.log_likelihood, atol=0.01)
    np.testing.assert_allclose(full.scale, weak.scale, rtol=1e-3)


@pytest.mark.slow
def test_a_planted_person_is_found_where_it_is(model):
    """Four strong modes, no noise, wide-angle cameras, far from the middle of the image."""
    small = dataclasses.replace(
        model,
        mean=model.mean[:1],
        basis=model.basis[:1, :4],
        std=model.std[:1, :4],
        noise_std=np.array([1e-4]),
        weight=np.ones(1),
    )
    random = np.random.default_rng(0)
    lens = np.array([[600.0, 0, 500], [0, 600, 500], [0, 0, 1]])
    a = random.normal(size=(30, 4)) * small.std[0]
    shape = small.mean[0] + np.tensordot(a, small.basis[0], 1)
    truth = small.scale_mm * shape @ vertical_rotation(random.uniform(0, 6, 30)).swapaxes(1, 2)
    place = random.uniform([-1500, -500, 2500], [1500, 500, 5000], (30, 3))
    points = np.stack(
        [perspective(t, LEVEL, -LEVEL.T @ p, lens) for t, p in zip(truth, place, strict=True)]
    )
    full = prior.lift(points, small, rotations=720, noise_mm=1, intrinsics=lens)
    weak = prior.lift(points, small, rotations=720, noise_mm=1)
    # Of 180 on six models one is another than the true one, by 45 mm.
    errors = metrics.root_aligned(full.pose, truth)
    assert full.ok.all() and np.sort(errors)[-2] < 5
    assert np.median(metrics.root_aligned(weak.pose, truth)) > 30
    off = np.linalg.norm(full.translation - place, axis=1) / place[:, 2]
    assert np.median(off) < 0.003 and np.isnan(weak.translation).all()


@pytest.mark.parametrize("intrinsics", [None, INTRINSICS], ids=["weak perspective", "lens"])
def test_alone_a_pose_is_lifted_as_among_many(lifter, intrinsics):
    """Landmarks that are missing for many have tables, those of a few a ranking of their own."""
    _, points, cameras = photographs(80, noise_px=4)
    points[:, 3] = np.nan
    points[::2, 7] = np.nan
    options = {"camera": cameras[0], "intrinsics": intrinsics}
    few = lifter.lift(points[:9], **options)
    many = lifter.lift(np.tile(points, (4, 1, 1)), **options).take(np.arange(9))
    off = np.abs(few.pose - many.pose).max(axis=(1, 2))
    assert (off < 0.1).mean() > 0.8 and np.abs(few.log_likelihood - many.log_likelihood).max() < 1


@pytest.mark.parametrize("with_covariance", [False, True])
def test_chunks_do_not_matter(lifter, monkeypatch, with_covariance):
    _, points, cameras = photographs(20, noise_px=4)
    options = {"camera": cameras, "intrinsics": INTRINSICS}
    if with_covariance:
        options["covariance"] = covariances(20)
    whole = lifter.lift(points, **options)
    monkeypatch.setattr(lifter.full, "chunk", 7)
    parts = lifter.lift(points, **options)
    np.testing.assert_array_equal(parts.rotation, whole.rotation)
    np.testing.assert_allclose(parts.pose, whole.pose, atol=0.02)


@pytest.mark.slow
def test_with_hardly_any_noise_all_are_lifted_and_fewer_at_once(model, monkeypatch):
    """Of two, the first step leads behind the camera and foretells the highest density. Most
    combinations are candidates: of the ready model they take a megabyte a pose."""
    exact = dataclasses.replace(model, noise_std=np.full(model.components, 1e-3))
    lifter = prior.Lifter(exact, rotations=24, noise_mm=1)
    _, points, cameras = photographs(300)
    approach, counts = lifter.full.projections.approach, []

    def counted(views, start):
        counts.append(len(start))
        return approach(views, start)

    monkeypatch.setattr(lifter.full.projections, "approach", counted)
    assert lifter.lift(points, camera=cameras, intrinsics=INTRINSICS).ok.all()
    combinations = model.components * 24
    assert max(counts) <= 128 * combinations and sum(counts) > 0.5 * 300 * combinations


def test_bad_poses_are_marked_and_the_others_unharmed(lifter):
    _, points, cameras = photographs(6)
    options = {"camera": cameras, "intrinsics": INTRINSICS, "covariance": covariances(6)}
    good = lifter.lift(points, **options)
    bad = points.copy()
    bad[1] = 7.0
    bad[2, 0, 0] = np.inf
    bad[4, 2:] = np.nan
    with pytest.warns(UserWarning, match="3 of 6 poses could not be lifted"):
        lifted = lifter.lift(bad, **options)
    assert lifted.ok.tolist() == [True, False, False, True, False, True]
    # To a millionth of a person's size.
    np.testing.assert_allclose(lifted.pose[lifted.ok], good.pose[lifted.ok], atol=2e-3)
    assert np.isfinite(lifted.pose).all() and np.isfinite(lifted.projection).all()
    assert np.isnan(lifted.translation[~lifted.ok]).all()
    grad = lifter.vjp(lifted, projection=np.ones_like(points))
    assert np.isfinite(grad).all() and (grad[~lifted.ok] == 0).all()
    assert len(lifter.lift(points[:0], intrinsics=INTRINSICS).pose) == 0


def test_who_has_no_place_before_the_camera_is_said_and_the_others_unharmed(lifter):
    """One seen through the camera's back, which turns it over, and one all around a fisheye."""
    _, points, cameras = photographs(6)
    options = {"camera": cameras, "intrinsics": INTRINSICS}
    good = lifter.lift(points, **options)
    bad = points.copy()
    bad[1] = 2 * points[1].mean(axis=0) - points[1]
    bad[4] = 1e5 * np.sign(points[4] - points[4].mean(axis=0))
    with pytest.warns(UserWarning, match="2 of 6 poses could not be lifted"):
        lifted = lifter.lift(bad, **options)
    assert lifted.ok.tolist() == [True, False, True, True, False, True]
    np.testing.assert_allclose(lifted.pose[lifted.ok], good.pose[lifted.ok], atol=2e-3)


def test_the_tilt_is_found_with_a_lens_too(lifter):
    truth = random_poses(30, seed=5)
    truth -= truth.mean(axis=1, keepdims=True)
    place = 4000 * np.array([0, np.sin(0.4), np.cos(0.4)])
    points = perspective(truth, look_at(place, np.zeros(3)), place, INTRINSICS)
    tilted = lifter.lift(points, intrinsics=INTRINSICS, tilt=True)
    again = lifter.lift(points, intrinsics=INTRINSICS, camera=tilted.camera)
    np.testing.assert_allclose(again.pose, tilted.pose, atol=1e-3)
    level = lifter.lift(points, intrinsics=INTRINSICS)
    error = [metrics.root_aligned(a.pose, truth).mean() for a in (tilted, level)]
    assert error[0] < error[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"intrinsics": np.eye(2)}, r"intrinsics: expected \(3, 3\) or \(2, 3, 3\)"),
        ({"intrinsics": np.diag([1000, -1000, 1])}, "intrinsics: expected camera matrices"),
        ({"intrinsics": np.full((3, 3), np.nan)}, "intrinsics: expected camera matrices"),
        ({"intrinsics": INTRINSICS.T}, "intrinsics: expected camera matrices"),
        ({"intrinsics": 2 * INTRINSICS}, "intrinsics: expected camera matrices"),
        ({"covariance": np.eye(2)}, "covariance: expected"),
        ({"covariance": np.zeros((17, 2, 2))}, "positive definite.*landmark 0 of pose 0"),
        ({"covariance": np.tile([[1, 2], [2, 1]], (17, 1, 1))}, "positive definite"),
        ({"covariance": np.tile([[np.inf, 0], [0, 1]], (17, 1, 1))}, "positive definite"),
        ({"covariance": np.tile([[1, 0.5], [0, 1]], (17, 1, 1))}, "symmetric"),
    ],
)
def test_wrong_arguments_are_named(lifter, options, message):
    with pytest.raises(ValueError, match=message):
        lifter.lift(np.random.default_rng(0).normal(size=(2, 17, 2)), **options)
