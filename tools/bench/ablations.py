"""What each choice of the lifting does to the 3D error: python -m tools.bench.ablations.

One choice at a time is changed, on frames with 3D truth (drawn evenly from those of protocol 1):
the number of rotations, the refinement of the angle, K, J, the detector's noise, what is known of
the camera, and true 2D landmarks against detected ones. Models of other K and J are fitted to the
motion capture of --mocap (closed form, seed 0); all other rows use the prior.
Writes ablations.json, .md and .html.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import prior
from prior import files, metrics, mocap, program
from prior.lifting import lifter as lifting
from prior.skeleton import HUMAN36M, PROTOCOL_14
from tools import measured
from tools.arguments import add_out_folder, add_predictions, add_prior, add_truth, read_carried
from tools.evaluate import predictions, protocols, truth
from tools.evaluate.lifting import cameras_toward
from tools.evaluate.truth import TruthError
from tools.report import page
from tools.report.compare import finite

TITLE = "Ablations of the lifting"
ROTATIONS = (20, 80, 100, 10_000)
COMPONENTS = (1, 2, 3, 6)
BASIS = (5, 10, 15, 25)
NOISE_PX = (0.0, 2.0, 5.0, 10.0)  # added to the true landmarks
NOISE_MM = (0.0, 10.0, 20.0, 40.0, 80.0)  # that the lifting assumes
# Added to the true 2D landmarks where noise_mm is varied: exact landmarks are best without any.
NOISE_ADDED_PX = 5.0


class Setting(NamedTuple):
    """A row: group and name, the frames and landmarks (n, 17, 2), the model, and how to lift."""

    group: str
    name: str
    frames: truth.Truth
    points: np.ndarray
    model: prior.PriorModel
    rotations: int = lifting.ROTATIONS
    noise_mm: float = lifting.NOISE_MM
    camera: str = "toward"
    options: dict = {}


# What is known of the camera, from all to nothing.
CAMERAS = {
    "toward": "rotation and intrinsics known: turned toward the person",
    "known": "rotation known, as it stands",
    "level": "unknown: taken as level",
    "tilt": "unknown: tilt searched",
}


def evenly(frames, count):
    """`count` of the frames, evenly spread; all if there are fewer."""
    rows = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return frames.take(rows)


def noisy(points, px, seed=0):
    """Landmarks with Gaussian noise of a standard deviation px."""
    return points + px * np.random.default_rng(seed).normal(size=points.shape)


def settings(frames, few, model, fit, detected):
    """The Settings. few: a smaller Truth for the rotations, of which 10,000 take long; fit(K, J):
    a model, or None without motion capture; detected: {name: Predictions}."""
    for count in ROTATIONS:
        yield Setting("rotations", f"{count:,}", few, few.points, model, rotations=count)
        if count == 20:
            yield Setting(
                "rotations",
                "20, refined",
                few,
                few.points,
                model,
                rotations=count,
                options={"refine": True},
            )
    if fit:
        for k in COMPONENTS:
            yield Setting("components K, at J = 25", str(k), frames, frames.points, fit(k, 25))
        for j in BASIS:
            yield Setting("basis J, at K = 3", str(j), frames, frames.points, fit(3, j))
    for px in NOISE_PX:
        yield Setting(
            "noise added to the true 2D landmarks",
            f"{px:g} px",
            frames,
            noisy(frames.points, px),
            model,
        )
    points = noisy(frames.points, NOISE_ADDED_PX)
    for mm in NOISE_MM:
        yield Setting(
            f"noise that the lifting assumes, at {NOISE_ADDED_PX:g} px added",
            f"{mm:g} mm",
            frames,
            points,
            model,
            noise_mm=mm,
        )
    for camera, text in CAMERAS.items():
        yield Setting(
            "camera",
            text,
            frames,
            frames.points,
            model,
            camera=camera,
            options={"tilt": True} if camera == "tilt" else {},
        )
    yield Setting("landmarks", "true 2D", frames, frames.points, model)
    for name, predicted in detected.items():
        points = predicted.take(frames.index).points
        if points is not None:
            yield Setting("landmarks", f"detected: {name}", frames, points[-1], model)


def _cameras(setting):
    rotations = setting.frames.rotations
    if setting.camera == "toward":
        return cameras_toward(setting.points, rotations, setting.frames.intrinsics)
    return rotations if setting.camera == "known" else None


def measure(setting):
    """A row of the table: errors in mm of the poses that could be lifted, and the time taken.

    Without the camera nobody knows which way the world is turned: only the error after Procrustes
    is given.
    """
    lifter = prior.Lifter(setting.model, setting.rotations, setting.noise_mm)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of poses that cannot be lifted: counted
        lifted = lifter.lift(setting.points, camera=_cameras(setting), **setting.options)
    seconds = time.perf_counter() - start
    pose, true = lifted.pose[lifted.ok], setting.frames.poses_mm[lifted.ok]
    result = {
        "group": setting.group,
        "setting": setting.name,
        "frames": len(setting.points),
        "not_lifted": int(np.count_nonzero(~lifted.ok)),
        "components": setting.model.components,
        "root_aligned_mm": None,
        "procrustes_14_mm": None,
        "ms_per_pose": 1000 * seconds / len(setting.points),
    }
    if len(pose):
        subset = metrics.procrustes_aligned(pose[:, PROTOCOL_14], true[:, PROTOCOL_14])
        result["procrustes_14_mm"] = float(subset.mean())
        if setting.camera in ("toward", "known"):
            result["root_aligned_mm"] = float(metrics.root_aligned(pose, true).mean())
    return result


def blocks(record):
    """The page's blocks, for page.as_html and page.as_markdown."""
    data = "Human3.6M" if record["human36m"] else f"{record['data']}, which is not Human3.6M"
    yield (
        "note",
        f"On {data}. Each group changes one choice; the others are the defaults: "
        f"{lifting.ROTATIONS} rotations, noise {lifting.NOISE_MM:g} mm, the prior "
        f"{record['prior']}, true 2D landmarks, camera known. Groups with other frames cannot be "
        "set against each other.",
    )
    if not record["mocap"]:
        yield ("text", "No motion capture was named (--mocap): no models of other K and J.")
    head = (
        "",
        "frames",
        "not lifted",
        "3D error, mm: hip aligned, typical scale, 17 landmarks",
        "3D error, mm: Procrustes, 14 landmarks",
        "ms a pose, tables included",
    )
    for group in dict.fromkeys(row["group"] for row in record["rows"]):
        yield ("heading", group[0].upper() + group[1:])
        yield (
            "table",
            head,
            [
                (
                    row["setting"] + _fewer(row),
                    row["frames"],
                    row["not_lifted"],
                    row["root_aligned_mm"],
                    row["procrustes_14_mm"],
                    row["ms_per_pose"],
                )
                for row in record["rows"]
                if row["group"] == group
            ],
        )


