"""Signals: what waits for them, and what processes that work for another one do about its end."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

# Seconds after which a worker notices that its parent has ended. Our choice: nobody waits for it.
POLL = 1.0


# What programs leave in order for (prior.program).
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def held() -> Iterator[None]:
    """These signals wait for the end of the block, which an exception in its midst would leave in
    disorder. It should be short."""
    came: list[int] = []
    waits = True
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # signals are told to no other
        before = {number: signal.getsignal(number) for number in ENDING}
    mine = [number for number, handler in before.items() if callable(handler)]

    def keep(number: int, frame: Any) -> None:
        # Also after the block, if another signal keeps this handler from being replaced.
        if waits:
            came.append(number)
        else:
            before[number](number, frame)

    try:
        for number in mine:
            signal.signal(number, keep)
        yield
    finally:
        waits = False
        for number in mine:
            signal.signal(number, before[number])
        for number in came:
            signal.raise_signal(number)


def begin_worker(parent: int) -> None:
    """Set up this process, which works for the process `parent` and ends with it, however that
    ends."""
    leave_signals()
    # Who answers a parent that is gone ends by that alone: Python would tell of a broken pipe.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def leave_signals() -> None:
    """What a terminal sends to all processes is left to the parent, which ends its workers."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Not the parent's handler, which a forked process has, nor one of a library that logs.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Processes that are started in the block never get Ctrl-C, which reaches every process of a
    terminal: also not while they still import what they need. This one gets it afterwards."""
    # They inherit this thread's mask, and so do threads that start others later. The resource
    # tracker of Python 3.11 unblocks the signal once it has started, so it starts first.
    resource_tracker.ensure_running()
    # A thread without the mask, such as tqdm's, may receive the signal in this one's place: Python
    # would interrupt the main thread all the same, and loky never ends if that is in its midst.
    with held():
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
