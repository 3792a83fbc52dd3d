import dataclasses

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal

import prior
from prior import selection
from prior.camera import vertical_rotation
from prior.mocap import Clip
from prior.normalise import NormalisedPoses, from_rows
from tests.poses import random_poses


@pytest.fixture(scope="module")
def model():
    return prior.fit(random_poses(300), components=2, basis=8, solver="closed-form")


def _clips(names):
    return [Clip(random_poses(5, seed=i), 30.0, *name) for i, name in enumerate(names)]


def test_whole_subjects_or_clips_are_held_out():
    clips = _clips([("A", "walk"), ("A", "run"), ("B", "walk"), ("C", "jump"), ("C", "sit")])
    train, held_out = selection.split(clips, "subject")
    assert held_out and not {c.subject for c in train} & {c.subject for c in held_out}
    # Two files of one motion stay together.
    clips = _clips([("A", "walk"), ("A", "walk"), ("A", "run"), ("A", "jump"), ("A", "sit")])
    for seed in range(5):
        train, held_out = selection.split(clips, "clip", seed)
        assert held_out and not {c.action for c in train} & {c.action for c in held_out}
    with pytest.raises(ValueError, match="expected motion capture of 2 subjects .* got A alone"):
        selection.split(clips, "subject")


def test_log_likelihood_is_the_highest_density_over_the_yaw(model):
    poses_mm = random_poses(12, seed=5)
    likelihood = selection.log_likelihood(model, poses_mm)
    # The twin: dense Gaussians in 48 coordinates of centred poses, a search over the angle.
    contrast = np.linalg.svd(np.eye(17) - 1 / 17)[0][:, :16]
    to_48 = np.kron(contrast, np.eye(3))
    gaussians = []
    for k in range(2):
        basis = model.basis[k].reshape(8, 51)
        noise = model.noise_std[k] ** 2
        covariance = basis.T @ np.diag(model.std[k] ** 2 - noise) @ basis + noise * np.eye(51)
        gaussians.append(
            multivariate_normal(model.mean[k].ravel() @ to_48, to_48.T @ covariance @ to_48)
        )
    for pose, value in zip(from_rows(NormalisedPoses(poses_mm)[:]), likelihood, strict=True):

        def density(yaw, pose=pose):
            row = (pose @ vertical_rotation(-yaw).T).ravel() @ to_48
            return np.log(sum(w * g.pdf(row) for w, g in zip(model.weight, gaussians, strict=True)))

        grid = np.linspace(-np.pi, np.pi, 181)
        start = grid[np.argmax([density(yaw) for yaw in grid])]
        best = minimize_scalar(
            lambda yaw: -density(yaw), bounds=(start - 0.1, start + 0.1), method="bounded"
        )
        assert value == pytest.approx(-best.fun, abs=1e-3)


@pytest.mark.slow
def test_select_ranks_a_model_of_the_data_above_a_poorer_one():
    train, held_out = random_poses(400), random_poses(100, seed=1)
    small, large = selection.select(train, held_out, [1], [1, 12], solver="closed-form")
    assert (small.components, small.basis, large.basis) == (1, 1, 12)
    assert large.log_likelihood > small.log_likelihood + 5
    assert large.mpjpe_mm < small.mpjpe_mm
    assert large.log_likelihood == pytest.approx(
        selection.log_likelihood(large.model, held_out).mean()
    )


@pytest.mark.slow
def test_the_error_is_that_of_the_poses(model):
    poses = random_poses(40, seed=3)
    error = selection.lifting_error(model, poses)
    assert 20 < error < 250
    # The room's cameras are 5 m away: weak perspective takes their view for another pose.
    assert selection.lifting_error(model, poses, lens=True) < error - 1
    blind = dataclasses.replace(model, std=model.std * 1e-3, noise_std=model.noise_std * 1e-3)
    assert selection.lifting_error(blind, poses) > error
