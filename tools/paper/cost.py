"""What the paper's training and evaluation cost: python -m tools.paper.cost.

Prints the table of tools/paper/README.md. Times on the CPU are those of the record of `make
bench-network`. No GPU was measured: for one the table has the arithmetic of the convolutions,
counted (prototxt.sizes), over the rate that is assumed of it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from prior import program
from prototxt import sizes
from tools.markdown import table
from tools.paper import needs
from tools.paper.__main__ import PROTOTXT, solver_of

NETWORKS = ("cpm", "lifting", "vgg/cpm", "vgg/lifting")
BATCH = 8  # of the fine-tuning, as the paper's authors
# Of protocol 1: each fifth frame of S9 and S11 before all cameras, about; and CPM's five scales.
IMAGES, SCALES = 108_000, 5
# An iteration works forward and back, to the weights and to the maps: three times a forward pass.
BACKWARD = 3
# Sustained float32 operations a second that a GPU is assumed to reach in these convolutions.
RATES = (5e12, 20e12)


def operations(net: str) -> int:
    """Floating-point operations of a deployed network's convolutions for one input: those of the
    pose machine beside it in prototxt/, since lifting has none. Needs Caffe."""
    machine = PROTOTXT / Path(net).with_name("cpm") / "deploy.prototxt"
    return 2 * sizes.size(machine).multiplications


def rows(gpu_rates: Sequence[float] = RATES) -> list[tuple[str, ...]]:
    """For each network its fine-tuning and its evaluation."""
    result = []
    for net in NETWORKS:
        known, _ = needs.rates(net)
        iterations = solver_of(net)[0].max_iter
        work = operations(net)
        for what, images, factor, seconds, machines in (
            ("fine-tuning", iterations * BATCH, BACKWARD, known.train, None),
            ("evaluation", IMAGES * SCALES, 1, known.deploy, 4),
        ):
            cpu = seconds * images
            result.append(
                (
                    net,
                    what,
                    f"{images:,}",
                    f"{factor * work / 1e9:.0f}",
                    f"{factor * work / seconds / 1e9:.0f}",
                    needs.duration(cpu),
                    needs.duration(cpu / machines) if machines else "the same",
                    *(needs.duration(images * factor * work / rate) for rate in gpu_rates),
                )
            )
    return result


def show(options: argparse.Namespace) -> None:
    """Print the table."""
    _, machine = needs.rates("")
    head = (
        "network",
        "",
        "images",
        "GFLOP an image",
        "GFLOP/s of the CPU",
        "the CPU",
        "four such",
        *(f"one GPU at {rate:g} TFLOP/s" for rate in options.tflops),
    )
    print(f"The CPU: {machine}.\n\n" + table(head, rows([1e12 * rate for rate in options.tflops])))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.paper.cost", description=__doc__, formatter_class=program.HelpFormatter
    )
    parser.add_argument(
        "--tflops",
        type=float,
        nargs="+",
        default=[rate / 1e12 for rate in RATES],
        metavar="N",
        help="10^12 float32 operations a second that a GPU is assumed to sustain",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), show, arguments)


if __name__ == "__main__":
    sys.exit(main())
