"""Times of the networks on this machine: python -m tools.bench.network --out network.json.

For each network this measures an iteration of training, forward and backward, and the forward pass
of the deployed network; what share of an iteration the project's Python layers take, and the wait
for data; and how long the same pose machine takes without these layers. OpenCV's dnn module runs
the deployed baseline as well, and its maps must be Caffe's. Layers are timed one by one; on a GPU,
which is waited for after each, whole iterations are timed besides, and its memory is measured. Each
network runs in a process of its own, once in each round: a machine's speed drifts, and rounds let
all networks meet that alike. The weights are random.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from tqdm import tqdm

from prior import program
from prior.errors import InputError
from tools import measured
from tools.arguments import add_gpu, add_out_file, natural, positive
from tools.caffe_io import process as caffe_process
from tools.caffe_io.files import read_net
from tools.caffe_io.process import ROOT
from tools.infer.device import compute_on, free_memory, gpu_name, waiter
from tools.markdown import table

NETWORKS = ("cpm", "lifting", "vgg/cpm", "vgg/lifting", "lite/cpm", "lite/lifting")
SMALL = ("small/cpm", "small/lifting")  # when they are asked for
# What the project aims at, as shares of an iteration: the Python layers, waiting for data.
AIMS = {"368 px": (0.03, 0.01), "lite": (0.10, 0.10)}
ROUNDS = 3
# Of each round. At 368 px one takes many seconds, and one image nearly fills the memory.
ITERATIONS = {"368 px": 2, "lite": 30}
BATCH = {"368 px": 1, "lite": 8}
# Not counted, before these. The lifting fills tables for the elevations that it meets: of each
# image one of 30 or so, then no more.
WARM = {"368 px": 1, "lite": 15}


class BenchError(InputError):
    """Why the measurement cannot go on, in one line."""


def kind(network):
    """ "lite", as small/ counts too, or "368 px"."""
    return "lite" if network.startswith(("lite/", "small/")) else "368 px"


def adapted(path, batch, data, model, workers=None):
    """The text of a network with other data, another prior and, in training, another batch size and
    number of workers."""
    net = read_net(path)
    for layer in net.layer:
        if layer.type == "Python":
            params = json.loads(layer.python_param.param_str)
            values = {"source": data, "model": model, "batch_size": batch, "workers": workers}
            for key, value in values.items():
                if key in params and value is not None:
                    params[key] = value
            layer.python_param.param_str = json.dumps(params)
    return text_format.MessageToString(net)


def measure(options, folder):
    """The times of the network options.one, in this process, which Caffe may abort: see `alone`."""
    import caffe

    network, gpu = options.one, options.gpu
    batch = options.batch or BATCH[kind(network)]
    free = None if gpu is None else free_memory(gpu)
    compute_on(gpu)
    caffe.set_random_seed(0)
    paths = {}
    for phase in "train", "deploy":
        paths[phase] = folder / f"{phase}.prototxt"
        original = ROOT / f"prototxt/{network}/{phase}.prototxt"
        text = adapted(original, batch, options.data, options.prior, options.workers)
        paths[phase].write_text(text)
    net = caffe.Net(str(paths["train"]), caffe.TRAIN)
    result = {"train": {"batch": batch} | timed(net, options, backward=True)}
    if free is not None:
        result["train"]["memory_mib"] = (free - free_memory(gpu)) >> 20
    weights = folder / "weights.caffemodel"
    net.save(str(weights))  # only now: normalisation has met its statistics
    net.layers[list(net._layer_names).index("pose_data")].stop()
    del net
    net = caffe.Net(str(paths["deploy"]), str(weights), caffe.TEST)
    if gpu is not None:
        for name in net.inputs:
            net.blobs[name].reshape(batch, *net.blobs[name].shape[1:])
        net.reshape()
    result["deploy"] = timed(net, options, backward=False)
    if network.endswith("cpm") and gpu is None:
        result["opencv"] = opencv(paths["deploy"], weights, net, options.iterations)
    return result


def timed(net, options, backward):
    """Median milliseconds of an iteration, by layer; the first ones, WARM, do not count."""
    iterations, warm = options.iterations, WARM[kind(options.one)]
    wait = waiter(options.gpu)
    layers = list(zip(net._layer_names, (layer.type for layer in net.layers), strict=True))
    count = len(layers)
    rounds = np.zeros((iterations + warm, 2, count))
    fill_inputs(net)
    for times in rounds:
        for i in range(count):
            began = time.perf_counter()
            net._forward(i, i)
            wait()
            times[0, i] = time.perf_counter() - began
        for i in reversed(range(count) if backward else ()):
            began = time.perf_counter()
            net._backward(i, i)
            wait()
            times[1, i] = time.perf_counter() - began
    rounds = 1000 * rounds[warm:]
    data = np.array([name == "pose_data" for name, _ in layers])
    python = np.array([type_ == "Python" for _, type_ in layers]) & ~data
    total = rounds.sum(axis=(1, 2))

    def median(values):
        return round(float(np.median(values)), 3)

    result = {"iteration_ms": median(total), "forward_ms": median(rounds[:, 0].sum(axis=1))}
    if backward:
        result["backward_ms"] = median(rounds[:, 1].sum(axis=1))
        result["data_ms"] = median(rounds[..., data].sum(axis=(1, 2)))
        result["data_share"] = round(result["data_ms"] / result["iteration_ms"], 5)
    result["python_ms"] = median(rounds[..., python].sum(axis=(1, 2)))
    result["python_share"] = round(result["python_ms"] / result["iteration_ms"], 5)
    if options.gpu is not None:
        result["whole_ms"] = whole(net, iterations, backward, wait)
    by_type = {}
    for (name, type_), spent in zip(layers, np.median(rounds, axis=0).sum(axis=0), strict=True):
        key = name.split("_stage")[0] if type_ == "Python" else type_
        by_type[key] = round(by_type.get(key, 0) + float(spent), 3)
    return result | {"ms_by_layer": by_type}


def whole(net, iterations, backward, wait):
    """Milliseconds of an iteration in which a GPU is given work as fast as it comes."""
    last = len(net.layers) - 1
    began = time.perf_counter()
    for _ in range(iterations):
        net._forward(0, last)
        if backward:
            net._backward(last, 0)
    wait()
    return round(1000 * (time.perf_counter() - began) / iterations, 3)


def fill_inputs(net):
    """Fill a deployed network's inputs: images with noise, the camera with a level one."""
    rng = np.random.default_rng(0)
    for name in net.inputs:
        blob = net.blobs[name]
        level = np.diag([1.0, -1.0, -1.0])
        blob.data[...] = level if name == "camera" else rng.uniform(-0.5, 0.5, blob.data.shape)


