"""A trained network of ours as ONNX graphs, which run where there is no Caffe.

    python -m tools.infer.export DEPLOY CAFFEMODEL --out FOLDER
    python -m tools.infer.predict FOLDER photo.jpg --out predicted.json

FOLDER gets part1.onnx, ..., and network.json: the order in which they are run, and the lifting in
between, which stays outside and needs the pose model. Before anything is written, the graphs are
run beside Caffe, where it is installed, and must give the same.
"""

import argparse
import importlib.util
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import prior
from prior import program
from prior.camera import LEVEL
from prior.errors import InputError
from prior.files import scratch, write
from tools import measured
from tools.arguments import add_network
from tools.caffe_io.files import read_net, read_weights
from tools.infer import onnx_graphs
from tools.infer.estimator import Network, label_sigma
from tools.infer.onnx_network import DOCUMENT, FORMAT, OnnxNetwork

# How far a map may be from Caffe's: sums of float32 in another order.
TOLERANCE = 1e-4
KEPT = re.compile(r"(beliefs|fused)_stage\d+")  # the maps that an Estimator reads
EXAMPLES = 3  # random images that are compared


def export(options: argparse.Namespace) -> None:
    """Write the graphs and network.json, and say what was compared; see the module."""
    net, weights = read_net(options.deploy), read_weights(options.weights)
    document, models = converted(net, weights)
    document |= {
        "network": measured.portable(str(options.deploy)),
        "weights": measured.portable(str(options.weights)),
    }
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"{options.out}: expected a folder, or a new name")
    with scratch() as folder:
        save(folder, document, models)
        line = "not compared: there is no Caffe here"
        if importlib.util.find_spec("caffe"):
            worst = difference(options.deploy, options.weights, folder, options.prior)
            line = f"at most {worst:.1e} from Caffe's maps, on {EXAMPLES} random images"
    save(options.out, document, models)
    print(f"{options.out}: {len(models)} graphs, {line}")


def converted(net: Any, weights: onnx_graphs.Weights) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(the content of network.json, {file: the bytes of its graph}) of a NetParameter.

    Raises InputError on a network that is not of prototxt/, or has a layer that ONNX cannot say.
    """
    inputs = (layer for layer in net.layer if layer.type == "Input")
    sizes = {layer.top[0]: layer.input_param.shape[0].dim for layer in inputs}
    if not any("beliefs_stage1" in layer.top for layer in net.layer) or "data" not in sizes:
        raise InputError(
            "expected a deploy network of prototxt/, with data and beliefs_stage1; those that were "
            "released by others have converters of their own"
        )
    steps = onnx_graphs.convert(net, weights, lambda name: KEPT.fullmatch(name) is not None)
    models, listed = {}, []
    for step in steps:
        record: dict[str, Any] = {"kind": step.kind, "takes": step.takes, "gives": step.gives}
        if step.model is not None:
            record["file"] = f"{step.model.graph.name}.onnx"
            models[record["file"]] = step.model.SerializeToString()
        else:
            record["parameters"] = step.parameters
        listed.append(record)
    size, maps = sizes["data"][2], steps[0].model.graph.output[0].type.tensor_type.shape.dim[2]
    stride = size // maps.dim_value
    sigmas = [step.parameters["sigma"] for step in steps if step.kind == "project"]
    fusion = [weights[n] for n in sorted(weights) if re.fullmatch(r"fusion_stage\d+", n)]
    return {
        "format": FORMAT,
        "name": net.name,
        "input": size,
        "stride": stride,
        "sigma": stride * sigmas[0] if sigmas else label_sigma(size),
        "fusion": [float(np.clip(blobs[0], 0, 1).mean()) for blobs in fusion],
        "steps": listed,
    }, models


def save(folder: Path, document: dict[str, Any], models: dict[str, bytes]) -> None:
    """Write the graphs, and network.json last."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in models.items():
        write(folder / name, data)
    write(folder / DOCUMENT, json.dumps(document, indent=1) + "\n")


def difference(deploy: Path, weights: Path, folder: Path, model: Path | None) -> float:
    """The largest difference of a map from Caffe's, on random images.

    Raises InputError where it is above TOLERANCE.
    """
    one = Network(deploy, weights)
    other = OnnxNetwork(folder, prior.load(model) if model else None)
    random = np.random.default_rng(0)
    inputs = [
        (
            random.uniform(-0.5, 0.5, (3, one.size, one.size)),
            random.uniform(0, 1, (one.size, one.size)),
            LEVEL,
        )
        for _ in range(EXAMPLES)
    ]
    # Before the first lifting, where a tie between two maxima would be decided otherwise.
    names = [
        name for name in one.by_stage("beliefs") + one.by_stage("fused") if name in other.blobs
    ]
    ours, caffes = other.run(inputs, names), one.run(inputs, names)
    worst = {name: float(np.abs(ours[name] - caffes[name]).max()) for name in names}
    for name, value in worst.items():
        if not value <= TOLERANCE:
            raise InputError(
                f"{name}: expected to be within {TOLERANCE} of Caffe's, got {value:.1e}"
            )
    return max(worst.values())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.infer.export", description=__doc__, formatter_class=program.HelpFormatter
    )
    add_network(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="to write into")
    parser.add_argument(
        "--prior",
        type=Path,
        metavar="FILE",
        help="the pose model for the comparison (default: the one that the network names)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), export, arguments)


if __name__ == "__main__":
    sys.exit(main())
