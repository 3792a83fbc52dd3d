"""One fault that strikes one program, and what of the promises it broke."""

import ctypes
import itertools
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

from tests.faults.programs import environment, make_inputs
from tests.faults.whole import is_whole

SIGNALS = {
    "SIGKILL": signal.SIGKILL,
    "SIGTERM": signal.SIGTERM,
    "SIGINT": signal.SIGINT,
    "SIGHUP": signal.SIGHUP,
}
YEAR = 365 * 86400
LONGEST = 300.0  # seconds of a program, on a busy machine
SOON = 10.0  # seconds until nothing runs any more
LEFT = (".part.", ".lock")  # how the names of what is left begin
LIBRARIES = {".ses"}  # ONNX Runtime's number of its session, in $TMPDIR
FRAMES = re.compile(r'^  File "(.*?)"', re.MULTILINE)  # of a traceback
OTHER = "another process is writing it"
OLD = b"an older file"


def files_of(folder):
    """{path within the folder: content} of all files that are no leftovers. The folder's own path
    in them is replaced, since each trial has another one, of the same length."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes().replace(str(folder).encode(), b"OUT")
        for path in paths
        if not path.name.startswith(LEFT)
    }


def leftovers(folder):
    """The names of the leftovers in a folder."""
    return [path.name for path in folder.rglob("*") if path.name.startswith(LEFT)]


# Processes ----------------------------------------------------------------------------------------


def running(mark):
    """{process: its command} of the processes of a trial that run."""
    result = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                result[int(process.name)] = command
        except OSError:  # it has ended, or is another user's
            continue
    return result


def _without_rights():
    """Root may write anywhere: not this process and its children (capabilities(7))."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


NUMBERS = itertools.count()  # of trials, so that all folders' names have one length


def _listen(hears, said):
    """Keep what comes through a pipe: a file would be as full as the target's disk."""
    with os.fdopen(hears, "rb", buffering=0) as pipe:
        while part := pipe.read(1 << 16):
            said.append(part)


