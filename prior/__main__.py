"""The pose model from the command line: fit, select, show, lift, import, export."""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import prior
from prior import mat_file, npz, points_file, program, selection, show
from prior.errors import InputError
from prior.files import replacing, write
from prior.fit_command import add_fit, add_seed
from prior.fitting.arguments import add_method, method_of
from prior.lifting import lifter as lifting
from prior.lifting.lift import lifter_for
from prior.mocap.arguments import add_clips, described, poses_of, progress_interval, read_clips

FIGURES = (".png", ".svg", ".pdf")

# What `add_parser` of argparse is called on; it has no public name.
Commands = Any


# select ------------------------------------------------------------------------------------------


def add_select(commands: Commands) -> None:
    """The command select."""
    parser = commands.add_parser("select", help=select.__doc__, description=select.__doc__)
    add_clips(parser)
    parser.add_argument(
        "--components",
        type=int,
        nargs="+",
        default=[1, 3, 6],
        metavar="K",
        help="numbers of components to try; default: 1 3 6",
    )
    parser.add_argument(
        "--basis",
        type=int,
        nargs="+",
        default=[5, 10, 25],
        metavar="J",
        help="numbers of basis vectors to try; default: 5 10 25",
    )
    parser.add_argument(
        "--hold-out",
        choices=("subject", "clip"),
        default="subject",
        help=f"hold out {selection.SHARE * 100:.0f} %% of the subjects, or of the clips; "
        "default: %(default)s",
    )
    add_method(parser)
    add_seed(parser)
    parser.add_argument("--out", type=Path, help="file to write the table to (.json)")
    parser.set_defaults(work=select)


def select(options: argparse.Namespace) -> None:
    """Compare sizes of the model on held-out motion capture."""
    clips = read_clips(options)
    train, held_out = selection.split(clips, options.hold_out, options.seed)
    print(f"fitted to {described(train)}; held out: {described(held_out)}")
    print("   K    J  log likelihood, nats a pose  MPJPE from true 2D, mm  and with the lens")
    scores = []
    for score in tqdm(
        selection.select(
            poses_of(train),
            poses_of(held_out),
            options.components,
            options.basis,
            skeleton=clips[0].skeleton,
            seed=options.seed,
            **method_of(options),
        ),
        desc="select",
        total=len(options.components) * len(options.basis),
        mininterval=progress_interval(),
    ):
        scores.append(score)
        tqdm.write("{:4d} {:4d} {:28.2f} {:23.1f} {:18.1f}".format(*score[:5]))
    likeliest = max(scores, key=lambda score: score.log_likelihood)
    best = min(scores, key=lambda score: score.mpjpe_mm)
    print(
        f"highest likelihood: K = {likeliest.components}, J = {likeliest.basis}; "
        f"lowest lifting error: K = {best.components}, J = {best.basis}"
    )
    if options.out:
        result = {
            "fitted_to": described(train),
            "held_out": described(held_out),
            "held_out_by": options.hold_out,
            "alignment": method_of(options),
            "protocol": "log likelihood per normalised pose at its most probable yaw; MPJPE "
            "root-aligned, known limb scale, true 2D, a camera for each pose, by weak perspective "
            "and with the intrinsics",
            "candidates": [
                {
                    "components": score.components,
                    "basis": score.basis,
                    "log_likelihood": score.log_likelihood,
                    "mpjpe_mm": score.mpjpe_mm,
                    "lens_mpjpe_mm": score.lens_mpjpe_mm,
                }
                for score in scores
            ],
        }
        write(options.out, json.dumps(result, indent=1) + "\n")
        print(f"wrote {options.out}")


# show --------------------------------------------------------------------------------------------


def add_show(commands: Commands) -> None:
    """The command show."""
    text = show_model.__doc__
    parser = commands.add_parser("show", help=text, description=text)
    parser.add_argument("model", type=Path, help="model file")
    parser.add_argument("--out", type=Path, help=f"figure to write ({', '.join(FIGURES)})")
    parser.set_defaults(work=show_model)


def show_model(options: argparse.Namespace) -> None:
    """Describe a model in words, and as a figure."""
    if options.out and options.out.suffix not in FIGURES:
        raise InputError(f"{options.out}: expected a figure, {', '.join(FIGURES)}")
    model = prior.load(options.model)
    print(show.describe(model))
    if options.out:
        with replacing(options.out) as temporary:
            show.figure(model).savefig(temporary, dpi=120)
        print(f"wrote {options.out}")


# lift --------------------------------------------------------------------------------------------


def noise(argument: str) -> float | str:
    """The value of --noise-mm: a number, or "auto"."""
    return argument if argument == "auto" else float(argument)


