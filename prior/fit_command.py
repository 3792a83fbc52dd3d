"""The command fit: motion capture, in memory, in files or before a cluster, to a model file."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from jaxtyping import Float
from numpy import ndarray
from tqdm import tqdm

import prior
from prior import partitions, show, skeleton_file
from prior.chunks import Passes, cores, over_rows
from prior.cluster import Cluster
from prior.errors import InputError
from prior.fitting import fit as fitting
from prior.fitting import mixture
from prior.fitting.alignment import Step
from prior.fitting.arguments import add_method, method_of
from prior.mocap.arguments import add_clips, described, poses_of, progress_interval, read_clips
from prior.partitions import PartitionedPoses
from prior.skeleton import Skeleton


@contextmanager
def _progress(basis: int) -> Iterator[Callable[[Step], None]]:
    """What shows the Steps of a fit as a bar."""
    with tqdm(total=basis, desc="align", unit="basis", mininterval=progress_interval()) as bar:

        def show_step(step: Step) -> None:
            bar.set_postfix_str(f"NLL {step.nll:.3f} after {step.half_step}", refresh=False)
            bar.update(step.basis - bar.n)

        yield show_step


def add_fit(commands: Any) -> None:
    """The command fit."""
    parser = commands.add_parser("fit", help=fit.__doc__, description=fit.__doc__)
    add_clips(parser)
    parser.add_argument("--out", type=Path, required=True, help="model file to write (.npz)")
    _add_partitions(parser)
    parser.add_argument(
        "--components",
        type=int,
        default=fitting.COMPONENTS,
        metavar="K",
        help="components of the mixture, at most; default: %(default)s",
    )
    parser.add_argument(
        "--basis",
        type=int,
        default=fitting.BASIS,
        metavar="J",
        help="basis vectors of each component; default: %(default)s",
    )
    add_method(parser)
    parser.add_argument(
        "--stop-distance",
        type=float,
        default=mixture.STOP_DISTANCE,
        metavar="D",
        help="least distance between the seeds of two components, in limb scales over all "
        "landmarks; default: %(default)s",
    )
    parser.add_argument(
        "--restarts",
        type=int,
        default=1,
        metavar="R",
        help="run EM from the seeds of so many subsamples and keep the likeliest result; "
        "default: %(default)s",
    )
    add_seed(parser)
    parser.add_argument("--licence", help="licence of the data, to keep in the model file")
    parser.set_defaults(work=fit)


def _add_partitions(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "more poses than memory holds",
        "CLIP_OR_FOLDER is then one folder of poses (F, L, 3), mm, y up, as .npy, or as .npz with "
        "poses_mm, all of the skeleton's landmarks in its order.",
    )
    group.add_argument(
        "--partitions", action="store_true", help="read the folder in passes, never all of it"
    )
    group.add_argument(
        "--dask",
        nargs="?",
        const=f"local:{cores()}",
        metavar="ADDRESS",
        help="the same passes on the workers of a Dask cluster, which see the folder under the "
        "same name: tcp://HOST:PORT of the scheduler, or local:N, or nothing, for processes on "
        "this machine; the model is the same, to the byte",
    )


def add_seed(parser: argparse.ArgumentParser) -> None:
    """The option --seed."""
    parser.add_argument(
        "--seed", type=int, default=0, help="of the random subsamples; default: %(default)s"
    )


def fit(options: argparse.Namespace) -> None:
    """Fit a model to motion capture."""
    poses, skeleton, source = _motion(options)
    print(source)
    meta = {"source": source}
    meta |= {"licence": options.licence} if options.licence else {}
    with passes_of(options.dask) as passes, _progress(options.basis) as progress:
        model = prior.fit(
            poses,
            skeleton=skeleton,
            components=options.components,
            basis=options.basis,
            seed=options.seed,
            restarts=options.restarts,
            stop_distance=options.stop_distance,
            progress=progress,
            passes=passes,
            meta=meta,
            **method_of(options),
        )
    model.save(options.out)
    print(show.describe(model))
    print(f"wrote {options.out}")


def _motion(
    options: argparse.Namespace,
) -> tuple[Float[ndarray, "N L 3"] | PartitionedPoses, Skeleton, str]:
    """The poses, their skeleton, and what they are in words. Raises InputError."""
    if not (options.partitions or options.dask):
        clips = read_clips(options)
        return poses_of(clips), clips[0].skeleton, described(clips)
    named = [name for name in ("joint_map", "rate", "min_change") if getattr(options, name)]
    if named or len(options.clips) != 1:
        raise InputError(
            "partitions: expected one folder, whose poses are taken as they are, got "
            + (f"--{named[0].replace('_', '-')}" if named else f"{len(options.clips)} names")
        )
    poses = partitions.open_folder(options.clips[0])
    source = f"{len(poses)} poses in {len(poses.files)} files"
    return poses, skeleton_file.find(options.skeleton), source


@contextmanager
def passes_of(address: str | None) -> Iterator[Passes]:
    """How passes are made: here, or on the workers of a cluster."""
    if address is None:
        yield over_rows
        return
    with closing(Cluster(address)) as cluster:
        yield cluster.over_rows
