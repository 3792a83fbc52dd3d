"""The least squares of full perspective beside scipy's, and their parts beside obvious twins."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from prior.camera import vertical_rotation
from prior.lifting.least_squares import LeastSquares
from prior.lifting.perspective import Views

COUNT = 6
FOCAL = 1000.0
NU = np.array([0.02, 0.03])


@pytest.fixture(scope="module")
def solver(model):
    return LeastSquares(model, NU)


@pytest.fixture(scope="module")
def views(model):
    """Unsorted components, a landmark missing, and unequal noise; persons at 3 to 6 metres."""
    random = np.random.default_rng(3)
    component = np.array([0, 1, 0, 1, 1, 0])
    matrix = vertical_rotation(random.uniform(-3, 3, COUNT))
    matrix[:, 2] /= FOCAL
    coefficients = random.normal(size=(COUNT, model.basis_size)) * model.std[component]
    shape = model.mean[component] + np.einsum("pj,pjlc->plc", coefficients, model.basis[component])
    scale = FOCAL * model.scale_mm / random.uniform(3000, 6000, COUNT)
    image = np.einsum("pac,plc->pla", matrix, scale[:, None, None] * shape)
    points = (image[..., :2] + [500, 500]) / (1 + image[..., 2:])
    points += random.normal(0, 3, points.shape)
    whitening = np.tile(np.eye(2), (*points.shape[:2], 1, 1)) * random.uniform(
        0.5, 2, (COUNT, 17, 1, 1)
    )
    whitening[..., 0, 1] = random.uniform(-0.5, 0.5, points.shape[:2])
    whitening[1, 4] = 0
    start = np.concatenate([np.full((COUNT, 2), 500.0), np.zeros_like(coefficients)], axis=1)
    return Views(component, matrix, points, whitening), np.column_stack([start, scale])


def residuals(model, views, i, unknowns):
    """Those of one candidate's least squares, landmark by landmark."""
    k, size = views.component[i], model.basis_size
    shape = np.tensordot(unknowns[2:-1], model.basis[k], 1) + unknowns[-1] * model.mean[k]
    result = [np.sqrt(NU[k]) / model.std[k] * unknowns[2 : 2 + size]]
    for landmark, whitening, at in zip(shape, views.whitening[i], views.points[i], strict=True):
        x, y, depth = views.matrix[i] @ landmark
        image = (np.array([x, y]) + unknowns[:2]) / (1 + depth)
        result.append(whitening @ (at - image))
    return np.concatenate(result)


def test_the_minimum_is_scipys(model, solver, views):
    views, start = views
    solution = solver.solve(views, start)
    for i in range(COUNT):
        twin = least_squares(
            lambda unknowns, i=i: residuals(model, views, i, unknowns),
            start[i],
            x_scale="jac",
            xtol=1e-12,
            ftol=1e-14,
            gtol=1e-12,
        )
        np.testing.assert_allclose(solution.cost[i], 2 * twin.cost, rtol=1e-9)
        np.testing.assert_allclose(solution.unknowns[i], twin.x, atol=1e-5 * twin.x[-1])


def test_a_bad_start_leads_to_the_same_minimum(model, solver, views):
    """At half of the distance and seven standard deviations: whole steps lead one not back."""
    views, start = views
    best = solver.solve(views, start)
    far = start * np.array([1.0] * (start.shape[1] - 1) + [2.0])
    wrong = 7 * np.random.default_rng(7).normal(size=(COUNT, model.basis_size))
    far[:, 2:-1] = wrong * model.std[views.component] * far[:, -1:]
    other = solver.solve(views, far)
    np.testing.assert_allclose(other.cost, best.cost, rtol=1e-9)
    np.testing.assert_allclose(other.unknowns, best.unknowns, atol=1e-5 * start[:, -1].max())
    np.testing.assert_allclose(other.log_density, best.log_density, atol=1e-5)


def test_each_is_solved_as_if_alone(solver, views):
    views, start = views
    many = solver.solve(views, start)
    for i in range(COUNT):
        alone = solver.solve(views.take(slice(i, i + 1)), start[i : i + 1])
        for name in alone._fields:
            np.testing.assert_array_equal(getattr(many, name)[i], getattr(alone, name)[0])
    assert many.ok.all()


