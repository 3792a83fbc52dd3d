import numpy as np
import pytest

from prior.camera import turned
from prior.fitting.factorisation import factorise, factorise_real
from prior.mocap import motion
from prior.normalise import NormalisedPoses, from_rows, to_rows, turned_back
from prior.skeleton import mirrored
from tests.poses import random_poses

FORMS = [factorise, factorise_real]


def _with_mirror_images(rows, yaw):
    images = to_rows(mirrored(from_rows(rows)))
    return np.concatenate([rows, images]), np.concatenate([yaw, -yaw])


def _planted(seed, noise):
    """A symmetric mean, the rows of 300 noisy copies of it, and the yaws that these were turned
    by."""
    random = np.random.default_rng(seed)
    mean = from_rows(NormalisedPoses(random_poses(1, seed, yaw=False))[:])[0]
    mean = (mean + mirrored(mean)) / 2
    yaw = random.uniform(-np.pi, np.pi, 300)
    copies = mean + random.normal(size=(300, 17, 3)) * noise
    return mean, to_rows(turned(copies, yaw)), yaw


def _largest(angles):
    return np.abs(np.angle(np.exp(1j * angles))).max()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(6))
def test_planted_mean_and_yaws_are_recovered(form, seed):
    # A reflection would give the opposite yaws, and do so for some of the seeds, since the sign of
    # an eigenvector is arbitrary.
    planted, rows, yaw = _planted(seed, 0.005)
    mean, angles = form(rows)
    assert _largest(angles - yaw) < 0.1
    np.testing.assert_allclose(mean, planted, atol=0.01)


def test_on_rigid_poses_both_forms_are_exact():
    planted, rows, yaw = _planted(0, 0.0)
    for form in FORMS:
        mean, angles = form(rows)
        assert _largest(angles - yaw) < 1e-6
        np.testing.assert_allclose(mean, planted, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_the_mean_is_the_best_for_its_yaws_and_its_own_mirror_image(form, poses):
    mean, yaw = form(poses)
    rows, yaws = _with_mirror_images(poses[:], yaw)
    np.testing.assert_allclose(from_rows(turned_back(rows, yaws)).mean(axis=0), mean, atol=1e-12)
    np.testing.assert_allclose(mirrored(mean), mean, atol=1e-12)
    left, right = mean[[4, 11]].mean(axis=0), mean[[1, 14]].mean(axis=0)
    assert left[0] > right[0] and left[2] == pytest.approx(right[2])


def test_the_two_forms_are_not_the_same_factorisation():
    # The shares of the ground plane's sum of squares that low rank leaves, which the module states.
    clips = motion.load(subject="13")
    poses = NormalisedPoses(np.concatenate([clip.poses for clip in clips]))
    rows, _ = _with_mirror_images(poses[:], np.zeros(len(poses)))
    x, z = rows[:, :17], rows[:, 17:34]
    real = np.linalg.svd(np.concatenate([x, z]), compute_uv=False) ** 2
    phases = np.linalg.svd(x + 1j * z, compute_uv=False) ** 2
    assert len(poses) == 9665
    assert real[2:].sum() / real.sum() == pytest.approx(0.278, abs=5e-4)
    assert phases[1:].sum() / phases.sum() == pytest.approx(0.311, abs=5e-4)


def test_the_real_form_takes_the_closest_rotations_of_its_blocks(poses):
    # A twin in loops: the polar factor of each block by SVD, for the matrix that makes the blocks
    # of all poses, and of their mirror images, closest to orthonormal in the metric's sense.
    rows, _ = _with_mirror_images(poses[:], np.zeros(len(poses)))
    blocks = rows[:, :34].reshape(-1, 2, 17)
    plane = np.linalg.svd(blocks.reshape(-1, 17), full_matrices=False)[2][:2]
    system, target = [], []
    for block in blocks:
        p, q = block @ plane.T
        for a, b, value in ((p, p, 1), (q, q, 1), (p, q, 0)):
            system.append(np.outer(a, b).ravel())
            target.append(value)
    metric = np.linalg.lstsq(np.array(system), np.array(target), rcond=None)[0].reshape(2, 2)
    upgrade = np.linalg.cholesky((metric + metric.T) / 2)
    affine = blocks[: len(poses)] @ plane.T @ upgrade
    hands = []
    for hand in ([1, 1], [1, -1]):
        traces, yaws = [], []
        for block in affine * hand:
            u, _, v = np.linalg.svd(block)
            rotation = u @ np.diag([1, np.linalg.det(u @ v)]) @ v
            traces.append(np.trace(rotation.T @ block))
            yaws.append(np.arctan2(rotation[0, 1], rotation[0, 0]))
        hands.append((sum(traces), np.array(yaws)))
    yaws = max(hands, key=lambda hand: hand[0])[1]
    apart = np.angle(np.exp(1j * (factorise_real(poses).yaw - yaws)))
    assert _largest(apart - apart[0]) < 1e-6  # a common turn is free
