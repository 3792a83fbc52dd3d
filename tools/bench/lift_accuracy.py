"""Accuracy of the lifting on held-out motion capture, as cameras like Human3.6M's see it.

    python -m tools.bench.lift_accuracy [--mocap CLIP_OR_FOLDER ...] [--out FILE.json]

A fifth of the clips, drawn at random, is held out; models and regressors learn from the others.
Each pose stands within a metre of the middle of a room, any way round, before one of four
cameras in its corners; the camera counts as turned towards the person, which known intrinsics
allow. Nothing is tuned on held-out clips: noise_mm is looked at on the training clips alone.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import chi2
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from tqdm import tqdm

import prior
from prior import metrics, mocap, program, selection
from prior.camera import decompose, turned
from prior.files import write
from prior.fitting.fit import BASIS
from prior.lifting import lifter as lifting
from prior.lifting import posterior
from prior.mocap import deepmimic
from prior.simulation import Simulation, room, tilted
from prior.skeleton import L, limb_scale, mirrored
from tools import measured
from tools.markdown import table

# One px at the body: 4.5 m away.
MM_PER_PX = 4500 / 1145

# What is compared: a detector's noise, noise_mm, how far the camera looks down.
NOISES_PX = (0, 5, 10, 20)
NOISES_MM = (0, 5, 10, 15, 20, 30, 40, 60)
TILTS_DEG = (0, 10, 20, 30)


def errors(pose, truth):
    """Mean errors, mm, of poses (N, L, 3) by what is aligned."""
    known = metrics.with_scale_of(pose, truth)
    return {
        "root": float(metrics.root_aligned(pose, truth).mean()),
        "root, known scale": float(metrics.root_aligned(known, truth).mean()),
        "mean": float(metrics.mean_aligned(pose, truth).mean()),
        "mean, known scale": float(metrics.mean_aligned(known, truth).mean()),
        "Procrustes": float(metrics.procrustes_aligned(pose, truth).mean()),
    }


def features(points, cameras):
    """What a regressor sees (N, 2L + 2): points turned upright, centred, of unit norm, and the
    camera's elevation."""
    roll, elevation, _ = decompose(cameras)
    cos, sin = np.cos(-roll)[:, None], np.sin(-roll)[:, None]
    x, y = np.moveaxis(metrics.centred(points), -1, 0)
    flat = np.concatenate([cos * x - sin * y, sin * x + cos * y], axis=1)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    return np.column_stack([flat, np.cos(elevation), np.sin(elevation)])


def noises_mm(noise_px):
    """The default noise_mm, and, where it is another, the one that such a detector has."""
    own = noise_px * MM_PER_PX
    return [lifting.NOISE_MM, *([own] if own > 1.1 * lifting.NOISE_MM else [])]


