import copy
import dataclasses
import json
import os

import numpy as np
import pytest

import prior
from prior import limits, metrics
from prior import model as model_file
from prior.mocap import motion, sampling
from prior.model import ModelFileError
from tests.hands import HAND, random_hands
from tests.poses import random_poses


@pytest.fixture(scope="module")
def model():
    return prior.fit(random_poses(200), components=2, basis=4, solver="closed-form")


def test_round_trip(model, tmp_path):
    model.save(tmp_path / "m.npz")
    again = prior.load(tmp_path / "m.npz")
    for name in ("mean", "basis", "std", "noise_std", "weight", "scale_mm", "seeds", "sample"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    assert again.meta["seed"] == 0 and again.meta["format"] == 1


def test_same_data_and_seed_same_bytes(model, tmp_path):
    model.save(tmp_path / "a.npz")
    again = prior.fit(random_poses(200), components=2, basis=4, solver="closed-form")
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_fit_describes_the_data(model):
    assert (model.components, model.basis_size) == (2, 4)
    assert 900 < model.scale_mm < 1200
    assert model.weight[0] >= model.weight[1]
    assert model.meta["poses"] == 200 and len(model.meta["data_sha256"]) == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": np.zeros((2, 16, 3))}, "mean: expected shape"),
        ({"std": np.ones((2, 3))}, "std: expected shape"),
        ({"noise_std": np.array([1.0, np.nan])}, "noise_std: expected finite"),
        ({"weight": np.array([0.9, 0.9])}, "weight: expected positive values that sum to 1"),
        ({"std": np.array([[1.0, 2, 3, 4]] * 2)}, "std: expected positive values, descending"),
        ({"basis": np.ones((2, 4, 17, 3))}, "basis: expected orthonormal"),
        ({"scale_mm": -1.0}, "scale_mm: expected positive"),
    ],
)
def test_a_model_that_would_not_load_is_not_written(model, tmp_path, change, message):
    # Changed past the constructor, whose shapes are checked while tests run.
    changed = copy.copy(model)
    vars(changed).update(change)
    with pytest.raises(ModelFileError, match=message):
        changed.save(tmp_path / "m.npz")
    assert not os.listdir(tmp_path)


def test_a_model_carries_its_skeleton(tmp_path):
    skeleton = dataclasses.replace(HAND, bones=(5, 9, 13))
    hands = prior.fit(
        random_hands(200), skeleton=skeleton, components=1, basis=3, solver="closed-form"
    )
    hands.save(tmp_path / "hand.npz")
    again = prior.load(tmp_path / "hand.npz")
    assert again.skeleton == hands.skeleton == skeleton
    assert again.mean.shape == (1, 21, 3)
    again.save(tmp_path / "again.npz")
    assert (tmp_path / "hand.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    arrays = dict(np.load(tmp_path / "hand.npz"))
    meta = json.loads(str(arrays["meta"]))
    meta["skeleton"]["parents"]["wrist"] = "index 1"
    np.savez(tmp_path / "circle.npz", **arrays | {"meta": np.array(json.dumps(meta))})
    with pytest.raises(ModelFileError, match="circle.npz: skeleton: .*circle"):
        prior.load(tmp_path / "circle.npz")


def test_other_landmarks_are_refused(model, tmp_path):
    path = tmp_path / "m.npz"
    model.save(path)
    arrays = dict(np.load(path))
    arrays["landmarks"] = arrays["landmarks"][::-1]
    np.savez(path, **arrays)
    with pytest.raises(ModelFileError, match="m.npz: landmarks: expected"):
        prior.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "expected an .npz"), (b"PK\x03\x04junk", "expected an .npz")],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    (tmp_path / "m.npz").write_bytes(content)
    with pytest.raises(ModelFileError, match=f"m.npz: {message}"):
        prior.load(tmp_path / "m.npz")


@pytest.mark.parametrize("meta", ["1" * 5000, '{"format": ' + "1" * 5000 + "}", "[" * 5000, "3"])
def test_what_is_no_meta_is_one_line(model, tmp_path, meta):
    path = tmp_path / "m.npz"
    model.save(path)
    np.savez(path, **dict(np.load(path)) | {"meta": meta})
    with pytest.raises(ModelFileError, match="m.npz: meta: ") as caught:
        prior.load(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_truncated_file_is_named(model, tmp_path):
    path = tmp_path / "m.npz"
    model.save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ModelFileError, match="m.npz: expected an .npz"):
        prior.load(path)


