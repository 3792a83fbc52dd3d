"""What it is worth to lift a person's frames as one motion, beyond the paper.

    python -m tools.bench.tracks --mocap CLIP_OR_FOLDER ... [--out build/bench/tracks.json]

Models with one component and three are fitted to four fifths of the clips. The others are filmed,
each by one camera like Human3.6M's, with noise of its own in every frame, and lifted frame by
frame, as the most probable sequence, and that smoothed. A flip is a step from one frame to the
next in which the landmarks move by FLIP_MM more than in truth, root mean square. Nothing is tuned
on the clips that are measured.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

import prior
from prior import mocap, program, selection
from prior.lifting.lifter import NOISE_MM
from prior.simulation import INTRINSICS, Simulation, filmed
from tools import measured
from tools.arguments import add_mocap, add_out_file, add_seed, read_mocap
from tools.bench.lift_accuracy import MM_PER_PX, errors
from tools.markdown import table

BASIS = 25
COMPONENTS = (1, 3)
NOISES_PX = (0, 5, 10, 20)
# Frames a second, at most, and of each clip.
RATE = 25.0
FRAMES = 250
FLIP_MM = 100.0

WAYS: dict[str, Callable[..., prior.Lifted]] = {
    "frame by frame": lambda lifter, points, rate, **known: lifter.lift(points, **known),
    "most probable sequence": lambda lifter, points, rate, **known: lifter.lift_track(
        points, rate, smooth=False, **known
    ),
    "and smoothed": lambda lifter, points, rate, **known: lifter.lift_track(points, rate, **known),
}


def flips(pose: Float[np.ndarray, "N L 3"], truth: Float[np.ndarray, "N L 3"]) -> int:
    """The number of steps that are flips."""

    def moved(poses: Float[np.ndarray, "N L 3"]) -> Float[np.ndarray, "n"]:
        centred = poses - poses.mean(axis=1, keepdims=True)
        step = np.diff(centred, axis=0)
        return np.asarray(np.sqrt(np.square(step).sum(axis=2).mean(axis=1)))

    return int(np.count_nonzero(moved(pose) > moved(truth) + FLIP_MM))


def films(clips: Sequence[mocap.Clip], seed: int) -> list[tuple[float, Simulation]]:
    """Clips of three frames and more, filmed, with their rates."""
    parts = []
    for i, clip in enumerate(clips):
        step = max(1, round(clip.rate / RATE))
        poses = clip.poses[::step][:FRAMES]
        if len(poses) >= 3:
            parts.append((clip.rate / step, filmed(poses, seed + i)))
    return parts


def measure(clips: Sequence[mocap.Clip], seed: int, count: int) -> dict[str, Any]:
    """Flips of 100 frames, and errors, mm, by model, noise and way."""
    training, held = selection.split(clips, "clip", seed)
    scenes = films(held[:count], seed)
    rows = []
    for components in COMPONENTS:
        model = prior.fit(
            np.concatenate([clip.poses for clip in training]),
            components=components,
            basis=BASIS,
            solver="closed-form",
            seed=seed,
        )
        for noise_px in tqdm(NOISES_PX, desc=f"K = {components}", unit="noise"):
            lifter = prior.Lifter(model, noise_mm=max(NOISE_MM, noise_px * MM_PER_PX))
            rows += [
                {"components": components, "noise_px": noise_px, "way": name}
                | lift_all(way, lifter, scenes, noise_px)
                for name, way in WAYS.items()
            ]
    frames = sum(len(film.truth) for _, film in scenes)
    return {"held_out_clips": len(scenes), "held_out_frames": frames, "rows": rows}


def lift_all(
    way: Callable[..., prior.Lifted],
    lifter: prior.Lifter,
    scenes: Sequence[tuple[float, Simulation]],
    noise_px: float,
) -> dict[str, Any]:
    """Flips, errors and frames a second of a way to lift."""
    jumps, poses, seconds = 0, [], 0.0
    for i, (rate, film) in enumerate(scenes):
        points = film.noisy_points(noise_px, seed=i)
        start = time.perf_counter()
        pose = way(lifter, points, rate, camera=film.cameras[0], intrinsics=INTRINSICS).pose
        seconds += time.perf_counter() - start
        jumps += flips(pose, film.truth)
        poses.append(pose)
    truth = np.concatenate([film.truth for _, film in scenes])
    return {
        "flips_per_100_frames": 100 * jumps / len(truth),
        "errors_mm": errors(np.concatenate(poses), truth),
        "frames_per_second": len(truth) / seconds,
    }


def markdown(record: dict[str, Any]) -> str:
    """The record as a table."""
    own = {(row["components"], row["way"], row["noise_px"]): row for row in record["rows"]}
    noises = list(dict.fromkeys(row["noise_px"] for row in record["rows"]))
    rows = [
        [
            f"K = {components}, {way}",
            *(
                "{flips_per_100_frames:.1f}".format(**own[components, way, px])
                + " / {root, known scale:.1f}".format(**own[components, way, px]["errors_mm"])
                for px in noises
            ),
            round(own[components, way, noises[-1]]["frames_per_second"]),
        ]
        for components, way in dict.fromkeys((k, way) for k, way, _ in own)
    ]
    head = ["", *(f"{px} px" for px in noises), f"frames a second, at {noises[-1]} px"]
    return (
        f"{record['held_out_clips']} held-out clips, {record['held_out_frames']:,} frames; flips "
        "in 100 frames / 3D error with the hip aligned and the scale known, mm, by the 2D noise\n\n"
        + table(head, rows)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.tracks",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_mocap(parser)
    add_seed(parser)
    parser.add_argument(
        "--clips", type=int, default=20, metavar="N", help="the number of held-out clips, at most"
    )
    add_out_file(parser, "build/bench/tracks.json")
    return parser


def bench(options: argparse.Namespace) -> None:
    """Measure all ways; print and write the table."""
    record = measure(read_mocap(options.mocap), options.seed, options.clips)
    measured.publish(options.out, record, markdown(record))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