class Regressor:
    """Poses in the camera's axes, but upright, learned from points: the first thing to try."""

    def __init__(self, pipeline, images, seed):
        # Any of the noises of the test, each as often.
        random = np.random.default_rng(seed)
        noise = random.choice(NOISES_PX, size=(len(images.truth), 1, 1))
        points = images.points + noise * random.normal(size=images.points.shape)
        self._scale = np.median(limb_scale(images.truth))
        upright = turned(metrics.centred(images.truth), decompose(images.cameras)[2])
        upright /= limb_scale(upright)[:, None, None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # its iterations are bounded
            self._fitted = pipeline.fit(
                features(points, images.cameras), upright.reshape(-1, 3 * L)
            )

    def lift(self, points, cameras):
        pose = self._fitted.predict(features(points, cameras)).reshape(-1, L, 3)
        return turned(self._scale * pose, -decompose(cameras)[2])


def regressors(poses, views, seed):
    """Regressors by name, trained on poses and their mirror images, in `views` rooms."""
    both = np.concatenate([poses, mirrored(poses)])
    rooms = [room(both, seed + i) for i in range(views)]
    images = Simulation(*(np.concatenate(a) for a in zip(*rooms, strict=True)))
    made = {
        "ridge": make_pipeline(StandardScaler(), Ridge(1.0)),
        "ridge, quadratic": make_pipeline(
            StandardScaler(), PolynomialFeatures(2), StandardScaler(), Ridge(1.0)
        ),
        "MLP 512-512": make_pipeline(
            StandardScaler(),
            MLPRegressor(
                hidden_layer_sizes=(512, 512), early_stopping=True, max_iter=60, random_state=seed
            ),
        ),
    }
    return {
        name: Regressor(pipeline, images, seed)
        for name, pipeline in tqdm(made.items(), desc="regressors")
    }


def calibration(lifter, images, points):
    """Shares of landmarks inside the 50 % and 90 % regions, given (component, rotation) and with
    their spread, the truth's limb scale known and mean landmarks aligned."""
    lifted = lifter.lift(points, camera=images.cameras)
    scale = lifter.model.scale_mm / limb_scale(images.truth)
    off = metrics.centred(images.truth) * scale[:, None, None] - metrics.centred(lifted.pose)
    result = {"rms error mm": float(np.sqrt(np.square(off).sum(axis=2).mean()))}
    for name, spread in (("given", False), ("spread", True)):
        moments = lifter.posterior(lifted, spread=spread)
        blocks = np.einsum("nlalb->nlab", moments.reshape(-1, L, 3, L, 3))
        distance = np.einsum("nla,nla->nl", off, np.linalg.solve(blocks, off[..., None])[..., 0])
        result[name] = {
            "in 50 %": float((distance < chi2.ppf(0.5, 3)).mean()),
            "in 90 %": float((distance < chi2.ppf(0.9, 3)).mean()),
            "rms deviation mm": float(np.sqrt(np.square(posterior.deviation(moments)).mean())),
        }
    return result


def read(paths):
    """Clips of motion capture; DeepMimic's if there are no paths."""
    paths = paths or deepmimic.find_clips()
    return [clip for path in paths for clip in mocap.read(path)]


def at_most(poses, count):
    """Evenly spread `count` poses, or all."""
    return poses[np.linspace(0, len(poses) - 1, min(count, len(poses))).astype(int)]


def measure(clips, seed, count, views):
    """Everything that the result file holds."""
    training, held = selection.split(clips, "clip", seed)
    inner, validation = selection.split(training, "clip", seed + 1)
    training, held, inner, validation = (
        np.concatenate([clip.poses for clip in part])
        for part in (training, held, inner, validation)
    )
    held, validation = at_most(held, count), at_most(validation, count)
    basis = {"basis": BASIS, "solver": "closed-form", "seed": seed}
    models = {k: prior.fit(training, components=k, **basis) for k in (1, 3)}
    lifters = {k: prior.Lifter(model) for k, model in models.items()}
    images = room(held, seed)
    elevation = np.rad2deg(decompose(images.cameras)[1])
    result = {
        "clips": len(clips),
        "training_poses": len(training),
        "held_out_poses": len(held),
        "camera_elevation_deg": [float(elevation.min()), float(elevation.max())],
    }

    learned = regressors(training, views, seed)
    accuracy = result["errors_mm"] = {}
    for noise in tqdm(NOISES_PX, desc="accuracy"):
        points = images.noisy_points(noise)
        lifted = {k: lifter.lift(points, camera=images.cameras) for k, lifter in lifters.items()}
        mean = models[1].mean[[0] * len(held)] * models[1].scale_mm
        poses = {"mean pose, turned as lifted": turned(mean, lifted[1].yaw)}
        poses |= {name: r.lift(points, images.cameras) for name, r in learned.items()}
        poses |= {f"lifted, K = {k}": some.pose for k, some in lifted.items()}
        for mm in noises_mm(noise)[1:]:
            lifter = prior.Lifter(models[3], noise_mm=mm)
            poses[f"lifted, K = 3, {mm:.0f} mm"] = lifter.lift(points, camera=images.cameras).pose
        accuracy[f"{noise} px"] = {name: errors(p, images.truth) for name, p in poses.items()}

    rotations = result["rotations_5px_mm"] = {}
    small = tilted(at_most(held, min(count, 500)), np.deg2rad(8), seed)
    for number, refine in tqdm([(20, 0), (20, 1), (80, 0), (80, 1), (10_000, 0)], desc="rotations"):
        lifter = prior.Lifter(models[3], number)
        pose = lifter.lift(small.noisy_points(5), camera=small.cameras[0], refine=bool(refine)).pose
        rotations[f"{number}{' refined' if refine else ''}"] = errors(pose, small.truth)

    tilts = result["tilt_5px_mm"] = {}
    for degrees in tqdm(TILTS_DEG, desc="tilt"):
        tilt = tilted(at_most(held, min(count, 1000)), np.deg2rad(degrees), seed)
        points = tilt.noisy_points(5)
        found = lifters[3].lift(points, tilt=True)
        off = np.rad2deg(decompose(found.camera)[1]) - degrees
        tilts[f"{degrees} degrees"] = {
            "known": errors(lifters[3].lift(points, camera=tilt.cameras).pose, tilt.truth),
            "taken as level": errors(lifters[3].lift(points).pose, tilt.truth),
            "searched": errors(found.pose, tilt.truth),
            "median error of the elevation found, degrees": float(np.median(np.abs(off))),
        }

    few = at_most(np.arange(len(held)), min(count, 500))
    part = Simulation(*(a[few] for a in images))
    result["calibration"] = {}
    for noise in tqdm(NOISES_PX, desc="calibration"):
        for mm in noises_mm(noise):
            lifter = prior.Lifter(models[3], noise_mm=mm)
            name = f"{noise} px, noise_mm {mm:.0f}"
            result["calibration"][name] = calibration(lifter, part, part.noisy_points(noise))

    model = prior.fit(inner, components=3, **basis)
    inside = room(validation, seed)
    by_noise_mm = result["noise_mm_on_training_clips"] = {}
    for mm in tqdm(NOISES_MM, desc="noise_mm"):
        lifter = prior.Lifter(model, noise_mm=mm)
        by_noise_mm[str(mm)] = {
            f"{px} px": errors(
                lifter.lift(inside.noisy_points(px), camera=inside.cameras).pose, inside.truth
            )
            for px in NOISES_PX
        }
    return result


ALIGNED = ("root", "root, known scale", "mean", "mean, known scale", "Procrustes")


def markdown(record):
    """The content of lift-accuracy.json as tables."""
    low, high = record["camera_elevation_deg"]
    parts = [
        f"{record['training_poses']:,} poses to learn from, {record['held_out_poses']:,} held out, "
        f"of {record['clips']} clips. Cameras look {low:.0f} to {high:.0f} degrees down. Errors "
        "are in mm, by what is aligned with the truth."
    ]

    def errors_table(title, first, rows):
        lines = [(name, *(values[key] for key in ALIGNED)) for name, values in rows.items()]
        return [title, table((first, *ALIGNED), lines)]

    for noise, rows in record["errors_mm"].items():
        parts += errors_table(f"2D noise of {noise}:", "method", rows)
    parts += errors_table(
        "Number of rotations, K = 3, 2D noise of 5 px:", "rotations", record["rotations_5px_mm"]
    )
    tilts = {
        f"{tilt}, {camera}": rows[camera]
        for tilt, rows in record["tilt_5px_mm"].items()
        for camera in ("known", "taken as level", "searched")
    }
    parts += errors_table("The camera's tilt, K = 3, 2D noise of 5 px:", "tilt, camera", tilts)
    off = "median error of the elevation found, degrees"
    parts += [
        "The tilt searched for:",
        table(("tilt", off), [(tilt, rows[off]) for tilt, rows in record["tilt_5px_mm"].items()]),
    ]
    return "\n\n".join([*parts, *_calibration_tables(record), *_noise_tables(record)])


def _calibration_tables(record):
    """Shares of true landmarks in the posterior's regions."""
    head = ("2D noise, noise_mm", "given: in 50 %", "in 90 %", "rms, mm")
    head += ("spread: in 50 %", "in 90 %", "rms, mm", "rms error, mm")
    rows = []
    for name, values in record["calibration"].items():
        cells = []
        for kind in ("given", "spread"):
            shares = (f"{100 * values[kind][region]:.0f} %" for region in ("in 50 %", "in 90 %"))
            cells += [*shares, round(values[kind]["rms deviation mm"])]
        rows.append((name, *cells, round(values["rms error mm"])))
    title = (
        "Shares of true landmarks inside the posterior's 50 % and 90 % regions, K = 3, given the "
        "best (component, rotation) and with their spread:"
    )
    return [title, table(head, rows)]


def _noise_tables(record):
    """The error by noise_mm, on training clips."""
    errors_by_noise = record["noise_mm_on_training_clips"]
    noises = next(iter(errors_by_noise.values()))
    rows = [
        (f"{mm} mm", *(values[noise]["root, known scale"] for noise in noises))
        for mm, values in errors_by_noise.items()
    ]
    title = "noise_mm on training clips: error with root aligned and known scale, by 2D noise:"
    return [title, table(("noise_mm", *noises), rows)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.lift_accuracy",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument(
        "--mocap",
        nargs="+",
        type=Path,
        metavar="CLIP_OR_FOLDER",
        help="motion capture (default: the clips that come with pybullet)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/bench/lift-accuracy.json"),
        metavar="FILE",
        help="the JSON to write",
    )
    parser.add_argument(
        "--poses",
        type=int,
        default=2000,
        metavar="N",
        help="the number of held-out poses, at most",
    )
    parser.add_argument(
        "--views",
        type=int,
        default=4,
        metavar="N",
        help="the number of rooms in which the regressors see each training pose",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="the seed of all that is random"
    )
    return parser


def bench(options):
    """Measure, print the tables, and write the file."""
    result = {"measured": measured.stamp()}
    result |= measure(read(options.mocap), options.seed, options.poses, options.views)
    print(markdown(result))
    write(options.out, json.dumps(result, indent=1) + "\n")
    print(f"\nwrote {options.out}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
