"""Batches made ahead of their use by other processes.

Processes, not threads: in the `caffe` program the interpreter's lock is held while C++ runs.
They are forked: started from an embedding program, Python has no interpreter to spawn.
"""

import collections
import mmap
import multiprocessing
import multiprocessing.connection
import os
import signal
from typing import NamedTuple

import cv2
import numpy as np

# Batches that each worker keeps ready: it makes one while the other waits to be fetched.
SLOTS = 2
# A worker looks this often, in seconds, whether the process that started it is still there.
PATIENCE = 1.0


class Prefetcher:
    """Calls `make(position, arrays)`, which fills arrays of `shapes`, ahead of `get`.

    Positions are expected to go up by `step` from one `get` to the next; at a jump everything
    made ahead is thrown away. With `workers` = 0 nothing is ahead, and the batches are the same.
    """

    def __init__(self, make, shapes, step, workers):
        self._make, self._step = make, step
        self._pending = collections.deque()  # (worker, slot, position), in order of position
        self._workers = [_Worker(make, shapes) for _ in range(workers)]

    def get(self, position, arrays):
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

    def stop(self):
        """End the workers."""
        for worker in self._workers:
            worker.process.terminate()
            worker.process.join()
        self._workers, self._pending = [], collections.deque()

    def _restart(self, position):
        for worker, _, _ in self._pending:
            worker.receive()
        self._pending.clear()
        for slot in range(SLOTS):
            for worker in self._workers:
                self._request(worker, slot, position)
                position += self._step

    def _request(self, worker, slot, position):
        worker.send(slot, position)
        self._pending.append((worker, slot, position))


class _Failure(NamedTuple):
    """Sent by a worker in the place of a result: what `make` raised."""

    message: str


class _Worker:
    """One process, and the slots of memory that it fills. It answers requests in their order."""

    def __init__(self, make, shapes):
        self.slots = [[_shared(shape) for shape in shapes] for _ in range(SLOTS)]
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_work, args=(make, self.slots, theirs, os.getpid()), daemon=True
        )
        self.process.start()
        theirs.close()

    def send(self, slot, position):
        try:
            self._pipe.send((slot, position))
        except OSError:
            raise self._death() from None

    def receive(self):
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

    def _death(self):
        self.process.join(PATIENCE)
        code = self.process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return RuntimeError(
            f"worker process {self.process.pid} died ({how}); expected it to make batches until "
            "the end; out of memory? try fewer workers, 0 for none"
        )


def _shared(shape):
    """A float32 array in memory that is shared with the processes forked from this one."""
    size = int(np.prod(shape))
    return np.frombuffer(mmap.mmap(-1, 4 * size), np.float32, size).reshape(shape)


def _work(make, slots, pipe, parent):
    # The terminal sends these to all; they are for `caffe` to answer, by a snapshot.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Caffe's logging would print its stack
    cv2.setNumThreads(0)  # its threads did not survive the fork, and the workers are parallel
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
