"""The truth of annotated frames: what is read, and what is refused."""

import json

import numpy as np
import pytest

from prior.skeleton import L
from python_layers.data import annotations
from tests.annotated import FRAMES, INTRINSICS, save
from tools.evaluate import predictions, truth
from tools.evaluate.lifting import cameras_toward
from tools.evaluate.protocols import CAMERAS, PROTOCOLS
from tools.evaluate.truth import TruthError


def test_truth_of_annotations(data):
    frames = truth.load([data])
    assert len(frames) == 2 * 3 * 4 * FRAMES and not frames.human36m
    assert set(frames.index.camera) == set(CAMERAS)
    assert set(frames.index.trial[frames.index.sequence == "run"]) == {2}
    assert len(frames.select(PROTOCOLS[1])) == 3 * 4 * FRAMES  # S11
    assert len(frames.select(PROTOCOLS[2])) == 2 * 2 * FRAMES  # camera 3, trial 1


def test_cropped_images_are_compared_in_px_of_the_original(data, tmp_path):
    """Points and intrinsics of the truth, and the points that evaluation writes of the crops."""
    whole = truth.load([data])
    changed = json.loads(data.read_text())
    for image, person in zip(changed["images"], changed["annotations"], strict=True):
        image["offset"] = offset = [100 + image["id"], 50]
        points = np.reshape(person["keypoints"], (L, 3)) - [*offset, 0]
        person["keypoints"] = points.ravel().tolist()
    data.write_text(json.dumps(changed))
    cropped = truth.load([data])
    np.testing.assert_allclose(cropped.points, whole.points)
    np.testing.assert_allclose(cropped.intrinsics, whole.intrinsics)
    people = annotations.load(data, check_images=False)
    arrays = predictions.frames_of(people) | {"points": people.points[None]}
    predicted = predictions.load(save(tmp_path / "p.npz", arrays)).take(whole.index)
    np.testing.assert_allclose(predicted.points[0], whole.points)


def test_truth_in_metres_is_named(data):
    changed = json.loads(data.read_text())
    for person in changed["annotations"]:
        person["pose_mm"] = (np.array(person["pose_mm"]) / 1000).tolist()
    data.write_text(json.dumps(changed))
    with pytest.raises(TruthError, match="test.json: truth: .*are they in metres"):
        truth.load([data])


@pytest.mark.parametrize("key", ["subject", "action", "frame", "camera"])
def test_truth_says_what_its_images_lack(data, key):
    changed = json.loads(data.read_text())
    for image in changed["images"][:5]:
        del image[key]
    data.write_text(json.dumps(changed))
    with pytest.raises(TruthError, match="5 of 144 lack one, the first is .*0.jpg"):
        truth.load([data])


def test_cameras_look_at_the_landmarks_found(data):
    frames = truth.load([data])
    points = frames.points.copy()
    points[0, 3:] = np.nan
    points[1] = np.nan
    cameras = cameras_toward(points, frames.rotations, frames.intrinsics)
    np.testing.assert_array_equal(cameras[1], frames.rotations[1])
    # A point on the ray to the middle of what is seen has no x and y in the turned camera.
    ray = np.linalg.inv(INTRINSICS) @ [*points[0, :3].mean(axis=0), 1]
    np.testing.assert_allclose((cameras[0] @ frames.rotations[0].T @ ray)[:2], 0, atol=1e-9)
