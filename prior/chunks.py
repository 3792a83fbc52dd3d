"""Passes over many rows, in chunks on all cores, with the same result on any number of them.

A pass computes statistics of each chunk, and the caller merges them in order. The chunks share
nothing else, so the same functions run over the same chunks on the machines of a cluster
(cluster.py), with the same result.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, TypeAlias, TypeVar

from threadpoolctl import ThreadpoolController

# Rows handled at once. Temporaries of this size stay in a core's cache; it was the fastest of 1,024
# to 8,192. It is even, because a pose and its mirror image are neighbours.
CHUNK = 4096

# Held by the pass that has limited numpy's threads.
_limited = threading.Lock()

Result = TypeVar("Result")

# A way to make a pass, `over_rows` or another one with its arguments and results.
Passes: TypeAlias = Callable[..., Iterator[Any]]


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def cores() -> int:
    """How many threads a pass uses: as many as numpy's linear algebra may.

    OMP_NUM_THREADS limits them, and a surrounding threadpoolctl limit does.
    """
    # Asked each time: a limit may have come or gone.
    return max((pool.get_num_threads() for pool in _controller().lib_controllers), default=1)


def one_thread() -> AbstractContextManager:
    """A context in which numpy's linear algebra uses one thread.

    For small matrices that is faster, and the result does not depend on the machine's cores.
    """
    return _controller().limit(limits=1)


def each_chunk(
    function: Callable[[slice], Result], count: int, size: int | None = None
) -> Iterator[Result]:
    """Yield function(where) for the consecutive slices `where` of range(count), in order.

    size: of a slice; None: CHUNK. The slices run on threads (numpy lets go of the interpreter's
    lock), each on one core, so what they compute does not depend on how many cores there are.
    """
    size = size or CHUNK
    slices = [slice(i, min(i + size, count)) for i in range(0, count, size)]
    threads = min(cores(), len(slices)) if len(slices) > 1 else 1
    # The limit on numpy's threads holds for the whole process: one at a time may set it.
    if threads <= 1 or not _limited.acquire(blocking=False):
        yield from map(function, slices)
        return
    try:
        with one_thread():
            pool = ThreadPoolExecutor(threads)
            try:
                yield from pool.map(function, slices)
            finally:
                pool.shutdown(cancel_futures=True)
    finally:
        _limited.release()


def over_rows(function: Callable[..., Result], rows: Any, *arrays: Any) -> Iterator[Result]:
    """Yield function(rows[where], *(array[where] for array in arrays)) for the consecutive slices
    `where` of CHUNK rows, in order, on the cores of this machine.

    rows: what has a length and gives slices; arrays: of the same length, in memory.
    """

    def part(where: slice) -> Result:
        return function(rows[where], *(array[where] for array in arrays))

    return each_chunk(part, len(rows))


def part_of(rows: Any, where: slice) -> Any:
    """A slice of rows for another process: an array, or what will give its rows there."""
    return rows.part(where) if hasattr(rows, "part") else rows[where]
