"""What compiled loops are like."""

import numba
import numpy as np

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
    njit = numba.njit

    def without_folder(cache=False, **how):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**how)

    monkeypatch.setattr(numba, "njit", without_folder)
    result = np.empty(1)
    compiled(shares.py_func)(np.array([6.0]), 2.0, result)
    assert result == 3
