"""Files that a library reads, in a process of its own that may use only so much time and memory.

Some libraries take any number in a damaged file for a count, and then work or allocate for ever, or
crash. `python -m prior.limited MODULE FILE WORDS...` imports the module within limits, calls its
`values(FILE, WORDS...)`, and writes the arrays that this returns, as .npz, to standard output.
"""

import contextlib
import importlib
import io
import os
import resource
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from prior import foreign, limits
from prior.errors import InputError, short
from prior.files import FilePath

# Of the processor; our choice. Files of recordings take 0.3 s, most of it for imports.
SECONDS = 5
# Of address space, beside the file; our choice. Importing NumPy takes 300 MB or so of it.
MEMORY_MB = 2048


def load(
    path: FilePath,
    module: str,
    what: str,
    words: Sequence[str] = (),
    error: type[InputError] = InputError,
) -> dict[str, np.ndarray]:
    """The arrays that `values` of a module gives of a file. what: the file wanted, for messages.

    Raises `error`, where there is no such file, it is too large, or it cannot be read.
    """
    with foreign.open_file(path, error) as file:
        size_mb = os.fstat(file.fileno()).st_size / foreign.MB
    limits.check(path, "file_mb", size_mb, error)
    command = [sys.executable, "-m", "prior.limited", module, os.fspath(path), *words]
    # The same modules as here, wherever this process has them from.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
    if run.returncode == 0:
        with np.load(io.BytesIO(run.stdout), allow_pickle=False) as arrays:
            return dict(arrays)
    lines = run.stderr.decode(errors="replace").splitlines()
    said = f"a crash of what reads it, or more than {SECONDS} s of work"
    if lines and run.returncode > 0:
        said = lines[-1]
    raise error(f"{path}: expected {what}, got {short(said, 100)}; copy or export it again")


def _limit(size_mb: float) -> None:
    most = int((MEMORY_MB + 4 * size_mb) * foreign.MB)
    for kind, value in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, most)):
        resource.setrlimit(kind, (value, value))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _process(module: str, path: str, *words: str) -> int:
    """Write the arrays to standard output; returns the exit status."""
    _limit(os.path.getsize(path) / foreign.MB)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            arrays = importlib.import_module(module).values(path, *words)
        if any(array.dtype.hasobject for array in arrays.values()):
            raise ValueError("objects")
    # What libraries raise on damaged files can be anything.
    except Exception as wrong:
        print(short(str(wrong) or type(wrong).__name__, 100), file=sys.stderr)
        return 1
    np.savez(sys.stdout.buffer, **arrays)
    return 0


if __name__ == "__main__":
    sys.exit(_process(*sys.argv[1:]))
