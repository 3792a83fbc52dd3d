"""Accuracy of the lifting on held-out motion capture, as cameras like Human3.6M's see it.

    python -m tools.bench.lift_accuracy [--mocap CLIP_OR_FOLDER ...] [--out FILE.json]

A fifth of the clips, drawn at random, is held out; models and regressors learn from the others.
Each pose stands within a metre of the middle of a room, facing in any direction, before one of
four cameras in the room's corners. The camera is taken as turned towards the person, which known
intrinsics make possible. Nothing is tuned on held-out clips: values of noise_mm are compared on
the training clips alone.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence

import numpy as np
from scipy.stats import chi2
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from tqdm import tqdm

import prior
from prior import metrics, program, selection
from prior.camera import decompose, turned
from prior.fitting.fit import BASIS
from prior.lifting import lifter as lifting
from prior.lifting import posterior
from prior.simulation import Simulation, room, tilted
from prior.skeleton import L, limb_scale, mirrored
from tools import measured
from tools.arguments import add_mocap, add_out_file, add_seed, read_mocap
from tools.markdown import table

# What one px of the image is at the body: 4.5 m away, with a focal length of 1145 px.
MM_PER_PX = 4500 / 1145

# What is compared: the detector's noise, noise_mm, and how far the camera looks down.
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
    """A regressor's inputs (N, 2L + 2): the points turned upright, centred and of unit norm, and
    the cosine and sine of the camera's elevation."""
    roll, elevation, _ = decompose(cameras)
    cos, sin = np.cos(-roll)[:, None], np.sin(-roll)[:, None]
    x, y = np.moveaxis(metrics.centred(points), -1, 0)
    flat = np.concatenate([cos * x - sin * y, sin * x + cos * y], axis=1)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    return np.column_stack([flat, np.cos(elevation), np.sin(elevation)])


def noises_mm(noise_px):
    """The default noise_mm and, where that is clearly larger, the detector's noise at the body."""
    own = noise_px * MM_PER_PX
    return [lifting.NOISE_MM, *([own] if own > 1.1 * lifting.NOISE_MM else [])]


class Regressor:
    """The baseline that one would try first: it learns poses from their 2D points.

    What it learns is the pose in the camera's axes, but upright.
    """

    def __init__(self, pipeline, images, seed):
        # Each training pose has one of the noises of the test, all of them equally often.
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


def views_of(poses, views, seed):
    """The Simulation of poses and their mirror images, in `views` rooms."""
    both = np.concatenate([poses, mirrored(poses)])
    rooms = [room(both, seed + i) for i in range(views)]
    return Simulation(*(np.concatenate(a) for a in zip(*rooms, strict=True)))


def mlp(poses, views, seed):
    """A Regressor by a network of two hidden layers, trained on poses in `views` rooms."""
    network = MLPRegressor(
        hidden_layer_sizes=(512, 512), early_stopping=True, max_iter=60, random_state=seed
    )
    pipeline = make_pipeline(StandardScaler(), network)
    return Regressor(pipeline, views_of(poses, views, seed), seed)


def regressors(poses, views, seed):
    """Regressors by name, trained on poses and their mirror images, in `views` rooms."""
    images = views_of(poses, views, seed)
    made = {
        "ridge": make_pipeline(StandardScaler(), Ridge(1.0)),
        "ridge, quadratic": make_pipeline(
            StandardScaler(), PolynomialFeatures(2), StandardScaler(), Ridge(1.0)
        ),
    }
    learned = {
        name: Regressor(pipeline, images, seed)
        for name, pipeline in tqdm(made.items(), desc="regressors")
    }
    return learned | {"MLP 512-512": mlp(poses, views, seed)}


def coverage(lifter, images, points):
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


def at_most(poses, count):
    """`count` of the poses, evenly spread; all where there are fewer."""
    return poses[np.linspace(0, len(poses) - 1, min(count, len(poses))).astype(int)]


def measure(clips, seed, count, views):
    """All that lift-accuracy.json holds besides the stamp."""
    training, held = selection.split(clips, "clip", seed)
    inner, validation = selection.split(training, "clip", seed + 1)
    training, held, inner, validation = (
        np.concatenate([clip.poses for clip in part])
        for part in (training, held, inner, validation)
    )
    held, validation = at_most(held, count), at_most(validation, count)
    basis = {"basis": BASIS, "solver": "closed-form", "seed": seed}
    models = {k: prior.fit(training, components=k, **basis) for k in (1, 3)}
    images = room(held, seed)
    elevation = np.rad2deg(decompose(images.cameras)[1])
    learned = regressors(training, views, seed)
    return {
        "clips": len(clips),
        "training_poses": len(training),
        "held_out_poses": len(held),
        "camera_elevation_deg": [float(elevation.min()), float(elevation.max())],
        "errors_mm": by_method(models, learned, images),
        "rotations_5px_mm": by_rotations(models[3], at_most(held, min(count, 500)), seed),
        "tilt_5px_mm": by_tilt(models[3], at_most(held, min(count, 1000)), seed),
        "calibration": coverages(models[3], images, min(count, 500)),
        "noise_mm_on_training_clips": by_noise_mm(
            prior.fit(inner, components=3, **basis), room(validation, seed)
        ),
    }


