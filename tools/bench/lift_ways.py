"""What the lens, the detector's doubt and its own noise are worth, and what the paper's way is.

    python -m tools.bench.lift_ways --mocap CLIP_OR_FOLDER ... [--out build/bench/lift-ways.json]

Models with one component and three are fitted to four fifths of the clips. Poses of the others
are seen by cameras like Human3.6M's, with noise of which each landmark has its own share, and are
lifted in each of WAYS. Nothing is tuned on the poses that are measured.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import prior
from prior import mocap, program, selection
from prior.files import write
from prior.lifting.lift import lifter_for
from prior.lifting.lifter import AS_PUBLISHED, NOISE_MM
from prior.simulation import INTRINSICS, Simulation, room
from tools import measured
from tools.arguments import add_mocap, add_out_file, read_mocap
from tools.bench.lift_accuracy import at_most, errors
from tools.markdown import table

BASIS = 25
COMPONENTS = (1, 3)
NOISES_PX = (0, 5, 10, 20)
# What the noise of a landmark is, as a share of all landmarks' root mean square, at least.
LEAST_SHARE = 0.3
# A detector's covariance where there is no noise: rounding.
ROUNDING_PX = 0.3


class Way(NamedTuple):
    """How a Lifter is made, and what `lift` gets besides the points and cameras."""

    how: dict[str, Any]
    lens: bool = False
    covariance: bool = False


WAYS = {
    "as published": Way(AS_PUBLISHED),
    f"weak perspective, noise_mm {NOISE_MM:g}": Way({"noise_mm": NOISE_MM}),
    "+ its own noise": Way({"noise_mm": "auto"}),
    "+ its own noise, lens": Way({"noise_mm": "auto"}, lens=True),
    "+ covariance, lens": Way({"noise_mm": "auto"}, lens=True, covariance=True),
}


def measure(clips: Sequence[mocap.Clip], seed: int, count: int) -> dict[str, Any]:
    """Errors, mm, and poses a second, by model, noise and way."""
    training, held = (
        np.concatenate([clip.poses for clip in part])
        for part in selection.split(clips, "clip", seed)
    )
    images = room(at_most(held, count), seed)
    random = np.random.default_rng(seed)
    share = random.uniform(LEAST_SHARE, 2, images.points.shape[:2])
    share /= np.sqrt(np.square(share).mean())
    rows = []
    for components in COMPONENTS:
        model = prior.fit(
            training, components=components, basis=BASIS, solver="closed-form", seed=seed
        )
        for noise_px in tqdm(NOISES_PX, desc=f"K = {components}", unit="noise"):
            std = np.maximum(noise_px * share, ROUNDING_PX)
            points = images.points + (noise_px > 0) * std[..., None] * random.normal(
                size=images.points.shape
            )
            rows += [
                {"components": components, "noise_px": noise_px, "way": name}
                | lift_in(way, model, images, points, std)
                for name, way in WAYS.items()
            ]
    return {"training_poses": len(training), "held_out_poses": len(images.truth), "rows": rows}


def lift_in(
    way: Way, model: prior.PriorModel, images: Simulation, points: np.ndarray, std: np.ndarray
) -> dict[str, Any]:
    """Errors and poses a second of a Way; the tables of the cameras are made before the clock."""
    arguments: dict[str, Any] = {"camera": images.cameras}
    if way.lens:
        arguments["intrinsics"] = INTRINSICS
    if way.covariance:
        arguments["covariance"] = np.square(std)[..., None, None] * np.eye(2)
    lifter = lifter_for(model, points, arguments, **way.how)
    lifter.lift(points, **arguments)
    start = time.perf_counter()
    lifted = lifter.lift(points, **arguments)
    seconds = time.perf_counter() - start
    return {
        "noise_mm": lifter.noise_mm,
        "errors_mm": errors(lifted.pose, images.truth),
        "poses_per_second": len(points) / seconds,
    }


def markdown(record: dict[str, Any]) -> str:
    """The record as tables, one for each model."""
    noises = list(dict.fromkeys(row["noise_px"] for row in record["rows"]))
    ways = list(dict.fromkeys(row["way"] for row in record["rows"]))
    parts = [
        f"{record['training_poses']:,} poses to learn from, {record['held_out_poses']:,} held out; "
        "3D error with the hip aligned and the scale known, and after Procrustes, mm, by the 2D "
        "noise; a camera for each pose"
    ]
    for components in dict.fromkeys(row["components"] for row in record["rows"]):
        own = {
            (row["way"], row["noise_px"]): row
            for row in record["rows"]
            if row["components"] == components
        }
        head = [f"K = {components}", *(f"{px} px" for px in noises), "poses a second, at 5 px"]
        rows = [
            [
                way,
                *(
                    "{root, known scale:.1f} / {Procrustes:.1f}".format(**own[way, px]["errors_mm"])
                    for px in noises
                ),
                int(own[way, 5]["poses_per_second"]),
            ]
            for way in ways
        ]
        parts.append(table(head, rows))
    return "\n\n".join(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.lift_ways",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_mocap(parser)
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="the seed of all that is random"
    )
    parser.add_argument(
        "--poses",
        type=int,
        default=1000,
        metavar="N",
        help="the number of held-out poses, at most",
    )
    add_out_file(parser, "build/bench/lift-ways.json")
    return parser


def bench(options: argparse.Namespace) -> None:
    """Measure all ways; print and write the tables."""
    clips = read_mocap(options.mocap)
    record = {"measured": measured.stamp()} | measure(clips, options.seed, options.poses)
    write(options.out, json.dumps(record, indent=1) + "\n")
    print(markdown(record))
    print(f"wrote {options.out}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
