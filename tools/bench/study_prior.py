"""What the steps of the alignment are worth, on the carried motion and on your motion capture.

Aligns the same poses from different starts and in different ways, each until it has converged, and
compares the objective, the PPCA negative log-likelihood per pose: Tomasi-Kanade's start against
random yaws, the growing basis against J at once, Ceres from one start and from both valleys against
the closed form, and the paper's way as a whole (which makes a fixed number of alternations).
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from prior import mocap, program
from prior.files import replacing
from prior.fitting import alignment
from prior.fitting.alignment import AS_PUBLISHED, FACTORISATIONS, Alignment, Method
from prior.fitting.fit import BASIS
from prior.mocap import motion, sampling
from prior.normalise import NormalisedPoses
from tools import measured
from tools.arguments import CARRIED
from tools.markdown import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A tenth of the default's, so that what is left to gain does not blur the comparison.
TOLERANCE = 1e-5
LIMIT = 1000

RANDOM_STARTS = 3

# Yaws that differ by more than this, in radians, count as different.
SAME_YAW = 0.01

# Yaws that differ by more than this count as in different valleys, which are roughly opposite to
# each other.
SAME_VALLEY = np.pi / 2


@dataclass(frozen=True)
class Way:
    """A way to align: its method, and the seed of the random yaws that it starts from, or None for
    Tomasi-Kanade's."""

    method: Method
    seed: int | None = None


def ways() -> dict[str, Way]:
    """The ways compared, by name; the first is what the others are compared with."""
    base = Method("closed-form", tolerance=TOLERANCE, limit=LIMIT)
    at_once = replace(base, annealed=False)
    result = {
        "closed form": Way(base),
        "Ceres": Way(replace(base, solver="ceres")),
        "Ceres from one start": Way(replace(base, solver="ceres-one-start")),
        "real factorisation": Way(replace(base, factorisation="real")),
        "as published": Way(AS_PUBLISHED),
        "J at once": Way(at_once),
        "10 alternations a size": Way(replace(base, alternations=10)),
    }
    for seed in range(RANDOM_STARTS):
        result[f"random start {seed + 1}"] = Way(base, seed)
        result[f"random start {seed + 1}, J at once"] = Way(at_once, seed)
    return result


def start(poses: NormalisedPoses, way: Way) -> Float[np.ndarray, "N"]:
    """The yaws from which this way starts."""
    if way.seed is not None:
        return np.random.default_rng(way.seed).uniform(-np.pi, np.pi, len(poses))
    return FACTORISATIONS[way.method.factorisation](poses).yaw


def other_valley(yaw: Float[np.ndarray, "N"], best: Float[np.ndarray, "N"]) -> int:
    """How many of the yaws are in another valley than the best ones."""
    return int(np.count_nonzero(_apart(yaw, best) > SAME_VALLEY))


