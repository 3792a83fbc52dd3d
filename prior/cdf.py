"""CDF files, such as Human3.6M's, read by cdflib in a process of its own.

cdflib takes any number in a damaged file for a count, and may then work or allocate for ever. The
process may use only so much time and memory: `python -m prior.cdf FILE VARIABLE` writes the
variable, as .npy, to standard output, and `load` starts it.
"""

import contextlib
import io
import os
import resource
import subprocess
import sys

import numpy as np

from prior import foreign, limits
from prior.errors import InputError, short
from prior.files import FilePath

# Of the processor; our choice. The dataset's files take 0.3 s, most of it to import cdflib.
SECONDS = 5
# Of address space, beside the file; our choice. Importing NumPy takes 300 MB or so of it.
MEMORY_MB = 2048


def load(path: FilePath, variable: str, error: type[InputError] = InputError) -> np.ndarray:
    """The array of a variable. Raises `error`."""
    with foreign.open_file(path, error) as file:
        size_mb = os.fstat(file.fileno()).st_size / foreign.MB
    limits.check(path, "file_mb", size_mb, error)
    command = [sys.executable, "-m", "prior.cdf", os.fspath(path), variable]
    # The same modules as here, wherever this process has them from.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
    if run.returncode == 0:
        return np.load(io.BytesIO(run.stdout), allow_pickle=False)
    lines = run.stderr.decode(errors="replace").splitlines()
    said = lines[-1] if lines and run.returncode > 0 else f"more than {SECONDS} s of work"
    raise error(
        f"{path}: expected a CDF file with the variable {variable}, got {short(said, 100)}; "
        "copy it again"
    )


def _limit(size_mb: float) -> None:
    most = int((MEMORY_MB + 4 * size_mb) * foreign.MB)
    for kind, value in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, most)):
        resource.setrlimit(kind, (value, value))


def _process(path: str, variable: str) -> int:
    """Write the variable to standard output; returns the exit status."""
    _limit(os.path.getsize(path) / foreign.MB)
    import cdflib  # here only: in the process that reads

    try:
        with contextlib.redirect_stdout(sys.stderr):
            values = np.asarray(cdflib.CDF(path).varget(variable))
        if values.dtype.hasobject:
            raise ValueError("text")
    # What cdflib raises on a damaged file can be anything.
    except Exception as wrong:
        print(short(str(wrong) or type(wrong).__name__, 100), file=sys.stderr)
        return 1
    np.save(sys.stdout.buffer, values)
    return 0


if __name__ == "__main__":
    sys.exit(_process(*sys.argv[1:]))
