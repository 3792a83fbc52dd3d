import dataclasses
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import prior
from prior import chunks, metrics
from prior.camera import LEVEL, decompose, look_at, perspective, vertical_rotation
from prior.lifting import lifter as lifting
from prior.lifting import tables
from prior.lifting.reference import lift_slowly
from prior.normalise import PoseError
from prior.skeleton import LANDMARKS, MIRROR, mirrored
from tests.poses import random_poses
from tests.prior.lifting.photographs import INTRINSICS, photographs


@pytest.mark.parametrize("criterion", ["density", "cost"])
@pytest.mark.parametrize("weights", ["none", "missing", "confidence"])
def test_agrees_with_the_twin(model, weights, criterion):
    lifter = prior.Lifter(model, rotations=24, criterion=criterion)
    _, points, cameras = photographs(6, noise_px=4)
    random = np.random.default_rng(1)
    confidence = np.ones((6, 17))
    if weights == "missing":
        confidence = (random.random((6, 17)) > 0.25).astype(float)
    if weights == "confidence":
        confidence = random.random((6, 17))
    lifted = lifter.lift(
        points, camera=cameras, confidence=None if weights == "none" else confidence
    )
    for i in range(6):
        score, pose, projection, component, scale = lift_slowly(
            points[i], model, cameras[i], confidence[i], 24, lifting.NOISE_MM, criterion
        )
        assert lifted.component[i] == component
        np.testing.assert_allclose(lifted.pose[i], pose, atol=1e-6)
        np.testing.assert_allclose(lifted.projection[i], projection, atol=1e-6)
        assert lifted.log_likelihood[i] == pytest.approx(score, abs=1e-6)
        assert lifted.scale[i] == pytest.approx(scale)


def test_interpolated_elevations_find_what_a_table_of_ones_own_does(lifter):
    _, points, cameras = photographs(30, noise_px=5)
    together = lifter.lift(points, camera=cameras)
    for i in range(0, 30, 3):
        alone = lifter.lift(points[i : i + 1], camera=cameras[i])
        assert together.log_likelihood[i] == pytest.approx(alone.log_likelihood[0], abs=1e-8)
        np.testing.assert_allclose(together.pose[i], alone.pose[0], atol=1e-6)


def test_a_shared_camera_and_one_per_pose_agree(lifter):
    _, points, cameras = photographs(100)
    shared = lifter.lift(points, camera=cameras[0])
    each = prior.Lifter(lifter.model, rotations=24)
    for i in range(0, 100, 20):
        one = each.lift(points[i : i + 1], camera=cameras[:1])
        np.testing.assert_allclose(one.pose[0], shared.pose[i], atol=1e-6)


def test_much_better_than_the_mean_pose_on_unseen_poses(model):
    truth, points, cameras = photographs(200)
    lifted = prior.lift(points, model, camera=cameras)
    assert lifted.ok.all()
    error = metrics.procrustes_aligned(lifted.pose, truth).mean()
    mean = np.repeat(model.mean[:1] * model.scale_mm, 200, axis=0)
    assert error < 0.7 * metrics.procrustes_aligned(mean, truth).mean()


def test_a_planted_pose_comes_back(model):
    # Four strong modes of one component, seen from the side it was planted at: no noise, 34
    # measurements for six unknowns.
    small = dataclasses.replace(
        model,
        mean=model.mean[:1],
        basis=model.basis[:1, :4],
        std=model.std[:1, :4],
        noise_std=np.array([1e-4]),
        weight=np.ones(1),
    )
    random = np.random.default_rng(0)
    a = random.normal(size=(50, 4)) * small.std[0]
    yaw = 2 * np.pi * random.integers(0, 80, 50) / 80
    shape = small.mean[0] + np.tensordot(a, small.basis[0], 1)
    truth = shape @ vertical_rotation(yaw).swapaxes(1, 2) * small.scale_mm
    points = 0.2 * (truth @ LEVEL.T)[..., :2]
    lifted = prior.lift(points, small, noise_mm=0)
    np.testing.assert_allclose(np.exp(1j * lifted.yaw), np.exp(1j * yaw), atol=1e-9)
    np.testing.assert_allclose(lifted.coefficients, a, atol=1e-3)
    np.testing.assert_allclose(lifted.pose, truth, atol=0.5)
    np.testing.assert_allclose(lifted.scale, 0.2 * small.scale_mm, rtol=1e-4)


