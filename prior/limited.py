"""Files that a library reads, in a process of its own that may use only so much time and memory.

Some libraries take any number in a damaged file for a count, and then work or allocate for ever, or
crash. The process is forked: a good file does not cost the start of Python and its imports.
"""

import contextlib
import io
import multiprocessing
import os
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from prior import foreign, limits, npz, signals
from prior.errors import InputError, short
from prior.files import FilePath

# Of the processor; our choice. Files of recordings take a tenth of a second.
SECONDS = 5
# Of memory, beside the file and what the program had before; our choice.
MEMORY_MB = 1024

# Begins what the process says: arrays, as .npz, or why there are none.
ARRAYS, WRONG = b"+", b"-"


def load(
    path: FilePath,
    values: Callable[[str], dict[str, np.ndarray]],
    what: str,
    error: type[InputError] = InputError,
) -> dict[str, np.ndarray]:
    """values(path), arrays by name. what: the file wanted, for messages.

    Import what `values` needs before, once, or every file costs that again. Raises `error`, where
    there is no such file, it is too large, or it cannot be read.
    """
    with foreign.open_file(path, error) as file:
        size_mb = os.fstat(file.fileno()).st_size / foreign.MB
    limits.check(path, "file_mb", size_mb, error)
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    process = fork.Process(target=_answer, args=(sender, values, os.fspath(path), size_mb))
    process.start()
    sender.close()
    said = b""
    with receiver, contextlib.suppress(EOFError):  # it ended without a word
        said = receiver.recv_bytes()
    process.join()
    if said[:1] == ARRAYS:
        with np.load(io.BytesIO(said[1:]), allow_pickle=False) as arrays:
            return dict(arrays)
    reason = said[1:].decode() or f"a crash of what reads it, or more than {SECONDS} s of work"
    raise error(f"{path}: expected {what}, got {reason}; copy or export it again")


def _answer(
    sender: Connection, values: Callable[[str], dict[str, np.ndarray]], path: str, size_mb: float
) -> None:
    """In the process: send the arrays, or why there are none."""
    _limit(size_mb)
    # Libraries print, in C too, what they think of damaged files.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    try:
        arrays: dict[str, Any] = values(path)
        if any(array.dtype.hasobject for array in arrays.values()):
            raise ValueError("objects")
        content = npz.content(**arrays)
    # What libraries raise on damaged files can be anything.
    except Exception as wrong:
        sender.send_bytes(WRONG + short(str(wrong) or type(wrong).__name__, 100).encode())
    else:
        sender.send_bytes(ARRAYS + content)


def _limit(size_mb: float) -> None:
    """Limits of the process; signals are left to the program."""
    signals.leave_signals()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + int((MEMORY_MB + 4 * size_mb) * foreign.MB)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
