"""2D landmarks of other programs to 3D poses: python -m tools.lift INPUT --out FILE...

INPUT: OpenPose JSON (a file, or a folder of frames), COCO keypoints JSON (annotations, results),
MPII JSON, what tools.infer writes, .npz or JSON with "points" (N x landmarks x
2), CSV ("hip x", "hip y", ..., "frame"), or poses that this program wrote, for other formats.

Each FILE is written by its suffix: .npz .json .csv .glb (all people), .bvh .trc .c3d (a file for
each person, all on the input's time line), .png .gif .mp4 (2D landmarks, on the --images, beside
the 3D poses), .html (a page to turn and play them, in one file).

The camera is --camera FILE (OpenCV's matrices), or --elevation and --roll, or is searched: one tilt
for the whole input (default), or --search-each pose's own. Exit status: 0, all was lifted; 1,
nothing was written, bad input; 3, something was left out or is no plausible person (said in a
line), or nobody was found.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

import prior
from prior import landmark_sets, program
from prior.errors import InputError
from prior.lifting.lifter import NOISE_MM
from tools.arguments import add_as_published
from tools.lift import calibration, counting, drawing, keypoints, lifted, smoothing, writing
from tools.lift.lifting import LEAST_CONFIDENCE, LEVELS, lift
from tools.lift.people import How
from tools.pictures import Pictures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.lift", description=__doc__, formatter_class=program.HelpFormatter
    )
    parser.add_argument(
        "input", type=Path, metavar="INPUT", help="the landmarks, or poses that this program wrote"
    )
    parser.add_argument(
        "--out", type=Path, nargs="+", required=True, metavar="FILE", help="the files to write"
    )
    parser.add_argument(
        "--landmarks",
        choices=landmark_sets.LANDMARK_SETS,
        help="the landmark set, where the input does not say",
    )
    parser.add_argument(
        "--min-confidence",
        type=float,
        default=LEAST_CONFIDENCE,
        metavar="C",
        help="a landmark of lower confidence counts as missing",
    )
    parser.add_argument(
        "--image-size",
        type=float,
        nargs=2,
        metavar=("WIDTH", "HEIGHT"),
        help="of the frames' images, px, for coordinates from 0 or -1 to 1",
    )
    parser.add_argument(
        "--rate", type=float, metavar="HZ", help="how many frames a second the input has"
    )
    _add_camera(parser.add_argument_group("camera"))
    _add_lifting(parser.add_argument_group("lifting"))
    parser.add_argument(
        "--smooth",
        type=float,
        metavar="SECONDS",
        help="average over time with a Gaussian of this standard deviation, such as 0.1; not in "
        "the paper",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="leave out poses that are no plausible person, which otherwise are marked",
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="PATH",
        help="the frames' images, to draw on: a folder, a video, or one image",
    )
    return parser


def _add_camera(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--camera",
        type=Path,
        metavar="FILE",
        help="camera_matrix (K), distortion_coefficients, R or rvec (world to camera), as OpenCV's "
        "YAML, XML, JSON, or .npz; with K the lifting is by full perspective, and says where the "
        "person is",
    )
    group.add_argument(
        "--up",
        choices=calibration.UP,
        default="y",
        help="the axis of that file's world that points up",
    )
    group.add_argument(
        "--elevation", type=float, metavar="DEGREES", help="how far the camera looks down"
    )
    group.add_argument(
        "--roll",
        type=float,
        default=0.0,
        metavar="DEGREES",
        help="with --elevation: the camera's turn about its own axis",
    )
    group.add_argument(
        "--search-each",
        action="store_true",
        help="search the tilt for each pose alone, as for photos of several cameras",
    )


def _add_lifting(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--prior", type=Path, metavar="FILE", help="the pose model (default: the ready one)"
    )
    group.add_argument(
        "--weigh",
        action="store_true",
        help=f"weigh landmarks by their confidence, in {LEVELS} levels; without it, those that are "
        "there count alike, which is much faster",
    )
    group.add_argument(
        "--noise-mm",
        type=float,
        default=NOISE_MM,
        metavar="MM",
        help="the error of the 2D landmarks, in mm at the body",
    )
    add_as_published(group, "landmarks")
    group.add_argument(
        "--refine",
        action="store_true",
        help="search turns about the vertical between the enumerated ones",
    )
    group.add_argument(
        "--no-deviation",
        dest="deviation",
        action="store_false",
        help="leave out the uncertainty, which takes most of the time",
    )


class Said(NamedTuple):
    """What a lift has to say: lines that account for the input, notes, doubts; and whether
    something was left out or is doubtful."""

    account: Sequence[str] = ()
    notes: Sequence[str] = ()
    doubts: Sequence[str] = ()
    wanting: bool = False


def image_size(options):
    """The (width, height) of the frames' images, px, as far as the options say it, or None."""
    if options.image_size is not None:
        return tuple(options.image_size)
    if options.images is None:
        return None
    image = next((image for _, image, _ in Pictures([options.images]) if image is not None), None)
    return None if image is None else (image.shape[1], image.shape[0])


