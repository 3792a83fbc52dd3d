"""Time and memory of learning the prior, from thousands of poses to a million.

Real motion capture is tiled to each number of poses, every copy with a yaw and noise of its own,
into a file that is mapped, not read; a process of its own fits the prior to it. The floor is the
time of the matrix products that the fit cannot avoid, measured on the same cores in the same run:
of each rotation half-step the projections on the basis and the scatter matrix, of each EM iteration
the projections on every component's basis and one scatter matrix.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

import prior
from prior import mocap
from prior.camera import turned
from prior.chunks import CHUNK, cores, each_chunk
from prior.files import write
from prior.mocap import deepmimic
from prior.program import one_line_errors
from prior.skeleton import L

# Each landmark of a copy is moved by so much, so that no two poses are equal.
NOISE_MM = 10.0


def tile(poses, count, path):
    """Write `count` poses, float32, to an .npy file: the poses over and over, turned and noisy."""
    random = np.random.default_rng(0)
    out = np.lib.format.open_memmap(path, "w+", np.float32, (count, L, 3))
    for i in range(0, count, CHUNK):
        size = min(CHUNK, count - i)
        copies = poses[random.integers(0, len(poses), size)]
        copies = turned(copies, random.uniform(-np.pi, np.pi, size))
        out[i : i + size] = copies + random.normal(size=copies.shape) * NOISE_MM
    out.flush()


def measure(path, solver, components, basis):
    """Fit to the poses in a file, once: a dict of times (s), counts and memory (MB)."""
    poses = np.load(path, mmap_mode="r")
    steps, times = [], []

    def progress(step):
        steps.append(step)
        times.append(time.perf_counter())

    start = time.perf_counter()
    model = prior.fit(poses, components=components, basis=basis, solver=solver, progress=progress)
    end = time.perf_counter()
    align_end = max(t for t, step in zip(times, steps, strict=True) if step.half_step != "EM")
    own, workers = (
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    rotations = [step for step in steps if step.half_step == "rotation"]
    iterations = [step.poses for step in steps if step.half_step == "EM"]
    turned_poses = sum(step.poses for step in rotations)
    # At J, a pass for the scatter alone follows every two rotation half-steps.
    floor = products([(step.basis, step.poses) for step in rotations])
    floor += products([(0, step.poses / 2) for step in rotations if step.basis == basis])
    floor_em = products([(None, rows) for rows in iterations], [basis] * model.components)
    worse = [step.worse for step in steps if step.worse is not None]
    return {
        "solver": solver,
        "poses": len(poses),
        "components": model.components,
        "basis": basis,
        "seconds": end - start,
        "alignment_seconds": align_end - start,
        "em_seconds": end - align_end,
        "rotation_half_steps": len(rotations),
        "rotation_half_steps_of_all": sum(step.poses == len(poses) for step in rotations),
        "em_iterations": len(iterations),
        "em_iterations_of_all": sum(rows == 2 * len(poses) for rows in iterations),
        "us_per_pose_and_half_step": 1e6 * (align_end - start) / turned_poses,
        "floor_seconds": floor + floor_em,
        "ratio_to_floor": (end - start) / (floor + floor_em),
        "alignment_ratio_to_floor": (align_end - start) / floor,
        "em_ratio_to_floor": (end - align_end) / floor_em,
        "peak_memory_mb": own + (cores() * workers if solver == "ceres" else 0),
        "nll": [step.nll for step in steps if step.half_step != "EM"][-1],
        "log_likelihood": model.meta["em_log_likelihood"][-1],
        "worse_minima_last": worse[-1] if worse else None,
    }


def products(passes, projections=()):
    """Seconds that the matrix products of some passes over rows take: passes are (basis size, count
    of rows); in each the rows are projected on a basis of that size and the mean, as a rotation
    half-step does (0 and None: not), and on bases of the sizes `projections`, and a scatter matrix
    is made of them."""
    rows = np.random.default_rng(0).normal(size=(CHUNK, 3 * L))
    sample = 16 * CHUNK

    def multiply(size):
        if size:
            rows[:, : 2 * L] @ np.ones((2 * L, 2 * size + 2))
            rows[:, 2 * L :] @ np.ones((L, size + 1))
        for other in projections:
            rows @ np.ones((3 * L, other))
        rows.T @ rows

    def seconds(size):
        best = np.inf
        for _ in range(5):
            start = time.perf_counter()
            for _ in each_chunk(lambda where: multiply(size), sample):
                pass
            best = min(best, time.perf_counter() - start)
        return best / sample

    each = {size: seconds(size) for size in {size for size, _ in passes}}
    return sum(each[size] * count for size, count in passes)


def _table(results):
    columns = (
        "solver",
        "poses",
        "total, s",
        "alignment, s",
        "EM, s",
        "half-steps (all)",
        "EM iterations (all)",
        "us/pose/half-step",
        "x floor",
        "memory, MB",
    )
    rows = [
        (
            r["solver"],
            f"{r['poses']:,d}",
            f"{r['seconds']:.1f}",
            f"{r['alignment_seconds']:.1f}",
            f"{r['em_seconds']:.1f}",
            f"{r['rotation_half_steps']} ({r['rotation_half_steps_of_all']})",
            f"{r['em_iterations']} ({r['em_iterations_of_all']})",
            f"{r['us_per_pose_and_half_step']:.2f}",
            f"{r['ratio_to_floor']:.1f}",
            f"{r['peak_memory_mb']:.0f}",
        )
        for r in results
    ]
    return "\n".join(
        "  ".join(
            cell.rjust(len(name) if name != "solver" else 11)
            for cell, name in zip(row, columns, strict=True)
        )
        for row in [columns, *rows]
    )


@one_line_errors(ValueError, OSError)
def main(arguments=None):
    """Run the benchmark; returns its exit status."""
    parser = argparse.ArgumentParser("python -m tools.bench.prior", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench/prior.json"))
    parser.add_argument("--mocap", type=Path, nargs="+", help="by default DeepMimic's clips")
    parser.add_argument("--poses", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--solvers", nargs="+", default=["closed-form", "ceres"])
    parser.add_argument("--components", type=int, default=3)
    parser.add_argument("--basis", type=int, default=25)
    parser.add_argument("--fit", nargs=3, metavar=("NPY", "SOLVER", "JSON"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.fit:
        path, solver, out = options.fit
        result = measure(path, solver, options.components, options.basis)
        Path(out).write_text(json.dumps(result))
        return 0
    paths = options.mocap or deepmimic.find_clips()
    clips = [clip for path in paths for clip in mocap.read(path)]
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
        "cores": cores(),
        "tiled_from": f"{len(poses)} poses of {len(clips)} clips",
        "noise_mm": NOISE_MM,
        "fits": results,
    }
    write(options.out, json.dumps(report, indent=1) + "\n")
    print(_table(results))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    sys.exit(main())
