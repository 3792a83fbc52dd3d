import os
import pickle

import numpy as np
import pytest

import prior
from prior import limits, partitions
from prior.errors import InputError
from prior.normalise import AlignedPoses, NormalisedPoses
from tests.poses import random_poses

COUNTS = (50, 7, 93, 1, 49)
POSES = random_poses(sum(COUNTS)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Partitions of every kind: .npy, .npz stored and .npz compressed, one of them deeper."""
    folder = tmp_path_factory.mktemp("partitions")
    (folder / "c").mkdir()
    for i, part in enumerate(np.split(POSES, np.cumsum(COUNTS)[:-1])):
        name = folder / ("a.npy", "b.npz", "c/a.npz", "d.npy", "e.npz")[i]
        if name.suffix == ".npy":
            np.save(name, part)
        else:
            (np.savez if i == 1 else np.savez_compressed)(name, rate=50.0, poses_mm=part)
    return folder


def test_slices_and_indices_are_those_of_one_array(folder):
    poses = partitions.open_folder(folder)
    assert (len(poses), poses.shape, poses.dtype) == (200, (200, 17, 3), np.float32)
    random = np.random.default_rng(0)
    for start, stop in [(0, 200), (50, 57), (49, 58), (150, 151), (30, 30), (199, 400)]:
        np.testing.assert_array_equal(poses[start:stop], POSES[start:stop])
    rows = random.integers(200, size=70)
    np.testing.assert_array_equal(poses[rows], POSES[rows])


@pytest.mark.parametrize("where", [(0, 200), (51, 149), (50, 57), (120, 151), (199, 200)])
def test_a_part_goes_to_another_process_and_is_the_slice(folder, where):
    yaw = np.linspace(-3, 3, 200)
    poses = partitions.open_folder(folder)
    part = pickle.loads(pickle.dumps(poses.part(slice(*where))))
    np.testing.assert_array_equal(part[:], POSES[slice(*where)])
    np.testing.assert_array_equal(part.part(slice(1, 3))[:], POSES[slice(*where)][1:3])
    assert len(part.files) <= len(poses.files)
    normalised = NormalisedPoses(poses)
    part = pickle.loads(pickle.dumps(normalised.part(slice(*where))))
    np.testing.assert_array_equal(part[:], NormalisedPoses(POSES)[:][slice(*where)])
    aligned = AlignedPoses(normalised, yaw)
    twice = slice(2 * where[0], 2 * where[1])
    part = pickle.loads(pickle.dumps(aligned.part(twice)))
    np.testing.assert_array_equal(part[:], aligned[twice])
    assert len(part) == 2 * (where[1] - where[0])


@pytest.mark.slow
def test_a_fit_of_partitions_is_that_of_the_array_but_for_the_digest(folder):
    how = {"components": 2, "basis": 4, "solver": "closed-form"}
    whole, parts = prior.fit(POSES, **how), prior.fit(partitions.open_folder(folder), **how)
    np.testing.assert_array_equal(whole.basis, parts.basis)
    np.testing.assert_array_equal(whole.sample, parts.sample)
    assert whole.meta.pop("data_sha256") != parts.meta.pop("data_sha256")
    assert whole.meta == parts.meta


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda f: np.save(f / "b.npy", random_poses(3)), "b.npy: expected float32 .* got float64"),
        (
            lambda f: np.save(f / "b.npy", np.zeros((3, 21, 3), np.float32)),
            r"b.npy: expected float32 \(F, 17, 3\), as in a.npy, got",
        ),
        (lambda f: np.save(f / "b.npy", np.zeros((3, 4))), "b.npy: expected poses as floats"),
        (lambda f: np.savez(f / "b.npz", points=POSES), "b.npz: expected the array poses_mm"),
        (lambda f: (f / "b.npy").write_bytes(b"no"), "b.npy: expected a .npy"),
        (lambda f: np.save(f / "b.npy", np.array([{}, {}])), "b.npy: expected an array of numbers"),
        (
            lambda f: np.save(f / "b.npy", POSES.astype("g")),
            "b.npy: expected poses as floats of 16",
        ),
        (
            lambda f: (f / "b.npy").write_bytes((f / "a.npy").read_bytes()[:-1]),
            "b.npy: expected float32 .*the file is damaged",
        ),
        (
            # NumPy's own reader of heads meets brackets that are never closed.
            lambda f: (f / "b.npy").write_bytes((f / "a.npy").read_bytes().replace(b"}", b"(")),
            "b.npy: expected an array of numbers",
        ),
        (lambda f: os.mkfifo(f / "b.npy"), "b.npy: expected a file, got a device, pipe or socket"),
        (lambda f: os.mkfifo(f / "b.npz"), "b.npz: expected a file, got a device, pipe or socket"),
    ],
)
def test_a_folder_that_is_no_motion_is_one_line(tmp_path, write, says):
    np.save(tmp_path / "a.npy", POSES[:10])
    write(tmp_path)
    with pytest.raises(InputError, match=says):
        partitions.open_folder(tmp_path)


def test_an_empty_folder_and_none_are_one_line(tmp_path):
    with pytest.raises(InputError, match="expected a folder of poses"):
        partitions.open_folder(tmp_path)
    with pytest.raises(InputError, match="expected a folder of poses"):
        partitions.open_folder(tmp_path / "nowhere")


def test_a_compressed_file_is_read_within_the_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "HARMLESS_MB", 1)
    np.savez_compressed(tmp_path / "a.npz", poses_mm=np.zeros((10_000, 17, 3)))
    folder = partitions.open_folder(tmp_path)
    with pytest.raises(InputError, match="a.npz: expected at most 100 times the size"):
        folder[:10]
