"""Time and memory of learning the prior, from thousands of poses to a million.

Real motion capture is tiled to each number of poses, every copy with a yaw and noise of its own,
into a file that is mapped, not read; a process of its own fits the prior to it. The floor is the
time of the matrix products that the fit cannot avoid, measured on the same cores in the same run:
for each rotation half-step the projections on the basis and the scatter matrix, for each EM
iteration the projections on the basis of every component and one scatter matrix.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from prior import program
from prior.camera import turned
from prior.chunks import CHUNK, cores, each_chunk
from prior.fitting import fit
from prior.fitting.alignment import SOLVERS, Step
from prior.skeleton import L
from tools import measured
from tools.arguments import add_mocap, add_out_file, read_mocap
from tools.markdown import table

# How poses are aligned, by name: the paper's way, and the default with each solver.
AS_PUBLISHED = "as-published"
WAYS = (*SOLVERS, AS_PUBLISHED)

# Each landmark of a copy is moved by so much, so that no two poses are equal.
NOISE_MM = 10.0


def tile(poses: Float[np.ndarray, "N 17 3"], count: int, path: Path, seed: int = 0) -> None:
    """Write `count` poses, float32, to an .npy file: the poses over and over, turned and noisy."""
    random = np.random.default_rng(seed)
    tiled = np.lib.format.open_memmap(path, "w+", np.float32, (count, L, 3))
    for i in range(0, count, CHUNK):
        size = min(CHUNK, count - i)
        copies = poses[random.integers(0, len(poses), size)]
        copies = turned(copies, random.uniform(-np.pi, np.pi, size))
        tiled[i : i + size] = copies + random.normal(size=copies.shape) * NOISE_MM
    tiled.flush()


def measure(path: Path, way: str, components: int, basis: int) -> dict[str, Any]:
    """Fit to the poses in a file in one of WAYS, once: times (s), counts and memory (MB)."""
    poses = np.load(path, mmap_mode="r")
    steps: list[Step] = []
    start = time.perf_counter()
    published = way == AS_PUBLISHED
    method = {} if published else {"solver": way}
    aligned = fit.align(poses, basis, as_published=published, progress=steps.append, **method)
    middle = time.perf_counter()
    model = fit.mix(aligned, components, progress=steps.append)
    end = time.perf_counter()
    own, workers = (
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    rotations = [step for step in steps if step.half_step == "rotation"]
    iterations = [step.poses for step in steps if step.half_step == "EM"]
    floor = products([(step.basis, step.poses) for step in rotations])
    if aligned.method.extrapolate:
        # At J, a pass for the scatter alone follows every two rotation half-steps.
        floor += products([(0, step.poses / 2) for step in rotations if step.basis == basis])
    floor_em = products([(None, rows) for rows in iterations], [basis] * model.components)
    worse = [step.worse for step in rotations if step.worse is not None]
    return {
        "solver": way,
        "poses": len(poses),
        "components": model.components,
        "basis": basis,
        "seconds": end - start,
        "alignment_seconds": middle - start,
        "em_seconds": end - middle,
        "rotation_half_steps": len(rotations),
        "rotation_half_steps_of_all": sum(step.poses == len(poses) for step in rotations),
        "em_iterations": len(iterations),
        "em_iterations_of_all": sum(rows == 2 * len(poses) for rows in iterations),
        "us_per_pose_and_half_step": 1e6 * (middle - start) / sum(s.poses for s in rotations),
        "floor_seconds": floor + floor_em,
        "ratio_to_floor": (end - start) / (floor + floor_em),
        "alignment_ratio_to_floor": (middle - start) / floor,
        "em_ratio_to_floor": (end - middle) / floor_em,
        "peak_memory_mb": own + (cores() * workers if way != "closed-form" else 0),
        "nll": aligned.alignment.history[-1].nll,
        "log_likelihood": model.meta["em_log_likelihood"][-1],
        "worse_minima_last": worse[-1] if worse else None,
    }


def products(passes: Sequence[tuple[int | None, float]], projections: Sequence[int] = ()) -> float:
    """Seconds that the matrix products of passes over rows take.

    passes: (basis size, count of rows) of each. The rows are projected on a basis of that size and
    the mean, as a rotation half-step does (0 and None: not), and on bases of the sizes
    `projections`; a scatter matrix is made of them.
    """
    rows = np.random.default_rng(0).normal(size=(CHUNK, 3 * L))
    sample = 16 * CHUNK

    def multiply(size: int | None) -> None:
        if size:
            rows[:, : 2 * L] @ np.ones((2 * L, 2 * size + 2))
            rows[:, 2 * L :] @ np.ones((L, size + 1))
        for other in projections:
            rows @ np.ones((3 * L, other))
        rows.T @ rows

    def seconds(size: int | None) -> float:
        best = np.inf
        for _ in range(5):
            start = time.perf_counter()
            for _ in each_chunk(lambda where: multiply(size), sample):
                pass
            best = min(best, time.perf_counter() - start)
        return best / sample

    each = {size: seconds(size) for size in {size for size, _ in passes}}
    return sum(each[size] * count for size, count in passes)


def markdown(record: dict[str, Any]) -> str:
    """The content of prior.json as a table, a row for each fit."""
    columns = (
        "solver",
        "poses",
        "total, s",
        "alignment, s",
        "EM, s",
        "half-steps (of all poses)",
        "EM iterations (of all)",
        "µs a pose and half-step",
        "times the floor",
        "memory, MB",
        "NLL",
        "worse minima",
    )
    rows = [
        (
            fit["solver"],
            fit["poses"],
            fit["seconds"],
            fit["alignment_seconds"],
            fit["em_seconds"],
            f"{fit['rotation_half_steps']} ({fit['rotation_half_steps_of_all']})",
            f"{fit['em_iterations']} ({fit['em_iterations_of_all']})",
            f"{fit['us_per_pose_and_half_step']:.2f}",
            fit["ratio_to_floor"],
            round(fit["peak_memory_mb"]),
            f"{fit['nll']:.2f}",
            fit["worse_minima_last"],
        )
        for fit in record["fits"]
    ]
    first = record["fits"][0]
    return (
        f"K = {first['components']}, J = {first['basis']}; tiled from {record['tiled_from']}\n\n"
        + table(columns, rows)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.prior",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_out_file(parser, "build/bench/prior.json")
    add_mocap(parser)
    parser.add_argument(
        "--poses",
        type=int,
        nargs="+",
        default=[10_000, 100_000, 1_000_000],
        metavar="N",
        help="the numbers of poses to fit to",
    )
    parser.add_argument(
        "--solvers",
        nargs="+",
        choices=WAYS,
        default=["closed-form", "ceres", "ceres-one-start"],
        metavar="SOLVER",
        help="each is measured: a solver of the rotation half-step, or all as the paper says; "
        f"{', '.join(WAYS)}",
    )
    parser.add_argument(
        "--components",
        type=int,
        default=fit.COMPONENTS,
        metavar="K",
        help="the components of the mixture",
    )
    parser.add_argument(
        "--basis", type=int, default=fit.BASIS, metavar="J", help="the size of the basis"
    )
    # One fit, in the process that `bench` starts for it.
    parser.add_argument("--fit", nargs=3, metavar=("NPY", "SOLVER", "JSON"), help=argparse.SUPPRESS)
    return parser


def bench(options: argparse.Namespace) -> None:
    """Measure a fit for each solver and number of poses; print and write the table."""
    if options.fit:
        path, solver, out = options.fit
        result = measure(Path(path), solver, options.components, options.basis)
        Path(out).write_text(json.dumps(result))
        return
    clips = read_mocap(options.mocap)
    poses = np.concatenate([clip.poses for clip in clips])
    poses = poses - poses.mean(axis=1, keepdims=True)
    results = []
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out.parent) as folder:
        runs = [(count, solver) for solver in options.solvers for count in sorted(options.poses)]
        for count, solver in tqdm(runs, desc="fit", unit="run"):
            path, out = Path(folder) / f"{count}.npy", Path(folder) / "result.json"
            if not path.exists():
                tile(poses, count, path)
            sizes = ["--components", str(options.components), "--basis", str(options.basis)]
            subprocess.run(
                [sys.executable, "-m", "tools.bench.prior", *sizes, "--fit", path, solver, out],
                check=True,
            )
            results.append(json.loads(out.read_text()))
    report = {
        "tiled_from": f"{len(poses)} poses of {len(clips)} clips",
        "noise_mm": NOISE_MM,
        "fits": results,
    }
    measured.publish(options.out, report, markdown(report))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
