"""What the paper's training and evaluation cost: python -m tools.paper.cost.

Prints the table of tools/paper/README.md. Times on the CPU and on a GPU are those of the records of
`make bench-network`. For another GPU, --tflops gives the arithmetic of the convolutions, counted
(prototxt.sizes), over a rate that is assumed of it.
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


def operations(net: str) -> int:
    """Floating-point operations of a deployed network's convolutions for one input: those of the
    pose machine beside it in prototxt/, since lifting has none. Needs Caffe."""
    machine = PROTOTXT / Path(net).with_name("cpm") / "deploy.prototxt"
    return 2 * sizes.size(machine).multiplications


def rows(assumed: Sequence[float]) -> list[tuple[str, ...]]:
    """For each network its fine-tuning and its evaluation. assumed: float32 operations a second of
    other GPUs."""
    result = []
    for net in NETWORKS:
        (known, _), (gpu, _) = needs.rates(net), needs.gpu_rates(net)
        iterations = solver_of(net)[0].max_iter
        work = operations(net)
        for what, images, factor, seconds, on_gpu, machines in (
            ("fine-tuning", iterations * BATCH, BACKWARD, known.train, gpu.train, None),
            ("evaluation", IMAGES * SCALES, 1, known.deploy, gpu.deploy, 4),
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
                    f"{factor * work / on_gpu / 1e9:,.0f}",
                    needs.duration(on_gpu * images),
                    *(needs.duration(images * factor * work / rate) for rate in assumed),
                )
            )
    return result


def show(options: argparse.Namespace) -> None:
    """Print the table."""
    _, machine = needs.rates("")
    _, gpu = needs.gpu_rates(NETWORKS[0])
    head = (
        "network",
        "",
        "images",
        "GFLOP an image",
        "GFLOP/s of the CPU",
        "the CPU",
        "four such",
        "GFLOP/s of the GPU",
        "the GPU",
        *(f"a GPU at {rate:g} TFLOP/s" for rate in options.tflops),
    )
    print(
        f"The CPU: {machine}. The GPU: one {gpu}.\n\n"
        + table(head, rows([1e12 * rate for rate in options.tflops]))
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.paper.cost", description=__doc__, formatter_class=program.HelpFormatter
    )
    parser.add_argument(
        "--tflops",
        type=float,
        nargs="+",
        default=[],
        metavar="N",
        help="10^12 float32 operations a second that another GPU is assumed to sustain",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), show, arguments)


if __name__ == "__main__":
    sys.exit(main())
