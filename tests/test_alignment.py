import subprocess
import sys

import numpy as np
import pytest

from prior import alignment, ceres, ppca
from prior.camera import turned, vertical_rotation
from prior.factorisation import factorise
from prior.normalise import normalise
from tests.poses import random_poses


def _turn(poses, yaw):
    return np.einsum("nab,nlb->nla", vertical_rotation(yaw), poses)


@pytest.fixture(scope="module")
def poses():
    return normalise(random_poses(150))[0]


@pytest.fixture(scope="module")
def aligned(poses):
    return alignment.align(poses, 6, "closed-form")


def _spread(angle):
    """Largest distance of angles from their circular mean."""
    turn = np.exp(1j * angle)
    return np.abs(np.angle(turn / turn.mean())).max()


def test_factorisation_recovers_planted_mean_and_yaws():
    random = np.random.default_rng(0)
    mean = normalise(random_poses(1, yaw=False))[0][0]
    yaw = random.uniform(-np.pi, np.pi, 300)
    noisy = mean + random.normal(size=(300, 17, 3)) * 0.01
    found, angles = factorise(_turn(noisy, yaw))
    assert _spread(angles - yaw) < 0.1
    back = vertical_rotation(np.angle(np.exp(1j * (angles - yaw)).mean()))
    np.testing.assert_allclose(found @ back.T, mean, atol=0.01)


def test_factorised_mean_is_the_best_for_its_yaws(poses):
    mean, yaw = factorise(poses)
    np.testing.assert_allclose(_turn(poses, -yaw).mean(axis=0), mean, atol=1e-12)


def test_turned_is_the_rotation(poses):
    yaw = np.linspace(-9, 9, len(poses))
    np.testing.assert_allclose(turned(poses, yaw), _turn(poses, yaw), atol=1e-12)


def test_distance_form_is_the_mahalanobis_distance(poses):
    rows = poses.reshape(len(poses), -1)
    model = ppca.fit(ppca.moments(rows), 4)
    form = alignment.distance_form(poses, model)
    for yaw in (0.0, 1.0, -2.5):
        turned = _turn(poses, np.full(len(poses), -yaw)).reshape(len(poses), -1)
        expected = np.sum(((turned - model.mean) @ ppca.whitening(model)) ** 2, axis=1)
        found = alignment.evaluate_form(form, np.full(len(poses), yaw))
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def _random_forms(count):
    # Of rank 3 and less, with minima far apart and next to each other.
    random = np.random.default_rng(1)
    factor = random.normal(size=(count, 3, 3)) * random.lognormal(size=(count, 1, 3))
    return factor.swapaxes(1, 2) @ factor


def test_closed_form_finds_the_global_minimum():
    form = _random_forms(500)
    found = alignment.evaluate_form(form, alignment.minimise_closed_form(form))
    dense = alignment.evaluate_form(form, np.tile(np.linspace(0, 2 * np.pi, 8001), (500, 1)))
    trace = np.trace(form, axis1=1, axis2=2)
    assert ((found - dense.min(axis=1)) / trace).max() < 1e-12
    assert ((dense.min(axis=1) - found) / trace).max() < 1e-5  # the grid's own error


def test_ceres_ends_in_a_minimum_and_agrees_with_the_closed_form():
    form = _random_forms(400)
    best = alignment.minimise_closed_form(form)
    from_best = ceres.minimise(form, best + 0.05)
    lowest = alignment.evaluate_form(form, best)
    reached = alignment.evaluate_form(form, from_best)
    trace = np.trace(form, axis1=1, axis2=2)
    assert ((reached - lowest) / trace < 1e-9).mean() > 0.98
    # From anywhere: never below the global minimum, and a few in a worse local one.
    anywhere = alignment.evaluate_form(form, ceres.minimise(form, best + 2.5))
    assert ((anywhere - lowest) / trace).min() > -1e-9


