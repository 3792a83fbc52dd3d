import os
import subprocess
import sys

import numpy as np
import pytest

import prior
from prior.camera import turned
from prior.errors import InputError
from prior.fitting import alignment
from prior.normalise import NormalisedPoses
from prior.skeleton import PARENTS, limb_scale, mirrored
from tests.poses import OFFSETS, random_poses


def _standing(arms):
    """A pose that is its own mirror image, arms down (1) or up (-1), of limb scale 1."""
    offsets = OFFSETS.copy()
    offsets[[12, 13, 15, 16], 1] *= arms
    pose = np.zeros((17, 3))
    for i, parent in enumerate(PARENTS[1:], start=1):
        pose[i] = pose[parent] + offsets[i]
    pose -= pose.mean(axis=0)
    return pose / limb_scale(pose)


def _symmetric_basis(random, count, mean):
    """Orthonormal directions (count, 17, 3), each its own mirror image or the opposite, that
    neither turning nor scaling the mean can explain."""
    basis = random.normal(size=(count, 17, 3))
    basis = basis + np.where(np.arange(count) % 2, -1, 1)[:, None, None] * mirrored(basis)
    basis -= basis.mean(axis=1, keepdims=True)
    explained = np.stack([mean, (turned(mean[None], 1e-6)[0] - mean) / 1e-6]).reshape(2, 51)
    explained = np.linalg.qr(explained.T)[0]
    basis = basis.reshape(count, 51)
    basis = basis - basis @ explained @ explained.T
    return np.linalg.qr(basis.T)[0].T.reshape(count, 17, 3)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["closed-form", "ceres"])
def test_a_planted_mixture_is_recovered(solver):
    random = np.random.default_rng(0)
    means, weight = np.stack([_standing(1), _standing(-1)]), np.array([0.65, 0.35])
    bases = np.stack([_symmetric_basis(random, 3, mean) for mean in means])
    std, noise = np.array([[0.06, 0.04, 0.02], [0.05, 0.03, 0.02]]), 0.002
    label = (random.random(4000) < weight[1]).astype(int)
    shape = means[label] + np.einsum(
        "nj,njlc->nlc", random.normal(size=(4000, 3)) * std[label], bases[label]
    )
    shape += random.normal(size=shape.shape) * noise
    yaw = random.uniform(-np.pi, np.pi, 4000)
    poses = 1000 * turned(shape, yaw)
    model = prior.fit(poses, components=2, basis=3, solver=solver)
    # Heavier component first, as planted.
    np.testing.assert_allclose(model.weight, weight, atol=0.02)
    np.testing.assert_allclose(model.mean, means, atol=0.01)
    np.testing.assert_allclose(model.std, std, rtol=0.1)
    for fitted, planted in zip(model.basis, bases, strict=True):
        cosines = np.linalg.svd(fitted.reshape(3, 51) @ planted.reshape(3, 51).T, compute_uv=False)
        assert cosines.min() > 0.95  # limb scale 1 takes a little off the weakest
    assert model.noise_std == pytest.approx(noise, rel=0.5)
    # The means face forward, so there is no common rotation left.
    fitted = alignment.align(NormalisedPoses(poses), 3, alignment.Method(solver)).yaw
    assert np.median(np.abs(np.angle(np.exp(1j * (fitted - yaw))))) < 0.03


@pytest.mark.slow
def test_restarts_keep_the_likeliest():
    poses = random_poses(300)
    options = {"components": 3, "basis": 6, "solver": "closed-form"}
    one, four = prior.fit(poses, **options), prior.fit(poses, restarts=4, **options)
    reached = four.meta["restarts_log_likelihood"]
    assert len(reached) == 4 and len(one.meta["restarts_log_likelihood"]) == 1
    assert four.meta["em_log_likelihood"][-1] == max(reached)
    assert reached[0] == pytest.approx(one.meta["em_log_likelihood"][-1])


