"""Candidates that are solved in full: what is ruled out before, beside all combinations."""

import numpy as np
import pytest

import prior
from prior.camera import LEVEL, perspective
from prior.lifting import ranking
from tests.poses import random_poses
from tests.prior.lifting.photographs import INTRINSICS, covariances, photographs

COUNT = 60
WIDE = np.array([[600.0, 0, 500], [0, 600, 500], [0, 0, 1]])


def near():
    """Poses two metres before a wide-angle camera that looks straight on."""
    truth = random_poses(COUNT, seed=8)
    truth -= truth.mean(axis=1, keepdims=True)
    place = np.array([0.0, 0, 2000])
    return np.stack([perspective(pose, LEVEL, -LEVEL.T @ place, WIDE) for pose in truth])


def lost(model, monkeypatch, points, **options):
    """How many nats the best of all that is within 100 by the ranking is above what is taken."""
    lifter = prior.Lifter(model, rotations=40)
    few = lifter.lift(points, **options)
    candidates = lifter.full.candidates
    monkeypatch.setattr(
        lifter.full,
        "candidates",
        lambda a, refine, _, known, doubt: candidates(a, refine, 100.0, known),
    )
    many = lifter.lift(points, **options)
    assert few.ok.all() and many.ok.all()
    return many.log_likelihood - few.log_likelihood


@pytest.mark.parametrize(
    ("kind", "nats"),
    [
        ("alike", 0.1),  # on six models 0.03 to 0.08
        ("weak", 0.01),
        ("afar", 0.1),
        ("near", 1.4),
        ("confidence", 0.1),
        ("vectors", 0.9),
    ],
)
def test_hardly_a_best_combination_is_ruled_out(model, monkeypatch, kind, nats):
    """The mean loss; a ranking without depths, confidences or the variance of the vectors that it
    leaves out loses more than this near, by confidence, and by half of the vectors; of landmarks
    that are alike, one that takes the candidates as weak perspective left them."""
    _, points, cameras = photographs(COUNT, noise_px=5)
    options = {"camera": cameras, "covariance": covariances(COUNT)}
    if kind == "alike":
        options = {"camera": cameras, "intrinsics": INTRINSICS}
    if kind == "afar":
        options["intrinsics"] = INTRINSICS
    if kind == "near":
        points, options = near(), {"intrinsics": WIDE, "covariance": covariances(COUNT)}
    if kind == "confidence":
        options["confidence"] = np.random.default_rng(0).choice([0.03, 1.0], (COUNT, 17))
    if kind == "vectors":
        monkeypatch.setattr(ranking, "VECTORS", 6)
    off = lost(model, monkeypatch, points, **options)
    # By as much as the solutions are from their minima.
    assert (off > -1e-4).all() and off.mean() < nats
