"""Arrays in .npz files: whole, or the old ones, also when a signal comes in the midst."""

import signal
import zipfile

import numpy as np
import pytest

from prior import npz


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_written_is_read(tmp_path, compressed):
    npz.write(tmp_path / "new/a.npz", compressed, a=np.arange(3), b="text")
    with np.load(tmp_path / "new/a.npz", allow_pickle=False) as arrays:
        assert arrays["a"].tolist() == [0, 1, 2] and arrays["b"] == "text"


def test_no_pickles_are_written(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        npz.write(tmp_path / "a.npz", a=np.array([{}]))
    assert not list(tmp_path.iterdir())


def test_ctrl_c_in_the_midst_of_an_array_is_that_and_nothing_else(tmp_path, monkeypatch):
    """An archive that is left in the midst of an array raises ValueError as it is closed."""
    opened = zipfile.ZipFile.open

    def interrupted(*arguments, **options):
        member = opened(*arguments, **options)
        signal.raise_signal(signal.SIGINT)
        return member

    monkeypatch.setattr(zipfile.ZipFile, "open", interrupted)
    npz_file = tmp_path / "a.npz"
    npz_file.write_text("old")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            npz.write(npz_file, a=np.arange(3))
    finally:
        signal.signal(signal.SIGINT, before)
    assert caught.value.__context__ is None
    assert npz_file.read_text() == "old" and list(tmp_path.iterdir()) == [npz_file]
