"""How fast a network is evaluated: python -m tools.bench.evaluation --out FILE.json.

Images a second of tools.infer.estimator, which tools.evaluate and tools.infer.predict run on, by
inputs in a batch and by workers, beside one image after the other; at one scale and at two, each
mirrored too. The images are those of tools.bench.feed, the weights random. Beside the rate stands
the CPU time of an image, of all processes: it is steadier where the machine has other work.
"""

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

import prior
from prior import program
from prior.errors import InputError
from python_layers.data import annotations
from tools import measured
from tools.arguments import add_gpu, add_out_file, positive
from tools.bench import feed
from tools.bench.network import adapted
from tools.caffe_io.process import ROOT
from tools.infer.device import BATCH
from tools.infer.estimator import Estimator, Network, annotated
from tools.markdown import table

UNMEASURED = {"images_per_second": 0.0, "cpu_ms": float("inf")}
VIEWS = {"one scale": {}, "two scales, mirrored too": {"scales": (0.9, 1.0), "flip": True}}


def write_weights(deploy, path):
    """Weights as the fillers give them, with normalisation that changes nothing."""
    import caffe

    caffe.set_random_seed(0)
    net = caffe.Net(str(deploy), caffe.TEST)
    for layer in net.layers:
        if layer.type == "BatchNorm":
            for blob, value in zip(layer.blobs, (0, 1, 1), strict=True):
                blob.data[...] = value
    net.save(str(path))


def rate(estimator, people, images):
    """Images a second, and the CPU time of an image, ms: of this process and its workers."""

    def person(i):
        return annotated(people, i % len(people))

    began, before = time.perf_counter(), os.times()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # random weights put some where nobody can be
        count = sum(1 for _ in estimator.estimates(range(images), person))
    passed = time.perf_counter() - began
    # User and system time, its own and of the workers, which have ended.
    spent = sum(os.times()[:4]) - sum(before[:4])
    return count / passed, 1000 * spent / count


def measure(options, people, network, model):
    """The rates, as evaluation.json holds them: one image after the other first."""
    workers = max(1, len(os.sched_getaffinity(0)) - 1)
    ways = [(1, 0), (BATCH, 0), *((batch, workers) for batch in options.batches)]
    rates = [
        {"views": views, "batch": batch, "workers": count} | UNMEASURED
        for views in VIEWS
        for batch, count in ways
    ]
    for _ in tqdm(range(options.rounds), "bench", unit="round", disable=None):
        for way in rates:
            network.batch = way["batch"]
            estimator = Estimator(
                network, model=model, workers=way["workers"], **VIEWS[way["views"]]
            )
            speed, spent = rate(estimator, people, options.images)
            way["images_per_second"] = max(way["images_per_second"], speed)
            way["cpu_ms"] = min(way["cpu_ms"], spent)
    return rates


def markdown(record):
    """The content of evaluation.json as a table."""
    one_by_one = {w["views"]: w for w in reversed(record["rates"])}
    rows = [
        (
            w["views"],
            w["batch"],
            w["workers"],
            f"{w['images_per_second']:.1f}",
            f"{w['images_per_second'] / one_by_one[w['views']]['images_per_second']:.2f}",
            f"{w['cpu_ms']:.0f}",
            f"{w['cpu_ms'] / one_by_one[w['views']]['cpu_ms']:.2f}",
        )
        for w in record["rates"]
    ]
    head = (
        *("shown at", "inputs in a batch", "workers"),
        *("images a second", "times one by one", "CPU time, ms", "times one by one"),
    )
    return (
        f"{record['network']}, {record['images']} images in a round, best of {record['rounds']} "
        f"rounds, {'on a GPU' if record['gpu'] is not None else 'on the CPU'}. When it began "
        f"{record['load']:.0f} other jobs were running on the machine.\n\n" + table(head, rows)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.evaluation",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_out_file(parser, "build/bench/evaluation.json")
    parser.add_argument(
        "--network", default="lite/lifting", metavar="NET", help="a folder of prototxt/"
    )
    parser.add_argument(
        "--batches", type=positive, nargs="+", default=[8, 32], metavar="N", help="with workers"
    )
    parser.add_argument("--images", type=positive, default=64, metavar="N", help="in a round")
    parser.add_argument(
        "--rounds", type=positive, default=3, metavar="N", help="how often each is measured"
    )
    add_gpu(parser)
    return parser


def bench(options):
    """Measure, print and write the rates."""
    if not (ROOT / "prototxt" / options.network / "deploy.prototxt").is_file():
        raise InputError(f"--network {options.network}: expected a folder of prototxt/, got none")
    model, load = prior.load(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deploy, weights = folder / "deploy.prototxt", folder / "weights.caffemodel"
        model.save(folder / "prior.npz")
        original = ROOT / f"prototxt/{options.network}/deploy.prototxt"
        deploy.write_text(adapted(original, 1, None, str(folder / "prior.npz")))
        write_weights(deploy, weights)
        feed.write_photographs(folder / "photographs.pack")
        people = annotations.load(folder / "photographs.pack")
        rates = measure(options, people, Network(deploy, weights, options.gpu), model)
    result = {
        "load": load,
        "network": options.network,
        "gpu": options.gpu,
        "images": options.images,
        "rounds": options.rounds,
        "rates": rates,
    }
    measured.publish(options.out, result, markdown(result))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
