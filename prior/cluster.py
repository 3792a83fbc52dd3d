"""Passes over poses on the workers of a Dask cluster, with the same result as on one machine.

The workers get the names of files and read these themselves (partitions.py); what goes over the
network is the model of a pass and the poses' yaws and limb scales to the workers, and yaws and
statistics back. Each worker does whole chunks, on one core, and the results are merged here in the
order of the chunks: the bytes of a model do not depend on the cluster. A worker that dies costs
what it was doing, which another one does again.

Needs dask.distributed: requirements-dask.txt.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from prior.chunks import CHUNK, Result, one_thread, over_rows, part_of
from prior.errors import InputError

# Chunks in one task: 65,536 poses, a second or so, against milliseconds for handing it out.
CHUNKS = 16

# Tasks that each worker's thread has waiting, so that it need not wait for us.
AHEAD = 3

# How long to wait for the scheduler, and then for a worker, seconds.
PATIENCE_S = 10.0


class Cluster:
    """The workers of a Dask cluster; to be closed. Raises InputError where there are none.

    address: the scheduler's, "tcp://HOST:PORT"; or "local:N", N processes on this machine, which
    end with the program.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError:
            raise InputError(
                "dask: expected the package distributed, got none; install requirements-dask.txt"
            ) from None
        self._failed = distributed.scheduler.KilledWorker
        self._local: Any = None
        self._client: Any = None
        if address.startswith("local:"):
            self._local = distributed.LocalCluster(
                n_workers=_count(address), threads_per_worker=1, dashboard_address=None
            )
        try:
            self._client = _connected(self._local or address)
        except (OSError, ValueError, TimeoutError) as error:
            self.close()
            raise InputError(
                f"dask: expected a scheduler with workers at {address}, got none in "
                f"{PATIENCE_S:.0f} s ({type(error).__name__}); is it running, the address right?"
            ) from None

    def close(self) -> None:
        """Leave the cluster, and end the processes that are ours."""
        for end in (self._client, self._local):
            if end is not None:
                end.close()

    @property
    def threads(self) -> int:
        """How many tasks the workers can do at once."""
        return max(sum(self._client.nthreads().values()), 1)

    def over_rows(
        self, function: Callable[..., Result], rows: Any, *arrays: np.ndarray
    ) -> Iterator[Result]:
        """As chunks.over_rows, on the workers. Rows that are in memory are left to this machine."""
        if isinstance(rows, np.ndarray):
            yield from over_rows(function, rows, *arrays)
            return
        size = CHUNK * CHUNKS
        starts = iter(range(0, len(rows), size))
        waiting: deque[Any] = deque()

        def submit() -> None:
            start = next(starts, None)
            if start is not None:
                where = slice(start, min(start + size, len(rows)))
                slices = [array[where] for array in arrays]
                waiting.append(
                    self._client.submit(_task, function, part_of(rows, where), *slices, pure=False)
                )

        for _ in range(AHEAD * self.threads):
            submit()
        try:
            while waiting:
                yield from self._result(waiting.popleft())
                submit()
        finally:
            self._client.cancel(list(waiting))

    def _result(self, future: Any) -> list[Any]:
        """What a task gives. Raises InputError where workers keep dying of it."""
        try:
            return future.result()
        except self._failed as error:
            raise InputError(
                f"dask: the workers that did a part of a pass died, one after the other ({error}); "
                "have they enough memory?"
            ) from None


def _connected(address: Any) -> Any:
    """A client of a scheduler that has a worker. Raises OSError, ValueError and TimeoutError."""
    import distributed

    results: list[Any] = []

    def connect() -> None:
        try:
            client = distributed.Client(address, timeout=PATIENCE_S, set_as_default=False)
            client.wait_for_workers(1, timeout=PATIENCE_S)
            results.append(client)
        except Exception as error:
            results.append(error)

    # In a thread, since what answers, but is no scheduler, would be waited for without end.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(3 * PATIENCE_S)
    if not results:
        raise TimeoutError
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


def _count(address: str) -> int:
    """N of "local:N". Raises InputError."""
    number = address.removeprefix("local:")
    if not number.isdecimal() or not int(number):
        raise InputError(f"dask: expected local:N, N processes, got {address}")
    return int(number)


def _task(function: Callable[..., Result], rows: Any, *arrays: np.ndarray) -> list[Result]:
    """The function of each chunk of rows, on one core."""
    chunks = [slice(i * CHUNK, (i + 1) * CHUNK) for i in range(math.ceil(len(rows) / CHUNK))]
    with one_thread():
        return [
            function(rows[where], *(array[where] for array in arrays))
            for where in (slice(w.start, min(w.stop, len(rows))) for w in chunks)
        ]