def test_turning_person_and_camera_together_turns_the_answer(lifter):
    _, points, cameras = photographs(20)
    turn = vertical_rotation(0.8)
    before = lifter.lift(points, camera=cameras)
    after = lifter.lift(points, camera=cameras @ turn.T)
    np.testing.assert_allclose(after.pose, before.pose @ turn.T, atol=1e-6)
    np.testing.assert_allclose(after.coefficients, before.coefficients, atol=1e-8)


def test_scaling_shifting_and_rolling_the_image_change_only_scale(lifter):
    _, points, cameras = photographs(20)
    before = lifter.lift(points, camera=cameras)
    after = lifter.lift(points * 3.5 + [100, -40], camera=cameras)
    np.testing.assert_allclose(after.pose, before.pose, atol=1e-6)
    np.testing.assert_allclose(after.scale, 3.5 * before.scale)
    np.testing.assert_allclose(after.projection, before.projection * 3.5 + [100, -40], atol=1e-6)
    cos, sin = np.cos(0.3), np.sin(0.3)
    roll = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    rolled = lifter.lift(points @ roll[:2, :2].T, camera=roll @ cameras)
    np.testing.assert_allclose(rolled.pose, before.pose, atol=1e-6)


def test_a_mirrored_image_lifts_to_the_mirrored_pose():
    # A model of a set closed under mirroring: one component, whose symmetry is exact.
    model = prior.fit(random_poses(100), components=1, basis=5, solver="closed-form")
    lifter = prior.Lifter(model, rotations=24)
    _, points, _ = photographs(20)
    before = lifter.lift(points)
    after = lifter.lift(points[:, MIRROR] * [-1, 1])
    np.testing.assert_allclose(after.pose, mirrored(before.pose), atol=1)


def test_order_of_the_batch_does_not_matter(lifter):
    _, points, cameras = photographs(60)
    order = np.random.default_rng(0).permutation(60)
    before = lifter.lift(points, camera=cameras)
    after = lifter.lift(points[order], camera=cameras[order])
    np.testing.assert_allclose(after.pose, before.pose[order], atol=1e-9)


def test_arguments_are_left_alone(lifter):
    _, points, cameras = photographs(3)
    copies = points.copy(), cameras.copy()
    lifter.lift(points, camera=cameras)
    np.testing.assert_array_equal(points, copies[0])
    np.testing.assert_array_equal(cameras, copies[1])


def test_few_combinations(model):
    small = dataclasses.replace(
        model,
        mean=model.mean[:1],
        basis=model.basis[:1],
        std=model.std[:1],
        noise_std=model.noise_std[:1],
        weight=np.ones(1),
    )
    _, points, cameras = photographs(3)
    assert prior.lift(points, small, camera=cameras, rotations=4).ok.all()
    with pytest.raises(ValueError, match="rotations: expected 4 or more, got 3"):
        prior.Lifter(small, rotations=3)
    with pytest.raises(ValueError, match="noise_mm: expected 0 or more, up to 10000, got -1"):
        prior.Lifter(small, noise_mm=-1)


def test_nan_is_missing(lifter):
    _, points, cameras = photographs(4)
    holes = points.copy()
    holes[:, 5] = np.nan
    confidence = np.ones(17)
    confidence[5] = 0
    a = lifter.lift(holes, camera=cameras)
    b = lifter.lift(points, camera=cameras, confidence=confidence)
    np.testing.assert_allclose(a.pose, b.pose)
    assert np.isfinite(a.projection).all()


