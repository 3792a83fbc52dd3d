"""Photos, videos, or 2D landmarks to 3D poses: python -m tools.lift INPUT [--out FILE...]

INPUT: a photo, a video or a folder of images, in which the detector that is installed finds the
landmarks; or what another program detected: OpenPose JSON (a file, or a folder of frames), COCO
keypoints JSON (annotations, results), MPII JSON, what tools.infer writes, .npz or JSON with
"points" (N x landmarks x 2), CSV ("hip x", "hip y", ..., "frame"), and others (README.md beside
this); or poses that this program wrote, for other formats.

Each FILE is written by its suffix: .npz .json .csv .glb (all people), .angles.csv (joint angles),
.bvh .trc .c3d .mot (a file for each person, all on the input's time line), .png .gif .mp4 (2D
landmarks, on the images, beside the 3D poses), .html (a page to turn and play them, in one file).

The camera is --camera FILE (OpenCV's matrices, and those of others), or --elevation and --roll, or
is searched: one tilt for the whole input (default), or --search-each pose's own. Exit status: 0,
all was lifted; 1, nothing was written, bad input; 3, look at the lines: something was left out,
contradicts itself or is no plausible person, most people lie or are upside down in the image (also
if they really do), or nobody was found.
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
from prior.camera import intrinsics_of_view
from prior.errors import InputError
from prior.skeleton import HUMAN36M
from tools.lift import (
    calibration,
    counting,
    detecting,
    drawing,
    height,
    keypoints,
    lifted,
    live,
    smoothing,
    writing,
)
from tools.lift.lifting import LEAST_CONFIDENCE, lift
from tools.lift.options import add_camera, add_detecting, add_lifting
from tools.lift.people import How
from tools.lift.sizes import ImageSizes
from tools.lift.tilt import Tilt

# Where results go that nobody names.
RESULTS = Path("build/lift")


# Frames a second: from one an hour to what the fastest cameras take. Our choice.
RATES = (1 / 3600, 1e5)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.lift", description=__doc__, formatter_class=program.HelpFormatter
    )
    parser.add_argument(
        "input",
        type=Path,
        metavar="INPUT",
        help="the landmarks, or poses that this program wrote, or an image, a folder of images or "
        "a video",
    )
    parser.add_argument(
        "--out",
        type=Path,
        nargs="+",
        metavar="FILE",
        help=f"the files to write (default: a page, which is opened, and an .npz, in {RESULTS}/)",
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
        help="of the frames' images, px, for coordinates from 0 or -1 to 1, and for --fov",
    )
    parser.add_argument(
        "--rate", type=float, metavar="HZ", help="how many frames a second the input has"
    )
    parser.add_argument(
        "--by-place",
        action="store_true",
        help="tell people apart by their place in the image, whatever numbers the input has",
    )
    add_detecting(parser.add_argument_group("photos and videos"))
    add_camera(parser.add_argument_group("camera"))
    add_lifting(parser.add_argument_group("lifting"))
    _add_answers(parser.add_argument_group("answers"))
    return parser


def _add_answers(group):
    """The options of what is made of the poses."""
    group.add_argument(
        "--smooth",
        type=float,
        metavar="SECONDS",
        help="average over time with a Gaussian of this standard deviation, such as 0.1; not in "
        "the paper",
    )
    group.add_argument(
        "--height",
        nargs="+",
        metavar="METRES",
        help="of the people, such as 1.75, or 3=1.62 for person 3: poses are then of their size, "
        "not of the typical one",
    )
    group.add_argument(
        "--strict",
        action="store_true",
        help="leave out poses that are no plausible person, which otherwise are marked",
    )
    group.add_argument(
        "--images",
        type=Path,
        metavar="PATH",
        help="the frames' images, to draw on: a folder, a video, or one image (default: INPUT, if "
        "it is one of these)",
    )


class Said(NamedTuple):
    """What a lift has to say: lines that account for the input, notes, doubts; and whether
    something was left out or is doubtful."""

    account: Sequence[str] = ()
    notes: Sequence[str] = ()
    doubts: Sequence[str] = ()
    wanting: bool = False


def with_lens(camera, options, sizes):
    """A Calibration, with the lens that --fov describes. sizes: the images' ImageSizes."""
    if options.fov is None:
        return camera
    if camera.intrinsics is not None:
        raise InputError("--fov: expected a --camera without a camera matrix, got one with it")
    size = sizes.one()
    if size is None:
        raise InputError(
            "--fov: expected the size of the images, got none; add --image-size WIDTH HEIGHT, or "
            "--images"
        )
    return camera._replace(intrinsics=intrinsics_of_view(options.fov, *size))


def without_doubts(poses, strict, paths):
    """(Poses, lines, list of the LeftOut) of those that are no plausible person: marked and said,
    or, if `strict`, left out. paths: of the files to write."""
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
        f"{count} of {len(odd)} poses are no plausible person: {writing.how_marked(paths)}; "
        f"--strict leaves them out; first in {where}"
    )
    return poses, [line], []