def _apart(a: Float[np.ndarray, "N"], b: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    return np.abs(np.angle(np.exp(1j * (a - b))))


def study(
    poses_mm: Float[np.ndarray, "N 17 3"], basis: int, names: Sequence[str]
) -> tuple[list[dict[str, Any]], dict[str, Alignment]]:
    """Compare the named ways on poses, mm: a row of the table for each, and the alignments."""
    poses = NormalisedPoses(poses_mm)
    rows: list[dict[str, Any]] = []
    alignments: dict[str, Alignment] = {}
    for name in tqdm(names, desc="align", unit="way"):
        way, before = ways()[name], time.perf_counter()
        yaw = start(poses, way)
        aligned = alignment.align(poses, basis, way.method, yaw=yaw)
        seconds = time.perf_counter() - before
        alignments[name] = aligned
        best = alignments[names[0]].yaw
        worse = [step.worse for step in aligned.history if step.worse is not None]
        nll = aligned.history[-1].nll
        rows.append(
            {
                "way": name,
                "nll": nll,
                "above_first": nll - alignments[names[0]].history[-1].nll,
                "converged": aligned.converged,
                "half_steps": sum(step.half_step == "rotation" for step in aligned.history),
                "other_yaw": float(np.mean(_apart(aligned.yaw, best) > SAME_YAW)),
                "other_valley": {
                    "start": other_valley(yaw, best),
                    "end": other_valley(aligned.yaw, best),
                },
                "worse_minima": {"most": max(worse), "last": worse[-1]} if worse else None,
                "seconds": seconds,
            }
        )
    return rows, alignments


def draw(alignments: dict[str, Alignment]) -> "Figure":
    """A figure of the objective over the half-steps of each way."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    lowest = min(aligned.history[-1].nll for aligned in alignments.values())
    for name, aligned in alignments.items():
        nll = [step.nll - lowest for step in aligned.history if step.half_step == "rotation"]
        axes.plot(np.maximum(nll, 1e-5), label=name, linestyle="--" if "at once" in name else "-")
    axes.set_yscale("log")
    axes.set_xlabel("rotation half-step")
    axes.set_ylabel("NLL per pose above the lowest reached")
    axes.legend()
    return figure


def markdown(record: dict[str, Any]) -> str:
    """The content of alignment.json as tables, one for each set."""
    head = (
        "",
        "NLL per pose",
        "above the first",
        "half-steps",
        "other yaw",
        "other valley, at the start and the end",
        "worse minima, most to last",
        "seconds",
    )
    parts = []
    for study_set in record["sets"]:
        rows = []
        for way in study_set["ways"]:
            worse = way["worse_minima"]
            rows.append(
                (
                    way["way"],
                    f"{way['nll']:.4f}",
                    f"{way['above_first']:.4f}",
                    way["half_steps"],
                    f"{100 * way['other_yaw']:.1f} %",
                    "{start} to {end}".format(**way["other_valley"]),
                    f"{worse['most']} to {worse['last']}" if worse else None,
                    way["seconds"],
                )
            )
        parts.append(
            f"{study_set['set']}: {study_set['poses']:,} poses of {study_set['clips']} clips, "
            f"J = {record['basis']}"
        )
        parts.append(table(head, rows))
    return "\n\n".join(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.study_prior",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument(
        "clips",
        type=Path,
        nargs="*",
        metavar="CLIP_OR_FOLDER",
        help="motion capture; each argument is a set of its own, after the motion that the project "
        "carries",
    )
    parser.add_argument(
        "--poses",
        type=int,
        default=CARRIED,
        metavar="N",
        help="how many are taken of the motion that the project carries, equally many of each kind",
    )
    parser.add_argument(
        "--rate", type=float, default=10.0, metavar="HZ", help="how many frames a second are kept"
    )
    parser.add_argument(
        "--basis", type=int, default=BASIS, metavar="J", help="the size of the basis"
    )
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=list(ways()),
        default=list(ways()),
        metavar="WAY",
        help="the ways to compare, of which the first is what the others are compared with "
        f"(default: all of {', '.join(ways())})",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/study"),
        metavar="FOLDER",
        help="the folder for alignment.json and the figures",
    )
    return parser


def study_sets(options: argparse.Namespace) -> None:
    """Compare the ways on each set; write and print tables, and draw a figure for each set."""
    # All are read first, so that one that cannot be read is known before hours of work.
    named_clips = [("the carried motion", sampling.balanced(motion.load(), options.poses))]
    named_clips += [
        (path.stem, [sampling.to_rate(clip, options.rate) for clip in mocap.read(path)])
        for path in options.clips
    ]
    results = []
    for number, (name, clips) in enumerate(named_clips):
        poses = np.concatenate([clip.poses for clip in clips])
        tqdm.write(f"{name}: {len(poses)} poses of {len(clips)} clips")
        rows, alignments = study(poses, options.basis, options.ways)
        results.append({"set": name, "poses": len(poses), "clips": len(clips), "ways": rows})
        with replacing(options.out / f"alignment-{number + 1}.png") as temporary:
            draw(alignments).savefig(temporary, dpi=120)
    report = {"basis": options.basis, "sets": results}
    measured.publish(options.out / "alignment.json", report, markdown(report))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), study_sets, arguments)


if __name__ == "__main__":
    sys.exit(main())