def test_bad_poses_are_marked_and_the_others_unharmed(lifter):
    _, points, cameras = photographs(6)
    good = lifter.lift(points, camera=cameras)
    bad = points.copy()
    bad[1] = 7.0
    bad[2, 0, 0] = np.inf
    bad[4, 2:] = np.nan
    with pytest.warns(UserWarning, match="3 of 6 poses could not be lifted"):
        lifted = lifter.lift(bad, camera=cameras)
    assert lifted.ok.tolist() == [True, False, False, True, False, True]
    np.testing.assert_allclose(lifted.pose[lifted.ok], good.pose[lifted.ok], atol=1e-9)
    for array in (lifted.pose, lifted.projection, lifted.scale, lifted.component_probability):
        assert np.isfinite(array).all()
    assert (lifted.log_likelihood[~lifted.ok] == -np.inf).all()
    grad = lifter.vjp(lifted, projection=np.ones_like(points))
    assert np.isfinite(grad).all() and (grad[~lifted.ok] == 0).all()


def test_only_upside_down_is_marked(lifter):
    _, points, cameras = photographs(8)
    standing = lifter.lift(points)
    with pytest.warns(UserWarning, match="upside down"):
        lifted = lifter.lift(points * [1, -1])
    assert standing.ok.all() and (~lifted.ok).any()
    mean = lifter.model.mean[0] * lifter.model.scale_mm
    assert (np.abs(lifted.pose[~lifted.ok] - mean) < 1e-9).all()
    # What can be lifted at all is far from probable.
    assert (lifted.log_likelihood < standing.log_likelihood - 10).all()


# MPII's landmarks have no hip, spine and nose of ours; COCO's no hip, spine, neck and head top.
@pytest.mark.parametrize("absent", [(0, 7, 9), (0, 7, 8, 10)])
def test_other_sets_of_landmarks_lift_with_the_same_model(lifter, absent):
    truth, points, cameras = photographs(100)
    full = lifter.lift(points, camera=cameras)
    points[:, absent] = np.nan
    part = lifter.lift(points, camera=cameras)
    assert part.ok.all() and np.isfinite(part.projection).all()
    error, best = (metrics.procrustes_aligned(a.pose, truth).mean() for a in (part, full))
    assert error < 1.2 * best


def test_what_float32_cannot_tell_apart_is_decided_in_float64(lifter, monkeypatch):
    _, points, cameras = photographs(100, noise_px=5)
    first, last = points[:50], points[50:]

    def choice(points):
        lifted = lifter.lift(points, camera=cameras[0])
        return np.stack([lifted.component, lifted.yaw])

    # Between two images, where the choice changes: there two are next to equally probable.
    low, high, before = np.zeros(50), np.ones(50), choice(first)
    for _ in range(40):
        middle = (low + high) / 2
        same = (choice(first + middle[:, None, None] * (last - first)) == before).all(axis=0)
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    share = np.concatenate([low, high])[:, None, None]
    between = np.tile(first, (2, 1, 1)) + share * np.tile(last - first, (2, 1, 1))
    chosen = choice(between)
    near_best = lifter.search.near_best
    monkeypatch.setattr(
        lifter.search, "near_best", lambda images, **_: near_best(images, reach=2.0)
    )
    np.testing.assert_array_equal(chosen, choice(between))  # all within 2 nats, in float64


def test_chunks_and_threads_do_not_matter(lifter, monkeypatch):
    _, points, cameras = photographs(50)
    confidence = np.random.default_rng(0).choice([0.5, 1.0], 50)[:, None] * np.ones(17)
    whole = lifter.lift(points, camera=cameras[0], confidence=confidence)
    grad = lifter.vjp(whole, pose=np.ones((50, 17, 3)))
    before = chunks.cores()
    monkeypatch.setattr(lifting, "CHUNK", 7)
    parts = lifter.lift(points, camera=cameras[0], confidence=confidence)
    for name, array in whole.arrays().items():
        atol = 1e-4 if name == "component_probability" else 1e-8
        np.testing.assert_allclose(parts.arrays()[name], array, rtol=1e-6, atol=atol)
    back = lifter.vjp(parts, pose=np.ones((50, 17, 3)))
    np.testing.assert_allclose(grad, back, atol=1e-8)
    assert chunks.cores() == before
    with threadpool_limits(1):
        assert chunks.cores() == 1


