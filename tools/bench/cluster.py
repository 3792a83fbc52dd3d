"""A fit by one process and on the workers of a Dask cluster: time, memory, and a hundred of them.

Poses are tiled as tools.bench.prior has it, into a folder of files; each way fits to them in a
process of its own, and the model files are compared. Every pass is measured: what it takes to
compute, what its results weigh, and what it takes to merge them, which nobody does but the program
itself. From these a model of the cost says what other numbers of workers would take:

    seconds = here + sum over passes of max(compute / workers, chunks x (merge + task + transfer))

`here` is what no worker does: the first poses by themselves, seeds, and what is between the passes.
`task` is by how much longer one worker takes, by the chunk, all of it taken for work that is not
shared: the model is on the side of caution.
"""

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prior import cluster, fit_command, partitions, program
from prior.chunks import CHUNK, cores
from prior.fitting import fit
from tools import measured
from tools.arguments import add_mocap, add_out_file, read_mocap
from tools.bench.prior import tile
from tools.markdown import table

FILES = 8
# What the model takes the network of a cluster to carry, bytes a second: 1 Gbit/s.
NETWORK = 125e6
WORKERS = (1, 2, 10, 100)


class Meter:
    """Passes that are measured."""

    def __init__(self, passes: Callable[..., Iterator[Any]]) -> None:
        self._passes = passes
        # Of each pass over partitions: chunks, seconds of waiting and of merging, bytes of a chunk.
        self.passes: list[dict[str, float]] = []

    def over_rows(
        self, function: Callable[..., Any], rows: Any, *arrays: np.ndarray
    ) -> Iterator[Any]:
        """As chunks.over_rows."""
        results = self._passes(function, rows, *arrays)
        if isinstance(rows, np.ndarray):
            yield from results
            return
        waited = merged = received = 0.0
        chunks = 0
        while True:
            start = time.perf_counter()
            result = next(results, self)
            waited += time.perf_counter() - start
            if result is self:
                break
            if not chunks:
                received = len(pickle.dumps(result))
            chunks += 1
            start = time.perf_counter()
            yield result
            merged += time.perf_counter() - start
        sent = len(pickle.dumps(function)) / cluster.CHUNKS
        sent += sum(array.itemsize for array in arrays) * CHUNK
        self.passes.append({
            "chunks": chunks,
            "waited": waited,
            "merged": merged,
            "received": received,
            "sent": sent,
        })  # fmt: skip


class Memory(threading.Thread):
    """The most memory of its own that the process had, MB: without what is mapped from files."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mb = 0.0

    def run(self) -> None:
        while True:
            lines = Path("/proc/self/status").read_text().splitlines()
            anonymous = next(line for line in lines if line.startswith("RssAnon"))
            self.peak_mb = max(self.peak_mb, int(anonymous.split()[1]) / 1024)
            time.sleep(0.2)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One fit: seconds, memory, and its passes; the model goes to options.model."""
    memory = Memory()
    memory.start()
    address = None if options.way == "alone" else options.way
    poses = partitions.open_folder(options.folder)
    with fit_command.passes_of(address) as passes:
        meter = Meter(passes)
        start = time.perf_counter()
        model = fit.fit(
            poses,
            components=options.components,
            basis=options.basis,
            solver="closed-form",
            limit=options.limit,
            passes=meter.over_rows,
        )
        seconds = time.perf_counter() - start
    model.save(options.model)
    return {
        "way": options.way,
        "poses": len(poses),
        "cores": cores(),
        "seconds": seconds,
        "memory_mb": memory.peak_mb,
        "passes": meter.passes,
    }


def predicted(alone: dict[str, Any], one: dict[str, Any] | None, workers: int) -> float:
    """Seconds of the same fit on so many workers, by the model of the cost."""
    passes = alone["passes"]
    chunks = sum(p["chunks"] for p in passes)
    compute = alone["cores"] * sum(p["waited"] for p in passes)
    task = 0.0
    if one is not None:
        task = max(sum(p["waited"] for p in one["passes"]) - compute, 0) / chunks
    here = alone["seconds"] - sum(p["waited"] + p["merged"] for p in passes)
    total = here
    for p in passes:
        transfer = (p["received"] + p["sent"]) / NETWORK
        serial = p["merged"] + p["chunks"] * (task + transfer)
        total += max(alone["cores"] * p["waited"] / workers, serial)
    return total