@pytest.mark.parametrize("solver", alignment.SOLVERS)
def test_the_objective_never_rises(poses, solver):
    history = alignment.align(poses, 4, solver).history
    nll = np.array([step.nll for step in history])
    assert (np.diff(nll) < 1e-9).all()
    assert {step.basis for step in history} == {1, 2, 3, 4}


def test_recorded_objective_is_the_likelihood(poses, aligned):
    rows = aligned.poses.reshape(len(poses), -1)
    assert aligned.history[-1].nll == pytest.approx(-ppca.log_density(rows, aligned.ppca).mean())
    np.testing.assert_allclose(_turn(aligned.poses, aligned.yaw), poses, atol=1e-12)


def test_ceres_from_the_closed_forms_yaws_stays_there(poses, aligned):
    yaw, nll, worse = alignment.rotation_half_step(poses, aligned.yaw, aligned.ppca, "ceres")
    _, best, _ = alignment.rotation_half_step(poses, aligned.yaw, aligned.ppca, "closed-form")
    assert worse == 0 and nll == pytest.approx(best, rel=1e-6)


def test_poses_that_ceres_leaves_in_a_worse_minimum_are_counted(poses, aligned):
    opposite = aligned.yaw + np.where(np.arange(len(poses)) < 40, np.pi, 0)
    yaw, nll, worse = alignment.rotation_half_step(poses, opposite, aligned.ppca, "ceres")
    form = alignment.distance_form(poses, aligned.ppca)
    lowest = alignment.evaluate_form(form, alignment.minimise_closed_form(form))
    above = alignment.evaluate_form(form, yaw) > lowest * (1 + 1e-6)
    assert worse == np.count_nonzero(above) > 0


def test_turning_each_pose_changes_only_the_yaws(poses, aligned):
    yaw = np.random.default_rng(5).uniform(-np.pi, np.pi, len(poses))
    again = alignment.align(_turn(poses, yaw), 6, "closed-form")
    np.testing.assert_allclose(again.poses, aligned.poses, atol=1e-6)
    np.testing.assert_allclose(np.exp(1j * (again.yaw - yaw)), np.exp(1j * aligned.yaw), atol=1e-6)


def test_planted_subspace_is_recovered():
    random = np.random.default_rng(2)
    mean = normalise(random_poses(1, yaw=False))[0][0].ravel()
    centring = np.kron(np.eye(17) - 1 / 17, np.eye(3))
    basis = np.linalg.qr(centring @ random.normal(size=(51, 3)))[0].T
    std = np.array([0.12, 0.08, 0.05])
    rows = mean + random.normal(size=(2000, 3)) * std @ basis
    rows = rows + random.normal(size=(2000, 51)) @ centring * 0.004
    yaw = random.uniform(-np.pi, np.pi, 2000)
    found = alignment.align(_turn(rows.reshape(-1, 17, 3), yaw), 3, "closed-form")
    common = np.angle(np.exp(1j * (found.yaw - yaw)).mean())
    assert _spread(found.yaw - yaw - common) < 0.15
    turned = np.einsum("ab,jlb->jla", vertical_rotation(-common), basis.reshape(3, 17, 3))
    # Turning every pose by its own small error lies outside the subspace: a cosine near 1, not 1.
    cosines = np.linalg.svd(turned.reshape(3, -1) @ found.ppca.basis.T, compute_uv=False)
    assert cosines.min() > 0.95
    np.testing.assert_allclose(np.sqrt(found.ppca.variance), std, rtol=0.15)


def test_the_mean_faces_forward(aligned):
    mean = aligned.ppca.mean.reshape(17, 3)
    assert mean[4, 0] > mean[1, 0], "left hip along +x"
    assert abs(alignment.face_forward(mean)) < 1e-9


def test_an_unknown_solver_is_refused(poses):
    with pytest.raises(ValueError, match="expected one of ceres, closed-form, got 'newton'"):
        alignment.align(poses, 2, "newton")


def test_lifting_does_not_load_ceres():
    # Its logging library and Caffe's cannot live in one process.
    code = "import sys, prior; sys.exit('pyceres' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