def add_lift(commands: Commands) -> None:
    """The command lift."""
    parser = commands.add_parser("lift", help=lift.__doc__, description=lift.__doc__)
    parser.add_argument("model", type=Path, help="model file")
    parser.add_argument(
        "points",
        type=Path,
        help="file of the model's landmarks, JSON or .npz: 'points' (N x L x 2, px), optionally "
        "'camera' (3 x 3 or N x 3 x 3, world to camera), 'confidence' (N x L), 'intrinsics' "
        "(3 x 3 or N x 3 x 3, px: full perspective), 'covariance' (N x L x 2 x 2, px^2) and "
        "'landmarks' (names)",
    )
    parser.add_argument("--out", type=Path, required=True, help="poses to write (.npz)")
    parser.add_argument(
        "--rotations",
        type=int,
        default=lifting.ROTATIONS,
        help="how many rotations about the vertical are tried; default: %(default)s",
    )
    parser.add_argument(
        "--noise-mm",
        type=noise,
        default=lifting.NOISE_MM,
        metavar="MM",
        help="standard deviation of the 2D landmarks, mm at the body, or auto: that under which "
        "they are most probable; default: %(default)s",
    )
    parser.add_argument(
        "--criterion",
        choices=("density", "cost"),
        default="density",
        help="take the rotation of highest density, or of least cost, as published; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--as-published",
        action="store_true",
        help="lift to the letter of section 5.3: "
        + ", ".join(f"{name} {value}" for name, value in lifting.AS_PUBLISHED.items()),
    )
    parser.add_argument(
        "--refine", action="store_true", help="go on to the best rotation between those tried"
    )
    parser.add_argument(
        "--tilt",
        action="store_true",
        help="search the camera's elevation and roll, for photos of unknown cameras",
    )
    parser.add_argument(
        "--robust", action="store_true", help="leave out landmarks that the others contradict"
    )
    parser.add_argument(
        "--track",
        type=float,
        metavar="HZ",
        help="the poses are one person's consecutive frames, so many a second: lift them as the "
        "most probable motion, smoothed by how sure each pose is; not in the paper",
    )
    parser.add_argument(
        "--deviation",
        action="store_true",
        help="also write each landmark's standard deviation, deviation_mm",
    )
    parser.set_defaults(work=lift)


def lift(options: argparse.Namespace) -> None:
    """Lift the 2D landmarks in a file."""
    model = prior.load(options.model)
    arguments: dict[str, Any] = dict(points_file.read(options.points, model.skeleton))
    points = arguments.pop("points")
    arguments |= {"refine": options.refine, "tilt": options.tilt, "robust": options.robust}
    how = {name: getattr(options, name) for name in ("rotations", "noise_mm", "criterion")}
    how = lifting.AS_PUBLISHED if options.as_published else how
    lifter = lifter_for(model, points, arguments, **how)
    if options.track is None:
        lifted = lifter.lift(points, **arguments)
    else:
        for name in ("refine", "robust", "as-published"):
            if getattr(options, name.replace("-", "_")):
                raise InputError(f"--track: expected it without --{name}, got both; leave one out")
        arguments = {k: v for k, v in arguments.items() if k not in ("refine", "robust")}
        lifted = lifter.lift_track(points, options.track, **arguments)
    arrays: dict[str, Any] = {"landmarks": np.array(model.skeleton.landmarks)} | lifted.arrays()
    if options.robust:
        arrays["inlier"] = lifted.inlier
    if options.deviation:
        arrays["deviation_mm"] = lifter.deviation(lifted)
    npz.write(options.out, compressed=True, **arrays)
    print(f"lifted {np.count_nonzero(lifted.ok)} of {len(lifted)} poses; wrote {options.out}")


# import and export -------------------------------------------------------------------------------


def add_import(commands: Commands) -> None:
    """The command import."""
    text = import_model.__doc__
    parser = commands.add_parser("import", help=text, description=text)
    parser.add_argument("mat", type=Path, help="the released prob_model_params.mat")
    parser.add_argument("--out", type=Path, required=True, help="model file to write (.npz)")
    parser.set_defaults(work=import_model)


def import_model(options: argparse.Namespace) -> None:
    """Make a model file of a released prob_model_params.mat."""
    model = mat_file.read(options.mat)
    model.save(options.out)
    print(show.describe(model))
    print(f"wrote {options.out}")


def add_export(commands: Commands) -> None:
    """The command export."""
    text = export_model.__doc__
    parser = commands.add_parser("export", help=text, description=text)
    parser.add_argument("model", type=Path, help="model file")
    parser.add_argument("--out", type=Path, required=True, help="file to write (.mat)")
    parser.set_defaults(work=export_model)


def export_model(options: argparse.Namespace) -> None:
    """Write a model in the format of the released prob_model_params.mat."""
    mat_file.write(options.out, prior.load(options.model))
    print(f"wrote {options.out}")


# The program -------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    # Installed, the program is called lift-prior.
    installed = Path(sys.argv[0]).stem == "lift-prior"
    parser = argparse.ArgumentParser(
        "lift-prior" if installed else "python -m prior", description=__doc__
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (add_fit, add_select, add_show, add_lift, add_import, add_export):
        add(commands)
    return parser


def run_command(options: argparse.Namespace) -> None:
    """Run the command that the options name."""
    options.work(options)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    return program.run(_parser(), run_command, arguments)


if __name__ == "__main__":
    sys.exit(main())