def test_tables_are_given_up_in_the_end(model, monkeypatch):
    monkeypatch.setattr(tables, "KEPT", 3 * 8)
    lifter = prior.Lifter(model, rotations=4)
    _, points, cameras = photographs(12)
    before = lifter.lift(points, camera=cameras)
    assert len(lifter.search.tables.cache) == 3
    np.testing.assert_allclose(lifter.lift(points, camera=cameras).pose, before.pose, atol=1e-9)


def test_refined_is_a_dense_search(model):
    truth, points, cameras = photographs(20, noise_px=5)
    cameras = cameras[0]
    dense = prior.lift(points, model, camera=cameras, rotations=800)
    few = prior.lift(points, model, camera=cameras, rotations=40, refine=True)
    # The prior of one rotation is 1 / rotations.
    gain = few.log_likelihood - dense.log_likelihood + np.log(40 / 800)
    # Now and then a peak is narrower than the steps of the start.
    assert (gain > -0.01).mean() >= 0.9 and np.median(gain) >= 0 and gain.max() < 0.1
    error = [metrics.root_aligned(a.pose, truth).mean() for a in (few, dense)]
    assert error[0] == pytest.approx(error[1], rel=0.02)
    plain = prior.lift(points, model, camera=cameras, rotations=40)
    assert (few.log_likelihood >= plain.log_likelihood - 1e-9).all()


def test_unknown_tilt_is_found(lifter):
    random = np.random.default_rng(4)
    truth = random_poses(40, seed=5)
    truth -= truth.mean(axis=1, keepdims=True)
    place = 5000 * np.array([0, np.sin(0.5), np.cos(0.5)])
    camera = look_at(place, np.zeros(3))
    points = perspective(truth, camera, place, INTRINSICS) + random.normal(size=(40, 17, 2)) * 2
    tilted = lifter.lift(points, tilt=True)
    _, elevation, yaw = decompose(tilted.camera)
    assert np.median(elevation) > 0.2  # poses as random as these say little about the vertical
    np.testing.assert_allclose(yaw, 0, atol=1e-9)
    # It is what a lift with the cameras found gives, more probable than as level.
    again = lifter.lift(points, camera=tilted.camera)
    np.testing.assert_allclose(again.pose, tilted.pose, atol=1e-6)
    level = lifter.lift(points)
    assert (tilted.log_likelihood >= level.log_likelihood - 0.05).all()
    error = [metrics.root_aligned(a.pose, truth).mean() for a in (tilted, level)]
    assert error[0] < error[1]


def test_probabilities_and_an_empty_batch(lifter):
    _, points, cameras = photographs(8)
    lifted = lifter.lift(points, camera=cameras)
    np.testing.assert_allclose(lifted.component_probability.sum(axis=1), 1)
    assert len(lifter.lift(points[:0], camera=cameras[:0]).pose) == 0


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        (np.zeros((2, 16, 2)), {}, r"points: expected shape \(N, 17, 2\)"),
        (np.zeros((17, 2)), {}, r"points: expected shape \(N, 17, 2\)"),
        (np.zeros((2, 17, 2)), {"camera": np.diag([1, 1, -1.0])}, "camera: expected a rotation"),
        (np.zeros((2, 17, 2)), {"camera": np.tile(LEVEL, (3, 1, 1))}, "camera: expected"),
        (np.zeros((2, 17, 2)), {"camera": np.full((3, 3), np.nan)}, "camera: expected a rotation"),
        (np.zeros((2, 17, 2)), {"camera": np.eye(2)}, "camera: expected shape"),
        (np.zeros((2, 17, 2)), {"confidence": np.ones(16)}, "confidence: expected"),
        (np.zeros((2, 17, 2)), {"confidence": -np.ones(17)}, "confidence: expected finite"),
    ],
)
def test_wrong_arguments_are_named(lifter, points, options, message):
    with pytest.raises(ValueError, match=message) as error, warnings.catch_warnings():
        lifter.lift(points, **options)
    assert isinstance(error.value, (PoseError, ValueError))


