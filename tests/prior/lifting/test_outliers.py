"""Landmarks that the others contradict: which are left out, and what that leaves alone."""

import warnings

import numpy as np
import pytest

import prior
from prior import metrics
from prior.camera import LEVEL
from prior.lifting.lift import likely_noise_mm
from prior.simulation import INTRINSICS, room
from prior.skeleton import LANDMARKS

COUNT = 24
# In the poses of even number the neck is off: a hand there could be a gesture.
WRONG = LANDMARKS.index("neck")
OFF_PX = np.array([90.0, -70.0])
NOISE_PX = 2.0
NOISE_MM = 8.0  # the same at the body, 4.5 m away


def images(model, count):
    """People whose poses are drawn from the model, before the cameras of a room."""
    rng = np.random.default_rng(3)
    component = rng.choice(model.components, size=count, p=model.weight)
    coefficients = rng.normal(size=(count, model.basis_size)) * model.std[component]
    shape = model.mean[component] + np.einsum("nj,njlc->nlc", coefficients, model.basis[component])
    return room(model.scale_mm * shape, seed=4)


@pytest.fixture(scope="module")
def model():
    return prior.load()


@pytest.fixture(scope="module")
def scene(model):
    simulation = images(model, COUNT)
    points = simulation.noisy_points(NOISE_PX)
    wrong = points.copy()
    wrong[::2, WRONG] += OFF_PX
    return simulation.truth, points, wrong, simulation.cameras


def covariances():
    return np.tile(NOISE_PX**2 * np.eye(2), (17, 1, 1))


@pytest.mark.parametrize(
    "more",
    [{}, {"intrinsics": INTRINSICS}, {"covariance": covariances()}],
    ids=["weak perspective", "lens", "covariance"],
)
def test_gross_errors_are_left_out_as_if_missing(model, scene, more):
    truth, points, wrong, cameras = scene
    lifter = prior.Lifter(model, rotations=24, noise_mm=NOISE_MM)
    lifted = lifter.lift(wrong, camera=cameras, robust=True, **more)
    assert not lifted.inlier[::2, WRONG].any() and lifted.inlier.mean() > 0.95
    missing = np.where(lifted.inlier[..., None], wrong, np.nan)
    alone = lifter.lift(missing, camera=cameras, **more)
    np.testing.assert_allclose(lifted.pose, alone.pose, atol=0.1)  # mm
    np.testing.assert_array_equal(lifted.ok, alone.ok)
    clean, plain = (lifter.lift(p, camera=cameras, **more) for p in (points, wrong))
    error = [metrics.procrustes_aligned(a.pose, truth)[::2].mean() for a in (clean, lifted, plain)]
    assert error[1] < 1.25 * error[0] < error[2]


@pytest.mark.parametrize("intrinsics", [None, INTRINSICS], ids=["weak perspective", "lens"])
@pytest.mark.parametrize("end", ["right wrist", "left elbow", "right knee", "left foot"])
def test_a_limb_that_is_off_is_told_by_the_others(model, scene, end, intrinsics):
    """By its own arm it is not, which bends until it hardly disagrees: of 60 people 72 to 100 of
    100 such landmarks are doubted, and none when they are compared with a pose of all landmarks."""
    truth, points, _, cameras = scene
    limb = LANDMARKS.index(end)
    wrong = points.copy()
    wrong[:, limb] += OFF_PX
    lifter = prior.Lifter(model, noise_mm=NOISE_MM)
    options = {"camera": cameras, "intrinsics": intrinsics}
    lifted = lifter.lift(wrong, robust=True, **options)
    doubted = ~lifted.inlier
    assert doubted[:, limb].mean() > 0.6 and np.delete(doubted, limb, axis=1).mean() < 0.04
    error = [
        metrics.root_aligned(lift.pose, truth).mean()
        for lift in (lifted, lifter.lift(wrong, **options))
    ]
    assert error[0] < 0.9 * error[1]


