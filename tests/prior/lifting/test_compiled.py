"""What compiled loops are like."""

import resource
import runpy
import sys

import numpy as np
import pytest
from numba.core import caching

from prior.lifting.compiled import compiled


@compiled
def shares(values, total, result):
    for i in range(len(values)):
        result[i] = values[i] / total


def test_a_division_by_nothing_is_what_numpy_makes_of_it():
    result = np.empty(3)
    shares(np.array([1.0, -1.0, 0.0]), 0.0, result)
    np.testing.assert_array_equal(result, [np.inf, -np.inf, np.nan])


def test_threads_run_loops_side_by_side():
    assert shares.targetoptions["nogil"]


def test_without_a_folder_to_keep_it_in_a_loop_is_compiled_all_the_same(monkeypatch):
    def without_folder(*_):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(caching.FunctionCache, "__init__", without_folder)
    result = np.empty(1)
    loop = compiled(shares.py_func)
    loop(np.array([6.0]), 2.0, result)
    assert result == 3 and loop.stats.cache_path is None


LOOP = """
from prior.lifting.compiled import compiled


@compiled
def double(values):
    for i in range(len(values)):
        values[i] *= 2
"""


def doubled(path):
    """2 * 3 by the loop, read anew from its file; how often what is kept on disk was of use."""
    scope = runpy.run_path(str(path))
    values = np.array([3.0])
    scope["double"](values)
    return values[0], sum(scope["double"].stats.cache_hits.values())


@pytest.mark.slow
def test_what_is_kept_on_disk_is_of_use_and_may_be_damaged(tmp_path):
    path = tmp_path / "loop.py"
    path.write_text(LOOP)
    assert doubled(path) == (6, 0) and doubled(path) == (6, 1)
    for suffix in (".nbi", ".nbc"):
        (kept,) = (tmp_path / "__pycache__").glob(f"*{suffix}")
        for content in (b"", kept.read_bytes()[:40], b"no pickle"):
            kept.write_bytes(content)
            assert doubled(path) == (6, 0), (suffix, content)
            assert doubled(path) == (6, 1), (suffix, content)


def test_a_file_that_is_open_in_an_editor_does_not_matter(tmp_path):
    path = tmp_path / "loop.py"
    path.write_text(LOOP)
    (tmp_path / ".#loop.py").symlink_to("somebody@somewhere.4711")
    assert doubled(path) == (6, 0) and doubled(path) == (6, 1)


def test_on_a_full_disk_a_loop_is_compiled_and_not_kept(tmp_path):
    path = tmp_path / "loop.py"
    path.write_text(LOOP)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        assert doubled(path) == (6, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert doubled(path) == (6, 0) and doubled(path) == (6, 1)


def test_what_is_kept_goes_with_what_it_calls(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    path, called = tmp_path / "loop.py", tmp_path / "called_by_the_loop.py"
    twice = LOOP.replace("double(values)", "twice(value)").replace(
        LOOP[LOOP.index("    for i") :], "    return 2 * value\n"
    )
    called.write_text(twice)
    path.write_text(
        "from called_by_the_loop import twice\n"
        + LOOP.replace("values[i] *= 2", "values[i] = twice(values[i])")
    )
    assert doubled(path) == (6, 0) and doubled(path) == (6, 1)
    called.write_text(twice.replace("2 * value", "20 * value"))
    monkeypatch.delitem(sys.modules, "called_by_the_loop")
    assert doubled(path) == (60, 0) and doubled(path) == (60, 1)
