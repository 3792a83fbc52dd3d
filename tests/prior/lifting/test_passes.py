"""The loops of weak perspective, against numpy's of one image or candidate."""

import numpy as np
import pytest

from prior.camera import level_camera, vertical_rotation
from prior.lifting import passes, search
from prior.lifting import weak_perspective as weak

L = 17


def observed_alone(points, confidence, roll):
    """y (2, L), size, centre, weight, numbers, log_volume of one image that can be lifted."""
    weight = np.where(np.isnan(points).any(axis=1), 0, confidence)
    here = weight > 0
    centre = np.average(points[here], axis=0, weights=weight[here] ** 2)
    upright = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    y = np.zeros((2, L))
    y[:, here] = upright @ (weight[here, None] * (points[here] - centre)).T
    # The volume of weighted, centred landmarks is that of their contrasts.
    contrasts = np.linalg.qr(np.eye(here.sum()) - 1 / here.sum())[0][:, :-1]
    own = weight[here]
    centring = np.eye(len(own)) - np.outer(np.ones(len(own)), own**2) / np.sum(own**2)
    stretch = (own[:, None] * centring) @ contrasts
    log_volume = np.linalg.slogdet(stretch.T @ stretch)[1]
    return y / np.linalg.norm(y), np.linalg.norm(y), centre, weight, 2 * here.sum() - 2, log_volume


@pytest.fixture(scope="module")
def images():
    """Arguments of `observed`: confidences of each, and landmarks missing."""
    random = np.random.default_rng(0)
    points, confidence = random.normal(size=(9, L, 2)) * 50 + 300, random.uniform(0.2, 1, (9, L))
    points[1, 3], points[2, 5, 1], confidence[3, 7] = np.nan, np.nan, 0
    points[4, 3:] = np.nan  # three are left
    return points, confidence, random.uniform(-1, 1, 9)


def test_images_are_observed_as_each_alone(images):
    *fields, ok = passes.observed(*images, 3)
    assert ok.all()
    for i, own in enumerate(zip(*images, strict=True)):
        for field, twin in zip(fields, observed_alone(*own), strict=True):
            np.testing.assert_allclose(field[i], twin, atol=1e-9)


