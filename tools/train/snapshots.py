"""Snapshots of a training, and the weights that one starts from."""

import re
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tools.caffe_io.files import CaffeFileError, copy_weights, read_state, read_weights
from tools.caffe_io.process import ROOT

DATA = "pose_data"  # the layer whose blob is the training's place in its data, and no weight
# How many arrays these solvers keep for each array of weights; the others keep one.
HISTORIES = {"Adam": 2, "AdaDelta": 2}


def histories(settings):
    """How many arrays of a weight's shape the solver keeps for each."""
    return HISTORIES.get(settings.type, 1)


def fitting_weights(weights, out, shapes):
    """A .caffemodel in the folder `out` with the layers of another that fit the network; its path.

    The paper: CPM's weights for all layers that exist there too, the others random (5.2). Caffe's
    own --weights aborts where a name is the same and the shape another.
    """
    theirs = {name: [list(b.shape) for b in blobs] for name, blobs in read_weights(weights).items()}
    fitting = {name for name, blobs in theirs.items() if shapes.get(name) == blobs} - {DATA}
    learned = set(shapes) - {DATA}
    if not fitting:
        raise CaffeFileError(f"{weights}: none of its layers fits the network, by name and shape")
    print(f"{weights}: {len(fitting)} of the network's {len(learned)} layers start from it", end="")
    print(f"; new: {', '.join(sorted(learned - fitting))}" if learned - fitting else "")
    copy_weights(out / "weights.caffemodel", (weights, fitting))
    return out / "weights.caffemodel"


def find_state(out, resume, shapes):
    """The .solverstate to go on from, or None. Renames snapshots in the folder that are broken."""
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
    """Whether a snapshot can be read back; if not, it is renamed, and a line says so."""
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
    solver = read_state(state)
    expected = [shape for blobs in shapes.values() for shape in blobs]
    history = [list(array.shape) for array in solver.history]
    # Caffe writes them flat or in shape, those of the first kind before those of the second.
    if not history or len(history) % len(expected):
        raise CaffeFileError(
            f"{state}: expected the history of {len(expected)} arrays, found {len(history)}"
        )
    weights = ROOT / solver.weights
    layers = read_weights(weights)
    for name, blobs in shapes.items():
        got = [list(blob.shape) for blob in layers.get(name, ())]
        if got != blobs:
            raise CaffeFileError(f"{weights}: {name}: expected weights of {blobs}, found {got}")
        if not all(np.isfinite(blob).all() for blob in layers[name]):
            raise CaffeFileError(f"{weights}: {name}: its weights are not finite")
