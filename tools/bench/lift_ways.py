"""What the lens, the detector's doubt, robustness and its own noise are worth, one after another,
what the paper's way is, and what a regression does instead; with a detector's gross errors too.

    python -m tools.bench.lift_ways --mocap CLIP_OR_FOLDER ... [--out build/bench/lift-ways.json]

Models with one component and three are fitted to four fifths of the clips. Poses of the others
are seen by cameras like Human3.6M's, with noise of which each landmark has its own share, and are
lifted in each of WAYS; then again with some landmarks anywhere in the box around the person. The
regression is the MLP of tools.bench.lift_accuracy, which learns from the same poses, with noise but
no gross errors. How the robust way depends on its two numbers is measured on poses to learn from.
Nothing is tuned on the poses that are measured.
"""

import argparse
import itertools
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

import prior
from prior import mocap, program, selection
from prior.lifting import outliers
from prior.lifting.lift import lifter_for
from prior.lifting.lifter import AS_PUBLISHED, NOISE_MM
from prior.simulation import INTRINSICS, Simulation, room
from tools import measured
from tools.arguments import add_mocap, add_out_file, add_seed, read_mocap
from tools.bench.lift_accuracy import at_most, errors, mlp
from tools.markdown import table

BASIS = 25
COMPONENTS = (1, 3)
# Noise, px, and the share of landmarks that are anywhere.
CONDITIONS = tuple((px, wrong) for wrong in (0.0, 0.05) for px in (0, 5, 10, 20))
# What is tried for the two numbers of prior.lifting.outliers, and under which of these.
WITH_ERRORS = (5, 0.05)
FREEDOMS = (2.0, 4.0, 8.0)
DOUBTS = (9.0, 12.0, 16.0, 20.0, 30.0)
# Poses that the regression learns from, at most, each in so many views: some minutes.
LEARNED, VIEWS = 12_000, 4
# What the noise of a landmark is, as a share of all landmarks' root mean square, at least.
LEAST_SHARE = 0.3
# A detector's covariance where there is no noise: rounding.
ROUNDING_PX = 0.3


class Way(NamedTuple):
    """How a Lifter is made, and what `lift` gets besides the points and cameras."""

    how: dict[str, Any]
    lens: bool = False
    covariance: bool = False
    robust: bool = False


WAYS = {
    "as published": Way(AS_PUBLISHED),
    f"weak perspective, noise_mm {NOISE_MM:g}": Way({"noise_mm": NOISE_MM}),
    "+ perspective": Way({"noise_mm": NOISE_MM}, lens=True),
    "+ covariance": Way({"noise_mm": NOISE_MM}, lens=True, covariance=True),
    "+ robust": Way({"noise_mm": NOISE_MM}, lens=True, covariance=True, robust=True),
    "perspective, its own noise": Way({"noise_mm": "auto"}, lens=True),
    "perspective, its own noise, robust": Way({"noise_mm": "auto"}, lens=True, robust=True),
    "+ its own noise": Way({"noise_mm": "auto"}, lens=True, covariance=True, robust=True),
}
# Its place is beside the models, of which it is none.
REGRESSION = "MLP 512-512"


