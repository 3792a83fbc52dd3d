"""Batches that other processes make ahead of their use.

They are processes and not threads, because in the `caffe` program the interpreter's lock is held
while C++ runs. They are forked, because in an embedding program Python has no interpreter to spawn.
"""

import collections
import mmap
import multiprocessing
import multiprocessing.connection
import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float32

# Batches that each worker keeps ready: it makes one while the other waits to be fetched.
SLOTS = 2
# Seconds after which an idle worker checks that the process that started it is still there.
PATIENCE = 1.0

# Fills the arrays with the batch at a position; what it returns is handed on.
Make: TypeAlias = Callable[[int, Sequence[np.ndarray]], Any]


class Prefetcher:
    """Calls `make` for arrays of `shapes`, ahead of `get`.

    Positions are expected to grow by `step` from one `get` to the next; at a jump everything that
    was made ahead is thrown away. With `workers` = 0 nothing is made ahead, and the batches are the
    same.
    """

    def __init__(
        self, make: Make, shapes: Sequence[tuple[int, ...]], step: int, workers: int
    ) -> None:
        self._make, self._step = make, step
        # (worker, slot, position), in order of position.
        self._pending: collections.deque[tuple[_Worker, int, int]] = collections.deque()
        self._workers = [_Worker(make, shapes) for _ in range(workers)]

    def get(self, position: int, arrays: Sequence[np.ndarray]) -> Any:
        """Fill `arrays` with the batch at `position`; returns what `make` returned.

        Raises RuntimeError when a worker died, or when `make` raised.
        """
        if not self._workers:
            return self._make(position, arrays)
        if not self._pending or self._pending[0][2] != position:
            self._restart(position)
        worker, slot, _ = self._pending.popleft()
        result = worker.receive()
        for array, made in zip(arrays, worker.slots[slot], strict=True):
            array[...] = made
        self._request(worker, slot, position + self._step * SLOTS * len(self._workers))
        return result

    def stop(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.process.terminate()
            worker.process.join()
        self._workers, self._pending = [], collections.deque()

    def _restart(self, position: int) -> None:
        """Throw away what was made ahead, and begin at `position`."""
        for worker, _, _ in self._pending:
            worker.receive()
        self._pending.clear()
        for slot in range(SLOTS):
            for worker in self._workers:
                self._request(worker, slot, position)
                position += self._step

    def _request(self, worker: "_Worker", slot: int, position: int) -> None:
        worker.send(slot, position)
        self._pending.append((worker, slot, position))


class _Failure(NamedTuple):
    """What a worker sends in place of a result when `make` raised an error."""

    message: str


class _Worker:
    """One process, and the slots of memory that it fills. It answers requests in their order."""

    def __init__(self, make: Make, shapes: Sequence[tuple[int, ...]]) -> None:
        self.slots = [[_shared(shape) for shape in shapes] for _ in range(SLOTS)]
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_work, args=(make, self.slots, theirs, os.getpid()), daemon=True
        )
        self.process.start()
        theirs.close()

    def send(self, slot: int, position: int) -> None:
        """Ask for the batch at a position, in a slot."""
        try:
            self._pipe.send((slot, position))
        except OSError:
            raise self._death() from None

    def receive(self) -> Any:
        """The result for the oldest request. Raises RuntimeError."""
        # Whichever comes first: the answer, or the end of the process.
        ready = multiprocessing.connection.wait([self._pipe, self.process.sentinel])
        try:
            if self._pipe not in ready and not self._pipe.poll():
                raise EOFError
            result = self._pipe.recv()
        except (EOFError, OSError):
            raise self._death() from None
        if isinstance(result, _Failure):
            raise RuntimeError(result.message)
        return result

    def _death(self) -> RuntimeError:
        self.process.join(PATIENCE)
        code = self.process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return RuntimeError(
            f"worker process {self.process.pid} died ({how}); expected it to make batches until "
            "the end; out of memory? try fewer workers, 0 for none"
        )


def _shared(shape: tuple[int, ...]) -> Float32[np.ndarray, "..."]:
    """An array in memory that is shared with the processes forked from this one."""
    size = int(np.prod(shape))
    return np.frombuffer(mmap.mmap(-1, 4 * size), np.float32, size).reshape(shape)


def _work(make: Make, slots: Sequence[Sequence[np.ndarray]], pipe: Connection, parent: int) -> None:
    """What a worker does: answers requests as long as its parent is there."""
    # The terminal sends these to all processes; `caffe` is to answer them, with a snapshot.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Caffe's logging would print its stack
    cv2.setNumThreads(0)  # its threads are gone after the fork, and the workers are parallel
    while os.getppid() == parent:
        if not pipe.poll(PATIENCE):
            continue
        try:
            slot, position = pipe.recv()
            try:
                answer = make(position, slots[slot])
            except Exception as error:
                answer = _Failure(f"{type(error).__name__}: {error}")
            pipe.send(answer)
        except (EOFError, OSError):
            return