def opencv(deploy, weights, net, iterations):
    """OpenCV's time for the deployed baseline's forward, and how far its maps are from Caffe's."""
    import cv2

    last = [name for name in net.blobs if name.startswith("beliefs_stage")][-1]
    cv2.setNumThreads(int(os.environ["OPENBLAS_NUM_THREADS"]))
    other = cv2.dnn.readNetFromCaffe(str(deploy), str(weights))
    for name in net.inputs:
        other.setInput(net.blobs[name].data.copy(), name)
    spent = []
    for _ in range(iterations + 1):
        began = time.perf_counter()
        maps = other.forward(last)
        spent.append(time.perf_counter() - began)
    net.forward()
    expected = net.blobs[last].data
    difference = float(np.abs(maps - expected).max() / np.abs(expected).max())
    return {
        "forward_ms": round(1000 * float(np.median(spent[1:])), 3),
        "largest_difference": difference,  # of the last maps, in parts of their largest value
    }


def alone(network, options):
    """`measure` in a process of its own. Raises BenchError with the last error that it printed."""
    environment = caffe_process.environment() | {"OPENBLAS_NUM_THREADS": str(options.cores)}
    environment["GLOG_minloglevel"] = "2"
    iterations = options.iterations or ITERATIONS[kind(network)]
    command = [sys.executable, "-m", "tools.bench.network", "--one", network]
    command += ["--data", options.data, "--prior", options.prior, "--iterations", str(iterations)]
    command += ["--out", str(options.out)]
    for name in "gpu", "batch", "workers":
        if (value := getattr(options, name)) is not None:
            command += [f"--{name}", str(value)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchError(f"{network}: {caffe_process.last_error(done.stderr)}")
    return json.loads(done.stdout.splitlines()[-1])


def medians(rounds):
    """The median of each number over results of one shape; of a difference the largest."""
    first = rounds[0]
    if not isinstance(first, dict):
        return first if rounds.count(first) == len(rounds) else statistics.median(rounds)
    merged = {key: medians([result[key] for result in rounds]) for key in first}
    if "largest_difference" in first:
        merged["largest_difference"] = max(result["largest_difference"] for result in rounds)
    return merged


def markdown(record):
    """The content of network.json as a table, beside the aims."""
    if record.get("gpu"):
        return gpu_markdown(record)
    head = (
        "network",
        "batch",
        "iteration, ms",
        "forward, ms",
        "backward, ms",
        "times its pose machine",
        "Python layers (aim)",
        "data (aim)",
        "deployed, ms",
        "OpenCV's dnn, ms",
    )
    rows = []
    for network, result in record["networks"].items():
        train, aims = result["train"], AIMS[kind(network)]
        plain = record["networks"].get(network.removesuffix("lifting") + "cpm", {"train": train})
        ratio = train["iteration_ms"] / plain["train"]["iteration_ms"]
        rows.append(
            (
                network,
                train["batch"],
                round(train["iteration_ms"]),
                round(train["forward_ms"]),
                round(train["backward_ms"]),
                f"{ratio:.3f}" if plain["train"] is not train else None,
                f"{100 * train['python_share']:.2f} % (under {100 * aims[0]:.0f} %)",
                f"{100 * train['data_share']:.2f} % (under {100 * aims[1]:.0f} %)",
                round(result["deploy"]["forward_ms"]),
                round(result["opencv"]["forward_ms"]) if "opencv" in result else None,
            )
        )
    return (
        f"Medians of {record['rounds']} rounds, on {record['cores_used']} cores; the pose machine "
        "is the same network without the project's layers.\n\n" + table(head, rows)
    )


def gpu_markdown(record):
    """The content of a GPU's network.json as a table."""
    head = (
        *("network", "images in a batch", "trained, images a second", "times its pose machine"),
        *("Python layers", "waiting for data", "deployed, images a second", "memory, MiB"),
    )
    rows = []
    for network, result in record["networks"].items():
        train = result["train"]
        plain = record["networks"].get(network.removesuffix("lifting") + "cpm", result)["train"]
        rows.append(
            (
                network,
                train["batch"],
                f"{1000 * train['batch'] / train['whole_ms']:.1f}",
                f"{train['whole_ms'] / plain['whole_ms']:.3f}" if plain is not train else None,
                f"{100 * train['python_share']:.1f} %",
                f"{100 * train['data_share']:.1f} %",
                f"{1000 * train['batch'] / result['deploy']['whole_ms']:.1f}",
                train.get("memory_mib"),
            )
        )
    return (
        f"{record['gpu']}, {record['caffe']}; medians of {record['rounds']} rounds. Shares are of "
        "iterations in which the GPU is waited for after each layer.\n\n" + table(head, rows)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.network",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_out_file(parser, "build/bench/network.json")
    parser.add_argument(
        "--data",
        default="build/data/train.json",
        metavar="FILE",
        help="the annotations to train on, from the repository's root",
    )
    parser.add_argument(
        "--prior",
        default="build/prior.npz",
        metavar="FILE",
        help="the pose model, from the repository's root",
    )
    parser.add_argument(
        "--networks",
        nargs="+",
        choices=NETWORKS + SMALL,
        default=NETWORKS,
        metavar="NET",
        help=f"the networks to time, of {', '.join(NETWORKS + SMALL)} (default: all but the last "
        "two)",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        metavar="N",
        help="how many iterations count in each round (default: "
        f"{', '.join(f'{count} of a {name} network' for name, count in ITERATIONS.items())})",
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help="how often each is timed"
    )
    parser.add_argument(
        "--cores", type=int, default=2, metavar="N", help="the threads of the matrix products"
    )
    add_gpu(parser)
    parser.add_argument(
        "--batch",
        type=positive,
        metavar="N",
        help="images in an iteration (default: "
        f"{', '.join(f'{count} of a {name} network' for name, count in BATCH.items())})",
    )
    parser.add_argument(
        "--workers",
        type=natural,
        metavar="N",
        help="processes that make the data layer's batches (default: as each network says)",
    )
    # The times of one network, in the process that `alone` starts for it.
    parser.add_argument("--one", choices=NETWORKS + SMALL, help=argparse.SUPPRESS)
    return parser


def bench(options):
    """Time the networks; print and write the medians."""
    if options.one:
        with tempfile.TemporaryDirectory() as folder:
            times = measure(options, Path(folder))
        print(json.dumps(times))
        return
    for path in options.data, options.prior:
        if not (ROOT / path).is_file():
            raise BenchError(f"{path}: no such file; run make data and make prior")
    for name in "iterations", "rounds":
        if (value := getattr(options, name)) is not None and value < 1:
            raise BenchError(f"--{name}: expected 1 or more, got {value}")
    bar = tqdm(options.rounds * list(options.networks), "bench", unit="network", disable=None)
    rounds = [(network, alone(network, options)) for network in bar]
    results = {
        network: medians([times for name, times in rounds if name == network])
        for network in options.networks
    }
    content = {
        "gpu": None if options.gpu is None else gpu_name(options.gpu),
        "caffe": caffe_process.caffe_root().name,
        "cores_used": options.cores,
        "rounds": options.rounds,
        "networks": results,
    }
    measured.publish(options.out, content, markdown(content))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
