"""Lifting of a hand, whose every rotation is as probable; and of one with a vertical."""

import dataclasses

import numpy as np
import pytest

import prior
from prior import metrics
from prior.camera import LEVEL
from prior.errors import InputError
from tests.hands import HAND, random_hands


def fitted(vertical):
    skeleton = dataclasses.replace(HAND, vertical=vertical)
    turns = "vertical" if vertical else "all"
    how = {"solver": "closed-form"} if vertical else {}
    hands = random_hands(300, turns=turns)
    return prior.fit(hands, skeleton=skeleton, components=1, basis=4, limit=10, **how), turns


@pytest.mark.slow
@pytest.mark.parametrize("vertical", [True, False])
def test_hands_are_lifted_to_where_they_were_planted(vertical):
    model, turns = fitted(vertical)
    truth = random_hands(40, seed=1, turns=turns) @ LEVEL.T
    lifter = prior.Lifter(model, noise_mm=2)
    lifted = lifter.lift(2.0 * truth[..., :2] + [300, 200], refine=True)
    assert lifted.ok.all()
    pose = np.einsum("nab,nlb->nla", lifted.camera, lifted.pose)
    pose = metrics.with_scale_of(pose, truth, model.skeleton)
    errors = metrics.mean_aligned(pose, truth)
    # A hand is 215 mm of limb scale; its mean, turned and placed by the truth, is off by 12 mm.
    mean = np.tile(model.scale_mm * model.mean[0], (40, 1, 1))
    assert errors.mean() < 8 and np.median(errors) < 7
    assert errors.mean() < 0.7 * metrics.procrustes_aligned(mean, truth).mean()
    # What was lifted projects to the points.
    off = np.linalg.norm(lifted.projection - (2.0 * truth[..., :2] + [300, 200]), axis=2)
    assert off.mean() < 8


@pytest.mark.slow
def test_turning_the_image_turns_the_hand():
    model, turns = fitted(False)
    points = 2.0 * (random_hands(15, seed=2, turns=turns) @ LEVEL.T)[..., :2]
    turn = np.array([[0.0, -1], [1, 0]])
    lifter = prior.Lifter(model, noise_mm=2)
    poses = []
    for turned in (points, points @ turn.T):
        lifted = lifter.lift(turned, refine=True)
        poses.append(np.einsum("nab,nlb->nla", lifted.camera, lifted.pose))
    whole = np.eye(3)
    whole[:2, :2] = turn
    # The samples are the same after a quarter turn, so both ways are.
    np.testing.assert_allclose(poses[0] @ whole.T, poses[1], atol=1.0)


@pytest.mark.slow
def test_a_camera_that_nobody_can_know_is_refused():
    model, _ = fitted(False)
    with pytest.raises(InputError, match="without a vertical has none that could be known"):
        prior.lift(np.zeros((1, 21, 2)), model, camera=LEVEL)
    with pytest.raises(InputError, match="track: expected a model of a skeleton with a vertical"):
        prior.Lifter(model).lift_track(np.zeros((3, 21, 2)), rate=25.0)
