"""Poses of a skeleton without a vertical, aligned over all rotations."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prior import ppca
from prior.errors import InputError
from prior.fitting import turns
from prior.fitting.fit import align
from prior.normalise import NormalisedPoses, to_rows, turned_back
from prior.skeleton import HUMAN36M
from tests.hands import HAND, random_hands
from tests.poses import random_poses

HAND = dataclasses.replace(HAND, vertical=False)


@pytest.fixture(scope="module")
def model():
    return ppca.fit(ppca.moments(NormalisedPoses(random_hands(300, turns="none"), HAND)[:]), 4)


def test_sampled_rotations_are_spread_evenly():
    quaternions = turns.even_rotations(turns.SAMPLED)
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1)
    drawn = Rotation.random(2000, np.random.default_rng(0)).as_quat(scalar_first=True)
    angles = 2 * np.arccos(np.clip(np.abs(drawn @ quaternions.T), 0, 1)).min(axis=1)
    # No rotation is far from all of them, and each has about its share of all.
    assert np.rad2deg(angles.max()) < 60
    nearest = np.abs(drawn @ quaternions.T).argmax(axis=1)
    shares = np.bincount(nearest, minlength=turns.SAMPLED) / len(drawn)
    assert shares.max() < 2.5 / turns.SAMPLED and shares.min() > 0.3 / turns.SAMPLED


def test_distances_are_those_of_the_poses_turned_back(model):
    rows = NormalisedPoses(random_hands(6, seed=1, turns="all"), HAND)[:]
    rotations = turns.even_rotations(5)
    each = turns.curves(rows, model)
    expected = np.stack(
        [
            -2 * ppca.log_density(turned_back(rows, np.tile(r, (len(rows), 1))), model)
            for r in rotations
        ],
        axis=1,
    )
    constant = ppca.log_determinant(model) + rows.shape[1] * np.log(2 * np.pi)
    np.testing.assert_allclose(each.at_each(turns.matrices(rotations)) + constant, expected)
    one = turns.matrices(np.tile(rotations[3], (len(rows), 1)))
    np.testing.assert_allclose(each.at(one) + constant, expected[:, 3])


def test_minima_are_as_low_as_those_of_a_fine_search(model):
    rows = NormalisedPoses(random_hands(20, seed=2, turns="all"), HAND)[:]
    each = turns.curves(rows, model)
    reached = each.at(turns.matrices(turns.minimise(each, turns.even_rotations(20))))
    fine = each.at_each(turns.matrices(turns.even_rotations(20_000))).min(axis=1)
    assert (reached <= fine + 1e-9).all()


@pytest.mark.slow
def test_no_half_step_raises_the_objective_and_turned_poses_end_as_low():
    hands = random_hands(200, turns="all")
    aligned = align(hands, 3, skeleton=HAND, limit=8).alignment
    for before, after in zip(aligned.history, aligned.history[1:], strict=False):
        assert after.nll <= before.nll + 1e-9 or after.basis != before.basis
    assert aligned.yaw.shape == (200, 4)
    # The poses as they were made, before they were turned, are one way to align them.
    made = NormalisedPoses(random_hands(200, turns="none"), HAND)[:]
    assert aligned.history[-1].nll < ppca.nll(ppca.fit(ppca.moments(made), 3))


def test_with_pairs_the_mean_is_its_own_mirror_image():
    people = dataclasses.replace(HUMAN36M, vertical=False)
    poses = random_poses(150)
    turned = np.einsum(
        "nab,nlb->nla", Rotation.random(150, np.random.default_rng(1)).as_matrix(), poses
    )
    aligned = align(turned, 2, skeleton=people, limit=4)
    mean = aligned.alignment.ppca.mean
    np.testing.assert_allclose(people.mirrored_rows(mean[None])[0], mean, atol=1e-9)
    left, right = people.across
    pose = mean.reshape(3, -1)[0]
    assert pose[left].sum() > pose[right].sum()
    assert len(aligned.rows) == 300


def test_turning_back_by_quaternions_is_turning_each_landmark():
    hands = random_hands(5, turns="none")
    rotation = Rotation.random(5, np.random.default_rng(0))
    turned = np.stack([r.apply(h) for r, h in zip(rotation, hands, strict=True)])
    back = turned_back(to_rows(turned), rotation.as_quat(scalar_first=True))
    np.testing.assert_allclose(back, to_rows(hands), atol=1e-9)


def test_a_solver_of_yaws_is_refused():
    with pytest.raises(InputError, match="without a vertical has one of each"):
        align(random_hands(50), 2, skeleton=HAND, solver="ceres")
