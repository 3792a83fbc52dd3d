"""`caffe train`, checked before it starts, watched, and resumed by itself.

    python -m tools.train prototxt/lite/lifting/solver.prototxt --out build/train/lite-lifting

The same network, solver and program as in

    caffe train --solver=prototxt/lite/lifting/solver.prototxt

(in make shell), with FOLDER for what comes out: train.prototxt, solver.prototxt and inputs.json
(what is run, on what), caffe.log (all that Caffe says), loss.csv (iteration, seconds, loss, and
each stage's), loss.png (its curves), snapshots, each read back, and at the end final.caffemodel.
Run it again after a stop, and it goes on from the last good snapshot. Ctrl-C makes one first. A
run of another network, on other data or from other weights, that FOLDER holds is moved to
FOLDER/before-1, -2, ...
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prior import program
from prior.files import LOCK, locked, replacing, write
from prior.foreign import read_json
from python_layers.data import annotations
from tools.caffe_io import process as caffe_process
from tools.caffe_io.files import (
    read_net,
    read_solver,
    read_state,
    read_weights,
)
from tools.caffe_io.process import ROOT, shown
from tools.train import snapshots
from tools.train.watch import CaffeRun, TrainingError

INTERRUPTED = 130  # exit status of a program ended by Ctrl-C: 128 + SIGINT


def train(solver, out, iterations=None, resume="auto", weights=None, gpu=None):
    """Train; returns 0, or 130 after an interruption. Paths are relative to where you are.

    Raises TrainingError, CaffeError or CaffeFileError, with the reason in one line.
    """
    caffe_process.program()  # if it is missing, nothing is made
    if gpu is not None:
        caffe_process.check_gpu(gpu)
    out = out.resolve()
    settings = read_solver(solver)
    net = check_settings(solver, settings, iterations)
    inputs = check_inputs(net)
    with locked(out) as lock:
        return _train(settings, net, inputs, out, resume, weights, gpu, lock)


def _train(settings, net, inputs, out, resume, weights, gpu, lock):
    """`train` in a folder that is locked. inputs: of check_inputs."""
    inputs = dict(inputs)
    if weights:
        inputs["weights"] = digest(weights)
    elif resume != "none" and any(out.glob("*.solverstate")):
        before = read_json(out / "inputs.json")
        if not isinstance(before, dict):
            raise TrainingError(f"{out / 'inputs.json'}: expected an object; use --resume none")
        if "weights" in before:  # they need not be named again
            inputs["weights"] = before["weights"]
    write_run(out, settings, net, inputs, resume)
    shapes = caffe_process.dry_run(out / "train.prototxt")
    state = snapshots.find_state(out, resume, shapes)
    start = read_state(state).iteration if state else 0
    check_disk(out, settings, shapes, start)

    command = [caffe_process.program(), "train", f"--solver={out / 'solver.prototxt'}"]
    command += [] if gpu is None else [f"--gpu={gpu}"]  # stronger than the solver's CPU
    if state:
        print(f"goes on from iteration {start}: {shown(state)}")
        command.append(f"--snapshot={state}")
        weights = None  # the snapshot's count
    elif weights:
        weights = snapshots.fitting_weights(weights, out, shapes)
        command.append(f"--weights={weights}")
    run = CaffeRun(out, settings.max_iter, start, shapes, weights, lock)
    if start >= settings.max_iter:
        run.draw()  # whoever was killed at the end has not
    elif run.run(command):
        return INTERRUPTED
    final = out / f"snapshot_iter_{settings.max_iter}.caffemodel"
    if not final.is_file():
        raise TrainingError(f"{out} holds iteration {start}, beyond the {settings.max_iter} wanted")
    with replacing(out / "final.caffemodel") as temporary:
        shutil.copyfile(final, temporary)
    print(f"{shown(out / 'final.caffemodel')}: iteration {settings.max_iter}")
    print_fusion(read_weights(final))
    return 0


# Before Caffe runs


def check_settings(solver, settings, iterations):
    """Path of the solver's network. Checks the settings, and puts the iterations into them."""
    if iterations is not None:
        settings.max_iter = iterations
    if settings.max_iter < 1:
        raise TrainingError(f"{solver}: expected at least 1 iteration, got {settings.max_iter}")
    if not settings.net or settings.test_iter:
        raise TrainingError(f'{solver}: expected one network, as net: "...", and no test_iter')
    if settings.display < 1:
        raise TrainingError(f"{solver}: expected display >= 1: without it Caffe prints no loss")
    return ROOT / settings.net


