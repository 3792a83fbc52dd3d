"""The weights to start one of our networks from: a released one's, where they fit.

    python -m tools.train.transfer_weights pose_iter_985000_addLEEDS.caffemodel \\
        prototxt/lifting/train_finetune.prototxt --out build/cpm-start.caffemodel
    caffe train --solver=prototxt/lifting/solver_finetune.prototxt \\
        --weights=build/cpm-start.caffemodel

As the paper (5.2): a layer that is in both by name and shape is copied; one of another shape, since
it reads or writes the maps of other landmarks, and one that is new, get what the network's own
fillers give. Prints a table of all layers: what became of each, its shape, and how fast it learns.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from prior import program
from prior.errors import InputError
from prior.files import scratch
from tools.caffe_io import process as caffe_process
from tools.caffe_io.files import copy_weights, read_net, read_weights
from tools.train.snapshots import DATA


class Row(NamedTuple):
    """What becomes of one layer: "copied", "resized", "new" or, of the source alone, "left"."""

    layer: str
    fate: str
    shape: list[int] | None  # of the weights in the network
    source: list[int] | None  # in the source
    rate: float | None  # the network's learning-rate multiplier


def compare(shapes: dict[str, list], theirs: dict[str, list], rates: dict[str, float]) -> list[Row]:
    """Rows of all layers. shapes, theirs: {layer: [shape of each blob]} of network and source."""
    rows = []
    for layer, blobs in shapes.items():
        source = theirs.get(layer)
        fate = "new" if source is None else "copied" if source == blobs else "resized"
        rows.append(Row(layer, fate, blobs[0], source and source[0], rates.get(layer)))
    left = [Row(layer, "left", None, theirs[layer][0], None) for layer in theirs.keys() - shapes]
    return rows + sorted(left)


def out_of_step(rows: list[Row]) -> list[str]:
    """The copied layers that learn as fast as one that starts at random, or faster."""
    fresh = [r.rate for r in rows if r.fate in ("resized", "new") and r.rate is not None]
    slowest = min(fresh, default=float("inf"))
    return [r.layer for r in rows if r.fate == "copied" and r.rate and r.rate >= slowest]


def table(rows: list[Row]) -> str:
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


def transfer(source: Path, net: Path, out: Path, seed: int = 0) -> list[Row]:
    """Write the .caffemodel `out` for the training network `net`; returns the rows.

    seed: of the layers that start at random. Raises InputError, a CaffeError or CaffeFileError
    among them.
    """
    theirs = {name: [list(b.shape) for b in blobs] for name, blobs in read_weights(source).items()}
    rates = {layer.name: layer.param[0].lr_mult for layer in read_net(net).layer if layer.param}
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch() as folder:
        fresh = folder / "fresh.caffemodel"
        shapes = caffe_process.dry_run(net, save=fresh, seed=seed)
        shapes.pop(DATA, None)
        theirs.pop(DATA, None)
        rows = compare(shapes, theirs, rates)
        copied = {row.layer for row in rows if row.fate == "copied"}
        if not copied:
            raise InputError(
                f"{source}: expected layers of {net} by name and shape, got none; its first is "
                f"{next(iter(theirs), 'none')}"
            )
        copy_weights(out, (source, copied), (fresh, shapes.keys() - copied))
    return rows


def report(options: argparse.Namespace) -> None:
    """Write the weights, and print what became of each layer."""
    rows = transfer(options.source, options.net, options.out, options.seed)
    print(table(rows))
    fates = [row.fate for row in rows]
    print(", ".join(f"{fates.count(f)} {f}" for f in ("copied", "resized", "new", "left")))
    if fast := out_of_step(rows):
        print(
            f"warning: {len(fast)} copied layers learn as fast as new ones, {fast[0]} for one; "
            "train_finetune.prototxt keeps them slow, as the paper",
            file=sys.stderr,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.train.transfer_weights",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument(
        "source", type=Path, help="a .caffemodel, as released for MPII's 14 landmarks say"
    )
    parser.add_argument(
        "net", type=Path, help="the network to start: our train.prototxt or train_finetune.prototxt"
    )
    parser.add_argument("--out", type=Path, required=True, help="the .caffemodel to write")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the layers that start at random (default: 0)"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    return program.run(_parser(), report, arguments)


if __name__ == "__main__":
    sys.exit(main())
