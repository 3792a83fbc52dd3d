"""How large the networks are: python -m prototxt.sizes.

    python -m prototxt.sizes            a table of parameters and of an image's multiplications

The convolutions' alone, of the deploy networks, which is all but a thousandth. Needs pycaffe on
PYTHONPATH.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from prior import program
from prior.errors import InputError

HERE = Path(__file__).resolve().parent
CONVOLUTIONS = ("Convolution", "Deconvolution")


class Size(NamedTuple):
    """Of the convolutions of a network."""

    parameters: int
    multiplications: int  # with an addition each, of one image


def size(deploy: Path) -> Size:
    """The Size of a deploy network. Raises InputError where there is none."""
    if not deploy.is_file():
        raise InputError(f"{deploy}: no such file; expected a folder of networks")
    import caffe  # --help works without it

    net = caffe.Net(str(deploy), caffe.TEST)
    parameters = multiplications = 0
    for name, layer in zip(net._layer_names, net.layers, strict=True):
        if layer.type in CONVOLUTIONS:
            parameters += sum(blob.count for blob in layer.blobs)
            # Each weight meets each cell once: of the output, or of a deconvolution's input.
            tops, bottoms = net.top_names[name], net.bottom_names[name]
            cells = net.blobs[(tops if layer.type == "Convolution" else bottoms)[0]].shape[2:]
            multiplications += layer.blobs[0].count * int(np.prod(cells))
    return Size(parameters, multiplications)


def table(folders: Sequence[Path]) -> str:
    """The Sizes of the networks in folders, as Markdown."""
    lines = ["| network | parameters | multiplications of an image |", "| --- | --- | --- |"]
    for folder in folders:
        p, m = size(folder / "deploy.prototxt")
        name = folder.relative_to(HERE) if folder.is_relative_to(HERE) else folder
        lines.append(f"| `{name}/` | {p / 1e6:.2f} million | {m / 1e9:.3g} billion |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m prototxt.sizes", description=__doc__, formatter_class=program.HelpFormatter
    )
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        metavar="FOLDER",
        help="folders with a deploy.prototxt (default: the pose machines of this one)",
    )
    return parser


def report(options: argparse.Namespace) -> None:
    """Print the table that the options ask for."""
    print(table(options.folders or sorted(HERE.glob("**/cpm"))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), report, arguments)


if __name__ == "__main__":
    sys.exit(main())
