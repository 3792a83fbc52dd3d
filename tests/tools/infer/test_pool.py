"""Work for other processes: order, errors, and the end of a worker."""

import os
import signal

import pytest

from prior.errors import InputError
from tools.infer import pool


def square(number):
    if number < 0:
        raise InputError(f"{number}: expected a number from 0 on")
    return number * number, os.getpid()


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_the_order_of_the_items(workers):
    with pool.Pool(workers, square=square) as calls:
        results = list(calls.ahead("square", range(50), 7))
    assert [value for value, _ in results] == [i * i for i in range(50)]
    elsewhere = {process for _, process in results} - {os.getpid()}
    assert bool(elsewhere) == bool(workers) and len(elsewhere) <= 2


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_comes_where_its_result_would(workers):
    with pool.Pool(workers, square=square) as calls:
        results = calls.ahead("square", [1, 2, -1, 3], 3)
        assert [next(results)[0], next(results)[0]] == [1, 4]
        with pytest.raises(InputError, match="-1: expected"):
            next(results)


def test_only_so_many_items_are_taken_ahead():
    taken = []

    def items():
        for i in range(20):
            taken.append(i)
            yield i

    with pool.Pool(1, square=square) as calls:
        next(calls.ahead("square", items(), 5))
    assert len(taken) == 6


def test_a_worker_that_is_killed_is_an_input_error():
    with pool.Pool(1, end=lambda: os.kill(os.getpid(), signal.SIGKILL)) as calls:
        result = calls.submit("end")
        with pytest.raises(InputError, match="out of memory.*--workers"):
            result()


def test_functions_are_not_pickled():
    """What they hold, as a network, need not be something that can be."""
    held = (number for number in [])
    with pool.Pool(1, kind=lambda: type(held).__name__) as calls:
        assert calls.submit("kind")() == "generator"
