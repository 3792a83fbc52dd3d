"""Start our network from a released one: tools.train.transfer_weights SOURCE NET --out FILE.

    python -m tools.train.transfer_weights pose_iter_985000_addLEEDS.caffemodel \\
        prototxt/lifting/train_finetune.prototxt --out build/cpm-start.caffemodel
    python -m tools.train prototxt/lifting/solver_finetune.prototxt \\
        --weights build/cpm-start.caffemodel --out build/train/lifting

As the paper (5.2): a layer that is in both by name and shape is copied; one of another shape, since
it reads or writes the maps of other landmarks, and one that is new, get what the network's own
fillers give. Prints a table of all layers: what became of each, its shape, and how fast it learns.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from caffe.proto import caffe_pb2

from tools.caffe_io import process as caffe_process
from tools.caffe_io.files import CaffeFileError, copy_weights, read_text, read_weights
from tools.caffe_io.process import CaffeError
from tools.train.snapshots import DATA


class TransferError(Exception):
    """Weights that are of no use to the network, in one line."""


class Row(NamedTuple):
    """What becomes of one layer: "copied", "resized", "new" or, of the source alone, "left"."""

    layer: str
    fate: str
    shape: list | None  # of the weights in the network
    source: list | None  # in the source
    rate: float | None  # the network's learning-rate multiplier


def compare(shapes, found, rates):
    """Rows of all layers. shapes, found: {layer: [shape of each blob]} of network and source."""
    rows = []
    for layer, blobs in shapes.items():
        theirs = found.get(layer)
        fate = "new" if theirs is None else "copied" if theirs == blobs else "resized"
        rows.append(Row(layer, fate, blobs[0], theirs and theirs[0], rates.get(layer)))
    left = [Row(layer, "left", None, found[layer][0], None) for layer in found.keys() - shapes]
    return rows + sorted(left)


def out_of_step(rows):
    """The copied layers that learn as fast as one that starts at random, or faster."""
    fresh = [r.rate for r in rows if r.fate in ("resized", "new") and r.rate is not None]
    slowest = min(fresh, default=float("inf"))
    return [r.layer for r in rows if r.fate == "copied" and r.rate and r.rate >= slowest]


def table(rows):
    """The rows as text."""

    def size(shape):
        return "" if shape is None else " x ".join(map(str, shape))

    cells = [("layer", "", "shape", "in the source", "rate")]
    for r in rows:
        source = size(r.source) if r.fate in ("resized", "left") else ""
        rate = "" if r.rate is None else f"{r.rate:g}"
        cells.append((r.layer, r.fate, size(r.shape), source, rate))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def transfer(source, net, out, seed=0):
    """Write the .caffemodel `out` for the training network `net`; returns the rows.

    Raises TransferError, CaffeError or CaffeFileError.
    """
    found = {name: [list(b.shape) for b in blobs] for name, blobs in read_weights(source).items()}
    layers = read_text(net, caffe_pb2.NetParameter()).layer
    rates = {layer.name: layer.param[0].lr_mult for layer in layers if layer.param}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        fresh = Path(folder) / "fresh.caffemodel"
        shapes = caffe_process.dry_run(net, save=fresh, seed=seed)
        shapes.pop(DATA, None)
        found.pop(DATA, None)
        rows = compare(shapes, found, rates)
        copied = {row.layer for row in rows if row.fate == "copied"}
        if not copied:
            raise TransferError(
                f"{source}: expected layers of {net} by name and shape, found none; its first is "
                f"{next(iter(found), 'none')}"
            )
        copy_weights(out, (source, copied), (fresh, shapes.keys() - copied))
    return rows


def main(arguments=None):
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser("python -m tools.train.transfer_weights", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("source", type=Path, help="a .caffemodel, of MPII's 14 landmarks say")
    parser.add_argument("net", type=Path, help="our train.prototxt or train_finetune.prototxt")
    parser.add_argument("--out", type=Path, required=True, help="the .caffemodel to write")
    parser.add_argument("--seed", type=int, default=0, help="of what is random (default: 0)")
    given = parser.parse_args(arguments)
    try:
        rows = transfer(given.source, given.net, given.out, given.seed)
    except (TransferError, CaffeError, CaffeFileError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(rows))
    fates = [row.fate for row in rows]
    print(", ".join(f"{fates.count(f)} {f}" for f in ("copied", "resized", "new", "left")))
    if fast := out_of_step(rows):
        print(
            f"warning: {len(fast)} copied layers learn as fast as new ones, {fast[0]} for one; "
            "train_finetune.prototxt keeps them slow, as the paper",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