def measure(clips: Sequence[mocap.Clip], seed: int, count: int) -> dict[str, Any]:
    """Errors, mm, and poses a second, by model, noise and way."""
    training, held = (
        np.concatenate([clip.poses for clip in part])
        for part in selection.split(clips, "clip", seed)
    )
    images = room(at_most(held, count), seed)
    rows, numbers = by_regression(at_most(training, LEARNED), images, seed), []
    for components in COMPONENTS:
        model = prior.fit(
            training, components=components, basis=BASIS, solver="closed-form", seed=seed
        )
        for noise_px, wrong in tqdm(CONDITIONS, desc=f"K = {components}", unit="noise"):
            points, std = detected(images, noise_px, wrong, seed)
            rows += [
                {"components": components, "noise_px": noise_px, "outliers": wrong, "way": name}
                | lift_in(way, model, images, points, std)
                for name, way in WAYS.items()
            ]
        if components == 1:
            numbers = by_numbers(model, room(at_most(training, count // 3), seed + 1), seed)
    return {
        "training_poses": len(training),
        "held_out_poses": len(images.truth),
        "rows": rows,
        "robust_on_training_poses": numbers,
    }


def by_regression(
    training: Float[np.ndarray, "M L 3"], images: Simulation, seed: int
) -> list[dict[str, Any]]:
    """Rows of the regression, in which no number of components is named."""
    learned = mlp(training, VIEWS, seed)
    rows = []
    for noise_px, wrong in CONDITIONS:
        points, _ = detected(images, noise_px, wrong, seed)
        start = time.perf_counter()
        pose = learned.lift(points, images.cameras)
        seconds = time.perf_counter() - start
        rows.append(
            {
                "components": None,
                "noise_px": noise_px,
                "outliers": wrong,
                "way": REGRESSION,
                "errors_mm": errors(pose, images.truth),
                "poses_per_second": len(points) / seconds,
            }
        )
    return rows


def detected(
    images: Simulation, noise_px: float, wrong: float, seed: int
) -> tuple[Float[np.ndarray, "N L 2"], Float[np.ndarray, "N L"]]:
    """(points with noise, of which the share `wrong` is anywhere in the person's box; the noise's
    standard deviations, px)."""
    random = np.random.default_rng(seed)
    share = random.uniform(LEAST_SHARE, 2, images.points.shape[:2])
    share /= np.sqrt(np.square(share).mean())
    std = np.maximum(noise_px * share, ROUNDING_PX)
    noise = random.normal(size=images.points.shape)
    points = images.points + (noise_px > 0) * std[..., None] * noise
    low, high = (of(images.points, axis=1, keepdims=True) for of in (np.min, np.max))
    anywhere = low + random.random(points.shape) * (high - low)
    bad = random.random(points.shape[:2]) < wrong
    return np.where(bad[..., None], anywhere, points), std


def by_numbers(model: prior.PriorModel, images: Simulation, seed: int) -> list[dict[str, Any]]:
    """Errors of the robust way by its two numbers."""
    points, std = detected(images, *WITH_ERRORS, seed)
    rows = []
    kept = outliers.FREEDOM, outliers.DOUBT
    try:
        for freedom, doubt in tqdm(itertools.product(FREEDOMS, DOUBTS), desc="its numbers"):
            outliers.FREEDOM, outliers.DOUBT = freedom, doubt
            own = lift_in(WAYS["perspective, its own noise, robust"], model, images, points, std)
            rows.append({"freedom": freedom, "doubt": doubt, "errors_mm": own["errors_mm"]})
    finally:
        outliers.FREEDOM, outliers.DOUBT = kept
    return rows


def lift_in(
    way: Way, model: prior.PriorModel, images: Simulation, points: np.ndarray, std: np.ndarray
) -> dict[str, Any]:
    """Errors and poses a second of a Way; the tables of the cameras are made before the clock."""
    arguments: dict[str, Any] = {"camera": images.cameras}
    if way.lens:
        arguments["intrinsics"] = INTRINSICS
    if way.covariance:
        arguments["covariance"] = np.square(std)[..., None, None] * np.eye(2)
    if way.robust:
        arguments["robust"] = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of poses that cannot be lifted: they count as they are
        return timed(way, model, images, points, arguments)


def timed(
    way: Way,
    model: prior.PriorModel,
    images: Simulation,
    points: np.ndarray,
    arguments: dict[str, Any],
) -> dict[str, Any]:
    """`lift_in` with these arguments of `lift`."""
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
    # Before there were gross errors, records had none.
    conditions = list(
        dict.fromkeys((row["noise_px"], row.get("outliers", 0)) for row in record["rows"])
    )
    ways = list(dict.fromkeys(row["way"] for row in record["rows"]))
    parts = [
        f"{record['training_poses']:,} poses to learn from, {record['held_out_poses']:,} held out; "
        "3D error with the hip aligned and the scale known, and after Procrustes, mm, by the 2D "
        "noise; a camera for each pose"
    ]
    for components in dict.fromkeys(row["components"] for row in record["rows"]):
        if components is None:
            continue
        own = {
            (row["way"], row["noise_px"], row.get("outliers", 0)): row
            for row in record["rows"]
            if row["components"] in (components, None)
        }
        titles = [f"{px} px" + f", {wrong:.0%} wrong" * (wrong > 0) for px, wrong in conditions]
        head = [f"K = {components}", *titles, "poses a second, at 5 px"]
        rows = [
            [
                way,
                *(
                    "{root, known scale:.1f} / {Procrustes:.1f}".format(
                        **own[way, *condition]["errors_mm"]
                    )
                    for condition in conditions
                ),
                int(own[way, 5, 0]["poses_per_second"]),
            ]
            for way in ways
        ]
        parts.append(table(head, rows))
    numbers = record.get("robust_on_training_poses")
    if numbers:
        parts.append(by_numbers_table(numbers))
    return "\n\n".join(parts)


def by_numbers_table(numbers: list[dict[str, Any]]) -> str:
    """Errors of the robust way by its two numbers, with a sentence before them."""
    px, wrong = WITH_ERRORS
    error = {(n["freedom"], n["doubt"]): n["errors_mm"]["root, known scale"] for n in numbers}
    doubts = list(dict.fromkeys(doubt for _, doubt in error))
    rows = [
        [f"{freedom:g} degrees of freedom", *(f"{error[freedom, doubt]:.1f}" for doubt in doubts)]
        for freedom in dict.fromkeys(freedom for freedom, _ in error)
    ]
    head = ["", *(f"doubted from {doubt:g}" for doubt in doubts)]
    return (
        f"The robust way's two numbers, on poses to learn from, {px} px and {wrong:.0%} wrong, "
        "K = 1: 3D error with the hip aligned and the scale known, mm\n\n" + table(head, rows)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.lift_ways",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_mocap(parser)
    add_seed(parser)
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
    record = measure(read_mocap(options.mocap), options.seed, options.poses)
    measured.publish(options.out, record, markdown(record))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
