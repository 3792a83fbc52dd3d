"""The pose model from the command line: fit, select, show, lift, import, export."""

import argparse
import json
import logging
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

import prior
from prior import mat_file, mocap, selection, show
from prior.files import replacing, write
from prior.fitting import alignment, mixture
from prior.fitting import fit as fitting
from prior.lifting import lifter as lifting
from prior.mocap import sampling
from prior.normalise import PoseError
from prior.skeleton import LANDMARKS


def read_clips(options, interval):
    """The clips that the options name, subsampled as they say."""
    files = [file for path in options.clips for file in mocap.find(path)]
    clips, frames = [], 0
    for file in tqdm(files, desc="read", unit="file", mininterval=interval, delay=1):
        for clip in mocap.read(file, options.joint_map):
            frames += len(clip.poses)
            if options.rate is not None:
                clip = sampling.to_rate(clip, options.rate)
            if options.min_change is not None:
                clip = sampling.by_change(clip, options.min_change)
            clips.append(clip)
    kept = sum(len(clip.poses) for clip in clips)
    if kept != frames:
        print(f"kept {kept} of {frames} frames")
    return clips


class _Progress:
    """Shows a fit's Steps as a bar; to be used as a context manager."""

    def __init__(self, basis, interval):
        self._bar = tqdm(total=basis, desc="align", unit="basis", mininterval=interval)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._bar.close()

    def __call__(self, step):
        self._bar.set_postfix_str(f"NLL {step.nll:.3f} after {step.half_step}", refresh=False)
        self._bar.update(step.basis - self._bar.n)


def _describe_clips(clips):
    subjects = sorted({clip.subject for clip in clips})
    count = sum(len(clip.poses) for clip in clips)
    return f"{count} poses of {len(clips)} clips of subjects {', '.join(subjects)}"


def fit(options):
    """Fit a model to motion capture."""
    # On a terminal every second; in a log every ten.
    interval = 1 if sys.stderr.isatty() else 10
    clips = read_clips(options, interval)
    poses = np.concatenate([clip.poses for clip in clips])
    print(_describe_clips(clips))
    meta = {"source": _describe_clips(clips)}
    meta |= {"licence": options.licence} if options.licence else {}
    with _Progress(options.basis, interval) as progress:
        model = prior.fit(
            poses,
            components=options.components,
            basis=options.basis,
            solver=options.solver,
            seed=options.seed,
            restarts=options.restarts,
            stop_distance=options.stop_distance,
            progress=progress,
            meta=meta,
        )
    model.save(options.out)
    print(show.describe(model))
    print(f"wrote {options.out}")


def select(options):
    """Compare sizes of the model on held-out motion capture."""
    interval = 1 if sys.stderr.isatty() else 10
    clips = read_clips(options, interval)
    train, held_out = selection.split(clips, options.hold_out, options.seed)
    print(f"fitted to {_describe_clips(train)}; held out: {_describe_clips(held_out)}")
    print("   K    J  log likelihood, nats a pose  MPJPE of poses lifted from true 2D, mm")
    found = []
    poses, others = (np.concatenate([clip.poses for clip in part]) for part in (train, held_out))
    for candidate in tqdm(
        selection.select(
            poses,
            others,
            options.components,
            options.basis,
            solver=options.solver,
            seed=options.seed,
        ),
        desc="select",
        total=len(options.components) * len(options.basis),
        mininterval=interval,
    ):
        found.append(candidate)
        tqdm.write("{:4d} {:4d} {:28.2f} {:43.1f}".format(*candidate[:4]))
    likeliest = max(found, key=lambda candidate: candidate.log_likelihood)
    best = min(found, key=lambda candidate: candidate.mpjpe_mm)
    print(
        f"highest likelihood: K = {likeliest.components}, J = {likeliest.basis}; "
        f"lowest lifting error: K = {best.components}, J = {best.basis}"
    )
    if options.out:
        result = {
            "fitted_to": _describe_clips(train),
            "held_out": _describe_clips(held_out),
            "held_out_by": options.hold_out,
            "protocol": "log likelihood per normalised pose at its most probable yaw; MPJPE "
            "root-aligned, known limb scale, true 2D, a camera for each pose",
            "candidates": [
                dict(zip(candidate._fields[:4], candidate, strict=False)) for candidate in found
            ],
        }
        write(options.out, json.dumps(result, indent=1) + "\n")
        print(f"wrote {options.out}")


def import_model(options):
    """Make a model file of a released prob_model_params.mat."""
    model = mat_file.read(options.mat)
    model.save(options.out)
    print(show.describe(model))
    print(f"wrote {options.out}")


def export_model(options):
    """Write a model in the format of the released prob_model_params.mat."""
    mat_file.write(options.out, prior.load(options.model))
    print(f"wrote {options.out}")


def show_model(options):
    """Describe a model in words, and as a figure."""
    model = prior.load(options.model)
    print(show.describe(model))
    if options.out:
        suffix = options.out.suffix.removeprefix(".") or "png"
        with replacing(options.out) as temporary:
            show.figure(model).savefig(temporary, format=suffix, dpi=120)
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
        raise PoseError(
            f"{path}: expected 'points', N x 17 x 2, px, and maybe 'camera', "
            "'confidence' and 'landmarks'"
        )
    names = values.get("landmarks")
    if names is not None and tuple(str(name) for name in names) != LANDMARKS:
        raise PoseError(f"{path}: landmarks: expected {list(LANDMARKS)}, got {list(names)}")
    try:
        return [
            None if values.get(key) is None else np.asarray(values[key], dtype=float)
            for key in ("points", "camera", "confidence")
        ]
    except (TypeError, ValueError):
        raise PoseError(f"{path}: expected arrays of numbers, all rows alike") from None


