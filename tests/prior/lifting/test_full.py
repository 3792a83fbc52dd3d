"""Full perspective and covariances, against scipy's least squares on the exact projection."""

import dataclasses

import numpy as np
import pytest
from scipy.optimize import least_squares

import prior
from prior import metrics
from prior.camera import LEVEL, look_at, perspective, vertical_rotation
from prior.lifting import full as full_lifting
from prior.lifting import posterior
from tests.poses import random_poses
from tests.prior.lifting.photographs import INTRINSICS, photographs

SKEWED = np.array([[900.0, 12, 700], [0, 1100, 300], [0, 0, 1]])


def covariances(count, seed=0):
    """Of ellipses of 2 to 12 px, any way round."""
    random = np.random.default_rng(seed)
    axes = random.normal(size=(count, 17, 2, 2))
    size = random.uniform(2, 12, (count, 17, 1, 2))
    q = np.linalg.qr(axes)[0] * size
    return q @ q.swapaxes(-1, -2)


def objective(model, camera, intrinsics, whitening, nu, points, component, yaw):
    """The residuals whose squares add up to the cost, of place (2,), s a (J,) and s, px: by the
    pinhole projection of a person at that place, or scaled orthography."""
    visible = whitening.any(axis=(1, 2))

    def residuals(unknowns):
        scale = unknowns[-1]
        shape = model.mean[component] + np.tensordot(
            unknowns[2:-1] / scale, model.basis[component], 1
        )
        world = shape @ vertical_rotation(yaw).T
        if intrinsics is None:
            projection = unknowns[:2] + scale * (world @ camera.T)[:, :2]
        else:
            depth = np.sqrt(intrinsics[0, 0] * intrinsics[1, 1]) / scale
            root = depth * np.linalg.solve(intrinsics, [*unknowns[:2], 1])
            projection = perspective(world, camera, -camera.T @ root, intrinsics)
        off = np.einsum("lab,lb->la", whitening, points - projection)[visible]
        return np.concatenate([off.ravel(), np.sqrt(nu) * unknowns[2:-1] / model.std[component]])

    return residuals


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
    assert np.median(metrics.root_aligned(full.pose, truth)) < 5
    assert np.median(metrics.root_aligned(weak.pose, truth)) > 30
    off = np.linalg.norm(full.translation - place, axis=1) / place[:, 2]
    assert np.median(off) < 0.003 and np.isnan(weak.translation).all()


