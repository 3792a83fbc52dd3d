"""The caffe program at work: its log read as it grows, its snapshots, its end."""

import csv
import math
import os
import signal
import subprocess
import sys
import time

from tqdm import tqdm

from prior.errors import InputError, short
from prior.files import replacing
from tools.caffe_io import process as caffe_process
from tools.caffe_io.process import ROOT, shown
from tools.train import curves
from tools.train.snapshots import snapshot_is_good

POLL_SECONDS = 0.2  # our choice: how often the log is read
NAMED = 5  # how many images left out are named here; caffe.log names them all


class TrainingError(InputError):
    """What stops the training, in one line."""


class CaffeRun:
    """One run of the caffe program, watched through its log.

    lock: of the folder (prior.files.locked), which caffe keeps as long as it lives; or None.
    """

    def __init__(self, out, iterations, start, shapes, weights=None, lock=None):
        self.out, self.iterations, self.start, self.shapes = out, iterations, start, shapes
        self.lock = lock
        self.weights = weights  # to start from, not read so far; or None
        self.losses = LossTable(out / "loss.csv", start)
        self.stops = 0  # signals that came
        self.snapshots = []  # written, and not read back yet
        self.left_out = 0  # images that the data layer could not use
        self.last = None  # last good snapshot
        self.undrawn = False  # whether the curves could not be drawn

    def run(self, command):
        """Run the command to its end; True if it was interrupted before. Raises TrainingError."""
        path = self.out / "caffe.log"
        # Opened twice, since a process that shared our file would move our place in it.
        with open(path, "a") as sink, caffe_process.Log(path) as log:
            code, said = self.watch(command, sink, log)
        self.read_back()
        self.draw()
        if self.left_out:
            log = shown(self.out / "caffe.log")
            print(f"{self.left_out} images could not be used; {log} names them")
        if code == 0 and self.last and self.last.stem.endswith(f"_{self.iterations}"):
            return False
        kept = f"; the last good snapshot is {shown(self.last)}" if self.last else ""
        if not self.stops and code == 0:
            broken = list(self.out.glob(f"snapshot_iter_{self.iterations}.*.broken"))
            reason = (
                f"the snapshot of iteration {self.iterations} is of no use, see the warning; if "
                "its weights are not finite, try a smaller base_lr"
                if broken
                else f"caffe ended without a snapshot of iteration {self.iterations}"
            )
            raise TrainingError(f"{reason}{kept}")
        if not self.stops:
            reason = caffe_process.last_error(said)
            raise TrainingError(f"caffe ended with {code}: {reason}{kept}")
        print(f"stopped{kept or ' before the first snapshot'}; the same command goes on")
        return True

    def watch(self, command, sink, log):
        """Start a process and follow it to its end. Returns its exit code and what it said."""
        began = log.file.tell()
        process = caffe_process.start_bound(
            command,
            cwd=ROOT,
            env=caffe_process.environment(),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            pass_fds=() if self.lock is None else (self.lock,),
        )
        old = {s: signal.signal(s, self.stopper(process)) for s in (signal.SIGINT, signal.SIGTERM)}
        # disable=None: no bar where the output is a file, which gets a line now and then.
        bar = tqdm(
            desc=self.out.name, total=self.iterations, initial=self.start, unit="it", disable=None
        )
        try:
            while True:
                ended = process.poll() is not None  # before the log is read: then it is whole
                for event in log.events():
                    self.handle(event, bar)
                if ended:
                    break
                time.sleep(POLL_SECONDS)
        finally:
            end_group(process)
            bar.close()
            self.losses.write()
            for number, handler in old.items():
                signal.signal(number, handler)
        log.file.seek(began)
        return process.returncode, log.file.read()

    def stopper(self, process):
        """A handler of signals: the first asks Caffe to stop with a snapshot, the next ends it."""

        def stop(_number, _frame):
            self.stops += 1
            if self.stops == 1:
                tqdm.write("stops after this iteration, with a snapshot", file=sys.stderr)
                process.send_signal(signal.SIGINT)  # Caffe's own handling: snapshot, then stop
            else:
                process.kill()

        return stop

    def handle(self, event, bar):
        """Act on one event of the log."""
        kind, *values = event
        if kind == "snapshot":
            self.snapshots.append(ROOT / values[0])
            return
        if kind == "weights":
            self.weights = None
            return
        if kind == "left out":
            reason, self.left_out = values
            if self.left_out <= NAMED:
                tqdm.write(f"warning: {reason}", file=sys.stderr)
            return
        if kind == "output":
            self.losses.add_output(*values)
        if kind == "iteration":
            iteration, loss = values
            if self.weights:
                raise TrainingError(
                    f"{caffe_process.program()} ignores --weights: expected to start from "
                    f"{shown(self.weights)}; use BVLC's Caffe, or that of make caffe"
                )
            self.read_back()  # Caffe goes on only when a snapshot is written
            self.losses.add(iteration, loss)
            self.losses.write()
            bar.update(iteration - bar.n)
            bar.set_postfix(loss=f"{loss:.4g}")
            step = max(1, self.iterations // 10)
            if bar.disable and iteration // step > self.losses.previous // step:
                print(f"iteration {iteration} of {self.iterations}, loss {loss:.4g}", flush=True)
        if not math.isfinite(values[1]):
            last = f"go on from {shown(self.last)} with" if self.last else "try"
            raise TrainingError(f"the loss is {values[1]}: {last} a smaller base_lr")

    def read_back(self):
        """Check the snapshots that have been written."""
        while self.snapshots:
            state = self.snapshots.pop(0)
            if snapshot_is_good(state, self.shapes):
                self.last = state
            self.draw()

    def draw(self):
        """The curves so far. Where they cannot be drawn it is said, once: no picture is worth the
        hours of a training."""
        try:
            curves.draw({shown(self.out): self.losses.rows}, self.out / "loss.png")
        except Exception as error:  # of matplotlib any: of its fonts, backends, configuration
            if not self.undrawn:
                reason = f"warning: loss.png is not drawn: {short(error)}"
                tqdm.write(reason, file=sys.stderr)
            self.undrawn = True


def end_group(process):
    """End a process and those that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


class LossTable:
    """loss.csv: iteration, seconds since the training began, loss, and each stage's loss.

    The loss is the mean over the solver's average_loss iterations, a stage's that of one batch.
    """

    def __init__(self, path, start):
        self.path, self.rows, self.previous = path, [], start
        if start and path.is_file():
            rows = curves.read_table(path)
            self.rows = [row for row in rows if int(row["iteration"]) < start]
        self.before = float(self.rows[-1]["seconds"]) if self.rows else 0.0
        self.began = time.monotonic()

    def add(self, iteration, loss):
        """Begin a row."""
        self.previous = int(self.rows[-1]["iteration"]) if self.rows else 0
        seconds = self.before + time.monotonic() - self.began
        self.rows.append({"iteration": iteration, "seconds": f"{seconds:.1f}", "loss": loss})

    def add_output(self, blob, loss):
        """Add a stage's loss to the last row."""
        if self.rows:
            self.rows[-1][blob] = loss

    def write(self):
        """Write the file anew."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        with replacing(self.path) as temporary, open(temporary, "w", newline="") as file:
            table = csv.DictWriter(file, columns or ["iteration", "seconds", "loss"])
            table.writeheader()
            table.writerows(self.rows)
