import subprocess
import sys

import numpy as np
import pytest

from prior import chunks, ppca
from prior.camera import vertical_rotation
from prior.fitting import alignment
from prior.fitting.alignment import Method
from prior.fitting.distances import Distances, distances, minimise_closed_form
from prior.fitting.factorisation import factorise, factorise_real
from prior.normalise import NormalisedPoses, from_rows, to_rows, turned_back
from prior.skeleton import mirrored
from tests.poses import random_poses

CLOSED_FORM = Method("closed-form")


def _turn(poses, yaw):
    """Poses (N, L, 3) turned about the vertical, by matrices."""
    return np.einsum("nab,nlb->nla", vertical_rotation(yaw), poses)


def _spread(angle):
    """Largest distance of angles from their circular mean."""
    turn = np.exp(1j * angle)
    return np.abs(np.angle(turn / turn.mean())).max()


def _with_mirror_images(rows, yaw):
    images = to_rows(mirrored(from_rows(rows)))
    return np.concatenate([rows, images]), np.concatenate([yaw, -yaw])


def test_distances_are_mahalanobis_distances(poses):
    rows = poses[:]
    model = ppca.fit(ppca.moments(rows), 4)
    covariance = model.basis.T @ np.diag(model.variance - model.noise_variance) @ model.basis
    inverse = np.linalg.inv(covariance + model.noise_variance * np.eye(51))
    curves = distances(rows, model)
    for yaw in (0.0, 1.0, -2.5):
        yaws = np.full(len(rows), yaw)
        residual = to_rows(_turn(from_rows(rows), -yaws)) - model.mean
        expected = np.einsum("ni,ij,nj->n", residual, inverse, residual)
        np.testing.assert_allclose(curves.at(yaws), expected, rtol=1e-9)


def test_slope_is_the_derivative(poses):
    curves = distances(poses[:], ppca.fit(ppca.moments(poses[:]), 4))
    yaw = np.linspace(-3, 3, len(poses))
    slope = (curves.at(yaw + 1e-6) - curves.at(yaw - 1e-6)) / 2e-6
    np.testing.assert_allclose(curves.slope(yaw), slope, rtol=1e-5, atol=1e-4)


