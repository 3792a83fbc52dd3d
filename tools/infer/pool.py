"""Work for other processes, beside a network that has this one: results in the order of the calls.

Processes and not threads, since pycaffe holds the interpreter's lock while the network runs. They
are forked, so the functions and what they hold are theirs without a copy; they never touch Caffe.
"""

import collections
import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import cv2

from prior import signals
from prior.errors import InputError

# Our choice: decoding and cropping for more than this many would outrun any one GPU.
MOST = 8


def default_workers() -> int:
    """How many processes work beside the network: a core is left to it."""
    return max(1, min(MOST, (os.cpu_count() or 1) - 1))


class Pool:
    """Calls functions, by their names, in processes of their own; a context manager.

    workers: how many; 0: none, and the calls are made here, at once.
    """

    def __init__(self, workers: int, **functions: Callable[..., Any]) -> None:
        self._functions, self._executor = functions, None
        if workers:
            self._executor = ProcessPoolExecutor(
                workers, multiprocessing.get_context("fork"), _start, (functions, os.getpid())
            )

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def submit(self, name: str, *arguments: Any) -> Callable[[], Any]:
        """Begin a call; what is returned gives its result, or raises what the call raised.

        Raises InputError where a process died.
        """
        if self._executor is None:
            result = self._functions[name](*arguments)
            return lambda: result
        try:
            future = self._executor.submit(_call, name, arguments)
        except BrokenProcessPool:
            raise _death() from None
        return lambda: _result(future)

    def ahead(self, name: str, items: Iterable[Any], count: int) -> Iterator[Any]:
        """Yields the result for each item, `count` of which are worked on ahead."""
        iterator, pending = iter(items), collections.deque()
        for item in iterator:
            pending.append(self.submit(name, item))
            if len(pending) > (count if self._executor else 0):
                yield pending.popleft()()
        while pending:
            yield pending.popleft()()


def batched(iterable: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yields lists of `size` items; the last one has what is left."""
    iterator = iter(iterable)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _result(future: "Future[Any]") -> Any:
    try:
        return future.result()
    except BrokenProcessPool:
        raise _death() from None


def _death() -> InputError:
    return InputError(
        "a process that decodes images died; out of memory? try fewer --workers, 0 for none"
    )


# The functions of the Pool that this process, a worker, belongs to.
_known: dict[str, Callable[..., Any]] = {}


def _start(functions: dict[str, Callable[..., Any]], parent: int) -> None:
    _known.update(functions)
    signals.begin_worker(parent)
    cv2.setNumThreads(0)  # its threads are gone after the fork, and the workers are parallel


def _call(name: str, arguments: tuple[Any, ...]) -> Any:
    return _known[name](*arguments)
