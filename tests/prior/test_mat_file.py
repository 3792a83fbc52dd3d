import time

import numpy as np
import pytest
from scipy.io import savemat

import prior
from prior import mat_file
from prior.__main__ import main
from prior.model import ModelFileError
from prior.skeleton import LANDMARKS, limb_scale
from tests.poses import random_poses


@pytest.fixture(scope="module")
def model():
    return prior.fit(random_poses(200), components=2, basis=5, solver="closed-form")


def test_round_trip_of_everything_that_lifts(model, tmp_path):
    mat_file.write(tmp_path / "m.mat", model)
    again = mat_file.read(tmp_path / "m.mat")
    factor = again.scale_mm / model.scale_mm
    # The file's means are centred, which those of a model are but for their rounding to 1e-7.
    np.testing.assert_allclose(again.mean * factor, model.mean, rtol=0, atol=1e-7)
    np.testing.assert_allclose(again.basis, model.basis, atol=1e-12)
    np.testing.assert_allclose(again.std * factor, model.std)
    np.testing.assert_allclose(again.noise_std * factor, model.noise_std)
    np.testing.assert_allclose(again.weight, model.weight)
    points = random_poses(10, seed=4)[..., :2] * [0.2, -0.2]
    lifted, expected = prior.lift(points, again), prior.lift(points, model)
    np.testing.assert_allclose(lifted.pose, expected.pose, rtol=0, atol=1e-4)


def _released(model):
    """A file as released: no weights, and rows typed out by loops."""
    count, size = model.std.shape
    mu, e = np.zeros((count, 51)), np.zeros((count, size, 51))
    for k in range(count):
        for landmark in range(17):
            x, up, forward = model.mean[k, landmark] * model.scale_mm
            mu[k, [landmark, 17 + landmark, 34 + landmark]] = x, -forward, up
            for j in range(size):
                x, up, forward = model.basis[k, j, landmark]
                e[k, j, [landmark, 17 + landmark, 34 + landmark]] = x, -forward, up
    sigma = 1 / (np.column_stack([model.std, model.noise_std]) * model.scale_mm)
    return {"mu": mu, "e": e, "sigma": sigma}


def test_a_released_file_is_upright_and_in_millimetres(model, tmp_path):
    path, out = tmp_path / "prob_model_params.mat", tmp_path / "model.npz"
    savemat(path, _released(model))
    assert main(["import", str(path), "--out", str(out)]) == 0
    again = prior.load(out)
    head, foot = LANDMARKS.index("head top"), LANDMARKS.index("left foot")
    assert (again.mean[:, head, 1] > again.mean[:, foot, 1]).all()
    np.testing.assert_allclose(again.weight, 0.5)
    assert again.scale_mm == pytest.approx(np.median(limb_scale(model.mean)) * model.scale_mm)
    assert again.meta["source"] == "imported from prob_model_params.mat"
    back = tmp_path / "again.mat"
    assert main(["export", str(out), "--out", str(back)]) == 0
    np.testing.assert_allclose(mat_file.read(back).mean, again.mean, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mu": np.zeros((2, 48))}, "expected mu"),
        ({"sigma": np.ones((2, 5))}, "expected mu"),
        ({"sigma": -np.ones((2, 6))}, "sigma: expected positive"),
        ({"e": np.ones((2, 5, 51))}, "basis: expected orthonormal"),
        ({"mu": np.full((2, 51), np.nan)}, "mean: expected finite"),
    ],
)
def test_what_is_no_model_is_named(model, tmp_path, change, message):
    savemat(tmp_path / "m.mat", _released(model) | change)
    with pytest.raises(ModelFileError, match=f"m.mat: {message}"):
        mat_file.read(tmp_path / "m.mat")


def test_many_vectors_or_landmarks_take_no_time(tmp_path):
    for size, vectors in ((51, 20_000), (60_000, 5)):
        e = np.zeros((1, vectors, size), np.uint8)
        values = {"mu": np.zeros((1, size)), "e": e, "sigma": np.ones((1, vectors + 1))}
        savemat(tmp_path / "m.mat", values)
        began = time.process_time()
        with pytest.raises(ModelFileError, match="m.mat: (e: expected at most 51|expected mu)"):
            mat_file.read(tmp_path / "m.mat")
        assert time.process_time() - began < 2  # products of all with all: minutes


def test_damaged_and_missing_files_are_named(tmp_path):
    (tmp_path / "m.mat").write_bytes(b"no matrix")
    with pytest.raises(ModelFileError, match="m.mat: expected a .mat file of version 5"):
        mat_file.read(tmp_path / "m.mat")
    savemat(tmp_path / "n.mat", {"mu": np.zeros((1, 51))})
    with pytest.raises(ModelFileError, match="n.mat: expected a .mat file with mu, e and sigma"):
        mat_file.read(tmp_path / "n.mat")
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "v73.mat").write_bytes(header + bytes(512))
    with pytest.raises(ModelFileError, match="v73.mat: expected a .mat .*HDF"):
        mat_file.read(tmp_path / "v73.mat")
    with pytest.raises(ModelFileError, match="none.mat: no such file"):
        mat_file.read(tmp_path / "none.mat")