def by_method(models, learned, images):
    """Errors of the models {K: model} and of the regressors, by the detector's noise."""
    lifters = {k: prior.Lifter(model) for k, model in models.items()}
    mean = np.repeat(models[1].mean, len(images.truth), axis=0) * models[1].scale_mm
    result = {}
    for noise in tqdm(NOISES_PX, desc="accuracy"):
        points = images.noisy_points(noise)
        lifted = {k: lifter.lift(points, camera=images.cameras) for k, lifter in lifters.items()}
        poses = {"mean pose, turned as lifted": turned(mean, lifted[1].yaw)}
        poses |= {name: r.lift(points, images.cameras) for name, r in learned.items()}
        poses |= {f"lifted, K = {k}": part.pose for k, part in lifted.items()}
        for mm in noises_mm(noise)[1:]:
            lifter = prior.Lifter(models[3], noise_mm=mm)
            poses[f"lifted, K = 3, {mm:.0f} mm"] = lifter.lift(points, camera=images.cameras).pose
        result[f"{noise} px"] = {name: errors(p, images.truth) for name, p in poses.items()}
    return result


def by_rotations(model, poses, seed):
    """Errors by the number of rotations, and with the angle refined; 5 px of noise."""
    images = tilted(poses, np.deg2rad(8), seed)
    points, result = images.noisy_points(5), {}
    for number, refine in tqdm([(20, 0), (20, 1), (80, 0), (80, 1), (10_000, 0)], desc="rotations"):
        lifter = prior.Lifter(model, number)
        pose = lifter.lift(points, camera=images.cameras[0], refine=bool(refine)).pose
        result[f"{number}{' refined' if refine else ''}"] = errors(pose, images.truth)
    return result


def by_tilt(model, poses, seed):
    """Errors by how far the camera looks down, and what is known of it; 5 px of noise."""
    lifter, result = prior.Lifter(model), {}
    for degrees in tqdm(TILTS_DEG, desc="tilt"):
        images = tilted(poses, np.deg2rad(degrees), seed)
        points = images.noisy_points(5)
        searched = lifter.lift(points, tilt=True)
        off = np.rad2deg(decompose(searched.camera)[1]) - degrees
        result[f"{degrees} degrees"] = {
            "known": errors(lifter.lift(points, camera=images.cameras).pose, images.truth),
            "taken as level": errors(lifter.lift(points).pose, images.truth),
            "searched": errors(searched.pose, images.truth),
            "median error of the elevation found, degrees": float(np.median(np.abs(off))),
        }
    return result


def coverages(model, images, count):
    """`coverage` of `count` of the poses, by the detector's noise and noise_mm."""
    few = at_most(np.arange(len(images.truth)), count)
    part, result = Simulation(*(a[few] for a in images)), {}
    for noise in tqdm(NOISES_PX, desc="calibration"):
        for mm in noises_mm(noise):
            name = f"{noise} px, noise_mm {mm:.0f}"
            lifter = prior.Lifter(model, noise_mm=mm)
            result[name] = coverage(lifter, part, part.noisy_points(noise))
    return result


def by_noise_mm(model, images):
    """Errors by noise_mm and the detector's noise."""
    result = {}
    for mm in tqdm(NOISES_MM, desc="noise_mm"):
        lifter = prior.Lifter(model, noise_mm=mm)
        result[str(mm)] = {
            f"{px} px": errors(
                lifter.lift(images.noisy_points(px), camera=images.cameras).pose, images.truth
            )
            for px in NOISES_PX
        }
    return result


# What is aligned with the truth before the error is measured: the keys of `errors`.
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
    add_mocap(parser)
    add_out_file(parser, "build/bench/lift-accuracy.json")
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
    add_seed(parser)
    return parser


def bench(options):
    """Measure, print the tables, and write the file."""
    result = measure(read_mocap(options.mocap), options.seed, options.poses, options.views)
    measured.publish(options.out, result, markdown(result))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
