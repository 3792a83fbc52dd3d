"""Train a network with the caffe program: python -m tools.train SOLVER --out FOLDER.

FOLDER gets: train.prototxt, solver.prototxt and inputs.json (what is run, on what), caffe.log (all
that Caffe says), loss.csv (iteration, seconds, loss, and each stage's), snapshots, and at the end
final.caffemodel.
Run it again after a stop, and it goes on from the last good snapshot. Ctrl-C makes one first. A
run of another network, or on other data, that FOLDER holds is moved to FOLDER/before-1, -2, ...
"""

import argparse
import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from caffe.proto import caffe_pb2
from tqdm import tqdm

from python_layers import annotations

from . import caffe_process
from .caffe_files import (
    CaffeFileError,
    State,
    copy_weights,
    read_state,
    read_text,
    read_weights,
    write_state,
)
from .caffe_process import ROOT, CaffeError

INTERRUPTED = 130  # exit code of a program ended by Ctrl-C: 128 + SIGINT
POLL_SECONDS = 0.2  # our choice: how often the log is read
HISTORIES = {"Adam": 2, "AdaDelta": 2}  # arrays that a solver keeps for each one of weights, or 1


class TrainingError(Exception):
    """What stops the training, in one line."""


def main(argv=None):
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.train", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("solver", type=Path, help="a solver.prototxt")
    parser.add_argument("--out", type=Path, required=True, help="folder for what comes out")
    parser.add_argument("--iterations", type=int, help="instead of the solver's max_iter")
    parser.add_argument(
        "--resume",
        default="auto",
        metavar="auto|none|FILE",
        help="auto: from FOLDER's last good snapshot, if it is of the same solver, network, data "
        "and prior (default); none: from the start; a .solverstate",
    )
    parser.add_argument("--weights", type=Path, help="a .caffemodel to start from, where it fits")
    arguments = parser.parse_args(argv)
    try:
        return train(**vars(arguments))
    except (TrainingError, CaffeError, CaffeFileError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def train(solver, out, iterations=None, resume="auto", weights=None):
    """Train; returns 0, or 130 after an interruption. Paths are relative to where you are.

    Raises TrainingError, CaffeError or CaffeFileError, with the reason in one line.
    """
    program = caffe_process.program()
    out = out.resolve()
    settings = read_text(solver, caffe_pb2.SolverParameter())
    net = check_settings(solver, settings, iterations)
    inputs = check_inputs(net)
    out.mkdir(parents=True, exist_ok=True)
    write_run(out, settings, net, inputs, resume)
    shapes = caffe_process.dry_run(out / "train.prototxt")
    state = find_state(out, resume, shapes)
    start = read_state(state).iteration if state else 0
    check_disk(out, settings, shapes, start)

    command = [program, "train", f"--solver={out / 'solver.prototxt'}"]
    if state:
        print(f"goes on from iteration {start}: {shown(state)}")
        command.append(f"--snapshot={state}")
    elif weights:
        command.append(f"--snapshot={state_before(weights, out, settings, shapes)}")
    if start < settings.max_iter:
        stopped = Run(out, settings.max_iter, start, shapes).run(command)
        if stopped:
            return INTERRUPTED
    final = out / f"snapshot_iter_{settings.max_iter}.caffemodel"
    if not final.is_file():
        raise TrainingError(f"{out} holds iteration {start}, beyond the {settings.max_iter} wanted")
    replace(out / "final.caffemodel", lambda path: shutil.copyfile(final, path))
    print(f"{shown(out / 'final.caffemodel')}: iteration {settings.max_iter}")
    print_fusion(read_weights(final))
    return 0


# Before Caffe runs


def check_settings(solver, settings, iterations):
    """Path of the solver's network. Fills in the iterations."""
    if iterations is not None:
        settings.max_iter = iterations
    if settings.max_iter < 1:
        raise TrainingError(f"{solver}: expected at least 1 iteration, got {settings.max_iter}")
    if not settings.net or settings.test_iter:
        raise TrainingError(f'{solver}: expected one network, as net: "...", and no test_iter')
    if settings.display < 1:
        raise TrainingError(f"{solver}: expected display >= 1: without it no loss is seen")
    return ROOT / settings.net


def check_inputs(net):
    """{path: SHA-256} of the files that the layers read. Says what makes a missing one."""
    inputs = {}
    for layer in read_text(net, caffe_pb2.NetParameter()).layer:
        if layer.type != "Python":
            continue
        try:
            parameters = json.loads(layer.python_param.param_str or "{}")
        except ValueError as error:
            raise TrainingError(f"{net}: {layer.name}: param_str is no JSON: {error}") from None
        if not isinstance(parameters, dict):
            raise TrainingError(f"{net}: {layer.name}: param_str: expected a JSON object")
        source = parameters.get("source", {})
        needed = {name: "make data" for name in ([source] if isinstance(source, str) else source)}
        if "model" in parameters:
            needed[parameters["model"]] = "make prior"
        for name, maker in needed.items():
            if not (ROOT / name).is_file():
                raise TrainingError(f"{name}: no such file; {layer.name} reads it; run {maker}")
            try:
                inputs[name] = annotations.digest(ROOT / name)
            except annotations.AnnotationError as error:
                raise TrainingError(f"{name}: {error}") from None
    return inputs


def write_run(out, settings, net, inputs, resume):
    """Write what is run to the folder. Another run that it holds is put aside first."""
    settings.net = shown(out / "train.prototxt")
    settings.snapshot_prefix = shown(out / "snapshot")
    texts = {"train.prototxt": net.read_text(), "inputs.json": json.dumps(inputs, indent=1)}
    if (out / "solver.prototxt").is_file():
        old = read_text(out / "solver.prototxt", caffe_pb2.SolverParameter())
        for field in ("max_iter", "net", "snapshot_prefix"):
            setattr(old, field, getattr(settings, field))
        found = {name: (out / name).read_text() for name in texts if (out / name).is_file()}
        if resume == "none" or old != settings or found != texts:
            put_aside(out)
    for name, text in {**texts, "solver.prototxt": str(settings)}.items():
        replace(out / name, lambda path, text=text: path.write_text(text))


def put_aside(out):
    """Move all files of a run into a new folder below its own."""
    number = 1 + sum(1 for _ in out.glob("before-*"))
    aside = out / f"before-{number}"
    aside.mkdir()
    for path in out.iterdir():
        if path.is_file():
            path.rename(aside / path.name)
    print(f"starts anew; {shown(out)} held another training, now in {shown(aside)}")


def check_disk(out, settings, shapes, start):
    """Room for the snapshots to come."""
    count = sum(int(np.prod(shape)) for blobs in shapes.values() for shape in blobs)
    size = 4 * count * (1 + HISTORIES.get(settings.type, 1))
    every = settings.snapshot or settings.max_iter
    need = size * (max(0, settings.max_iter - start) // every + 2)
    free = shutil.disk_usage(out).free
    if need > free:
        raise TrainingError(
            f"{shown(out)}: the snapshots need {need >> 20} MiB, and {free >> 20} MiB are free: "
            "make room, or make snapshots more rarely"
        )


def state_before(weights, out, settings, shapes):
    """A .solverstate of iteration 0 with the layers of a .caffemodel that fit the network.

    The paper: CPM's weights for all layers that exist there too, the others random (5.2). Not
    caffe's --weights: it aborts where a name is the same and the shape another, and the Caffe
    that the set-up compiles ignores it.
    """
    found = {name: [list(b.shape) for b in blobs] for name, blobs in read_weights(weights).items()}
    fitting = {name for name, blobs in found.items() if shapes.get(name) == blobs}
    fitting -= {"pose_data"}  # another training's place in its data
    learned = set(shapes) - {"pose_data"}
    if not fitting:
        raise TrainingError(f"{weights}: none of its layers fits the network, by name and shape")
    print(f"{weights}: {len(fitting)} of the network's {len(learned)} layers start from it", end="")
    print(f"; new: {', '.join(sorted(learned - fitting))}" if learned - fitting else "")
    copy_weights(out / "weights.caffemodel", (weights, fitting))
    arrays = [np.zeros(shape, np.float32) for blobs in shapes.values() for shape in blobs]
    history = arrays * HISTORIES.get(settings.type, 1)
    state = State(0, shown(out / "weights.caffemodel"), history)
    write_state(out / "weights.solverstate", state)
    return out / "weights.solverstate"


# Snapshots


def find_state(out, resume, shapes):
    """The .solverstate to go on from, or None. Renames what is broken in the folder."""
    if resume == "none":
        return None
    if resume != "auto":
        check_snapshot(Path(resume), shapes)
        return Path(resume).resolve()
    states = {}
    for path in out.glob("snapshot_iter_*.solverstate"):
        if match := re.fullmatch(r"snapshot_iter_(\d+)", path.stem):
            states[int(match[1])] = path
    for _, path in sorted(states.items(), reverse=True):
        if snapshot_is_good(path, shapes):
            return path
    return None


def snapshot_is_good(state, shapes):
    """Whether a snapshot reads back; if not, it is renamed aside and named in one line."""
    try:
        check_snapshot(state, shapes)
        return True
    except CaffeFileError as error:
        for path in (state, state.with_suffix(".caffemodel")):
            if path.exists():
                path.rename(f"{path}.broken")
        tqdm.write(f"warning: {error}; put aside as {state.stem}.*.broken", file=sys.stderr)
        return False


def check_snapshot(state, shapes):
    """Read a state and its weights back. Raises CaffeFileError."""
    found = read_state(state)
    expected = [shape for blobs in shapes.values() for shape in blobs]
    history = [list(array.shape) for array in found.history]
    # Caffe keeps the histories flat or shaped, all of the first kind before the second's.
    if not history or len(history) % len(expected):
        raise CaffeFileError(
            f"{state}: expected the history of {len(expected)} arrays, found {len(history)}"
        )
    weights = ROOT / found.weights
    layers = read_weights(weights)
    for name, blobs in shapes.items():
        got = [list(blob.shape) for blob in layers.get(name, ())]
        if got != blobs:
            raise CaffeFileError(f"{weights}: {name}: expected weights of {blobs}, found {got}")
        if not all(np.isfinite(blob).all() for blob in layers[name]):
            raise CaffeFileError(f"{weights}: {name}: its weights are not finite")


# The run


class Run:
    """One run of the caffe program, watched through its log."""

    def __init__(self, out, iterations, start, shapes):
        self.out, self.iterations, self.start, self.shapes = out, iterations, start, shapes
        self.losses = LossTable(out / "loss.csv", start)
        self.stops = 0  # signals that came
        self.snapshots = []  # written, and not read back yet
        self.last = None  # last good snapshot

    def run(self, command):
        """Run it to its end; True if it was interrupted before. Raises TrainingError."""
        path = self.out / "caffe.log"
        # Opened twice: a process that shared our file would move our place in it.
        with open(path, "a") as sink, caffe_process.Log(path) as log:
            code, said = self.watch(command, sink, log)
        self.read_back()
        if code == 0 and self.last and self.last.stem.endswith(f"_{self.iterations}"):
            return False
        kept = f"; the last good snapshot is {shown(self.last)}" if self.last else ""
        if not self.stops:
            reason = caffe_process.last_error(said)
            raise TrainingError(f"caffe ended with {code}: {reason}{kept}")
        print(f"stopped{kept or ' before the first snapshot'}; the same command goes on")
        return True

    def watch(self, command, sink, log):
        """Start a process and follow it to its end. Returns its exit code and what it said."""
        began = log.file.tell()
        # Its own session: Ctrl-C at the terminal then reaches Caffe once, from us.
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=ROOT,
            env=caffe_process.environment(),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
        old = {s: signal.signal(s, self.stopper(process)) for s in (signal.SIGINT, signal.SIGTERM)}
        # disable=None: no bar in a file; there, a line now and then.
        bar = tqdm(total=self.iterations, initial=self.start, unit="it", disable=None)
        try:
            while True:
                ended = process.poll() is not None  # before the log is read: then it is whole
                for event in log.events():
                    self.take(event, bar)
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
        """A handler of signals: the first asks Caffe for a snapshot and a stop, others end it."""

        def stop(_number, _frame):
            self.stops += 1
            if self.stops == 1:
                tqdm.write("stops after this iteration, with a snapshot", file=sys.stderr)
                process.send_signal(signal.SIGINT)  # Caffe's own handling: snapshot, then stop
            else:
                process.kill()

        return stop

    def take(self, event, bar):
        """Act on one event of the log."""
        kind, *values = event
        if kind == "snapshot":
            self.snapshots.append(ROOT / values[0])
            return
        if kind == "output":
            self.losses.add_output(*values)
        if kind == "iteration":
            iteration, loss = values
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
            with open(path, newline="") as file:
                rows = csv.DictReader(file)
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

        def write(path):
            with open(path, "w", newline="") as file:
                table = csv.DictWriter(file, columns or ["iteration", "seconds", "loss"])
                table.writeheader()
                table.writerows(self.rows)

        replace(self.path, write)


def replace(path, write):
    """Let write(path) write a file under another name, and give it its own when it is whole."""
    temporary = path.with_name(path.name + ".new")
    write(temporary)
    temporary.replace(path)


def shown(path):
    """A path as short as it can be: from the repository's root if it lies there."""
    path = Path(path)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def print_fusion(weights):
    """Print equation 7's weight of each stage."""
    for name, blobs in weights.items():
        if match := re.fullmatch(r"fusion_stage(\d+)", name):
            mean = float(np.mean(blobs[0]))
            print(f"stage {match[1]}: fused = {mean:.3f} CNN maps + {1 - mean:.3f} projected maps")


if __name__ == "__main__":
    sys.exit(main())
