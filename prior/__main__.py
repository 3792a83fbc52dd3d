"""The pose model from the command line: fit, show, lift."""

import argparse
import json
import logging
import os
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

import prior
from prior import alignment, fitting, lifting, mixture, mocap, show
from prior.normalise import PoseError
from prior.skeleton import LANDMARKS


def fit(options):
    """Fit a model to motion capture."""
    clips = [clip for path in options.clips for clip in mocap.read(path)]
    poses = np.concatenate([clip.poses for clip in clips])
    subjects = sorted({clip.subject for clip in clips})
    print(f"{len(poses)} poses of {len(clips)} clips of subjects {', '.join(subjects)}")
    # On a terminal every second; in a log every ten.
    interval = 1 if sys.stderr.isatty() else 10
    with tqdm(total=options.basis, desc="align", unit="basis", mininterval=interval) as bar:

        def progress(step):
            bar.set_postfix_str(f"NLL {step.nll:.3f} after {step.half_step}", refresh=False)
            bar.update(step.basis - bar.n)

        model = prior.fit(
            poses, components=options.components, basis=options.basis, solver=options.solver,
            seed=options.seed, stop_distance=options.stop_distance, progress=progress,
            meta={"source": f"{len(clips)} clips of {', '.join(subjects)}"},
        )  # fmt: skip
    model.save(options.out)
    print(show.describe(model))
    worse = model.meta["worse_minima"]
    if worse:
        print(f"Ceres left {worse[-1]} of {2 * len(poses)} poses in a worse local minimum at last")
    print(f"wrote {options.out}")


def show_model(options):
    """Describe a model in words, and as a figure."""
    model = prior.load(options.model)
    print(show.describe(model))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        temporary = options.out.with_name(f".{options.out.name}.tmp")
        suffix = options.out.suffix.removeprefix(".") or "png"
        show.figure(model).savefig(temporary, format=suffix, dpi=120)
        os.replace(temporary, options.out)
        print(f"wrote {options.out}")


def read_points(path):
    """points, camera, confidence of an .npz or JSON file; the latter two may be None."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                values = dict(file)
        else:
            values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise PoseError(f"{path}: expected points as JSON or .npz, found {error}") from None
    if not isinstance(values, dict) or "points" not in values:
        raise PoseError(f"{path}: expected 'points', N x 17 x 2, px, and maybe 'camera', "
                        "'confidence' and 'landmarks'")  # fmt: skip
    names = values.get("landmarks")
    if names is not None and tuple(str(name) for name in names) != LANDMARKS:
        raise PoseError(f"{path}: landmarks: expected {list(LANDMARKS)}, got {list(names)}")
    try:
        return [None if values.get(key) is None else np.asarray(values[key], dtype=float)
                for key in ("points", "camera", "confidence")]  # fmt: skip
    except (TypeError, ValueError):
        raise PoseError(f"{path}: expected arrays of numbers, all rows alike") from None


def lift(options):
    """Lift the 2D landmarks in a file."""
    model = prior.load(options.model)
    points, camera, confidence = read_points(options.points)
    lifter = prior.Lifter(model, options.rotations, options.noise_mm)
    lifted = lifter.lift(points, camera, confidence, options.refine, options.tilt)
    arrays = lifted._asdict()
    if options.deviation:
        arrays["deviation_mm"] = lifter.deviation(points, lifted, lifted.camera, confidence)
    temporary = options.out.with_name(f".{options.out.name}.tmp")
    with open(temporary, "wb") as file:
        np.savez_compressed(file, landmarks=np.array(LANDMARKS), **arrays)
    os.replace(temporary, options.out)
    print(f"lifted {np.count_nonzero(lifted.ok)} of {len(points)} poses; wrote {options.out}")


def _parser():
    parser = argparse.ArgumentParser("python -m prior", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shared = {"formatter_class": argparse.ArgumentDefaultsHelpFormatter}

    sub = commands.add_parser("fit", help=fit.__doc__, description=fit.__doc__, **shared)
    sub.add_argument("clips", nargs="+", type=Path, metavar="CLIP_OR_FOLDER",
                     help="DeepMimic .txt, or .npz with poses_mm, rate, subject, action")
    sub.add_argument("--out", type=Path, required=True, help="model file to write (.npz)")
    sub.add_argument("--components", type=int, default=fitting.COMPONENTS, help="K, at most")
    sub.add_argument("--basis", type=int, default=fitting.BASIS, help="J")
    sub.add_argument("--solver", choices=alignment.SOLVERS, default="ceres",
                     help="of the yaws: as published, or the global minimum")  # fmt: skip
    sub.add_argument("--stop-distance", type=float, default=mixture.STOP_DISTANCE,
                     help="seeds are this far apart, in limb scales")  # fmt: skip
    sub.add_argument("--seed", type=int, default=0, help="of the subsamples")
    sub.set_defaults(run=fit)

    sub = commands.add_parser("show", help=show_model.__doc__, description=show_model.__doc__)
    sub.add_argument("model", type=Path)
    sub.add_argument("--out", type=Path, help="figure to write (.png, .svg, .pdf)")
    sub.set_defaults(run=show_model)

    sub = commands.add_parser("lift", help=lift.__doc__, description=lift.__doc__, **shared)
    sub.add_argument("model", type=Path)
    sub.add_argument("points", type=Path, help="JSON or .npz with 'points' (N x 17 x 2, px), and "
                     "maybe 'camera' (3 x 3 or N x 3 x 3) and 'confidence' (N x 17)")  # fmt: skip
    sub.add_argument("--out", type=Path, required=True, help="poses to write (.npz)")
    sub.add_argument("--rotations", type=int, default=lifting.ROTATIONS, help="enumerated")
    sub.add_argument("--noise-mm", type=float, default=lifting.NOISE_MM,
                     help="of the 2D landmarks, at the body")  # fmt: skip
    sub.add_argument("--refine", action="store_true",
                     help="from the best enumerated rotations to the best in between")
    sub.add_argument("--tilt", action="store_true",
                     help="search the camera's elevation and roll, for photos of unknown cameras")
    sub.add_argument("--deviation", action="store_true",
                     help="write each landmark's standard deviation, deviation_mm, too")
    sub.set_defaults(run=lift)
    return parser


def main(arguments=None):
    """Run a command; returns its exit status."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError) as error:
        print(f"python -m prior: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("python -m prior: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