def test_poses_that_agree_are_as_without(model, scene):
    _, _, wrong, cameras = scene
    lifter = prior.Lifter(model, rotations=24, noise_mm=3 * NOISE_MM)
    plain = lifter.lift(wrong, camera=cameras)
    robust = lifter.lift(wrong, camera=cameras, robust=True)
    same = robust.inlier.all(axis=1)
    assert same[1::2].mean() > 0.9 and not same[::2].any()
    np.testing.assert_allclose(robust.pose[same], plain.pose[same], atol=1e-6)
    assert plain.inlier.all()
    wrong = wrong.copy()
    wrong[1, 4] = np.nan
    assert not lifter.lift(wrong, camera=cameras).inlier[1, 4]
    weight = np.ones(17)
    weight[5] = 0
    assert not lifter.lift(wrong, camera=cameras, confidence=weight).inlier[:, 5].any()


def test_landmarks_of_no_person_are_not_lifted_and_the_others_are(model, scene):
    _, points, _, cameras = scene
    # Of this seed's random landmarks; the next test has how many sets are a person all the same.
    rng = np.random.default_rng(1)
    points = points.copy()
    points[:3] = rng.uniform(0, 1000, size=(3, 17, 2))
    points[3] = np.nan
    lifter = prior.Lifter(model, rotations=24, noise_mm=NOISE_MM)
    with pytest.warns(UserWarning, match="4 of 24 poses could not be lifted.*doubted"):
        lifted = lifter.lift(points, camera=cameras, robust=True)
    assert lifted.ok.tolist() == [False] * 4 + [True] * (COUNT - 4)
    assert not lifted.inlier[:4].any()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = lifter.lift(points[4:], camera=cameras[4:], robust=True)
    np.testing.assert_allclose(lifted.pose[4:], alone.pose, atol=1e-6)
    empty = lifter.lift(np.empty((0, 17, 2)), robust=True)
    assert len(empty) == 0


@pytest.mark.slow
def test_hardly_any_random_landmarks_are_lifted(model, scene):
    """Of 240 sets, four have eleven landmarks of which the model has a pose."""
    cameras = np.tile(scene[3], (10, 1, 1))
    points = np.random.default_rng(5).uniform(0, 1000, size=(len(cameras), 17, 2))
    lifter = prior.Lifter(model, rotations=24, noise_mm=NOISE_MM)
    with pytest.warns(UserWarning, match="could not be lifted"):
        lifted = lifter.lift(points, camera=cameras, robust=True)
    assert lifted.ok.mean() < 0.03
    assert lifted.inlier[lifted.ok].sum(axis=1).max(initial=0) <= 11


@pytest.mark.slow
def test_a_searched_tilt_is_that_of_the_landmarks_that_are_left(model, scene):
    _, _, wrong, _ = scene
    lifter = prior.Lifter(model, rotations=24, noise_mm=NOISE_MM)
    lifted = lifter.lift(wrong, robust=True, tilt=True)
    missing = np.where(lifted.inlier[..., None], wrong, np.nan)
    np.testing.assert_allclose(lifted.camera, lifter.lift(missing, tilt=True).camera)
    assert np.abs(lifted.camera - LEVEL).max() > 0.1


@pytest.mark.slow
def test_its_own_noise_is_that_of_the_landmarks_that_are_left(model):
    simulation = images(model, 40)
    points, cameras = simulation.noisy_points(5 * NOISE_PX), simulation.cameras
    rng = np.random.default_rng(0)
    bad = rng.random(points.shape[:2]) < 0.05
    points[bad] += rng.uniform(-300, 300, size=(bad.sum(), 2))
    noise = {}
    for robust in (False, True):
        arguments = {"camera": cameras, "robust": robust}
        noise[robust] = likely_noise_mm(model, points, arguments, rotations=24)
    # 10 px at some 4.5 m, with a focal length of 1145 px.
    expected = 10 * 4500 / 1145
    assert abs(noise[True] - expected) < abs(noise[False] - expected)
    assert noise[True] == pytest.approx(expected, rel=0.3)