def without_doubts(poses, strict):
    """(Poses, lines, list of the LeftOut) of those that are no plausible person: marked and said,
    or, if `strict`, left out."""
    odd = ~poses.plausible
    if not odd.any():
        return poses, [], []
    first, count = int(np.argmax(odd)), np.count_nonzero(odd)
    where = f"frame {poses.frame_name(poses.frame[first])}, person {poses.person[first]}"
    where = f"{where}: {poses.reason[first]}"
    if strict:
        left = counting.LeftOut(counting.PEOPLE, count, "no plausible person", where)
        return poses.of(~odd), [], [left]
    line = (
        f"{count} of {len(odd)} poses are no plausible person: marked; --strict leaves them out; "
        f"first in {where}"
    )
    return poses, [line], []


def poses_of(options):
    """(Poses, Said) of the options. Raises InputError or OSError."""
    if options.rate is not None and not 0 < options.rate < np.inf:
        raise InputError(f"--rate: expected a positive number, got {options.rate}")
    if lifted.is_lifted(options.input):
        poses = lifted.read(options.input)
        rate = poses.meta["rate"] if options.rate is None else options.rate
        poses = poses._replace(meta=poses.meta | {"rate": rate})
        poses, doubts, left = without_doubts(poses, options.strict)
        return poses, Said([str(part) for part in left], (), doubts, bool(doubts or left))
    if options.elevation is not None and not abs(options.elevation) < 90:
        raise InputError(f"--elevation: expected -90 to 90 degrees, got {options.elevation}")
    model = prior.load(options.prior) if options.prior else prior.load()
    camera = calibration.read(options.camera, options.up) if options.camera else calibration.NONE
    landmarks = options.landmarks and landmark_sets.LANDMARK_SETS[options.landmarks]
    size = partial(image_size, options)
    people = keypoints.read(options.input, How(landmarks, options.rate, size))
    poses, left = lift(
        people,
        model,
        camera=camera,
        elevation=None if options.elevation is None else np.deg2rad(options.elevation),
        roll=np.deg2rad(options.roll),
        each=options.search_each,
        least=options.min_confidence,
        weigh=options.weigh,
        noise_mm=options.noise_mm,
        as_published=options.as_published,
        refine=options.refine,
        deviation=options.deviation,
    )
    poses, doubts, odd = without_doubts(poses, options.strict)
    left, doubts = [*left, *odd], [*people.doubts, *doubts]
    return poses, Said(
        counting.account(people, left, poses, options.min_confidence),
        people.notes,
        doubts,
        bool(doubts or counting.matters([*people.left, *left])),
    )


def lift_file(options):
    """Lift, print what was left out, and write every file; returns the exit status."""
    for path in options.out:
        writing.check(path)
    poses, said = poses_of(options)
    if options.smooth is not None:
        poses = smoothing.smooth(poses, options.smooth)
        print(f"smoothed over {options.smooth:g} s, which is not in the paper")
    for line in said.notes:
        print(f"note: {line}", file=sys.stderr)
    for line in said.doubts:
        print(f"warning: {line}", file=sys.stderr)
    print(
        f"{len(poses.frame)} poses of {len(np.unique(poses.person))} people in "
        f"{len(np.unique(poses.frame))} of {len(poses.meta['frames'])} frames"
    )
    for line in said.account:
        print(line)
    if not len(poses.frame):
        print("nobody found: nothing to write")
        return 3
    photos = drawing.Photos(options.images)
    for path in options.out:
        for written in writing.write(path, poses, photos):
            print(f"wrote {written}")
    for line in dict.fromkeys(photos.problems):
        print(line, file=sys.stderr)
    return 3 if said.wanting or photos.problems else 0


def joined(arguments: Sequence[str]) -> list[str]:
    """The arguments with "--up -y" as "--up=-y": argparse takes a word with a dash for an
    option."""
    result: list[str] = []
    for word in arguments:
        if result and result[-1] == "--up" and word in calibration.UP:
            result[-1] = f"--up={word}"
        else:
            result.append(word)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    arguments = joined(sys.argv[1:] if arguments is None else arguments)
    return program.run(
        _parser(), lift_file, arguments, interrupted="files not named as written are not there"
    )


if __name__ == "__main__":
    sys.exit(main())
