"""Convert a data set to the packed file that the data layer reads: python -m tools.convert.

    python -m tools.convert human36m FOLDER --metadata metadata.xml --out h36m.pack
    python -m tools.convert mpii mpii_human_pose_v1_u12_1.mat IMAGES --out mpii.pack
    python -m tools.convert leeds FOLDER --out lsp.pack
    python -m tools.convert coco person_keypoints_train2017.json IMAGES --out coco.pack
    python -m tools.convert json train.json --out train.pack
    python -m tools.convert check train.pack

Each brings its landmarks to the project's 17 and marks those that it does not have as missing.
What cannot be used is left out, counted and named. The file is written whole or not at all.
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from prior import program
from python_layers.data import annotations, images, packed
from tools.convert import coco, entries, human36m, leeds, mpii, native
from tools.convert.entries import ConversionError
from tools.evaluate.protocols import PROTOCOLS

TRAINING = PROTOCOLS[0].training


def _human36m(given):
    views = human36m.cameras(given.metadata)
    paths = human36m.videos(given.folder, given.subjects)
    report = entries.Report()
    found = itertools.chain.from_iterable(
        human36m.read(path, views, lambda count: range(0, count, given.step), report)
        for path in paths
    )
    cameras = {
        name: {"rotation": c.rotation, "position_mm": c.position, "intrinsics": c.intrinsics}
        for name, c in views.items()
        if name.split("/")[0] in given.subjects
    }
    return entries.write(given.out, found, cameras, report=report)


def _of(read, *names):
    """A command that writes the entries that read(...) lists."""

    def command(given):
        found = read(*(getattr(given, name) for name in names))
        return entries.write(given.out, found, total=len(found))

    return command


def _json(given):
    cameras, found = native.read(given.annotations)
    return entries.write(given.out, found, cameras, total=len(found))


def _check(given):
    """Read every image of a packed file; a Report of those that are damaged."""
    if not packed.is_packed(given.annotations):
        raise ConversionError(f"{given.annotations}: expected a packed file")
    people = annotations.load(given.annotations)
    report = entries.Report()
    report.people = len(people)
    for number in tqdm(range(len(people.store)), "check", unit="image", disable=None):
        try:
            people.store.read(number)
            report.images += 1
        except images.ImageError as error:
            report.leave_out(str(error))
    if report.left_out:
        raise ConversionError("; ".join(report.lines()))
    return report


def _positive(text):
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text}")
    return int(text)


def _parser():
    parser = argparse.ArgumentParser(
        "python -m tools.convert", description=__doc__, formatter_class=program.HelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, run, about, *paths, out=True):
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(run=run)
        for path in paths:
            made.add_argument(path, type=Path)
        if out:
            made.add_argument("--out", type=Path, required=True, help="packed file to write")
        return made

    made = command("human36m", _human36m, "Human3.6M: videos and CDF files", "folder")
    made.add_argument("--metadata", type=Path, required=True, help="metadata.xml of the release")
    made.add_argument(
        "--subjects",
        nargs="+",
        default=TRAINING,
        metavar="S",
        choices=[f"S{i}" for i in range(1, human36m.SUBJECTS + 1)],
        help="default: the training subjects of protocol 1",
    )
    made.add_argument(
        "--step",
        type=_positive,
        default=5,
        metavar="N",
        help="every Nth of 50 frames a second (default: 5, protocol 1's; protocol "
        "2 has 64, protocol 3 has 1)",
    )
    command(
        "mpii",
        _of(mpii.read, "annotations", "folder"),
        "MPII Human Pose, training images",
        "annotations",
        "folder",
    )
    made = command(
        "leeds",
        _of(leeds.read, "folder", "part"),
        "Leeds Sports Pose, original or extended",
        "folder",
    )
    made.add_argument(
        "--part",
        choices=("all", "train", "test"),
        default="all",
        help="of the original: first or second half (default: all)",
    )
    command(
        "coco",
        _of(coco.read, "annotations", "folder"),
        "COCO, person keypoints",
        "annotations",
        "folder",
    )
    command("json", _json, "our own JSON of annotations and its images", "annotations")
    command("check", _check, "read every image of a packed file", "annotations", out=False)
    return parser


def convert(options):
    """Run the command that the options name, and print what it did."""
    for line in options.run(options).lines():
        print(line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), convert, arguments)


if __name__ == "__main__":
    sys.exit(main())
