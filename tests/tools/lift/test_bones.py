"""Bones of one length: in every format, and nearer to the truth."""

import json

import ezc3d
import numpy as np
import pytest
from scipy.optimize import minimize

import prior
from prior import metrics, mocap
from prior.mocap import bvh as bvh_reader
from prior.simulation import tilted
from prior.skeleton import LIMBS, MIRROR
from tests import landmark_files as files
from tests.poses import random_poses
from tests.real_mocap import CLIPS
from tools.lift import __main__ as tool
from tools.lift import bones, lifted

SIDES = [list(LIMBS[:, 1]).index(MIRROR[i]) for i in LIMBS[:, 1]]


def run(*arguments):
    return tool.main([str(a) for a in arguments])


def sizes(poses):
    return np.linalg.norm(poses[:, LIMBS[:, 1]] - poses[:, LIMBS[:, 0]], axis=2)


def assert_constant(poses, atol):
    lengths = sizes(poses)
    np.testing.assert_allclose(lengths, np.tile(lengths[0], (len(lengths), 1)), atol=atol)
    np.testing.assert_allclose(lengths[0], lengths[0, SIDES], atol=atol)


def test_lengths_are_medians_of_both_sides():
    poses = random_poses(20, seed=1)
    poses[0] *= 3  # an outlier
    poses[:, [5, 6]] += poses[:, [5]] - poses[:, [4]]  # a left thigh twice as long
    lengths = bones.lengths_of(poses)
    np.testing.assert_allclose(lengths, lengths[SIDES])
    thigh = sizes(random_poses(1, seed=1))[0, 1]
    assert lengths[1] == pytest.approx(1.5 * thigh, rel=1e-6)


def test_it_is_the_most_probable_pose_with_these_bones():
    """Against a general optimiser, with a covariance that prefers depth."""
    random = np.random.default_rng(2)
    start = random_poses(1, seed=3, yaw=False)[0]
    root = random.normal(size=(51, 51)) * 6 + np.diag(np.tile([5.0, 5.0, 60.0], 17))
    covariance = root @ root.T
    precision = np.linalg.inv(covariance)
    lengths = sizes(start[None])[0] * random.uniform(0.97, 1.08, 16)
    lengths = (lengths + lengths[SIDES]) / 2
    (pose,), (left,) = bones.impose(start[None], lengths, covariance[None])
    np.testing.assert_allclose(sizes(pose[None])[0], lengths, atol=1e-6)

    def cost(x):
        return (x - start.ravel()) @ precision @ (x - start.ravel())

    def wrong(x):
        return sizes(x.reshape(1, 17, 3))[0] - lengths

    best = minimize(
        cost, start.ravel(), method="SLSQP", constraints={"type": "eq", "fun": wrong},
        options={"maxiter": 300, "ftol": 1e-7},
    )  # fmt: skip
    assert best.success
    moved = pose - pose.mean(axis=0) - (best.x.reshape(17, 3) - best.x.reshape(17, 3).mean(axis=0))
    assert np.abs(moved).max() < 2
    # Along the bones nothing is uncertain any more, and elsewhere no more than before.
    assert np.linalg.eigvalsh(left).min() > -1e-6 * np.trace(covariance)
    assert np.linalg.eigvalsh(covariance - left).min() > -1e-6 * np.trace(covariance)


def test_what_has_the_bones_stays():
    poses = random_poses(10, seed=4)
    lengths = sizes(poses)[0]
    np.testing.assert_allclose(bones.impose(poses, lengths)[0], poses, atol=1e-6)


def test_the_truth_is_nearer():
    """A walk of one person, as a camera with 5 px of noise sees it."""
    poses = np.concatenate([c.poses for c in mocap.read(CLIPS / "subjects" / "02")])[::2]
    images = tilted(poses, np.deg2rad(10), seed=5)
    lifter = prior.Lifter(prior.load())
    result = lifter.lift(images.noisy_points(5, seed=6), camera=images.cameras)
    person = np.zeros(len(poses), int)
    constant, deviation, _ = bones.constant(
        result.pose, person, lambda rows: lifter.posterior(result.take(rows))
    )
    assert_constant(constant, 1e-6)

    def error(pose):
        return metrics.mean_aligned(metrics.with_scale_of(pose, images.truth), images.truth).mean()

    assert error(constant) < 0.95 * error(result.pose)
    assert np.nanmean(deviation) < np.nanmean(lifter.deviation(result))


def test_every_format_has_constant_bones(tmp_path, capsys):
    points = np.concatenate([files.image_points(files.walk(12, seed=s)) for s in (1, 2)])
    source = files.arrays(
        tmp_path / "a.npz", points, frame=[*range(12)] * 2, person=[3] * 12 + [7] * 12, rate=25.0
    )
    outs = [tmp_path / f"out.{suffix}" for suffix in ("npz", "json", "csv", "bvh", "trc", "c3d")]
    arguments = ("--elevation", 10, "--constant-bones", "--out")
    assert run(source, *arguments, *outs) == 0
    poses = lifted.read(outs[0])
    assert np.isfinite(poses.deviation_mm).all()
    document = json.loads(outs[1].read_text())
    for person in (3, 7):
        assert_constant(poses.pose_mm[poses.person == person], 0.01)
        rows = [p["pose_mm"] for p in document["poses"] if p["person"] == person]
        assert_constant(np.array(rows), 0.01)
        (clip,) = bvh_reader.read(tmp_path / f"out-{person}.bvh")
        assert_constant(clip.poses, 0.05)
        placed = lifted.on_ground(poses)[poses.person == person]
        # With constant bones BVH has the very positions.
        np.testing.assert_allclose(clip.poses, placed, atol=0.1)
        points = ezc3d.c3d(str(tmp_path / f"out-{person}.c3d"))["data"]["points"]
        assert_constant(points[:3].transpose(2, 1, 0), 0.1)
        lengths = np.array(document["bones_mm"][str(person)])
        np.testing.assert_allclose(sizes(placed)[0], lengths, atol=0.01)
    # Smoothed, and of a height that is said, they still are.
    again = tmp_path / "again.npz"
    assert run(outs[0], "--smooth", 0.1, "--height", "1.8", "7=1.5", "--out", again) == 0
    again = lifted.read(again)
    for person in (3, 7):
        one = again.pose_mm[again.person == person]
        assert_constant(one, 0.02)
        np.testing.assert_allclose(sizes(one)[0], again.meta["bones_mm"][str(person)], atol=0.02)
    capsys.readouterr()
    assert run(outs[0], "--constant-bones", "--out", tmp_path / "b.npz") == 1
    assert "expected landmarks, got poses" in capsys.readouterr().err