def test_what_is_projected_is_what_is_solved(model, solver, views):
    views, start = views
    solution = solver.solve(views, start)
    projection, cost = solver.project(views, start)
    for i in range(COUNT):
        assert cost[i] == pytest.approx(np.square(residuals(model, views, i, start[i])).sum())
    np.testing.assert_array_equal(solver.project(views, solution.unknowns)[0], solution.projection)
    behind = views._replace(matrix=views.matrix * np.array([1, 1, -100])[:, None])
    assert (solver.project(behind, start)[1] == np.inf).all()
    assert (
        solver.project(views, start * np.array([1.0] * 2 + [-1.0] * (start.shape[1] - 2)))[1]
        == np.inf
    ).all()


def test_the_cost_is_that_of_the_unknowns_where_no_minimum_is_reached(model, solver, views):
    """Of random landmarks, which no person has; the steps lead some of them nowhere."""
    views, start = views
    random = np.random.default_rng(3)
    views = views._replace(points=random.normal(500, 3000, views.points.shape))
    solution = solver.solve(views, start)
    assert solution.ok.all()
    for i in range(COUNT):
        cost = np.square(residuals(model, views, i, solution.unknowns[i])).sum()
        assert solution.cost[i] == pytest.approx(cost, rel=1e-6)


def test_two_steps_nearly_reach_it(solver, views):
    views, start = views
    best = solver.solve(views, start)
    once, _ = solver.approach(views, start)
    unknowns, density = solver.approach(views, once)
    np.testing.assert_allclose(density, best.log_density, atol=0.02)
    np.testing.assert_allclose(unknowns, best.unknowns, atol=5e-3 * start[:, -1].max())


def test_what_leads_nowhere_has_no_density(solver, views):
    """Upside down: every landmark beside its mirror image about the middle."""
    views, start = views
    points = 2 * views.points.mean(axis=1, keepdims=True) - views.points
    over = views._replace(points=points)
    unknowns, density = solver.approach(over, start)
    assert (density == -np.inf).any()
    solved = solver.solve(over, unknowns)
    np.testing.assert_array_equal(solved.ok, density > -np.inf)
    assert (solved.log_density[~solved.ok] == -np.inf).all()


@pytest.mark.parametrize("share", [1.0, 0.3, 0.0])
def test_distances_are_from_where_the_others_foretell_a_landmark(model, solver, views, share):
    """By weak perspective, against a solution in which the landmark has no part. share: what part
    it had in the one that is asked."""
    views, start = views
    flat = views._replace(matrix=views.matrix * np.array([1, 1, 0])[:, None])
    shares = np.ones((COUNT, 17))
    shares[:, 6] = share
    partly = flat._replace(whitening=flat.whitening * np.sqrt(shares)[..., None, None])
    unknowns = solver.solve(partly, start).unknowns
    squared = solver.distances(flat, unknowns, shares)
    assert squared[1, 4] == 0  # It is missing.
    for i in range(COUNT):
        k, W = views.component[i], flat.whitening[i]
        linear = np.moveaxis(solver.columns(flat)[i, :2], 0, 1)  # (17, 2, S)
        columns = np.concatenate([np.tile(np.eye(2), (17, 1, 1)), linear], axis=2)
        ridge = np.zeros(columns.shape[2])
        ridge[2:-1] = NU[k] / model.std[k] ** 2
        others = np.arange(17) != 6
        A = (W[others] @ columns[others]).reshape(-1, len(ridge))
        y = (W[others] @ views.points[i, others, :, None]).ravel()
        inverse = np.linalg.inv(A.T @ A + np.diag(ridge))
        off = views.points[i, 6] - columns[6] @ inverse @ A.T @ y
        unsure = np.linalg.inv(W[6].T @ W[6]) + columns[6] @ inverse @ columns[6].T
        expected = off @ np.linalg.solve(unsure, off) / (NU[k] * unknowns[i, -1] ** 2)
        assert squared[i, 6] == pytest.approx(expected, rel=1e-6)
