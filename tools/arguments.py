"""Options that several programs have, each with one name, help and default."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prior import mocap
from prior.mocap import motion, sampling
from prior.model import TRAINING

# Poses of the motion that the project carries: those of all its subjects, balanced. Our choice, as
# many as are lifted and fitted in minutes.
CARRIED = 5000


def add_out_file(parser: argparse.ArgumentParser, default: str) -> None:
    """--out FILE, the JSON of a measuring command."""
    parser.add_argument(
        "--out", type=Path, default=Path(default), metavar="FILE", help="the JSON to write"
    )


def add_out_folder(parser: argparse.ArgumentParser, default: str) -> None:
    """--out FOLDER."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(default),
        metavar="FOLDER",
        help="the folder to write into",
    )


def add_mocap(parser: argparse.ArgumentParser) -> None:
    """--mocap, for `read_mocap`."""
    parser.add_argument(
        "--mocap",
        type=Path,
        nargs="+",
        metavar="CLIP_OR_FOLDER",
        help=f"motion capture (default: {CARRIED:,} poses of the motion that the project carries)",
    )


def read_mocap(paths: Sequence[Path] | None) -> list[mocap.Clip]:
    """The clips of --mocap; where it was not given, CARRIED poses of the motion that the project
    carries, equally many of each kind and subject as far as possible."""
    if paths:
        return [clip for path in paths for clip in mocap.read(path)]
    return read_carried()


def read_carried(split: str | None = None) -> list[mocap.Clip]:
    """CARRIED poses of the motion that the project carries, of all subjects or those of a split."""
    return sampling.balanced(motion.load(split), CARRIED)


def add_seed(parser: argparse.ArgumentParser) -> None:
    """--seed N."""
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="the seed of all that is random"
    )


def add_prior(parser: argparse.ArgumentParser) -> None:
    """--prior, by default the demo's."""
    parser.add_argument(
        "--prior",
        type=Path,
        default=Path("build/prior.npz"),
        metavar="FILE",
        help="the pose model",
    )


def add_models(parser: argparse.ArgumentParser) -> None:
    """--models: pairs of a name and a pose model's path, to compare."""
    parser.add_argument(
        "--models",
        type=named_file,
        nargs="+",
        default=[("cmu_training", TRAINING)],
        metavar="NAME=FILE",
        help="model files (default: the ready one's twin that knows no test subject, "
        "prior/models/cmu_training.npz)",
    )


def add_truth(parser: argparse.ArgumentParser) -> None:
    """--data, for tools.evaluate.truth.load."""
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        default=[Path("build/data/test.json")],
        metavar="PATH",
        help="annotations with 3D truth, or the folder that make h36m wrote",
    )


def add_predictions(parser: argparse.ArgumentParser, purpose: str) -> None:
    """--predictions: pairs of a name and a path. purpose: how its help begins."""
    parser.add_argument(
        "--predictions",
        type=named_file,
        nargs="*",
        default=[],
        metavar="NAME=FILE",
        help=f"{purpose}, .npz or JSON; `pydoc tools.evaluate.predictions` says what is in such a "
        "file",
    )


def named_file(text: str) -> tuple[str, Path]:
    """NAME=FILE, or FILE, which is its own name."""
    name, equals, path = text.partition("=")
    return (name, Path(path)) if equals else (text, Path(text))


def add_network(parser: argparse.ArgumentParser) -> None:
    """DEPLOY and CAFFEMODEL."""
    parser.add_argument("deploy", type=Path, metavar="DEPLOY", help="the network's deploy.prototxt")
    parser.add_argument(
        "weights", type=Path, metavar="CAFFEMODEL", help="the weights that it was trained to"
    )


def add_fov(parser: Any, without: str) -> None:
    """--fov, for camera.intrinsics_of_view. without: what is done where it is not given."""
    parser.add_argument(
        "--fov",
        type=float,
        metavar="DEGREES",
        help="what the lens sees along the image's longer side: lift in full perspective (a phone: "
        f"65 to 75; without: {without})",
    )


def add_as_published(parser: Any, what: str) -> None:
    """--as-published, of a parser or a group. what: is lifted, in words."""
    parser.add_argument(
        "--as-published",
        action="store_true",
        help=f"lift {what} to the letter of the paper's section 5.3: weak perspective even where "
        "the lens is known, no noise but the model's, the rotation of least cost",
    )


def add_gpu(parser: argparse.ArgumentParser) -> None:
    """--gpu ID."""
    parser.add_argument(
        "--gpu",
        type=natural,
        metavar="ID",
        help="compute on this GPU, by its number in nvidia-smi, with a Caffe built for it "
        "(default: on the CPU)",
    )


def natural(text: str) -> int:
    """A whole number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got {text}")
    return int(text)


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text}")
    return int(text)
