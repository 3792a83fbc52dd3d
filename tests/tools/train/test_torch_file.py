"""PyTorch's old files of weights, read without PyTorch."""

import pickle

import numpy as np
import pytest

from prior.errors import InputError
from tests.tools.train.torch_files import write
from tools.train import torch_file


def test_arrays_come_back(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "a.weight": rng.normal(size=(2, 3, 4)).astype(np.float32),
        # As weights that came from TensorFlow lie in such a file.
        "b.weight": np.asfortranarray(rng.normal(size=(2, 3)).astype(np.float32)),
        "count": np.array(7),
    }
    write(tmp_path / "w.pth", arrays)
    read = torch_file.read(tmp_path / "w.pth")
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_a_file_runs_no_code(tmp_path):
    class Run:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    (tmp_path / "w.pth").write_bytes(pickle.dumps(Run(), protocol=2))
    with pytest.raises(InputError, match="expected weights as PyTorch saved them"):
        torch_file.read(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("length", [0, 1, 10, 200, 600])
def test_cut_files_are_refused(tmp_path, length):
    write(tmp_path / "w.pth", {"a": np.zeros((10, 10), np.float32)})
    whole = (tmp_path / "w.pth").read_bytes()
    assert len(whole) > length
    (tmp_path / "w.pth").write_bytes(whole[:length])
    with pytest.raises(InputError, match="expected weights as PyTorch saved them"):
        torch_file.read(tmp_path / "w.pth")


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    array = np.lib.stride_tricks.as_strided(np.zeros(4, np.float32), (2, 3), (4, 4))
    write(tmp_path / "w.pth", {"a": array})
    data = (tmp_path / "w.pth").read_bytes()
    cut = data.rindex((6).to_bytes(8, "little"))
    (tmp_path / "w.pth").write_bytes(data[:cut] + (2).to_bytes(8, "little") + bytes(8))
    with pytest.raises(InputError, match="got a tensor beyond its storage"):
        torch_file.read(tmp_path / "w.pth")


def test_one_number_does_not_become_a_billion(tmp_path):
    array = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (10**5, 10**4), (0, 0))
    write(tmp_path / "w.pth", {"a": array}, stored=1)
    with pytest.raises(InputError, match="got a tensor beyond its storage"):
        torch_file.read(tmp_path / "w.pth")


def test_strides_do_not_lead_out_of_a_storage(tmp_path):
    array = np.lib.stride_tricks.as_strided(np.zeros(6, np.float32), (2,), (20,))
    write(tmp_path / "w.pth", {"a": array}, stored=5)
    with pytest.raises(InputError, match="got a tensor beyond its storage"):
        torch_file.read(tmp_path / "w.pth")
    write(tmp_path / "w.pth", {"a": array}, stored=6)
    assert torch_file.read(tmp_path / "w.pth")["a"].tolist() == [0, 0]