def test_one_confidence_is_for_all(images):
    points, confidence, roll = images
    one = passes.observed(points, confidence[:1], roll, 3)
    each = passes.observed(points, np.tile(confidence[:1], (9, 1)), roll, 3)
    for a, b in zip(one, each, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_cannot_be_lifted_is_nothing_and_leaves_the_others_alone(images):
    points, confidence, roll = images
    bad, unsure = points.copy(), confidence.copy()
    bad[0, 4, 0], bad[4, 2], bad[5], bad[6, 1] = np.inf, np.nan, 300, 1e200
    unsure[7:] = [[1e-100], [1e-200]]  # of which the squares are next to nothing, and nothing
    *fields, ok = passes.observed(bad, unsure, roll, 3)
    assert ok.tolist() == [i in (1, 2, 3) for i in range(9)]
    for field, twin in zip(fields, passes.observed(points, confidence, roll, 3), strict=False):
        np.testing.assert_array_equal(field[ok], twin[ok])
    y, size, centre, weight, dimensions, log_volume = (field[~ok] for field in fields)
    assert not y.any() and not centre.any() and not log_volume.any()
    assert (size == 1).all() and (weight == 1).all() and (dimensions == 2 * (L - 1)).all()


def test_no_image_is_no_trouble(images):
    points, confidence, roll = (a[:0] for a in images)
    assert all(len(a) == 0 for a in passes.observed(points, confidence, roll, 3))
    y = np.empty((0, 2, L))
    flat, pairs = passes.products(y, np.arange(0), np.empty(0))
    assert flat.shape == (34, 0) and pairs.shape == (595, 0)


@pytest.mark.parametrize("count", [1, 16, 37])
def test_products_are_those_of_turned_landmarks(count):
    random = np.random.default_rng(1)
    y, roll = random.normal(size=(40, 2, L)), random.uniform(-3, 3, 40)
    rows = random.integers(0, 40, count)
    flat, pairs = passes.products(y, rows, roll)
    turned = weak.rolled(y[rows].transpose(1, 2, 0), roll[rows]).reshape(34, -1)
    np.testing.assert_allclose(flat, turned, atol=1e-6)
    i, j = np.triu_indices(34)
    np.testing.assert_allclose(pairs, turned[i] * turned[j], atol=1e-5)
    assert flat.dtype == pairs.dtype == np.float32


@pytest.mark.parametrize("each", [False, True])
def test_densities_are_numpys(each):
    random = np.random.default_rng(2)
    quadratic, scale = np.exp(random.uniform(-3, 3, (2, 12, 37))).astype(np.float32)
    scale[:3, 0] = 1, 2, search.TINY
    constant = random.normal(size=(12, 37 if each else 1)).astype(np.float32)
    exact = [a.astype(float) for a in (quadratic, scale, constant)]
    expected = exact[0] / exact[1] ** 2 - 32 * np.log(exact[1]) + exact[2]
    density, best = passes.densities(quadratic, scale, np.log(scale), constant, 32)
    np.testing.assert_allclose(density, expected, rtol=1e-6, atol=2e-5)
    np.testing.assert_array_equal(best, density.max(axis=0))


@pytest.fixture(scope="module")
def candidates(lifter):
    """All combinations for four images of a tilted camera; weights differ, one is missing."""
    poses = lifter.model.scale_mm * np.random.default_rng(3).normal(size=(4, L, 3))
    points = poses[..., :2] * [0.2, -0.2] + 300
    points[1, 4] = np.nan
    camera = level_camera(0.2) @ vertical_rotation(0.7)
    confidence = np.linspace(0.4, 1, L)
    images = weak.observe(weak.validate(points, camera, confidence))
    return images, lifter.search.near_best(images, reach=np.inf)[0]


def test_candidates_are_projected_as_each_alone(lifter, candidates):
    images, every = candidates
    search, model = lifter.search, lifter.model
    projected = search.project(images, every)
    assert len(every.row) == 4 * len(search.component) and (np.diff(every.component) >= 0).all()
    for p in range(0, len(every.row), 7):
        i, k, s = every.row[p], every.component[p], every.solution[p]
        shape = s[0] * model.mean[k] + np.tensordot(s[1:], model.basis[k], 1)
        turned = shape @ vertical_rotation(every.angle[p]).T
        flat = (turned @ level_camera(images.elevation[i]).T)[:, :2].T
        np.testing.assert_allclose(projected.shape[p], turned.T, atol=1e-12)
        np.testing.assert_allclose(projected.flat[p], flat, atol=1e-12)
        # The cost is that of equation 4, with what the coefficients cost.
        weight = images.weight[i]
        flat = flat - np.average(flat, axis=1, weights=weight**2)[:, None]
        cost = np.sum((images.y[i] - weight * flat) ** 2)
        cost += search.nu[k] * np.sum((s[1:] / model.std[k]) ** 2)
        assert projected.cost[p] == pytest.approx(cost, abs=1e-9)


def described(lifter, images, candidates):
    """What is said of four images, by name, in their order."""
    J = lifter.model.basis_size
    shapes = {"pose": (L, 3), "projection": (L, 2), "coefficients": (J,)}
    shapes |= dict.fromkeys(("scale", "yaw", "log_likelihood"), ())
    results = {name: np.zeros((4, *shape)) for name, shape in shapes.items()}
    results |= {name: np.zeros(4, dtype=int) for name in ("component", "rotation")}
    results["ok"] = np.zeros(4, dtype=bool)
    place = np.array([2, 0, 3, 1])  # the rows of their results
    lifter.search.describe(images, candidates, place, results)
    return {name: values[place] for name, values in results.items()}


def test_the_most_probable_is_described_and_of_equals_the_first(lifter, candidates):
    images, every = candidates
    density = lifter.search.project(images, every).log_density
    best = np.array([np.where(every.row == i, density, -np.inf).argmax() for i in range(4)])
    alone = described(lifter, images, every.take(best))
    np.testing.assert_array_equal(alone["component"], every.component[best])
    np.testing.assert_array_equal(alone["rotation"], every.rotation[best])
    assert alone["ok"].all()
    for order in (np.arange(len(every.row)), np.arange(len(every.row))[::-1]):
        for name, values in described(lifter, images, every.take(order)).items():
            np.testing.assert_array_equal(values, alone[name])
    twice = every.take(np.repeat(best, 2))
    twice.rotation[1::2] = -5
    for name, values in described(lifter, images, twice).items():
        np.testing.assert_array_equal(values, alone[name])


def test_of_nothing_but_upside_down_the_first_is_described(lifter, candidates):
    images, every = candidates
    which = np.flatnonzero(every.solution[:, 0] <= 0)
    first = which[np.unique(every.row[which], return_index=True)[1]]
    assert len(first) == 4
    results = described(lifter, images, every.take(which))
    np.testing.assert_array_equal(results["rotation"], every.rotation[first])
    assert not results["ok"].any() and (results["log_likelihood"] == -np.inf).all()
    assert np.isfinite(results["pose"]).all()
