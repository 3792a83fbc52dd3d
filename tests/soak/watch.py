"""What a process and those below it hold, as it works: memory, descriptors, threads, processes."""

import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

SAMPLES = 60
# MB that may come in the last half of the calls, after half of them: our choice, what an allocator
# and a cache move by. A leak of 1 kB a call is seen in ten thousand.
GROWTH_MB = 8.0
# Descriptors, threads or processes that may: a browser opens and closes some by itself. A leak in
# each call is of many more.
GROWTH = 2
# Threads of this name, as Linux cuts it, are not counted: the workers of Chromium's pool. It starts
# one where tasks wait for a processor, and ends it when it is idle, whatever the page does.
POOL = "ThreadPoolForeg"


class Usage(NamedTuple):
    """What is held after so many calls."""

    calls: int
    seconds: float
    memory_mb: float
    descriptors: int
    threads: int
    processes: int


def family() -> list[Path]:
    """/proc's folders of this process and all below it."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it has ended
            continue
        if state != "Z":
            parents[folder.name] = parent
    members = [str(os.getpid())]
    for member in members:
        members += [process for process, parent in parents.items() if parent == member]
    return [Path("/proc") / member for member in members]


def _threads(process: Path) -> Iterator[str]:
    """The names of a process' threads."""
    for thread in (process / "task").iterdir():
        try:
            yield (thread / "comm").read_text().strip()
        except OSError:  # it has ended
            continue


def usage(calls: int, seconds: float) -> Usage:
    """What is held now. Memory is each process' own, and its part of what several share."""
    gc.collect()
    memory, descriptors, threads, processes = 0.0, 0, 0, 0
    for folder in family():
        try:
            rolled = (folder / "smaps_rollup").read_text()
            pss = next(line for line in rolled.splitlines() if line.startswith("Pss:"))
            descriptors += len(os.listdir(folder / "fd"))
            threads += sum(name != POOL for name in _threads(folder))
        except OSError:  # it has ended
            continue
        memory += int(pss.split()[1]) / 1024
        processes += 1
    return Usage(calls, seconds, memory, descriptors, threads, processes)


def soak(call: Callable[[], object], calls: int) -> Iterator[Usage]:
    """Make so many calls; yield what is held, SAMPLES times, as they are made."""
    times = np.unique(np.linspace(1, calls, min(calls, SAMPLES)).round().astype(int)).tolist()
    start, done = time.monotonic(), 0
    for end in times:
        while done < end:
            call()
            done += 1
        yield usage(done, time.monotonic() - start)


class Growth(NamedTuple):
    """How much more is held in the last quarter of the calls than in the second one: the median of
    the memory, MB, and the most of what is counted."""

    memory_mb: float
    descriptors: int
    threads: int
    processes: int

    @property
    def flat(self) -> bool:
        """Whether nothing grows."""
        return self.memory_mb < GROWTH_MB and max(self[1:]) <= GROWTH


def growth(samples: Sequence[Usage]) -> Growth:
    """The Growth of a soak's samples, four or more."""
    quarter = len(samples) // 4
    second, last = samples[quarter : 2 * quarter], samples[-quarter:]
    memory = [float(np.median([s.memory_mb for s in part])) for part in (second, last)]
    counts = [
        max(s[i] for s in last) - max(s[i] for s in second)
        for i in map(Usage._fields.index, Growth._fields[1:])
    ]
    return Growth(memory[1] - memory[0], *counts)