def markdown(record: dict[str, Any]) -> str:
    """The runs, and the model, as text."""
    runs = record["runs"]
    alone = next(run for run in runs if run["way"] == "alone")
    one = next((run for run in runs if run["way"] == "local:1"), None)
    rows = [
        (
            {"alone": "one process"}.get(run["way"], f"{run['way'][6:]} workers"),
            f"{run['poses']:,}",
            f"{run['seconds']:.0f}",
            f"{run['memory_mb']:.0f}",
        )
        for run in runs
    ]
    passes = alone["passes"]
    chunks = sum(p["chunks"] for p in passes)
    compute = alone["cores"] * sum(p["waited"] for p in passes)
    lines = [
        table(("by", "poses", "s", "MB of its own"), rows),
        f"The files are {record['size_mb']:.0f} MB."
        + (f" Model files the same, to the byte: {record['same_bytes']}." if runs[1:] else ""),
        f"{len(passes)} passes over all poses; of a chunk of {CHUNK} poses, on the mean: "
        f"{1e3 * compute / chunks:.1f} ms to compute on a core, "
        f"{1e3 * sum(p['merged'] for p in passes) / chunks:.2f} ms to merge, "
        f"{sum(p['received'] * p['chunks'] for p in passes) / chunks / 1024:.0f} kB back and "
        f"{sum(p['sent'] * p['chunks'] for p in passes) / chunks / 1024:.0f} kB there.",
        table(
            ("workers", "s, by the model of the cost"),
            [(str(n), f"{predicted(alone, one, n):.0f}") for n in WORKERS],
        ),
    ]
    return "\n\n".join(lines)


def bench(options: argparse.Namespace) -> None:
    """Run all ways, each in a process of its own, and write what they took."""
    if options.way:
        print(json.dumps(measure(options)))
        return
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        folder = Path(scratch) / "poses"
        folder.mkdir()
        poses = np.concatenate([clip.poses for clip in read_mocap(options.mocap)])
        for i in range(FILES):
            tile(poses, options.poses // FILES, folder / f"{i}.npy", seed=i)
        size_mb = sum(file.stat().st_size for file in folder.iterdir()) / 2**20
        runs, models = [], []
        for way in ("alone", *(f"local:{n}" for n in options.workers)):
            command = [sys.executable, "-m", "tools.bench.cluster", "--way", way]
            command += ["--folder", str(folder), "--model", f"{scratch}/{way}.npz"]
            for name in ("components", "basis", "limit"):
                command += [f"--{name}", str(getattr(options, name))]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            runs.append(json.loads(done.stdout.splitlines()[-1]))
            models.append(Path(f"{scratch}/{way}.npz").read_bytes())
            print(f"{way}: {runs[-1]['seconds']:.0f} s", flush=True)
        same = len(set(models)) == 1
    record = {"size_mb": size_mb, "runs": runs, "same_bytes": same}
    measured.publish(options.out, record, markdown(record))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.cluster", description=__doc__, formatter_class=program.HelpFormatter
    )
    add_mocap(parser)
    parser.add_argument("--poses", type=int, default=1_000_000, metavar="N", help="how many")
    parser.add_argument(
        "--workers", type=int, nargs="*", default=[1, 2], metavar="N", help="numbers of workers"
    )
    parser.add_argument("--components", type=int, default=fit.COMPONENTS, metavar="K", help="K")
    parser.add_argument("--basis", type=int, default=fit.BASIS, metavar="J", help="J")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="alternations at J")
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="where the poses are put")
    add_out_file(parser, "build/bench/cluster.json")
    for name in ("--way", "--folder", "--model"):  # of one fit, which the others begin
        parser.add_argument(name, help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