def lift(options):
    """Lift the 2D landmarks in a file."""
    model = prior.load(options.model)
    points, camera, confidence = read_points(options.points)
    lifter = prior.Lifter(model, options.rotations, options.noise_mm)
    lifted = lifter.lift(
        points,
        camera=camera,
        confidence=confidence,
        refine=options.refine,
        tilt=options.tilt,
    )
    arrays = lifted.arrays()
    if options.deviation:
        arrays["deviation_mm"] = lifter.deviation(lifted)
    with replacing(options.out) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, landmarks=np.array(LANDMARKS), **arrays)
    print(f"lifted {np.count_nonzero(lifted.ok)} of {len(points)} poses; wrote {options.out}")


def _add_clips(sub):
    sub.add_argument(
        "clips",
        nargs="+",
        type=Path,
        metavar="CLIP_OR_FOLDER",
        help="motion capture, or folders of it: Acclaim .amc with .asf, .bvh, "
        "Human3.6M (D3_Positions/*.cdf or data_3d_h36m.npz), DeepMimic .txt, "
        ".npz with poses_mm and rate",
    )
    sub.add_argument(
        "--joint-map",
        type=Path,
        metavar="JSON",
        help="where the landmarks are on the skeleton of .bvh files, if no table "
        "knows it: see prior/README.md",
    )
    sub.add_argument("--rate", type=float, metavar="HZ", help="leave out frames down to this rate")
    sub.add_argument(
        "--min-change",
        type=float,
        metavar="MM",
        help="leave out frames in which no landmark moved so far from the last one "
        "kept, apart from walking and turning",
    )
    sub.add_argument("--seed", type=int, default=0, help="of the subsamples")


def _add_solver(sub, default):
    sub.add_argument(
        "--solver",
        choices=alignment.SOLVERS,
        default=default,
        help="of the yaws: as published, or the global minimum",
    )


def _parser():
    parser = argparse.ArgumentParser("python -m prior", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shared = {"formatter_class": argparse.ArgumentDefaultsHelpFormatter}

    sub = commands.add_parser("fit", help=fit.__doc__, description=fit.__doc__, **shared)
    _add_clips(sub)
    sub.add_argument("--out", type=Path, required=True, help="model file to write (.npz)")
    sub.add_argument("--components", type=int, default=fitting.COMPONENTS, help="K, at most")
    sub.add_argument("--basis", type=int, default=fitting.BASIS, help="J")
    _add_solver(sub, "ceres")
    sub.add_argument(
        "--stop-distance",
        type=float,
        default=mixture.STOP_DISTANCE,
        help="seeds are this far apart, in limb scales",
    )
    sub.add_argument(
        "--restarts",
        type=int,
        default=1,
        help="EM from the seeds of so many subsamples, the likeliest kept",
    )
    sub.add_argument("--licence", help="of the data, kept in the model file")
    sub.set_defaults(run=fit)

    sub = commands.add_parser("select", help=select.__doc__, description=select.__doc__, **shared)
    _add_clips(sub)
    sub.add_argument("--components", type=int, nargs="+", default=[1, 3, 6], help="K to try")
    sub.add_argument("--basis", type=int, nargs="+", default=[5, 10, 25], help="J to try")
    sub.add_argument(
        "--hold-out",
        choices=("subject", "clip"),
        default="subject",
        help=f"{selection.SHARE:.0%} of these are held out",
    )
    _add_solver(sub, "closed-form")
    sub.add_argument("--out", type=Path, help="the table as JSON")
    sub.set_defaults(run=select)

    sub = commands.add_parser("show", help=show_model.__doc__, description=show_model.__doc__)
    sub.add_argument("model", type=Path)
    sub.add_argument("--out", type=Path, help="figure to write (.png, .svg, .pdf)")
    sub.set_defaults(run=show_model)

    sub = commands.add_parser("lift", help=lift.__doc__, description=lift.__doc__, **shared)
    sub.add_argument("model", type=Path)
    sub.add_argument(
        "points",
        type=Path,
        help="JSON or .npz with 'points' (N x 17 x 2, px), and "
        "maybe 'camera' (3 x 3 or N x 3 x 3) and 'confidence' (N x 17)",
    )
    sub.add_argument("--out", type=Path, required=True, help="poses to write (.npz)")
    sub.add_argument("--rotations", type=int, default=lifting.ROTATIONS, help="enumerated")
    sub.add_argument(
        "--noise-mm", type=float, default=lifting.NOISE_MM, help="of the 2D landmarks, at the body"
    )
    sub.add_argument(
        "--refine",
        action="store_true",
        help="from the best enumerated rotations to the best in between",
    )
    sub.add_argument(
        "--tilt",
        action="store_true",
        help="search the camera's elevation and roll, for photos of unknown cameras",
    )
    sub.add_argument(
        "--deviation",
        action="store_true",
        help="write each landmark's standard deviation, deviation_mm, too",
    )
    sub.set_defaults(run=lift)

    text = import_model.__doc__
    sub = commands.add_parser("import", help=text, description=text)
    sub.add_argument("mat", type=Path, help="prob_model_params.mat")
    sub.add_argument("--out", type=Path, required=True, help="model file to write (.npz)")
    sub.set_defaults(run=import_model)

    text = export_model.__doc__
    sub = commands.add_parser("export", help=text, description=text)
    sub.add_argument("model", type=Path)
    sub.add_argument("--out", type=Path, required=True, help="file to write (.mat)")
    sub.set_defaults(run=export_model)
    return parser


def main(arguments=None):
    """Run a command; returns its exit status."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, RuntimeError) as error:  # the last: Ceres gave up
        print(f"python -m prior: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("python -m prior: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
