"""What reads a file within limits: it may crash, loop, fill the memory or say anything."""

import faulthandler
import gc
import os
import signal
import time

import numpy as np
import pytest

from prior import limited
from prior.errors import InputError


class ReaderError(InputError):
    """Of a reader."""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.dat").write_bytes(b"abc")
    return tmp_path / "a.dat"


def load(path, values):
    return limited.load(path, values, "an A", ReaderError)


def test_arrays_come_back(path):
    values = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(["x", "yz"])}
    result = load(path, lambda _: values)
    assert list(result) == ["a", "b"]
    for name, array in values.items():
        np.testing.assert_array_equal(result[name], array)


def crashes(_):
    faulthandler.disable()  # pytest's: it would print the crash that is wanted
    os.kill(os.getpid(), signal.SIGSEGV)


def raises(_):
    raise KeyError("two\nlines")


def objects(_):
    return {"a": np.array([object()])}


def fills(_):
    return {"a": np.empty(2 * limited.MEMORY_MB << 17)}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (crashes, "a crash of what reads it, or more than"),
        (raises, "two"),
        (objects, "objects"),
        (fills, "allocate"),
    ],
)
def test_what_goes_wrong_is_one_line(path, values, message):
    with pytest.raises(ReaderError, match=f"a.dat: expected an A, got .*{message}") as caught:
        load(path, values)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_work_without_end_is_ended(path, monkeypatch):
    monkeypatch.setattr(limited, "SECONDS", 1)
    start = time.process_time()
    with pytest.raises(ReaderError, match="more than 1 s of work"):
        load(path, lambda _: all(iter(int, 1)) or any(iter(int, 1)))
    assert time.process_time() - start < 0.5  # this process only waits


def test_the_program_keeps_its_own_limits_and_files(path):
    gc.collect()  # what other tests left open
    before = os.listdir("/proc/self/fd")
    for values in (crashes, raises, lambda _: {}):
        try:
            load(path, values)
        except ReaderError:
            continue
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert np.empty(2 * limited.MEMORY_MB << 17).nbytes > limited.MEMORY_MB << 20


def test_what_is_no_file_is_said(tmp_path):
    with pytest.raises(ReaderError, match="expected a file, got a folder"):
        load(tmp_path, raises)
