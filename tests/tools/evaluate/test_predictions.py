"""Files of predictions: matched with the truth's frames, or refused in words."""

import json

import numpy as np
import pytest

from prior.skeleton import LANDMARKS
from python_layers.data import annotations
from tests.annotated import entries, save
from tools.evaluate import predictions, truth
from tools.evaluate.predictions import PredictionError
from tools.evaluate.protocols import CAMERAS, PROTOCOLS


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_predictions_are_matched_whatever_their_order(data, tmp_path, suffix):
    frames = truth.load([data])
    shuffled = frames.take(np.random.default_rng(0).permutation(len(frames)))
    path = save(tmp_path / f"p{suffix}", entries(shuffled, points=shuffled.points))
    one = frames.select(PROTOCOLS[1])
    np.testing.assert_array_equal(predictions.load(path).take(one.index).points[0], one.points)


def _refused(tmp_path, arrays):
    with pytest.raises(PredictionError) as error:
        predictions.load(save(tmp_path / "p.npz", arrays))
    return str(error.value)


def test_another_order_of_landmarks_is_refused(data, tmp_path):
    frames = truth.load([data])
    arrays = entries(frames, points=frames.points)
    arrays["landmarks"] = np.roll(arrays["landmarks"], 1)
    text = _refused(tmp_path, arrays)
    assert "the same names in another order, 17 of 17 elsewhere: the first is 'right wrist'" in text
    arrays["landmarks"] = np.array([*LANDMARKS[:-1], "tail"])
    assert "other names, 1 of 17 elsewhere: the first is 'tail'" in _refused(tmp_path, arrays)
    del arrays["landmarks"]
    assert "expected `landmarks`" in _refused(tmp_path, arrays)


def test_files_that_are_no_predictions(data, tmp_path):
    frames = truth.load([data])
    good = entries(frames, points=frames.points)
    assert "found neither" in _refused(tmp_path, entries(frames))
    assert "expected (144, 17, 2), got (1, 143, 17, 2)" in _refused(
        tmp_path, good | {"points": frames.points[1:]}
    )
    assert "no frame" in _refused(tmp_path, {k: v for k, v in good.items() if k != "frame"})
    twice = good | {"frame": np.where(good["frame"] == 64, 0, good["frame"])}
    assert "24 are there again: S11/punch.54138969 frame 0;" in _refused(tmp_path, twice)
    rows = dict.fromkeys(good, []) | {"landmarks": list(LANDMARKS), "frame": [[1, 2], [3]]}
    (tmp_path / "a.json").write_text(json.dumps(rows))
    with pytest.raises(PredictionError, match="a.json: frame: expected a list of values"):
        predictions.load(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(PredictionError, match="a.json: expected JSON"):
        predictions.load(tmp_path / "a.json")


def test_missing_frames_and_actions_are_named_and_counted(data, tmp_path):
    frames = truth.load([data])
    one = frames.select(PROTOCOLS[0])
    part = frames.take(frames.index.action != "punch")
    lost = part.index.keys().index(("S9", "run", CAMERAS[1], 128))
    part = part.take(np.arange(len(part)) != lost)
    predicted = predictions.load(save(tmp_path / "p.npz", entries(part, points=part.points)))
    with pytest.raises(PredictionError) as error:
        predicted.take(one.index)
    assert "no prediction for 49 of 144 frames; none at all of the actions punch; in 9 " in str(
        error.value
    )
    # Protocol 2 wants S11 alone; other frames than the truth's are another matter.
    later = entries(frames, points=frames.points) | {"frame": frames.index.frame + 1}
    predicted = predictions.load(save(tmp_path / "p.npz", later))
    with pytest.raises(PredictionError, match="144 of 144 frames: the 144 predicted are of other"):
        predicted.take(one.index)


def test_poses_with_nan_or_in_metres_are_refused(data, tmp_path):
    frames = truth.load([data])
    poses = frames.poses_mm.copy()
    poses[[3, 100], 5, 1] = np.nan
    predicted = predictions.load(save(tmp_path / "p.npz", entries(frames, poses=poses)))
    with pytest.raises(PredictionError, match="2 of 144 poses have NaN .*: S9/punch"):
        predicted.take(frames.index)
    metres = entries(frames, poses=frames.poses_mm / 1000)
    predicted = predictions.load(save(tmp_path / "p.npz", metres))
    with pytest.raises(PredictionError, match="are they in metres"):
        predicted.take(frames.index)


def test_evaluate_says_which_frames_its_predictions_are_of(data):
    people = annotations.load(data, check_images=False)
    arrays = predictions.frames_of(people)
    assert all(a.dtype.kind in "Uif" for a in arrays.values())
    np.testing.assert_array_equal(arrays["frame"], people.frames)
    changed = json.loads(data.read_text())
    del changed["images"][0]["frame"]
    data.write_text(json.dumps(changed))
    silent = predictions.frames_of(annotations.load(data, check_images=False))
    assert list(silent) == ["landmarks"] and silent["landmarks"].tolist() == list(LANDMARKS)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_covariances_go_with_their_points(data, tmp_path, suffix):
    frames = truth.load([data])
    covariance = np.random.default_rng(0).uniform(size=(len(frames), 17, 2, 2))
    arrays = entries(frames, points=frames.points) | {"covariance": covariance}
    read = predictions.load(save(tmp_path / f"p{suffix}", arrays)).take(
        frames.take(slice(5, 9)).index
    )
    np.testing.assert_allclose(read.covariance, covariance[None, 5:9])
    arrays["covariance"] = covariance[:, :, 0]
    with pytest.raises(PredictionError, match=r"covariance: expected .144, 17, 2, 2., got"):
        predictions.load(save(tmp_path / f"q{suffix}", arrays))
