"""Files that are complete or not there, and written by one process at a time."""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from prior import signals
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
    try:
        with alone(temporary, path, PATIENCE) as lock:
            os.ftruncate(lock, 0)
            yield temporary
            os.replace(temporary, path)
    except OSError as error:
        if error.errno in FULL:
            # Its name, if there is one, is that of the temporary file.
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


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
    with alone(folder / LOCK, folder) as lock:
        yield lock


@contextmanager
def scratch(folder: FilePath | None = None, prefix: str = "lifting-") -> Iterator[Path]:
    """A folder for the block alone, in `folder` or in $TMPDIR; it is removed in the end."""
    made: list[str] = []

    def remove() -> None:
        with signals.held():
            while made:
                shutil.rmtree(made.pop(), ignore_errors=True)

    try:
        with signals.held():
            made.append(tempfile.mkdtemp(prefix=prefix, dir=folder))
        yield Path(made[0])
        remove()
    except BaseException:
        remove()  # a signal may have come as it was about to be removed
        raise


@contextmanager
def alone(path: Path, target: Path, patience: float = 0.0) -> Iterator[int]:
    """The descriptor of the file `path`, which is made, this process' alone, and removed in the end
    unless it was renamed.

    Waits `patience` seconds for others. Raises InputError and OSError, which name the target.
    """
    lock = _Lock(path)
    until = time.monotonic() + patience
    try:
        while not lock.taken(target):
            if time.monotonic() > until:
                raise InputError(
                    f"{target}: another process is writing it; wait until it ends, or name "
                    "another place"
                )
            time.sleep(POLL)
        yield lock.descriptor
        lock.leave()
    except BaseException:
        lock.leave()  # a signal may have come as it was about to be left
        raise


class _Lock:
    """A file that is locked and removed with no signal in between: what raises is told after the
    file is known here, or is gone."""

    def __init__(self, path: Path):
        self.path, self.descriptor = path, -1

    def taken(self, target: Path) -> bool:
        """Whether the file could be made and locked. Raises OSError, which names the target."""
        with signals.held():
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                self.descriptor = os.open(self.path, flags, 0o666)
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever had it before may have renamed or removed the file.
                if self._is_there():
                    return True
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES) or self.descriptor < 0:
                    self._close()
                    raise OSError(error.errno, error.strerror, str(target)) from None
            self._close()
            return False

    def leave(self) -> None:
        """Let others have it, and remove the file if it still is this one."""
        with signals.held():
            try:
                if self.descriptor >= 0 and self._is_there():
                    self.path.unlink()
            finally:
                self._close()

    def _is_there(self) -> bool:
        """Whether the file of this name is the one that is open."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.descriptor))
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1
