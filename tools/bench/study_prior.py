"""What the steps of the alignment are worth, on motion capture of your own.

Aligns the same poses from different starts and in different ways, each until it has converged, and
compares the objective, the PPCA negative log-likelihood per pose: Tomasi-Kanade's start against
random yaws, the growing basis against J at once, Ceres against the closed form.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

from prior import mocap
from prior.files import replacing, write
from prior.fitting import alignment
from prior.fitting.fit import BASIS
from prior.mocap import deepmimic, sampling
from prior.normalise import NormalisedPoses
from prior.program import one_line_errors

RANDOM_STARTS = 3

# Yaws that differ by more than this count as different.
SAME_YAW = 0.01


def variants(count):
    """The alignments compared: name -> arguments of alignment.align."""
    found = {
        "closed form": {"solver": "closed-form"},
        "Ceres": {"solver": "ceres"},
        "J at once": {"solver": "closed-form", "annealed": False},
        "10 alternations a size": {"solver": "closed-form", "alternations": 10},
    }
    random = np.random.default_rng(0)
    for i in range(RANDOM_STARTS):
        yaw = random.uniform(-np.pi, np.pi, count)
        found[f"random start {i + 1}"] = {"solver": "closed-form", "yaw": yaw}
        found[f"random start {i + 1}, J at once"] = {
            "solver": "closed-form",
            "yaw": yaw,
            "annealed": False,
        }
    return found


def study(poses_mm, basis):
    """Compare the variants on poses (N, 17, 3), mm: (rows for the table, histories of Steps)."""
    poses = NormalisedPoses(poses_mm)
    rows, histories, reference = [], {}, None
    for name, arguments in tqdm(variants(len(poses)).items(), desc="align", unit="way"):
        start = time.perf_counter()
        aligned = alignment.align(poses, basis, tolerance=1e-5, limit=1000, **arguments)
        reference = reference or aligned
        apart = np.angle(np.exp(1j * (aligned.yaw - reference.yaw)))
        worse = [step.worse for step in aligned.history if step.worse is not None]
        rows.append(
            {
                "way": name,
                "nll": aligned.history[-1].nll,
                "above_first": aligned.history[-1].nll - rows[0]["nll"] if rows else 0.0,
                "half_steps": sum(step.half_step == "rotation" for step in aligned.history),
                "other_yaw": float(np.mean(np.abs(apart) > SAME_YAW)),
                "worse_minima": [int(max(worse)), int(worse[-1])] if worse else None,
                "seconds": time.perf_counter() - start,
            }
        )
        histories[name] = aligned.history
    return rows, histories


def draw(histories):
    """A figure of the objective over the half-steps of each way."""
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    lowest = min(history[-1].nll for history in histories.values())
    for name, history in histories.items():
        nll = [step.nll - lowest for step in history if step.half_step == "rotation"]
        axes.plot(np.maximum(nll, 1e-5), label=name, linestyle="--" if "at once" in name else "-")
    axes.set_yscale("log")
    axes.set_xlabel("rotation half-step")
    axes.set_ylabel("NLL per pose above the lowest reached")
    axes.legend()
    return figure


@one_line_errors(ValueError, OSError)
def main(arguments=None):
    """Run the study; returns its exit status."""
    parser = argparse.ArgumentParser(
        "python -m tools.bench.study_prior",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("clips", type=Path, nargs="*", help="motion capture; DeepMimic's if none")
    parser.add_argument("--rate", type=float, default=10.0, help="frames per second, at most")
    parser.add_argument("--basis", type=int, default=BASIS, help="J")
    parser.add_argument("--out", type=Path, default=Path("build/study"), help="a folder")
    options = parser.parse_args(arguments)
    paths = options.clips or deepmimic.find_clips()
    clips = [sampling.to_rate(c, options.rate) for path in paths for c in mocap.read(path)]
    rows, histories = study(np.concatenate([clip.poses for clip in clips]), options.basis)
    print(
        f"{sum(len(clip.poses) for clip in clips)} poses of {len(clips)} clips, J = {options.basis}"
    )
    print(f"{'':26s} NLL per pose  above the first  half-steps  other yaw  worse minima  seconds")
    for row in rows:
        worse = "{} to {}".format(*row["worse_minima"]) if row["worse_minima"] else ""
        print(
            f"{row['way']:26s} {row['nll']:12.4f} {row['above_first']:16.4f} "
            f"{row['half_steps']:11d} {row['other_yaw']:10.1%} {worse:>13s} "
            f"{row['seconds']:8.1f}"
        )
    write(options.out / "alignment.json", json.dumps(rows, indent=1) + "\n")
    with replacing(options.out / "alignment.png") as temporary:
        draw(histories).savefig(temporary, dpi=120)
    print(f"wrote {options.out}/alignment.json and alignment.png")


if __name__ == "__main__":
    sys.exit(main())