def markdown(record):
    """The content of ablations.json as tables."""
    return page.in_markdown(blocks(record), "###")


def _fewer(row):
    """A note where the fit has fewer components than were asked for: it met fewer seeds."""
    fewer = row["group"].startswith("components") and str(row["components"]) != row["setting"]
    return f" (fitted: {row['components']})" if fewer else ""


def fitter(paths):
    """fit(K, J) -> model of the motion capture at the paths, each fitted once; paths: None for that
    of the carried training subjects; without any there is no fit."""
    if paths is None:
        clips = read_carried("training")
    elif paths:
        clips = [clip for path in paths for file in mocap.find(path) for clip in mocap.read(file)]
    else:
        return None
    poses, models = np.concatenate([clip.poses for clip in clips]), {}

    def fit(components, basis):
        key = components, basis
        if key not in models:
            models[key] = prior.fit(
                poses, components=components, basis=basis, solver="closed-form", seed=0
            )
        return models[key]

    return fit


def write(out, record):
    """Write ablations.json, .md and .html into the folder `out`."""
    for name, text in (
        ("ablations.json", json.dumps(record, indent=1) + "\n"),
        ("ablations.md", page.as_markdown(TITLE, blocks(record))),
        ("ablations.html", page.as_html(TITLE, blocks(record))),
    ):
        files.write(out / name, text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.ablations",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_truth(parser)
    add_prior(parser)
    parser.add_argument(
        "--mocap",
        type=Path,
        nargs="*",
        metavar="CLIP_OR_FOLDER",
        help="motion capture to fit models of other K and J to, never the test subjects'; by "
        "default of the carried training subjects; with no value, no such models",
    )
    add_predictions(parser, "detected landmarks to lift beside the true ones")
    parser.add_argument(
        "--frames", type=int, default=300, metavar="N", help="the number of frames, at most"
    )
    parser.add_argument(
        "--rotation-frames",
        type=int,
        default=20,
        metavar="N",
        help="the number of frames for the rotations, of which 10,000 take long",
    )
    add_out_folder(parser, "build/ablations")
    return parser


def compare_settings(options):
    """Measure every setting, and write the three files."""
    all_frames = truth.load(options.data).select(protocols.PROTOCOLS[0])
    if not len(all_frames):
        raise TruthError(f"{options.data[0]}: expected frames of protocol 1's S9 and S11")
    frames = evenly(all_frames, options.frames)
    few = evenly(all_frames, options.rotation_frames)
    detected = {name: predictions.load(path) for name, path in options.predictions}
    rows = settings(
        frames, few, prior.load(options.prior, HUMAN36M), fitter(options.mocap), detected
    )
    bar = tqdm(rows, "ablations", unit="setting", disable=None)
    results = {
        "measured": measured.stamp(),
        "data": ", ".join(map(measured.portable, frames.source.split(", "))),
        "human36m": frames.human36m,
        "prior": measured.portable(str(options.prior)),
        "mocap": ["carried"]
        if options.mocap is None
        else [measured.portable(str(path)) for path in options.mocap],
        "rows": [measure(setting) for setting in bar],
    }
    write(options.out, finite(results))
    print(f"{len(results['rows'])} settings; wrote {options.out / 'ablations.html'}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), compare_settings, arguments)


if __name__ == "__main__":
    sys.exit(main())
