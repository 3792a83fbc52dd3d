"""How well models lift people whom no training saw, by kind of motion.

    python -m tools.bench.ready_prior [--models NAME=FILE ...] [--out build/bench/ready-prior.json]

The poses are of the test subjects of the motion that the project carries, or of the clips of
--mocap, equally many of each kind (of clips without kinds, of each action), from their true 2D
landmarks in cameras like Human3.6M's, with and without the lens known. Errors are MPJPE (hips
aligned, known limb scale) and PA-MPJPE, mm.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import prior
from prior import program
from prior.errors import InputError
from prior.metrics import procrustes_aligned, root_aligned, with_scale_of
from prior.mocap import motion, sampling
from prior.simulation import INTRINSICS, Simulation, room
from tools import measured
from tools.arguments import add_models, add_out_file, add_seed, read_mocap
from tools.markdown import table

LENSES: dict[str, dict[str, Any]] = {"unknown": {}, "known": {"intrinsics": INTRINSICS}}


def errors(
    model: prior.PriorModel, images: Simulation, kinds: np.ndarray, lens: dict[str, Any]
) -> dict[str, dict[str, float]]:
    """Mean MPJPE and PA-MPJPE, mm, of all poses and of those of each kind."""
    pose = prior.lift(images.points, model, camera=images.cameras, **lens).pose
    each = {
        "mpjpe_mm": root_aligned(with_scale_of(pose, images.truth), images.truth),
        "pa_mpjpe_mm": procrustes_aligned(pose, images.truth),
    }
    masks = {"all": np.full(len(kinds), True)} | {kind: kinds == kind for kind in np.unique(kinds)}
    return {
        str(kind): {name: float(value[mask].mean()) for name, value in each.items()}
        for kind, mask in masks.items()
    }


def measure(
    models: Sequence[tuple[str, Path]],
    count: int,
    seed: int,
    mocap: Sequence[Path] | None = None,
) -> dict[str, Any]:
    """The record: of each model and lens the errors by kind, and how many poses each kind has.

    mocap: files or folders of motion capture; None: the test subjects.
    """
    if count < 1:
        raise InputError("--poses: expected 1 or more")
    loaded = {name: prior.load(path) for name, path in models}
    clips = read_mocap(mocap) if mocap else motion.load("test")
    # Each action is a kind where nothing else says it.
    clips = [clip._replace(kind=clip.kind or clip.action) for clip in clips]
    clips = sampling.balanced(clips, count)
    kinds = np.concatenate([[clip.kind] * len(clip.poses) for clip in clips])
    images = room(np.concatenate([clip.poses for clip in clips]), seed)
    rows = [
        {"model": name, "lens": lens, "errors": errors(loaded[name], images, kinds, options)}
        for name in tqdm(loaded, desc="lift", unit="model")
        for lens, options in LENSES.items()
    ]
    counts = {str(kind): int((kinds == kind).sum()) for kind in np.unique(kinds)}
    return {
        "subjects": sorted({clip.subject for clip in clips}),
        "poses": {"all": len(kinds)} | counts,
        "rows": rows,
    }


def markdown(record: dict[str, Any]) -> str:
    """The record as a table: MPJPE / PA-MPJPE, mm."""
    head = ("kind", "poses", *(f"{row['model']}, lens {row['lens']}" for row in record["rows"]))
    rows = [
        (
            kind,
            poses,
            *(
                "{mpjpe_mm:.1f} / {pa_mpjpe_mm:.1f}".format(**row["errors"][kind])
                for row in record["rows"]
            ),
        )
        for kind, poses in record["poses"].items()
    ]
    return (
        f"MPJPE / PA-MPJPE, mm, of subjects {', '.join(record['subjects'])}\n\n{table(head, rows)}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.ready_prior",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_models(parser)
    parser.add_argument("--poses", type=int, default=1100, metavar="N", help="how many are lifted")
    parser.add_argument(
        "--mocap",
        type=Path,
        nargs="+",
        metavar="CLIP_OR_FOLDER",
        help="motion capture, to lift poses of it (default: of the test subjects)",
    )
    add_seed(parser)
    add_out_file(parser, "build/bench/ready-prior.json")
    return parser


def bench(options: argparse.Namespace) -> None:
    """Measure, print the table and write the record."""
    record = measure(options.models, options.poses, options.seed, options.mocap)
    measured.publish(options.out, record, markdown(record))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
