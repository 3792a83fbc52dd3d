"""How fast training is fed: python -m tools.bench.feed --out build/bench/feed.json.

Images a second of the data layer's batches, 368 px with CPM's augmentation, by the number of its
workers, beside the floor: the same processes that only read and decode the same images. Without
--data these are photographs of scikit-learn, as large as Human3.6M's frames are packed. Rounds of
both take turns, since a machine's speed drifts; the best of each counts. Beside the rate stands the
CPU time of an image, of all processes: it is steadier where the machine has other work.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_sample_images
from tqdm import tqdm

from prior import program
from prior.errors import InputError
from prior.skeleton import L
from python_layers.data import annotations, packed
from python_layers.data.prefetch import Prefetcher
from python_layers.data.samples import Samples
from tools import measured
from tools.arguments import add_out_file, positive
from tools.markdown import table

SIDE = (
    900  # px, of the photographs: about Human3.6M's, round a person and what augmentation reaches
)
QUALITY = 95  # of their JPEGs, as tools.convert.h36m writes them
PHOTOGRAPHS = 32


def samples_of(people, batch):
    """The Samples that the data layer makes of annotated people when CPM is trained."""
    from python_layers.pose_data import Params  # needs Caffe

    return Samples([(people, 1)], Params(source=people.path, batch_size=batch, augment=True))


def write_photographs(path):
    """A packed file of PHOTOGRAPHS photographs with a made-up person in each."""
    rng = np.random.default_rng(0)
    sources = load_sample_images().images
    with packed.Writer(path, {}) as writer:
        for i in range(PHOTOGRAPHS):
            whole = sources[i % len(sources)][..., ::-1]
            left = int(rng.integers(whole.shape[1] - whole.shape[0]))
            part = np.ascontiguousarray(whole[:, left : left + whole.shape[0]])
            photograph = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            _, data = cv2.imencode(".jpg", photograph, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            points = rng.uniform([350, 250], [550, 650], size=(L, 2))
            person = {
                "keypoints": np.c_[points, np.full(L, 2)].ravel().tolist(),
                "bbox": [330.0, 230, 240, 440],
            }
            image = {"file_name": f"{i}.jpg", "width": SIDE, "height": SIDE}
            writer.add(image, [person], data.tobytes())


class Costed:
    """Makes batches as `make` does, in any process, and adds up their CPU time."""

    def __init__(self, make):
        self.make = make
        self.seconds, self.batches = (multiprocessing.Value("d") for _ in range(2))

    def __call__(self, position, arrays):
        began = time.process_time()
        result = self.make(position, arrays)
        for sum_, one in ((self.seconds, time.process_time() - began), (self.batches, 1)):
            with sum_:
                sum_.value += one
        return result


def rate(make, shapes, batch, workers, batches):
    """Images a second of a Prefetcher's batches, those that were made ahead before do not count;
    and the CPU time of an image, ms, of the workers and of the process that fetches."""
    costed = Costed(make)
    prefetcher = Prefetcher(costed, shapes, batch, workers)
    arrays = [np.empty(shape, np.float32) for shape in shapes]
    try:
        ahead = 1 + 2 * workers
        for i in range(ahead):
            prefetcher.get(i * batch, arrays)
        began, before = time.perf_counter(), time.process_time()
        for i in range(ahead, ahead + batches):
            prefetcher.get(i * batch, arrays)
        passed = time.perf_counter() - began
        fetching = (time.process_time() - before) / batches if workers else 0.0
    finally:
        prefetcher.stop()
    spent = costed.seconds.value / costed.batches.value + fetching
    return batch * batches / passed, 1000 * spent / batch


def measure(people, batch, workers, batches, rounds):
    """The rates with a number of workers, as feed.json holds them."""
    samples = samples_of(people, batch)

    def decode(position, arrays):
        for row in range(batch):
            people.image((position + row) % len(people))

    best = {
        "images_per_second": 0.0,
        "decoded_per_second": 0.0,
        "cpu_ms": float("inf"),
        "decoding_cpu_ms": float("inf"),
    }
    for _ in range(rounds):
        for speed, cpu, make, shapes in (
            ("images_per_second", "cpu_ms", samples.batch, samples.shapes),
            ("decoded_per_second", "decoding_cpu_ms", decode, ((1,),)),
        ):
            faster, spent = rate(make, shapes, batch, workers, batches)
            best[speed], best[cpu] = max(best[speed], faster), min(best[cpu], spent)
    share = best["images_per_second"] / best["decoded_per_second"]
    return {"workers": workers, **best, "share_of_floor": share}


def markdown(record):
    """The content of feed.json as a table."""
    rows = [
        (
            r["workers"],
            f"{r['images_per_second']:.0f}",
            f"{r['decoded_per_second']:.0f}",
            f"{100 * r['share_of_floor']:.0f} %",
            f"{r['cpu_ms']:.1f}",
            f"{r['decoding_cpu_ms']:.1f}",
        )
        for r in record["rates"]
    ]
    head = (
        *("workers", "images a second", "decoded alone, images a second", "share of the floor"),
        *("CPU time, ms", "of decoding alone, ms"),
    )
    return (
        f"368 px, batches of {record['batch']}, from {record['images']} images of "
        f"{record['side_px']:.0f} px and {record['jpeg_kb']:.0f} kB in the mean; best of "
        f"{record['rounds']} rounds; 0 workers: in the process that trains. Decoding alone is of "
        "whole images; a sample's is of one of half the size where less is needed. When it began "
        f"{record['load']:.0f} other jobs were running on the machine."
        "\n\n" + table(head, rows)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.feed", description=__doc__, formatter_class=program.HelpFormatter
    )
    add_out_file(parser, "build/bench/feed.json")
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="annotations to read (default: photographs)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        nargs="+",
        metavar="N",
        help="the numbers of workers (default: 0, 1, 2, 4, ... as far as there are cores)",
    )
    parser.add_argument("--batch", type=positive, default=8, metavar="N", help="images in a batch")
    parser.add_argument(
        "--batches", type=positive, default=12, metavar="N", help="batches in a round"
    )
    parser.add_argument(
        "--rounds", type=positive, default=3, metavar="N", help="how often each is measured"
    )
    return parser


def bench(options):
    """Measure, print and write the rates."""
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    workers = options.workers or [0, *(n for n in (1, 2, 4, 8, 16, 32) if n <= cores)]
    if min(workers) < 0:
        raise InputError(f"--workers: expected 0 or more, got {min(workers)}")
    with tempfile.TemporaryDirectory() as folder:
        path = options.data or Path(folder) / "photographs.pack"
        if not options.data:
            write_photographs(path)
        people = annotations.load(path)
        sizes = [len(people.store.read(people.crowd.image[i])) for i in range(len(people))]
        rates = [
            measure(people, options.batch, count, options.batches, options.rounds)
            for count in tqdm(workers, "bench", disable=None)
        ]
    result = {
        "load": load,
        "batch": options.batch,
        "rounds": options.rounds,
        "images": len(people),
        "side_px": float(np.sqrt(people.image_sizes.prod(axis=1)).mean()),
        "jpeg_kb": float(np.mean(sizes)) / 1000,
        "rates": rates,
    }
    measured.publish(options.out, result, markdown(result))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