def test_what_weak_perspective_rules_out_is_rarely_the_best(model, monkeypatch):
    lifter = prior.Lifter(model, rotations=40)
    _, points, cameras = photographs(150, noise_px=5)
    options = {"camera": cameras, "intrinsics": INTRINSICS, "covariance": covariances(150)}
    few = lifter.lift(points, **options)
    monkeypatch.setattr(full_lifting, "REACH", 30.0)
    many = lifter.lift(points, **options)
    lost = many.log_likelihood - few.log_likelihood
    assert (lost > -1e-6).all() and (lost > 1e-6).mean() < 0.05 and lost.mean() < 0.05


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("perspective", marks=pytest.mark.slow),
        "covariance",
        pytest.param("both", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("scale", ["exact", "held"])
def test_derivatives_against_finite_differences(model, lifter, kind, scale):
    _, points, cameras = photographs(4, noise_px=6)
    points[0, 5] = np.nan
    intrinsics = None if kind == "covariance" else SKEWED
    covariance = None if kind == "perspective" else covariances(4)
    lifted = lifter.lift(points, camera=cameras, intrinsics=intrinsics, covariance=covariance)
    random = np.random.default_rng(2)
    to_projection, to_pose = random.normal(size=(4, 17, 2)), random.normal(size=(4, 17, 3))
    gradient = lifter.vjp(lifted, projection=to_projection, pose=to_pose, scale=scale)
    assert (gradient[0, 5] == 0).all()
    views = lifter.full.views(lifted)

    def value(i, points):
        """The function at the minimum of another solver, with rotation, component, W and, if held,
        the scale kept."""
        residuals = objective(
            model,
            cameras[i],
            intrinsics,
            views.whitening[i],
            lifter.search.nu[lifted.component[i]],
            np.nan_to_num(points),
            lifted.component[i],
            lifted.yaw[i],
        )
        s = lifted.scale[i]
        start = np.concatenate([lifted.full.place[i], lifted.coefficients[i] * s, [s]])
        held = scale == "held"
        free = residuals if not held else (lambda x: residuals(np.append(x, s)))
        x = least_squares(
            free, start[: -1 if held else None], jac="3-point", xtol=3e-16, ftol=3e-16, gtol=3e-16
        ).x
        x = np.append(x, s) if held else x
        one = dataclasses.replace(model)
        shape = one.mean[lifted.component[i]] + np.tensordot(
            x[2:-1] / x[-1], one.basis[lifted.component[i]], 1
        )
        world = shape @ vertical_rotation(lifted.yaw[i]).T
        if intrinsics is None:
            projection = x[:2] + x[-1] * (world @ cameras[i].T)[:, :2]
        else:
            depth = np.sqrt(intrinsics[0, 0] * intrinsics[1, 1]) / x[-1]
            root = depth * np.linalg.solve(intrinsics, [*x[:2], 1])
            projection = perspective(world, cameras[i], -cameras[i].T @ root, intrinsics)
        pose = model.scale_mm * world
        return np.sum(to_projection[i] * projection) + np.sum(to_pose[i] * pose)

    for i in range(4):
        for landmark, axis in ((0, 0), (3, 1), (10, 0), (16, 1)):
            step = np.zeros((17, 2))
            step[landmark, axis] = 0.2
            slope = (value(i, points[i] + step) - value(i, points[i] - step)) / 0.4
            assert gradient[i, landmark, axis] == pytest.approx(slope, rel=2e-3, abs=2e-3)


def test_deviation_is_that_of_weak_perspective_from_afar(lifter):
    truth = random_poses(12, seed=3)
    truth -= truth.mean(axis=1, keepdims=True)
    camera = look_at([0, 300e3, 4000e3], np.zeros(3))
    lens = np.array([[1e6, 0, 0], [0, 1e6, 0], [0, 0, 1]])
    points = perspective(truth, camera, [0, 300e3, 4000e3], lens)
    points += np.random.default_rng(0).normal(size=points.shape) * 4
    points[0, 3] = np.nan
    weak, full = (lifter.lift(points, camera=camera, intrinsics=k) for k in (None, lens))
    for spread in (False, True):
        np.testing.assert_allclose(
            lifter.deviation(full, spread), lifter.deviation(weak, spread), rtol=0.02
        )
    moments = lifter.posterior(full)
    np.testing.assert_allclose(posterior.deviation(moments), lifter.deviation(full))
    np.testing.assert_allclose(moments, lifter.posterior(weak), atol=0.02 * moments.max())


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
    np.testing.assert_allclose(lifted.pose[lifted.ok], good.pose[lifted.ok], atol=1e-4)
    assert np.isfinite(lifted.pose).all() and np.isfinite(lifted.projection).all()
    assert np.isnan(lifted.translation[~lifted.ok]).all()
    grad = lifter.vjp(lifted, projection=np.ones_like(points))
    assert np.isfinite(grad).all() and (grad[~lifted.ok] == 0).all()
    assert len(lifter.lift(points[:0], intrinsics=INTRINSICS).pose) == 0


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
        ({"covariance": np.tile([[1, 0.5], [0, 1]], (17, 1, 1))}, "symmetric"),
    ],
)
def test_wrong_arguments_are_named(lifter, options, message):
    with pytest.raises(ValueError, match=message):
        lifter.lift(np.random.default_rng(0).normal(size=(2, 17, 2)), **options)


def test_moments_near_the_camera_are_those_of_the_linearised_projection(model):
    """A twin of dense matrices: the gain by gradients, which finite differences check, and the
    projection's derivatives by differences of the pinhole projection."""
    lens = np.array([[600.0, 0, 500], [0, 600, 500], [0, 0, 1]])
    truth = random_poses(3, seed=8)
    truth -= truth.mean(axis=1, keepdims=True)
    place = np.array([300.0, 200, 1800])
    points = np.stack([perspective(t, LEVEL, -LEVEL.T @ place, lens) for t in truth])
    lifter = prior.Lifter(model, rotations=24, noise_mm=30)
    lifted = lifter.lift(points, intrinsics=lens)
    moments = lifter.posterior(lifted, spread=False)
    gain = np.stack(
        [
            lifter.vjp(lifted, pose=np.broadcast_to(unit, (3, 17, 3))).reshape(3, -1)
            for unit in np.eye(51).reshape(51, 17, 3)
        ],
        axis=1,
    )
    centre = np.kron(np.eye(17) - 1 / 17, np.eye(3))
    for i in range(3):
        position = -LEVEL.T @ lifted.translation[i]

        def seen_from(pose, position=position):
            return perspective(pose.reshape(17, 3), LEVEL, position, lens).ravel()

        pose = lifted.pose[i].ravel()
        steps = 0.01 * np.eye(51)
        project = np.stack([(seen_from(pose + s) - seen_from(pose - s)) / 0.02 for s in steps], 1)
        k = lifted.component[i]
        basis = model.basis[k].reshape(12, 51)
        spread = (basis.T * model.std[k] ** 2) @ basis
        spread += model.noise_std[k] ** 2 * (centre - basis.T @ basis)
        turn = np.kron(np.eye(17), vertical_rotation(lifted.yaw[i]))
        spread = model.scale_mm**2 * turn @ spread @ turn.T
        noise_px = 30 / model.scale_mm * lifted.scale[i]
        rest = centre - gain[i] @ project
        expected = rest @ spread @ rest.T + noise_px**2 * gain[i] @ gain[i].T
        np.testing.assert_allclose(moments[i], expected, atol=1e-6 * expected.max())