def test_a_memory_map_fits_as_the_array_does(tmp_path):
    poses = random_poses(100).astype(np.float32)
    np.save(tmp_path / "poses.npy", poses)
    options = {"components": 1, "basis": 4, "solver": "closed-form"}
    mapped = prior.fit(np.load(tmp_path / "poses.npy", mmap_mode="r"), **options)
    mapped.save(tmp_path / "a.npz")
    prior.fit(poses, **options).save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_fewer_seeds_than_components_are_said(caplog):
    # Everybody stands still: no two poses are 0.2 limb scales apart.
    still = np.repeat(random_poses(1), 300, axis=0)
    still = still + np.random.default_rng(0).normal(size=still.shape) * 3
    model = prior.fit(still, components=5, basis=4, solver="closed-form", stop_distance=0.5)
    assert model.components < 5 and "5 components asked for" in caplog.text


def test_as_published_is_ten_alternations_of_all_poses_at_each_size():
    poses = random_poses(60)
    steps = []
    model = prior.fit(poses, components=1, basis=3, as_published=True, progress=steps.append)
    steps = [step for step in steps if step.half_step != "EM"]
    rotations = [step.basis for step in steps if step.half_step == "rotation"]
    assert [rotations.count(size) for size in (1, 2, 3)] == [10, 10, 10]
    assert {step.half_step for step in steps} == {"ppca", "rotation"}
    assert {step.poses for step in steps} == {60}
    assert (np.diff([step.nll for step in steps]) < 1e-9).all()
    assert model.meta["solver"] == "ceres-joint"
    assert model.meta["method"] == {
        "factorisation": "real",
        "alternations": 10,
        "limit": 10,
        "extrapolate": False,
        "first": 0,
    }
    worse = [step.worse for step in steps if step.half_step == "rotation"]
    assert model.meta["worse_minima"] == worse


def test_a_part_of_the_method_may_be_changed_by_itself():
    poses = random_poses(60)
    options = {"components": 1, "basis": 3}
    model = prior.fit(poses, as_published=True, solver="closed-form", alternations=1, **options)
    assert model.meta["solver"] == "closed-form" and model.meta["worse_minima"] == []
    assert model.meta["method"]["alternations"] == 1
    assert model.meta["method"]["factorisation"] == "real"
    assert "method" not in prior.fit(poses, solver="closed-form", **options).meta


def test_all_poses_are_aligned_at_once_where_first_is_0():
    poses = NormalisedPoses(random_poses(150))
    for first, parts in ((0, {150}), (100, {100, 150})):
        method = alignment.Method("closed-form", first=first)
        history = alignment.align(poses, 4, method).history
        assert {step.poses for step in history} == parts


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"solver": "newton"}, "solver: expected one of ceres, .*closed-form, got 'newton'"),
        ({"factorisation": "svd"}, "factorisation: expected one of complex, real, got 'svd'"),
        ({"alternations": -1}, "alternations: expected 0 or more, got -1"),
        ({"limit": 0}, "limit: expected 1 or more, got 0"),
        ({"first": -5}, "first: expected 0 or more, got -5"),
    ],
)
def test_a_method_that_does_not_exist_is_refused(method, message):
    with pytest.raises(InputError, match=message):
        alignment.Method(**method)


FIT = """import sys, prior
from tests.poses import random_poses
prior.fit(random_poses(300), components=2, basis=6, solver="closed-form").save(sys.argv[1])
"""


@pytest.mark.slow
def test_the_matrix_products_of_other_processors_make_the_same_file(tmp_path):
    """OpenBLAS chooses its kernels by processor, or as it is told; where it knows no such kernels,
    on other than x86, both runs are the same one."""
    for kernels in ("Nehalem", "Haswell"):
        told = os.environ | {"OPENBLAS_CORETYPE": kernels, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", FIT, str(tmp_path / kernels)]
        subprocess.run(command, env=told, check=True)
    assert (tmp_path / "Nehalem").read_bytes() == (tmp_path / "Haswell").read_bytes()