def poses_of(options):
    """(Poses, Said) of the options. Raises InputError or OSError."""
    low, high = RATES
    if options.rate is not None and not low <= options.rate <= high:
        raise InputError(
            f"--rate: expected {low:g} to {high:g} frames a second, got {options.rate}"
        )
    if lifted.is_lifted(options.input):
        if options.constant_bones:
            raise InputError("--constant-bones: expected landmarks, got poses; lift again")
        if options.track:
            raise InputError("--track: expected landmarks, got poses; lift again")
        poses = lifted.read(options.input)
        rate = poses.meta["rate"] if options.rate is None else options.rate
        poses = poses._replace(meta=poses.meta | {"rate": rate})
        poses, doubts, left = without_doubts(poses, options.strict, options.out)
        return poses, Said([str(part) for part in left], (), doubts, bool(doubts or left))
    sizes = ImageSizes(options.image_size, options.images)
    how = how_to_lift(options)
    camera = with_lens(how.pop("camera"), options, sizes)
    landmarks = options.landmarks and landmark_sets.LANDMARK_SETS[options.landmarks]
    people = keypoints.read(options.input, How(landmarks, options.rate, sizes.of, options.by_place))
    poses, left = lift(people, **how, camera=camera)
    poses, doubts, odd = without_doubts(poses, options.strict, options.out)
    left, doubts = [*left, *odd], [*sizes.doubts(), *people.doubts, *doubts]
    wanting = bool(doubts or counting.matters([*people.left, *left]))
    tilt = "searched_tilt" in poses.meta and Tilt.of(poses.meta["searched_tilt"])
    if tilt:
        doubts = [*doubts, *filter(None, [tilt.at_edge()])]
    return poses, Said(
        counting.account(people, left, poses, options.min_confidence),
        [*filter(None, [camera.note]), *people.notes, *([tilt.described()] if tilt else [])],
        doubts,
        wanting,
    )


def how_to_lift(options):
    """The arguments of `lift` that the options name, with the camera as its file describes it.

    Raises InputError or OSError.
    """
    if options.elevation is not None and not abs(options.elevation) < 90:
        raise InputError(f"--elevation: expected -90 to 90 degrees, got {options.elevation}")
    _check_track(options)
    if options.robust and options.as_published:
        raise InputError("--robust: expected it without --as-published, got both; leave one out")
    camera = calibration.NONE
    if options.camera:
        camera = calibration.read(options.camera, options.up, options.camera_name)
    return {
        "model": prior.load(options.prior, HUMAN36M) if options.prior else prior.load(),
        "camera": camera,
        "elevation": None if options.elevation is None else np.deg2rad(options.elevation),
        "roll": np.deg2rad(options.roll),
        "each": options.search_each,
        "least": options.min_confidence,
        "weigh": options.weigh,
        "robust": options.robust,
        "noise_mm": options.noise_mm,
        "as_published": options.as_published,
        "refine": options.refine,
        "deviation": options.deviation,
        "constant_bones": options.constant_bones,
        "track": options.track,
    }


def _check_track(options):
    """Raises InputError if the options have --track with what it leaves no place for."""
    others = {
        "--search-each": options.search_each,
        "--as-published": options.as_published,
        "--constant-bones": options.constant_bones,
        "--smooth": options.smooth is not None,
    }
    other = next((name for name, asked in others.items() if asked), None)
    if options.track and other:
        raise InputError(f"--track: expected it without {other}, got both; leave one out")


def with_landmarks(options):
    """(the options with a file of landmarks as input, lines on what the detector left out).

    Of pictures, the landmarks are detected, into a file beside the first one that is written; what
    else is an input stays as it is. Raises InputError.
    """
    values, problems = vars(options).copy(), []
    if options.live is not None and not 0 < options.live < np.inf:
        raise InputError(f"--live: expected a positive number of seconds, got {options.live:g}")
    name = "webcam" if options.live is not None else options.input.stem or "lifted"
    values["out"] = options.out or [RESULTS / f"{name}{suffix}" for suffix in (".html", ".npz")]
    for path in values["out"]:
        writing.check(path)
    first = values["out"][0]
    if options.live is not None:
        values["input"] = first.with_name(f"{name}.mp4")
        values["rate"] = options.rate or _recorded(options, values["input"])
    if options.live is not None or detecting.is_pictures(options.input):
        values["images"] = options.images or values["input"]
        landmarks = first.with_name(f"{first.stem}.landmarks.json")
        problems = detecting.detect(values["input"], landmarks, options.detector)
        print(f"wrote {landmarks}")
        values["input"] = landmarks
    elif options.detector:
        raise InputError(f"{options.input}: expected pictures with --detector, got another file")
    return argparse.Namespace(**values), problems


def _recorded(options, out):
    """The rate of a webcam's video, recorded into `out` while a page shows what is lifted of it."""
    # Frames of one person, one by one: no motion yet, and nothing that needs the whole.
    alone = {"deviation": False, "constant_bones": False, "track": False}
    lift_newest = partial(lift, **how_to_lift(options) | alone)
    view = live.view(out.parent, options.detector, lift_newest)
    return live.record(options.input, options.live, out, view)


def lift_file(options):
    """Lift, print what was left out, and write every file; returns the exit status."""
    shown = options.out is None
    options, problems = with_landmarks(options)
    for line in problems:
        print(line, file=sys.stderr)
    poses, said = poses_of(options)
    if options.track:
        print("lifted as motions, which is not in the paper")
    if options.smooth is not None:
        poses = smoothing.smooth(poses, options.smooth)
        print(f"smoothed over {options.smooth:g} s, which is not in the paper")
    if options.height:
        poses = height.scaled(poses, height.parse(options.height))
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
    if shown:
        detecting.show(options.out[0])
    return 3 if said.wanting or problems or photos.problems else 0


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