def check_inputs(net):
    """{path: SHA-256} of the files that the layers read.

    Raises TrainingError, which says what makes a missing one.
    """
    inputs = {}
    for layer in read_net(net).layer:
        if layer.type != "Python":
            continue
        try:
            parameters = json.loads(layer.python_param.param_str or "{}")
        except ValueError as error:
            raise TrainingError(f"{net}: {layer.name}: param_str is no JSON: {error}") from None
        if not isinstance(parameters, dict):
            raise TrainingError(f"{net}: {layer.name}: param_str: expected a JSON object")
        source = parameters.get("source", {})
        if not isinstance(source, str | dict) or not isinstance(parameters.get("model", ""), str):
            raise TrainingError(f"{net}: {layer.name}: source, model: expected names of files")
        needed = {name: "make data" for name in ([source] if isinstance(source, str) else source)}
        if "model" in parameters:
            needed[parameters["model"]] = "make prior"
        for name, maker in needed.items():
            if not (ROOT / name).exists():
                raise TrainingError(f"{name}: no such file; {layer.name} reads it; run {maker}")
            inputs[name] = digest(ROOT / name)
    return inputs


def digest(path):
    """SHA-256 of a file. Raises TrainingError where it cannot be read."""
    if not Path(path).exists():
        raise TrainingError(f"{shown(path)}: no such file")
    try:
        return annotations.digest(path)
    except annotations.AnnotationError as error:
        raise TrainingError(f"{shown(path)}: {error}") from None


def write_run(out, settings, net, inputs, resume):
    """Write what is run into the folder. Another training that it holds is put aside first."""
    settings.net = shown(out / "train.prototxt")
    settings.snapshot_prefix = shown(out / "snapshot")
    texts = {"train.prototxt": net.read_text(), "inputs.json": json.dumps(inputs, indent=1)}
    if (out / "solver.prototxt").is_file():
        old = read_solver(out / "solver.prototxt")
        for field in ("max_iter", "net", "snapshot_prefix"):
            setattr(old, field, getattr(settings, field))
        kept = {name: (out / name).read_text() for name in texts if (out / name).is_file()}
        if resume == "none" or resume == "auto" and (old != settings or kept != texts):
            put_aside(out)
    for name, text in {**texts, "solver.prototxt": str(settings)}.items():
        write(out / name, text)


def put_aside(out):
    """Move all files of a training into a new folder below its own."""
    number = 1 + sum(1 for _ in out.glob("before-*"))
    aside = out / f"before-{number}"
    aside.mkdir()
    for path in out.iterdir():
        if path.is_file() and path.name != LOCK:
            path.rename(aside / path.name)
    print(f"starts anew; {shown(out)} held another training, now in {shown(aside)}")


def check_disk(out, settings, shapes, start):
    """Raise TrainingError where the disk has no room for the snapshots to come."""
    count = sum(int(np.prod(shape)) for blobs in shapes.values() for shape in blobs)
    size = 4 * count * (1 + snapshots.histories(settings))
    every = settings.snapshot or settings.max_iter
    need = size * (max(0, settings.max_iter - start) // every + 2)
    free = shutil.disk_usage(out).free
    if need > free:
        raise TrainingError(
            f"{shown(out)}: the snapshots need {need >> 20} MiB, and {free >> 20} MiB are free: "
            "make room, or make snapshots more rarely"
        )


def print_fusion(weights):
    """Print equation 7's weight of each stage."""
    for name, blobs in weights.items():
        if match := re.fullmatch(r"fusion_stage(\d+)", name):
            mean = float(np.mean(blobs[0]))
            print(f"stage {match[1]}: fused = {mean:.3f} CNN maps + {1 - mean:.3f} projected maps")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.train",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument("solver", type=Path, metavar="SOLVER", help="a solver.prototxt")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="the folder to write into"
    )
    parser.add_argument(
        "--iterations",
        type=int,
        metavar="N",
        help="how many iterations to train for (default: the solver's max_iter)",
    )
    parser.add_argument(
        "--resume",
        default="auto",
        metavar="auto|none|FILE",
        help="auto: from FOLDER's last good snapshot, if it is of the same solver, network, data, "
        "prior and weights to start from (default); none: from the start; a .solverstate",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="CAFFEMODEL",
        help="start from these weights, from the layers that fit the network by name and shape, "
        "where caffe train aborts at one of another shape (default: random ones)",
    )
    parser.add_argument(
        "--gpu",
        type=int,
        metavar="ID",
        help="train on this GPU, by a Caffe built for it (default: the solver's mode, the CPU)",
    )
    return parser


def train_with(options):
    """`train` with the options of the command line; returns the exit status."""
    return train(**vars(options))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), train_with, arguments, interrupted="the same command goes on")


if __name__ == "__main__":
    sys.exit(main())
