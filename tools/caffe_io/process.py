"""The caffe program, pycaffe and their environment; what their processes print.

CAFFE_ROOT names another Caffe than build/caffe: a folder with build/tools/caffe and python/caffe.
"""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from prior.errors import InputError

PR_SET_PDEATHSIG = 1  # linux/prctl.h
ROOT = Path(__file__).resolve().parents[2]  # where the paths inside prototxts start


class CaffeError(InputError):
    """Caffe cannot be run, or it ended badly: in one line, with its own last word."""


def caffe_root() -> Path:
    """Folder of the Caffe in use."""
    return Path(os.environ.get("CAFFE_ROOT") or ROOT / "build/caffe").resolve()


def program() -> Path:
    """Path of the caffe program. Raises CaffeError if there is none."""
    path = caffe_root() / "build/tools/caffe"
    if not path.is_file():
        raise CaffeError(f"{path}: no such program; run make caffe, or set CAFFE_ROOT")
    return path


def environment() -> dict[str, str]:
    """Variables for a process of Caffe's: this Python's packages, pycaffe and the repository."""
    # purelib: the caffe program embeds a Python that knows nothing of a virtual environment.
    path = [str(ROOT), str(caffe_root() / "python"), sysconfig.get_paths()["purelib"]]
    path[:0] = filter(None, [os.environ.get("PYTHONPATH")])  # the user's own come first
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "GLOG_logtostderr": "1",  # no log files of its own in /tmp
        "GLOG_minloglevel": "0",  # all of it: the losses are read from the log
    }


def dry_run(net: Path, save: Path | None = None, seed: int = 0) -> dict[str, list[list[int]]]:
    """Load a network for training in a process of its own, which Caffe may abort.

    save: path of a .caffemodel for the weights that its fillers give with a seed. Returns
    {layer: [shape of each blob of weights]}. Raises CaffeError with Caffe's reason.
    """
    command = [sys.executable, "-m", "tools.caffe_io.process", str(Path(net).resolve())]
    command += [str(Path(save).resolve()), str(seed)] if save else []
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CaffeError(f"{net}: Caffe refuses this network: {last_error(done.stderr)}")
    return json.loads(done.stdout.splitlines()[-1])


def start_bound(command: Sequence[object], **options: Any) -> subprocess.Popen:
    """Start a process that ends when this one does, even if this one is killed (on Linux).

    It has a session of its own: Ctrl-C at the terminal reaches it from here alone. options: of
    Popen.
    """
    libc, parent = ctypes.CDLL(None), os.getpid()

    def bind() -> None:
        if hasattr(libc, "prctl"):
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended already
            os._exit(1)

    return subprocess.Popen(
        list(map(str, command)), start_new_session=True, preexec_fn=bind, **options
    )


def check_gpu(gpu: int) -> None:
    """Raises CaffeError unless this Caffe can compute on a GPU, by its number; it would abort."""
    command = [str(program()), "device_query", f"--gpu={gpu}"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if not done.returncode:
        return
    reason = last_error(done.stderr)
    if "CPU-only" in reason:
        raise CaffeError(
            f"--gpu {gpu}: {shown(caffe_root())} is a Caffe for the CPU alone; make caffe GPU=yes "
            "compiles one for GPUs, and CAFFE_ROOT names another"
        )
    raise CaffeError(
        f"--gpu {gpu}: expected a GPU of that number, as nvidia-smi lists them, and its driver; "
        f"CUDA says: {re.sub(r'^.*[(][0-9]+ vs[.] [0-9]+[)] *', '', reason)}"
    )


def shown(path: Path) -> str:
    """A path as short as it can be: from the repository's root if it lies there."""
    path = Path(path)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def last_error(log: str) -> str:
    """Caffe's or Python's own last word about what went wrong, from a log's text."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    fatal = [line for line in lines if re.match(r"F\d{4,8} ", line)]
    if fatal:
        return fatal[-1].split("] ", 1)[-1].removeprefix("Check failed: ")
    raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", line)]
    return (raised or lines or ["it said nothing"])[-1]


class Log:
    """Follows Caffe's log while it grows; a context manager that closes it."""

    ITERATION = re.compile(r"\] Iteration (\d+).*, loss = (\S+)")
    OUTPUT = re.compile(r"\] +Train net output #\d+: (\S+) = (\S+)")
    # What the data layer says of an image that it cannot use.
    LEFT_OUT = re.compile(r"^PoseDataLayer: (.*); .* \((\d+) left out so far\)$")
    WEIGHTS = re.compile(r"\] Finetuning from (.+)")
    SNAPSHOT = re.compile(r"\] Snapshotting solver state to \w+ \w+ file (.+)")

    def __init__(self, path: Path) -> None:
        """path: of the log. Only what is added from now on counts."""
        self.file = open(path)
        self.file.seek(0, os.SEEK_END)
        self.rest = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def events(self) -> Iterator[tuple]:
        """What the new whole lines tell, of: ("weights", path that it starts from), ("iteration",
        int, loss), ("output", blob name, loss), ("left out", reason, number so far) and
        ("snapshot", path)."""
        *lines, self.rest = (self.rest + self.file.read()).split("\n")
        for line in lines:
            if match := self.ITERATION.search(line):
                yield "iteration", int(match[1]), float(match[2])
            elif match := self.OUTPUT.search(line):
                yield "output", match[1], float(match[2])
            elif match := self.LEFT_OUT.search(line):
                yield "left out", match[1], int(match[2])
            elif match := self.SNAPSHOT.search(line):
                yield "snapshot", match[1]
            elif match := self.WEIGHTS.search(line):
                yield "weights", match[1]


def _print_shapes(path, save=None, seed=None):
    import caffe

    if save:
        caffe.set_random_seed(int(seed))
    net = caffe.Net(path, caffe.TRAIN)
    if save:
        net.save(save)
    shapes = {name: [list(blob.data.shape) for blob in blobs] for name, blobs in net.params.items()}
    print(json.dumps(shapes), flush=True)


if __name__ == "__main__":
    _print_shapes(*sys.argv[1:])
