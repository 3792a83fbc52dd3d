"""Scores of predictions, against loops; what is withheld."""

import numpy as np
import pytest

import prior
from prior import metrics
from prior.skeleton import limb_scale
from tests.annotated import entries, save
from tools.evaluate import predictions, scoring, truth
from tools.evaluate.lifting import LandmarkLifter
from tools.evaluate.protocols import PROTOCOLS


def _by(results, **facts):
    return [r for r in results if all(getattr(r, k) == v for k, v in facts.items())]


def test_scores_against_loops(data, model, tmp_path):
    """Every alignment of every protocol, with the distances added up one by one."""
    frames = truth.load([data])
    noise = np.random.default_rng(0).normal(size=frames.poses_mm.shape) * 60
    poses = 1.1 * frames.poses_mm + noise
    path = save(tmp_path / "p.npz", entries(frames, poses=poses))
    method = scoring.Method("noisy", predictions.load(path))
    results, withheld = scoring.score_all([method], frames, LandmarkLifter(prior.load(model)))
    assert not withheld and len(results) == 4 + 1 + 1

    def error(i, alignment, landmarks):
        a, b = poses[i], frames.poses_mm[i]
        if alignment.scale == "known":
            a = a * (limb_scale(b) / limb_scale(a))
        a, b = a[list(landmarks)], b[list(landmarks)]
        if alignment.to == "procrustes":
            a = metrics.procrustes(a[None], b[None])[0]
        elif alignment.to == "root":
            a, b = a - a[0], b - b[0]
        else:
            a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        return sum(float(np.linalg.norm(p - q)) for p, q in zip(a, b, strict=True)) / len(a)

    for protocol in PROTOCOLS:
        rows = [
            i
            for i, key in enumerate(frames.index.keys())
            if key in set(frames.select(protocol).index.keys())
        ]
        for alignment in protocol.alignments:
            (result,) = _by(
                results, protocol=protocol.name, aligned=alignment.to, scale=alignment.scale
            )
            errors = {i: error(i, alignment, protocol.landmarks) for i in rows}
            assert result.mean == pytest.approx(np.mean(list(errors.values())))
            assert result.frames == len(rows) and result.landmarks == len(protocol.landmarks)
            punch = [e for i, e in errors.items() if frames.index.action[i] == "punch"]
            assert result.by_action["punch"] == pytest.approx(np.mean(punch))
            assert set(result.by_action) == {"punch", "run"}
            assert np.mean(list(result.by_landmark.values())) == pytest.approx(result.mean)


@pytest.mark.slow
def test_true_landmarks_as_predictions_are_the_true_2d_row(data, model, tmp_path):
    frames = truth.load([data])
    path = save(tmp_path / "p.npz", entries(frames, points=np.stack([frames.points + 9] * 3)))
    shifted = predictions.load(path)
    path = save(tmp_path / "p.npz", entries(frames, points=frames.points))
    methods = [
        scoring.Method("true", None),
        scoring.Method("same", predictions.load(path)),
        scoring.Method("shifted", shifted),
    ]
    results, withheld = scoring.score_all(methods, frames, LandmarkLifter(prior.load(model)))
    assert not withheld
    for protocol in PROTOCOLS:
        for alignment in protocol.alignments:
            facts = {"protocol": protocol.name, "aligned": alignment.to, "scale": alignment.scale}
            true, same, _ = _by(results, what="3D error, mm", **facts)
            assert same.mean == pytest.approx(true.mean, rel=1e-6) and true.mean > 1
    (same, shifted) = _by(results, what="2D error, px")
    assert same.mean == 0 and shifted.mean == pytest.approx(9 * 2**0.5)
    assert len(shifted.by_stage) == 3 and same.by_stage == []


@pytest.mark.slow
def test_landmarks_not_found_withhold_the_2d_error_not_the_lifting(data, model, tmp_path):
    frames = truth.load([data])
    points = frames.points.copy()
    points[:10, 3] = np.nan
    predicted = predictions.load(save(tmp_path / "p.npz", entries(frames, points=points)))
    method = scoring.Method("gaps", predicted)
    results, withheld = scoring.score_all([method], frames, LandmarkLifter(prior.load(model)))
    assert _by(results, what="3D error, mm", protocol="1") and not _by(results, what="2D error, px")
    assert [w.reason for w in withheld] == [
        "10 of 2448 landmarks were not found, in 10 of 144 frames"
    ]
    points[0, 1:] = np.nan
    predicted = predictions.load(save(tmp_path / "p.npz", entries(frames, points=points)))
    results, withheld = scoring.score_all(
        [scoring.Method("x", predicted)], frames, LandmarkLifter(prior.load(model))
    )
    assert not _by(results, what="3D error, mm", protocol="1")
    assert "1 of 144 poses could not be lifted" in withheld[0].reason
    assert "S9/punch.54138969 frame 0" in withheld[0].reason
