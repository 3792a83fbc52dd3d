"""Convert a data set to the packed file that the data layer reads: python -m tools.convert.

    python -m tools.convert mpii mpii_human_pose_v1_u12_1.mat IMAGES --out mpii.pack
    python -m tools.convert leeds FOLDER --out lsp.pack
    python -m tools.convert coco person_keypoints_train2017.json IMAGES --out coco.pack
    python -m tools.convert cpm lmdb/MPI_alltrain --out cpm.pack
    python -m tools.convert json train.json --out train.pack
    python -m tools.convert check train.pack

Each brings its landmarks to Human3.6M's 17 and marks those that it does not have as missing;
--skeleton takes others as they are, for a pose model that has them.
What cannot be used is left out, counted and named. The file is written whole or not at all.
Human3.6M is prepared by python -m tools.convert.h36m.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from prior import program, skeleton_file
from python_layers.data import annotations, images, packed
from python_layers.data import cpm_lmdb as source
from tools.convert import coco, cpm_lmdb, entries, leeds, mpii, native
from tools.convert.entries import ConversionError


def _of(read, *names):
    """A command that writes the entries that `read` lists; names: of the options it takes."""

    def command(options):
        images_of_set = read(*(getattr(options, name) for name in names))
        return entries.write(options.out, images_of_set, total=len(images_of_set))

    return command


def _lmdb(options):
    total = source.count(options.folder)
    return entries.write(options.out, cpm_lmdb.read(options.folder), total=total)


def _coco(options):
    skeleton = skeleton_file.find(options.skeleton)
    images_of_set = coco.read(options.annotations, options.folder, skeleton)
    return entries.write(options.out, images_of_set, total=len(images_of_set), skeleton=skeleton)


def _json(options):
    skeleton = skeleton_file.find(options.skeleton)
    cameras, images_of_set = native.read(options.annotations, skeleton)
    return entries.write(
        options.out, images_of_set, cameras, total=len(images_of_set), skeleton=skeleton
    )


def _check(options):
    """Read every image of a packed file: a Report. Raises ConversionError if any is damaged."""
    if not packed.is_packed(options.annotations):
        raise ConversionError(f"{options.annotations}: expected a packed file")
    people = annotations.load(options.annotations, skeleton=skeleton_file.find(options.skeleton))
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

    command(
        "mpii",
        _of(mpii.read, "annotations", "folder"),
        "MPII Human Pose, training images",
        "annotations",
        "folder",
    )
    made = command(
        "leeds",
        _of(leeds.read, "folder", "part", "split"),
        "Leeds Sports Pose, original or extended",
        "folder",
    )
    made.add_argument(
        "--part",
        choices=("all", "train", "test"),
        default="all",
        help="of the original: first or second half (default: all)",
    )
    made.add_argument(
        "--split",
        choices=("all", "train", "validation"),
        default="all",
        help="validation: the tenth whose image number ends in "
        f"{leeds.VALIDATION_DIGIT}; train: the rest (default: all)",
    )
    about = "COCO, person keypoints, or others in its form"
    _add_skeleton(command("coco", _coco, about, "annotations", "folder"))
    command("cpm", _lmdb, "CPM's LMDB, of MPII or Leeds", "folder")
    about = "our own JSON of annotations and its images"
    _add_skeleton(command("json", _json, about, "annotations"))
    about = "read every image of a packed file"
    _add_skeleton(command("check", _check, about, "annotations", out=False))
    return parser


def _add_skeleton(parser):
    parser.add_argument(
        "--skeleton",
        default="human36m",
        metavar="JSON",
        help="whose landmarks the people have: a file that says what they are (see "
        "prior/README.md), or coco, its 17 keypoints; default: Human3.6M's 17 landmarks",
    )


def convert(options):
    """Run the command that the options name, and print what it did."""
    for line in options.run(options).lines():
        print(line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), convert, arguments)


if __name__ == "__main__":
    sys.exit(main())