def test_landmarks_are_those_of_the_model():
    assert LANDMARKS[10] == "head top" and len(LANDMARKS) == 17


def test_a_result_does_not_change_with_the_callers_arrays(lifter):
    _, points, cameras = photographs(5)
    confidence = np.full((5, 17), 0.5)
    lifted = lifter.lift(points, camera=cameras, confidence=confidence)
    before = lifter.vjp(lifted, pose=lifted.pose), lifter.deviation(lifted)
    for array in (points, cameras, confidence):
        array[...] = 0
    np.testing.assert_array_equal(lifter.vjp(lifted, pose=lifted.pose), before[0])
    np.testing.assert_array_equal(lifter.deviation(lifted), before[1])


@pytest.mark.parametrize("which", [slice(2, 7), np.array([5, 1, 1]), np.arange(9) % 2 == 0])
@pytest.mark.parametrize("options", [{}, {"refine": True}, {"tilt": True}])
def test_part_of_a_result_is_the_result_of_a_part(lifter, options, which):
    _, points, cameras = photographs(9, noise_px=3)
    confidence = np.random.default_rng(0).uniform(0.5, 1, (9, 17))
    whole = lifter.lift(points, camera=cameras, confidence=confidence, **options)
    part = whole.take(which)
    again = lifter.lift(
        points[which], camera=cameras[which], confidence=confidence[which], **options
    )
    assert part.arrays().keys() == again.arrays().keys()
    for name, array in again.arrays().items():
        # Refined from what the ranking says, of float32.
        far = 0.05 if "refine" in options else 1e-5
        np.testing.assert_allclose(part.arrays()[name], array, atol=far, err_msg=name)
    pose = np.random.default_rng(1).normal(size=points.shape[:2] + (3,))
    np.testing.assert_allclose(
        lifter.vjp(part, pose=pose[which]), lifter.vjp(whole, pose=pose)[which], atol=1e-9
    )
    np.testing.assert_allclose(lifter.deviation(part), lifter.deviation(whole)[which], atol=1e-6)


def test_rotation_is_the_enumerated_one_or_none(lifter):
    _, points, cameras = photographs(20)
    lifted = lifter.lift(points, camera=cameras)
    angle = 2 * np.pi * lifted.rotation / 24 - decompose(cameras)[2]
    np.testing.assert_allclose(np.exp(1j * lifted.yaw), np.exp(1j * angle), atol=1e-9)
    assert (lifter.lift(points, camera=cameras, refine=True).rotation == -1).all()


def test_least_cost_is_another_rotation_than_highest_density(model):
    """Both are what they say they are among all rotations, which the twin goes through; here, that
    they are not the same, so that the option does something, and that refining goes on from it."""
    _, points, cameras = photographs(60, noise_px=4)
    options = {"camera": cameras[0], "rotations": 40, "noise_mm": 0}
    density = prior.lift(points, model, **options)
    cost = prior.lift(points, model, criterion="cost", **options)
    differs = np.abs(np.sin((density.yaw - cost.yaw) / 2)) > 1e-6
    assert differs.mean() > 0.1
    assert (density.log_likelihood >= cost.log_likelihood - 1e-9).all()
    refined = prior.lift(points, model, criterion="cost", refine=True, **options)
    dense = prior.lift(points, model, criterion="cost", **(options | {"rotations": 2000}))
    same = np.abs(np.sin((refined.yaw - dense.yaw) / 2)) < np.pi / 1000
    assert same.mean() > 0.9


def test_as_published_is_section_5_3():
    assert lifting.AS_PUBLISHED == {"rotations": 80, "noise_mm": 0, "criterion": "cost"}
    with pytest.raises(ValueError, match="criterion: expected 'density' or 'cost', got 'best'"):
        prior.Lifter(prior.load(), criterion="best")