def _random_curves(count):
    # One valley and two, far apart and next to each other, next to equal and not.
    random = np.random.default_rng(1)
    harmonics = random.normal(size=(4, count)) * random.lognormal(size=(4, count))
    harmonics[:2, : count // 4] *= 1e-3
    return Distances(np.abs(harmonics).sum(axis=0), harmonics)


@pytest.mark.slow
def test_closed_form_finds_the_global_minimum():
    curves = _random_curves(2000)
    lowest = curves.at(minimise_closed_form(curves))
    yaw = np.linspace(0, 2 * np.pi, 8001)
    dense = np.stack([curves.at(np.full(2000, angle)) for angle in yaw]).min(axis=0)
    size = curves.constant
    assert ((lowest - dense) / size).max() < 1e-12
    assert ((dense - lowest) / size).max() < 1e-5  # the grid's own error


@pytest.mark.parametrize("solver", alignment.SOLVERS)
def test_the_objective_never_rises(poses, solver):
    history = alignment.align(poses, 4, Method(solver)).history
    nll = np.array([step.nll for step in history])
    assert (np.diff(nll) < 1e-9).all()
    assert {step.basis for step in history} == {1, 2, 3, 4}
    assert {step.half_step for step in history} == {"ppca", "rotation", "extrapolation"}


def test_recorded_objective_is_the_likelihood(poses, aligned):
    rows, yaw = _with_mirror_images(poses[:], aligned.yaw)
    density = ppca.log_density(turned_back(rows, yaw), aligned.ppca)
    assert aligned.history[-1].nll == pytest.approx(-density.mean())


def test_mirror_images_need_not_be_made(poses, aligned):
    # With the images made, as more poses, the set is symmetric in any case.
    rows, _ = _with_mirror_images(poses[:], aligned.yaw)
    doubled = alignment.align(rows, 6, CLOSED_FORM)
    expected = np.concatenate([aligned.yaw, -aligned.yaw])
    np.testing.assert_allclose(np.exp(1j * doubled.yaw), np.exp(1j * expected), atol=1e-6)
    np.testing.assert_allclose(doubled.ppca.variance, aligned.ppca.variance, rtol=1e-8)


def test_a_start_with_some_of_the_poses_ends_where_all_do(poses, aligned):
    in_parts = alignment.align(poses, 6, Method("closed-form", first=100))
    assert in_parts.converged
    # Random poses have many optima next to each other: a near one will do.
    assert in_parts.history[-1].nll == pytest.approx(aligned.history[-1].nll, abs=0.1)
    for count in (100, 150):
        nll = [step.nll for step in in_parts.history if step.poses == count]
        assert len(nll) > 3 and (np.diff(nll) < 1e-9).all()
    assert {step.basis for step in in_parts.history if step.poses == 150} == {6}


@pytest.mark.slow
def test_converged_is_where_plain_alternation_ends(poses):
    # Without extrapolation: many half-steps, the twin of the accelerated ones.
    aligned = alignment.align(poses, 5, Method("closed-form", tolerance=1e-9))
    _, yaw = factorise(poses)
    for size in [1, 1, 2, 2, 3, 3, 4, 4] + [5] * 300:
        rows, yaws = _with_mirror_images(poses[:], yaw)
        model = ppca.fit(ppca.moments(turned_back(rows, yaws)), size)
        yaw = minimise_closed_form(distances(poses[:], model))
    assert aligned.history[-1].nll == pytest.approx(ppca.nll(model), abs=1e-5)


def test_a_bad_extrapolation_is_not_taken(poses, monkeypatch):
    random = np.random.default_rng(0)
    monkeypatch.setattr(
        alignment, "extrapolate", lambda start, *later: random.uniform(-3, 3, len(start))
    )
    history = alignment.align(poses, 3, Method("closed-form", limit=10)).history
    assert (np.diff([step.nll for step in history]) < 1e-9).all()
    assert not [step for step in history if step.half_step == "extrapolation"]


@pytest.mark.slow
def test_any_number_of_threads_and_of_chunks(poses, aligned, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 16)
    many = alignment.align(poses, 6, CLOSED_FORM)
    np.testing.assert_allclose(many.yaw, aligned.yaw, atol=1e-6)
    monkeypatch.setattr(chunks, "cores", lambda: 1)
    np.testing.assert_array_equal(alignment.align(poses, 6, CLOSED_FORM).yaw, many.yaw)


def test_turning_each_pose_changes_only_the_yaws(poses, aligned):
    yaw = np.random.default_rng(5).uniform(-np.pi, np.pi, len(poses))
    again = alignment.align(to_rows(_turn(from_rows(poses[:]), yaw)), 6, CLOSED_FORM)
    np.testing.assert_allclose(np.exp(1j * (again.yaw - yaw)), np.exp(1j * aligned.yaw), atol=1e-6)
    np.testing.assert_allclose(again.ppca.mean, aligned.ppca.mean, atol=1e-6)


def test_planted_subspace_is_recovered():
    random = np.random.default_rng(2)
    mean = from_rows(NormalisedPoses(random_poses(1, yaw=False))[:])[0]
    mean = (mean + mirrored(mean)) / 2
    # Directions that are their own mirror images or the opposite, as a symmetric set has them.
    basis = random.normal(size=(3, 17, 3))
    basis = basis + np.array([1, -1, 1])[:, None, None] * mirrored(basis)
    basis = np.linalg.qr((basis - basis.mean(axis=1, keepdims=True)).reshape(3, 51).T)[0].T
    basis = basis.reshape(3, 17, 3)
    std = np.array([0.12, 0.08, 0.05])
    shapes = mean + np.tensordot(random.normal(size=(3000, 3)) * std, basis, 1)
    noise = random.normal(size=shapes.shape) * 0.004
    shapes = shapes + noise - noise.mean(axis=1, keepdims=True)
    yaw = random.uniform(-np.pi, np.pi, 3000)
    aligned = alignment.align(to_rows(_turn(shapes, yaw)), 3, CLOSED_FORM)
    assert _spread(aligned.yaw - yaw) < 0.15
    common = np.angle(np.exp(1j * (aligned.yaw - yaw)).mean())
    assert abs(common) < 0.01, "the mean faces forward"
    # Turning every pose by its own small error lies outside the subspace: a cosine near 1, not 1.
    cosines = np.linalg.svd(to_rows(basis) @ aligned.ppca.basis.T, compute_uv=False)
    assert cosines.min() > 0.95
    np.testing.assert_allclose(np.sqrt(aligned.ppca.variance), std, rtol=0.15)


@pytest.mark.slow
def test_fitting_does_not_load_ceres():
    # Its logging library and Caffe's cannot live in one process.
    code = (
        "import sys, prior\n"
        "from tests.poses import random_poses\n"
        "prior.fit(random_poses(60), components=1, basis=2)\n"
        "sys.exit('pyceres' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("form", [factorise, factorise_real])
def test_alignment_starts_at_the_factorisation_that_it_is_told(poses, form):
    name = {factorise: "complex", factorise_real: "real"}[form]
    aligned = alignment.align(poses, 2, Method("closed-form", factorisation=name))
    rows, yaw = _with_mirror_images(poses[:], form(poses).yaw)
    expected = ppca.nll(ppca.fit(ppca.moments(turned_back(rows, yaw)), 1))
    assert aligned.history[0].nll == pytest.approx(expected)