class Runs:
    """The runs of one program in one trial, on the same target."""

    def __init__(self, program, inputs, folder):
        folder = folder / f"{next(NUMBERS):05d} trial"
        self.program, self.inputs, self.folder = program, inputs, folder
        self.out, self.scratch = folder / "out", folder / "tmp"
        self.mark = f"FAULTS_TRIAL={uuid.uuid4()}"
        for path in (self.out, self.scratch):
            path.mkdir(parents=True)

    def start(self, size=None, rights=True, **more):
        """The process of a run. size: no file may become larger, bytes. rights: those of root."""

        def prepare():
            for number in SIGNALS.values():
                if number != signal.SIGKILL:
                    signal.signal(number, signal.SIG_DFL)  # nohup and shells ignore some
            if size is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            if not rights:
                _without_rights()

        name, value = self.mark.split("=")
        hears, says = os.pipe()
        process = subprocess.Popen(
            self.program.words(self.inputs, self.out),
            env=environment(self.program, TMPDIR=str(self.scratch), **{name: value}, **more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=says,
            start_new_session=True,
            preexec_fn=prepare,
        )
        os.close(says)
        process.said = []
        process.listener = threading.Thread(target=_listen, args=(hears, process.said), daemon=True)
        process.listener.start()
        return process

    def end(self, process):
        """(status, what it said) of a run when it has ended."""
        try:
            process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return "hang", ""
        process.listener.join(1)  # what still runs may hold the other end
        return process.returncode, b"".join(process.said).decode(errors="replace")

    def still_running(self):
        """Commands that still run a while after the end; they are killed then."""
        until = time.monotonic() + SOON
        while (left := running(self.mark)) and time.monotonic() < until:
            time.sleep(0.05)
        for process in left:
            os.kill(process, signal.SIGKILL)
        return list(left.values())


class Reference:
    """A run of a program without faults: its status, seconds, and files."""

    def __init__(self, program, inputs, folder):
        make_inputs(program, inputs)
        runs = Runs(program, inputs, folder)
        began = time.monotonic()
        self.status, said = runs.end(runs.start())
        self.seconds = time.monotonic() - began
        self.files = files_of(runs.out)
        if self.status not in (0, 3) or not self.files:
            raise RuntimeError(f"{program.name} fails without a fault: {self.status} {said}")


# The faults ---------------------------------------------------------------------------------------


class Trial:
    """One trial; `broken` has what was promised and not kept."""

    def __init__(self, program, reference, inputs, folder, random):
        self.runs = Runs(program, inputs, folder)
        self.program, self.reference, self.random = program, reference, random
        self.broken, self.before = [], {}
        if not program.goes_on and random.random() < 0.7:
            for name in reference.files:
                path = self.runs.out / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(OLD)
            self.before = files_of(self.runs.out)

    def expect(self, kept, what):
        """Note a promise that was not kept."""
        if not kept:
            self.broken.append(what)

    def check_files(self, complete=False):
        """Every file is whole, old or new; complete: all are new."""
        files = files_of(self.runs.out)
        gone = sorted(self.before.keys() - files.keys())
        self.expect(not gone, f"the older {gone} are gone")
        for name in files:
            path = self.runs.out / name
            if path.name in self.program.logs or (not complete and files[name] == OLD):
                continue
            if any(path.match(pattern) for pattern in self.program.in_place):
                if not complete or name not in self.reference.files:
                    continue
            whole = is_whole(path.suffix, files[name], self.reference.files.get(name))
            self.expect(whole, f"{name} is half-written, {len(files[name])} bytes")
        if complete:
            missing = sorted(self.reference.files.keys() - files.keys())
            self.expect(not missing, f"{missing} are missing")

    def check_order(self):
        """Nothing is left behind, and nothing runs."""
        scratch = {path.name for path in self.runs.scratch.iterdir()} - LIBRARIES
        left = leftovers(self.runs.out) + sorted(scratch)
        self.expect(not left, f"left behind: {left}")
        self.check_end()

    def check_end(self):
        """Nothing runs."""
        left = self.runs.still_running()
        self.expect(not left, f"still running: {left}")

    def check_line(self, status, said):
        """Status 1, for a reason in one line, and the old files."""
        lines = [line for line in said.splitlines() if line.startswith("python -m ")]
        self.expect(status == 1 and len(lines) == 1, f"status {status}: {said[-500:]}")
        self.expect("Traceback" not in said, f"a traceback: {said[-500:]}")

    def again(self):
        """The same command completes what a fault interrupted."""
        shutil.rmtree(self.runs.scratch)
        self.runs.scratch.mkdir()
        status, said = self.runs.end(self.runs.start())
        self.expect(status == self.reference.status, f"the next run: {status}: {said[-500:]}")
        self.check_files(complete=True)
        self.check_order()

    def signal(self, name):
        """A signal at a random moment, half of the time soon after the target has changed."""
        number = SIGNALS[name]
        process = self.runs.start()
        if self.random.random() < 0.5:
            time.sleep(self.random.uniform(0, self.reference.seconds))
        else:
            entries = set(os.listdir(self.runs.out))
            while process.poll() is None and set(os.listdir(self.runs.out)) == entries:
                time.sleep(0.001)
            time.sleep(self.random.expovariate(1 / 0.02))
        if process.poll() is None:
            # At a terminal Ctrl-C reaches the whole group.
            group = number == signal.SIGINT and self.random.random() < 0.5
            (os.killpg if group else os.kill)(process.pid, number)
        status, said = self.runs.end(process)
        stopped = {-number, 128 + number, 130 if self.program.name == "train" else 128 + number}
        self.expect(status in stopped | {self.reference.status}, f"status {status}: {said[-500:]}")
        # Ctrl-C before the first of the program's modules is read is told by Python itself.
        early = status == -number and set(FRAMES.findall(said)) == {"<frozen runpy>"}
        self.expect(early or "Traceback" not in said, f"a traceback: {said[-500:]}")
        if status == -number and name != "SIGKILL" and files_of(self.runs.out) != self.before:
            self.check_files(complete=True)  # it ended before `program.run`, or after it
        self.check_files()
        if name == "SIGKILL":
            self.check_end()
        else:
            self.check_order()
        self.again()

    def full(self, _name):
        """No file may become larger than some size, as where there is a quota."""
        most = max(map(len, self.reference.files.values()))
        size = int(most * self.random.uniform(0, 1) ** 2)
        self._failed(*self.runs.end(self.runs.start(size=size)))
        if self.program.in_place:
            self.again()

    def disk(self, _name):
        """The target is on a disk of its own, which gets full; only root can mount one."""
        total = sum(map(len, self.reference.files.values()))
        size = 4096 * (2 + len(self.before)) + int(total * self.random.uniform(0, 1) ** 2)
        with mounted(self.runs.out, size):
            for name, content in self.before.items():
                path = self.runs.out / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._failed(*self.runs.end(self.runs.start()))

    def read_only(self, _name):
        """The folder may not be written into."""
        folders = [self.runs.out, *(p for p in self.runs.out.rglob("*") if p.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        status, said = self.runs.end(self.runs.start(rights=False))
        for folder in folders:
            folder.chmod(0o755)
        self.check_line(status, said)
        self.expect(files_of(self.runs.out) == self.before, "it wrote")
        self.check_order()

    def _failed(self, status, said):
        if status != self.reference.status:
            self.check_line(status, said)
        self.check_files(complete=status == self.reference.status)
        self.check_order()

    def two(self, _name):
        """Two at once: each completes, or says that another one writes."""
        first = self.runs.start()
        time.sleep(self.random.uniform(0, self.reference.seconds / 2))
        ends = [self.runs.end(process) for process in (first, self.runs.start())]
        for status, said in ends:
            if status != self.reference.status:
                self.check_line(status, said)
                self.expect(OTHER in said, f"status {status}: {said[-500:]}")
        done = [status for status, _ in ends].count(self.reference.status)
        self.expect(done, "neither of the two ended well")
        self.check_files(complete=True)
        self.check_order()

    def clock(self, _name):
        """The clock is set back, by a year or to before 1980; files are of the future."""
        for path in self.runs.out.rglob("*"):
            os.utime(path, (time.time() + YEAR,) * 2)
        back = self.random.choice([YEAR, time.time() - YEAR])
        path = os.pathsep.join([str(Path(__file__).parent / "clock"), self.program.path()])
        process = self.runs.start(FAULTS_CLOCK=str(back), PYTHONPATH=path)
        status, said = self.runs.end(process)
        self.expect(status == self.reference.status, f"status {status}: {said[-500:]}")
        self.check_files(complete=True)
        self.check_order()


@contextmanager
def mounted(folder, size):
    """A disk of so many bytes in the folder."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    subprocess.run(words, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def can_mount(folder):
    """Whether this user can."""
    folder.mkdir(parents=True)
    try:
        with mounted(folder, 1 << 20):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


FAULTS = {
    **dict.fromkeys(SIGNALS, Trial.signal),
    "full": Trial.full,
    "disk": Trial.disk,
    "read-only": Trial.read_only,
    "two at once": Trial.two,
    "clock": Trial.clock,
}


def strike(program, fault, reference, inputs, folder, random):
    """What a fault breaks of the promises: sentences, none if all are kept."""
    trial = Trial(program, reference, inputs, folder, random)
    FAULTS[fault](trial, fault)
    return trial.broken
