"""Write every network and solver: figure 1 of the paper, as Caffe's NetSpec.

    python -m prototxt.generate            write the files beside this one
    python -m prototxt.generate --check    compare only; the exit status is 1 if a file differs

The options of Choices, with --out FOLDER, write networks with other choices than the paper's.
Needs pycaffe on PYTHONPATH. Paths inside the files are relative to the repository's root. README.md
names the folders, the blobs and the layers; networks.py has figure 1, machines.py the convolutions,
solvers.py the schedules.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from prior import program
from prior.files import write
from prior.model import load
from prior.skeleton import HUMAN36M, Skeleton
from prototxt.choices import Choices
from prototxt.machines import LIFTINGS, MACHINES, RENDERED, Machine
from prototxt.solvers import SCHEDULES, SEED, solver

HERE = Path(__file__).resolve().parent


def files(
    base: str | Path = "prototxt", skeleton: Skeleton = HUMAN36M, **choices: Any
) -> dict[str, str]:
    """Every file: {its path in the folder `base`: its text}. skeleton: of the pose model; choices:
    of Choices."""
    from prototxt import networks  # needs Caffe

    seed = Choices(**choices).seed
    written = {}
    for size, machine in MACHINES.items():
        m = machine._replace(skeleton=skeleton)
        schedules = SCHEDULES[size]
        for kind in ("cpm", "lifting"):
            folder = size + kind

            def net(machine: Machine, train: bool, lifting: bool = kind == "lifting") -> str:
                network = networks.network(machine, lifting=lifting, train=train, **choices)
                return networks.text(network)

            def schedule(suffix: str, lines: str, net: str, folder: str = folder) -> None:
                path = f"{folder}/solver{suffix}.prototxt"
                written[path] = solver(base, folder, suffix, lines, seed, net)

            written[f"{folder}/deploy.prototxt"] = net(m, False)
            written[f"{folder}/train.prototxt"] = net(m, True)
            schedule("", schedules.scratch, "train")
            if schedules.tuned:
                tuned = m._replace(**schedules.tuned)
                written[f"{folder}/train_finetune.prototxt"] = net(tuned, True)
            fine_tuned = "train_finetune" if schedules.tuned else "train"
            schedule("_finetune", schedules.fine_tuning, fine_tuned)
    check_parsed(written)
    mark = "# Written by prototxt/generate.py: change that, not this.\n"
    return {path: mark + content for path, content in written.items()}


def check_parsed(written: Mapping[str, str]) -> None:
    """Parse each text as Caffe does, which raises on a name that Caffe does not know."""
    from caffe.proto import caffe_pb2

    for content in written.values():
        kind = caffe_pb2.SolverParameter if "net:" in content[:5] else caffe_pb2.NetParameter
        text_format.Parse(content, kind())


def skeleton_of(prior: str | None) -> Skeleton:
    """That of the pose model in a file; None: of the Machines' own, the paper's. Raises
    ModelFileError."""
    return HUMAN36M if prior is None else load(HERE.parent / prior).skeleton


def share(argument: str) -> tuple[str, int]:
    """("mpii.pack", 3) of "mpii.pack=3"."""
    name, _, number = argument.rpartition("=") if "=" in argument else (argument, "=", "1")
    if not name or not number.isdigit() or not int(number):
        raise argparse.ArgumentTypeError(f"expected FILE or FILE=SHARE, got {argument}")
    return name, int(number)


def sources(shares: list[tuple[str, int]] | None) -> str | dict[str, int] | None:
    """What the data layer takes as its source; None: what each network has."""
    if not shares:
        return None
    return dict(shares) if len(shares) > 1 else shares[0][0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m prototxt.generate", description=__doc__, formatter_class=program.HelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="compare with the files that are there, write nothing"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE,
        metavar="FOLDER",
        help="the folder to write into (default: the one of this program)",
    )
    _add_choices(parser.add_argument_group("in what the networks differ from the paper's"))
    parser.add_argument(
        "--prior",
        metavar="FILE",
        help="the pose model, whose landmarks the networks have (default: build/prior.npz, and the "
        "ready prior for small/)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=SEED,
        metavar="N",
        help="the seed of fillers and dropout, and of the order and augmentation of the data",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        type=share,
        metavar="FILE[=SHARE]",
        help="the annotations to train on, each with its share of the samples (default: "
        f"{RENDERED}, and photographs for small/)",
    )
    return parser


def _add_choices(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--loss",
        choices=("fused", "beliefs"),
        default="fused",
        help="the maps that equation 8 is on: those after the fusion or those before it",
    )
    group.add_argument(
        "--lift",
        choices=sorted(LIFTINGS),
        help="how each stage lifts: as published, or to the most probable pose from landmarks at "
        "fractions of a cell, or also weighed by the covariance of each belief (default: published "
        "at 368 px, probable in the lite networks)",
    )
    group.add_argument(
        "--backward",
        choices=("none", "scale-held", "exact"),
        default="none",
        help="the gradient through the lifting: none, the supplement's with the scale held, or the "
        "exact one",
    )
    group.add_argument(
        "--no-last-fusion",
        dest="last_fusion",
        action="store_false",
        help="leave lifting and fusion out of the last stage",
    )
    group.add_argument(
        "--fusion",
        choices=("stage", "landmark", "fixed"),
        default="stage",
        help="the fusion's weights: one for each stage, one for each landmark of it, or 0.5",
    )


def generate(options: argparse.Namespace) -> int:
    """Write the files that differ, or name them; returns 1 if --check named one, else 0."""
    choices = vars(options) | {"data": sources(options.data)}
    check, out = choices.pop("check"), choices.pop("out")
    base = out.resolve()
    base = base.relative_to(HERE.parent) if base.is_relative_to(HERE.parent) else base
    stale = 0
    for path, content in files(base, skeleton_of(options.prior), **choices).items():
        file = out / path
        if file.is_file() and file.read_bytes() == content.encode():
            continue
        stale += 1
        if not check:
            write(file, content)
        print(f"{file}: {'is stale: run python -m prototxt.generate' if check else 'written'}")
    return 1 if check and stale else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), generate, arguments)


if __name__ == "__main__":
    sys.exit(main())