def test_a_missing_file_and_missing_arrays_are_named(tmp_path):
    with pytest.raises(ModelFileError, match="no such file"):
        prior.load(tmp_path / "none.npz")
    np.savez(tmp_path / "m.npz", mean=np.zeros(3))
    with pytest.raises(ModelFileError, match="missing: .*basis"):
        prior.load(tmp_path / "m.npz")


def test_a_giant_is_not_unpacked(tmp_path, model, monkeypatch):
    monkeypatch.setattr(limits, "HARMLESS_MB", 16)
    model.save(tmp_path / "m.npz")
    arrays = dict(np.load(tmp_path / "m.npz"))
    arrays["sample"] = np.zeros((50_000, 17, 3))
    np.savez_compressed(tmp_path / "m.npz", **arrays)
    with pytest.raises(ModelFileError, match="at most 100 times the size of its archive"):
        prior.load(tmp_path / "m.npz")


def test_a_basis_of_more_vectors_than_there_are_dimensions_takes_no_time(tmp_path, model):
    model.save(tmp_path / "m.npz")
    arrays = dict(np.load(tmp_path / "m.npz"))
    arrays["basis"] = np.zeros((model.components, 12_000, 17, 3), dtype=np.float32)
    arrays["std"] = np.ones((model.components, 12_000))
    np.savez_compressed(tmp_path / "m.npz", **arrays)
    with pytest.raises(ModelFileError, match="basis: expected at most 51 vectors, got 12000"):
        prior.load(tmp_path / "m.npz")


@pytest.mark.parametrize("basis", [0, 51])
def test_an_impossible_basis_size_is_refused(basis):
    with pytest.raises(ValueError, match="basis"):
        prior.fit(random_poses(30), basis=basis, components=1, solver="closed-form")


def test_the_ready_model_lifts_people():
    model = prior.load()
    assert (model.components, model.basis_size) == (3, 35)
    assert "mocap.cs.cmu.edu" in model.meta["licence"]
    assert model.meta["alignment_converged"] and model.meta["em_converged"]
    assert model_file.READY.stat().st_size < 200_000


@pytest.mark.parametrize("path", [model_file.TRAINING, model_file.READY.with_name("cmu.npz")])
def test_the_carried_models_lift_people_whom_they_do_not_know(path):
    """The ready one's twin, and the one that the network for photographs lifts with."""
    model = prior.load(path)
    truth = np.concatenate([clip.poses for clip in motion.load("test", kind="walk")])[::20]
    points = truth[..., :2] * [0.25, -0.25]
    lifted = prior.lift(points, model)
    error = metrics.procrustes_aligned(lifted.pose, truth).mean()
    mean = np.repeat(model.mean[:1] * model.scale_mm, len(truth), axis=0)
    assert error < 0.5 * metrics.procrustes_aligned(mean, truth).mean()


def _ready_poses(split):
    clips = [sampling.by_change(clip, 20) for clip in motion.load(split)]
    return np.concatenate([clip.poses for clip in sampling.balanced(clips, 12_000)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "split"), [(model_file.TRAINING, "training"), (model_file.READY, None)]
)
def test_the_ready_priors_are_made_again_to_the_byte(tmp_path, path, split):
    """On any processor: what differs there in the last bits is rounded away."""
    model = prior.load(path)
    meta = {name: model.meta[name] for name in ("source", "licence")}
    again = prior.fit(_ready_poses(split), basis=35, solver="closed-form", meta=meta)
    again.save(tmp_path / "again.npz")
    model.save(tmp_path / "saved.npz")  # by the same zlib
    for name in ("mean", "basis", "std", "noise_std", "weight", "scale_mm", "seeds", "sample"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name), err_msg=name)
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "saved.npz").read_bytes()


@pytest.mark.parametrize("dtype", ["i8", "f2", "g", ">f8"])
def test_numbers_of_other_types_become_floats(model, tmp_path, dtype):
    model.save(tmp_path / "m.npz")
    arrays = dict(np.load(tmp_path / "m.npz"))
    arrays["sample"] = (100 * arrays["sample"]).astype(dtype)
    np.savez_compressed(tmp_path / "m.npz", **arrays)
    sample = prior.load(tmp_path / "m.npz").sample
    assert sample.dtype == float
    np.testing.assert_array_equal(sample, arrays["sample"])
