"""Files that are complete or not there, and written by one process at a time."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from prior.errors import InputError

# What functions take as the path of a file.
FilePath: TypeAlias = str | os.PathLike[str]

# The file in a folder by which it is locked.
LOCK = ".lock"

# Seconds that a writer waits for another of the same file. Our choice: small files are written in
# less; who writes for minutes is named instead of waited for.
PATIENCE = 2.0
POLL = 0.05

# What writing fails with on a full disk, beyond a quota or a limit of size, and on a broken disk.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def replacing(path: FilePath) -> Iterator[Path]:
    """A temporary path beside `path`, for the block to write.

    It is renamed to `path` if the block succeeds, and removed if it does not. The folder is made.
    What a killed process left there is removed. Raises InputError where another process writes the
    file, or where the path is that of something else than a file.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or pipe"
        raise InputError(f"{path}: expected the name of a file to write, got {kind}")
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: writers such as matplotlib's go by it.
    temporary = path.with_name(f".part.{path.name}")
    lock = _lock(temporary, path, PATIENCE)
    try:
        os.ftruncate(lock, 0)
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in FULL:
            # Its name, if there is one, is that of the temporary file.
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        os.close(lock)


def write(path: FilePath, content: bytes | str) -> None:
    """Write bytes or text: all of it, or nothing. The folder is made."""
    with replacing(path) as temporary:
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())


@contextmanager
def locked(folder: FilePath) -> Iterator[int]:
    """Keeps other processes that lock the folder out of it; it is made.

    Yields the descriptor of the lock: a child process that inherits it keeps the folder locked as
    long as it lives, also when this process is killed. Raises InputError where another process has
    the folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    lock = _lock(path, folder, 0.0)
    try:
        yield lock
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def _lock(path: Path, target: Path, patience: float) -> int:
    """The descriptor of the file `path`, which is made and locked for this process alone.

    Waits `patience` seconds for others. Raises InputError and OSError, which name the target.
    """
    until = time.monotonic() + patience
    try:
        while True:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever had it before may have renamed or removed the file: then it is another's.
                if os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(lock)):
                    return lock
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    os.close(lock)
                    raise
                if time.monotonic() > until:
                    os.close(lock)
                    raise InputError(
                        f"{target}: another process is writing it; wait until it ends, or name "
                        "another place"
                    ) from None
                time.sleep(POLL)
            os.close(lock)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from None
