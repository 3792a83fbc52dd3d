"""Passes over many rows: in chunks, on all cores, the same result on any number of them.

A pass computes statistics of each chunk, and the caller merges them in order. Nothing else is
shared, so the same chunk functions run over partitions on an engine such as Dask: prior/README.md.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from threadpoolctl import ThreadpoolController

# Rows handled at once, so that temporaries stay in a core's cache: the fastest of 1,024 to 8,192
# where it was measured. Even: a pose and its mirror image are neighbours.
CHUNK = 4096


_passing = threading.Lock()


@cache
def _controller():
    return ThreadpoolController()


def cores():
    """How many threads numpy's linear algebra may use, as OMP_NUM_THREADS or a surrounding
    threadpoolctl limit has it: passes use as many."""
    # Looked up anew each time: a limit may have come or gone.
    return max((pool.get_num_threads() for pool in _controller().lib_controllers), default=1)


def one_thread():
    """A context in which numpy's linear algebra uses one thread: for small matrices that is faster,
    and the result does not depend on the machine's cores."""
    return _controller().limit(limits=1)


def each_chunk(function, count, size=None):
    """Yield function(where) for the consecutive slices `where` of range(count), in order.

    The slices run on threads (numpy lets go of the interpreter's lock), each on one core, so what
    they compute does not depend on how many there are.
    """
    size = size or CHUNK
    slices = [slice(i, min(i + size, count)) for i in range(0, count, size)]
    threads = min(cores(), len(slices))
    # The limit on numpy's threads holds for the whole process: one at a time may set it.
    if threads <= 1 or not _passing.acquire(blocking=False):
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
        _passing.release()
