"""2D landmarks of other programs to 3D poses: python -m tools.lift INPUT --out FILE...

INPUT: OpenPose JSON (a file, or a folder of frames), COCO keypoints JSON (annotations, results),
MPII JSON, what tools.infer writes, .npz or JSON with "points" (N x landmarks x
2), CSV ("hip x", "hip y", ..., "frame"), or poses that this program wrote, for other formats.

Each FILE is written by its suffix: .npz .json .csv (all people), .bvh (a file for each person),
.png .gif .mp4 (2D landmarks, on --images if given, beside the 3D poses), .html (a page to turn and
play them, in one file).

The camera is --camera FILE (OpenCV's matrices), or --elevation and --roll, or is searched: one tilt
for the whole input (default), or --search-each pose's own. Exit status: 0, all was lifted; 1,
nothing was written, bad input; 3, something was left out (said in a line), or nobody was found.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import prior
from prior import landmark_sets, program
from prior.camera import compose
from prior.errors import InputError
from prior.lifting.candidates import ELEVATIONS, ROLLS
from prior.lifting.lifter import AS_PUBLISHED, NOISE_MM
from tools.lift import bvh, calibration, drawing, keypoints, lifted, smoothing, tracks, viewer

# Less of a person is left out: our choice, more than a head and shoulders.
LEAST_LANDMARKS = 6
# Below this a landmark counts as missing: what detectors call unreliable; our choice.
LEAST_CONFIDENCE = 0.2
# --weigh: confidences are rounded to so many levels, since each combination has tables of its own.
LEVELS = 4
# Poses in which one tilt is searched for all.
SAMPLE = 48
# How much one pose may speak against a tilt, nats; our choice.
DOUBT = 20.0

# By suffix: write(path, poses), and write(path, poses, photos).
TABLES = {".npz": lifted.write_npz, ".json": lifted.write_json, ".csv": lifted.write_csv}
PICTURES = {
    ".png": drawing.write_png,
    ".gif": drawing.write_gif,
    ".mp4": drawing.write_mp4,
    ".html": viewer.write,
}
SUFFIXES = (*TABLES, ".bvh", *PICTURES)


def lift(
    found,
    model,
    *,
    camera=calibration.NONE,
    elevation=None,
    roll=0.0,
    each=False,
    least=LEAST_CONFIDENCE,
    weigh=False,
    noise_mm=NOISE_MM,
    as_published=False,
    refine=False,
    deviation=True,
):
    """Lift Keypoints; returns (lifted.Poses, lines on what was left out).

    camera: a Calibration; elevation, roll: of a camera without rotation, radians; None: the tilt is
    searched, for all poses together, or for `each`. least: confidence below which a landmark is
    missing; weigh: confidences weigh the landmarks (slow), else those that are there count alike.
    Where the intrinsics are known it is by full perspective; as_published: always by weak
    perspective, and to the letter of section 5.3.
    """
    confidence = np.where(found.confidence >= max(least, 1e-9), found.confidence, 0)
    points = np.where(confidence[..., None] > 0, found.points, np.nan)
    enough = np.count_nonzero(confidence, axis=1) >= LEAST_LANDMARKS
    weight = np.ceil(confidence * LEVELS) / LEVELS if weigh else (confidence > 0).astype(float)
    problems = []
    if not enough.all():
        few = np.flatnonzero(~enough)
        problems.append(
            f"{len(few)} people with fewer than {LEAST_LANDMARKS} landmarks of confidence "
            f"{least:g} left out, first in frame {found.frames[found.frame[few[0]]]}"
        )
    rows = np.flatnonzero(enough)
    points, confidence, weight = points[rows], confidence[rows], weight[rows]
    lifter = prior.Lifter(model, **AS_PUBLISHED if as_published else {"noise_mm": noise_mm})
    # Small products: more threads than one hinder each other, and others.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the poses that are not ok are counted below
        rotation = camera.rotation
        if rotation is None:
            if elevation is None and not each and len(rows):
                roll, elevation = _common_tilt(lifter, camera, points, weight)
            rotation = compose(roll, elevation or 0.0, 0.0)
        if as_published or camera.intrinsics is None:
            straight, cameras = camera.straighten(points, rotation)
            lens = None
        else:
            straight, cameras, lens = camera.undistorted(points), rotation, camera.intrinsics
        tilt = each and camera.rotation is None
        # A single row means the same for all, whose tables are then found at once.
        shared = weight[0] if len(weight) and (weight == weight[0]).all() else weight
        result = lifter.lift(
            straight, camera=cameras, intrinsics=lens, confidence=shared, refine=refine, tilt=tilt
        )
        spread = np.full(points.shape[:2], np.nan)
        if deviation:
            spread = lifter.deviation(result)
    ok = result.ok
    if not ok.all():
        problems.append(
            f"{np.count_nonzero(~ok)} people could not be lifted (all landmarks in one "
            "place, or upside down): left out"
        )
    person = tracks.link(points, found.frame[rows], found.person[rows])
    poses = lifted.make(
        {
            "frames": list(found.frames),
            "rate": found.rate,
            "noise_mm": AS_PUBLISHED["noise_mm"] if as_published else noise_mm,
            "model": str(model.meta.get("source", "unknown")),
        },
        pose_mm=result.pose[ok],
        deviation_mm=spread[ok],
        points=points[ok],
        confidence=confidence[ok],
        camera=result.camera[ok],
        scale=result.scale[ok] / model.scale_mm,
        component=result.component[ok],
        component_probability=result.component_probability[ok],
        log_likelihood=result.log_likelihood[ok],
        translation_mm=result.translation[ok],
        frame=found.frame[rows][ok],
        person=person[ok],
    )
    return poses, problems


def _common_tilt(lifter, camera, points, weight):
    """The roll and elevation, radians, that make a sample of the poses most probable together. It
    is of poses that have the same landmarks, which share the tables."""
    patterns, which = np.unique(weight, axis=0, return_inverse=True)
    number = (patterns > 0).sum(axis=1) * np.bincount(which.ravel(), minlength=len(patterns))
    rows = np.flatnonzero(which.ravel() == number.argmax())
    rows = rows[np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(int)]
    straight, turns = camera.straighten(points[rows], np.eye(3))
    turn = turns if turns.ndim == 2 else turns[len(turns) // 2]
    grid = [(roll, elevation) for elevation in ELEVATIONS for roll in ROLLS]
    scores = np.stack(
        [
            lifter.lift(
                straight, camera=turn @ compose(*tilt, 0.0), confidence=weight[rows[0]]
            ).log_likelihood
            for tilt in grid
        ]
    )
    scores = scores[:, np.isfinite(scores).any(axis=0)]
    # A pose that is wrong altogether says little.
    scores = np.maximum(scores - scores.max(axis=0), -DOUBT).sum(axis=1)
    return grid[scores.argmax()]


def write(path, poses, photos=None):
    """Write Poses into a file by its suffix; yields the paths that were written.

    A BVH has one person: with several, their numbers are put before the suffix. photos:
    drawing.Photos.
    """
    suffix = path.suffix.lower()
    if suffix in TABLES:
        TABLES[suffix](path, poses)
    elif suffix in PICTURES:
        PICTURES[suffix](path, poses, photos)
    else:
        placed, people = lifted.on_ground(poses), np.unique(poses.person)
        for person in people:
            one = path if len(people) == 1 else path.with_stem(f"{path.stem}-{person}")
            rows = poses.person == person
            bvh.write(one, bvh.filled(placed[rows], poses.frame[rows]), poses.meta["rate"])
            yield one
        return
    yield path


def _parser():
    parser = argparse.ArgumentParser(
        "python -m tools.lift", description=__doc__, formatter_class=program.HelpFormatter
    )
    parser.add_argument("input", type=Path, metavar="INPUT")
    parser.add_argument("--out", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument(
        "--landmarks",
        choices=landmark_sets.LANDMARK_SETS,
        help="the landmark set, where the input does not say",
    )
    parser.add_argument("--prior", type=Path, help="pose model (default: the ready one)")
    where = parser.add_argument_group("camera")
    where.add_argument(
        "--camera",
        type=Path,
        metavar="FILE",
        help="camera_matrix (K), distortion_coefficients, R or rvec (world to "
        "camera), as OpenCV's YAML, XML, JSON, or .npz; with K the lifting is by full perspective, "
        "and says where the person is",
    )
    where.add_argument(
        "--up",
        choices=calibration.UP,
        default="y",
        help="axis of its world that points up (default: y)",
    )
    where.add_argument(
        "--elevation", type=float, metavar="DEGREES", help="how far the camera looks down"
    )
    where.add_argument(
        "--roll",
        type=float,
        default=0.0,
        metavar="DEGREES",
        help="with --elevation: the camera's turn about its axis (default: 0)",
    )
    where.add_argument(
        "--search-each",
        action="store_true",
        help="search the tilt for each pose alone: photos of several cameras",
    )
    parser.add_argument(
        "--min-confidence",
        type=float,
        default=LEAST_CONFIDENCE,
        metavar="C",
        help="a landmark below it is missing (default: %(default)s)",
    )
    parser.add_argument(
        "--weigh",
        action="store_true",
        help=f"weigh landmarks by their confidence, in {LEVELS} levels; without, "
        "those that are there count alike, which is much faster",
    )
    parser.add_argument(
        "--noise-mm",
        type=float,
        default=NOISE_MM,
        metavar="MM",
        help="error of the 2D landmarks at the body (default: %(default)s)",
    )
    parser.add_argument(
        "--as-published",
        action="store_true",
        help="lift to the letter of the paper's section 5.3: weak perspective even where the lens "
        "is known, no noise but the model's, the rotation of least cost",
    )
    parser.add_argument("--refine", action="store_true", help="turns between the enumerated ones")
    parser.add_argument(
        "--no-deviation",
        dest="deviation",
        action="store_false",
        help="leave out the uncertainty, which takes most of the time",
    )
    parser.add_argument(
        "--smooth",
        type=float,
        metavar="SECONDS",
        help="average over time with a Gaussian of this standard deviation, such "
        "as 0.1; not in the paper",
    )
    parser.add_argument("--rate", type=float, metavar="HZ", help="frames a second of the input")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="PATH",
        help="the frames' images: a folder, a video, or one image",
    )
    return parser


def poses_of(given):
    """(Poses, lines on what was left out) of the options. Raises ValueError or OSError."""
    if given.rate is not None and not 0 < given.rate < np.inf:
        raise InputError(f"--rate: expected a positive number, got {given.rate}")
    if lifted.is_lifted(given.input):
        poses = lifted.read(given.input)
        rate = poses.meta["rate"] if given.rate is None else given.rate
        return poses._replace(meta=poses.meta | {"rate": rate}), []
    if given.elevation is not None and not abs(given.elevation) < 90:
        raise InputError(f"--elevation: expected -90 to 90 degrees, got {given.elevation}")
    model = prior.load(given.prior) if given.prior else prior.load()
    camera = calibration.read(given.camera, given.up) if given.camera else calibration.NONE
    landmarks = given.landmarks and landmark_sets.LANDMARK_SETS[given.landmarks]
    found = keypoints.read(given.input, landmarks)
    if given.rate is not None:
        found = found._replace(rate=given.rate)
    elevation = None if given.elevation is None else np.deg2rad(given.elevation)
    poses, problems = lift(
        found,
        model,
        camera=camera,
        elevation=elevation,
        roll=np.deg2rad(given.roll),
        each=given.search_each,
        least=given.min_confidence,
        weigh=given.weigh,
        noise_mm=given.noise_mm,
        as_published=given.as_published,
        refine=given.refine,
        deviation=given.deviation,
    )
    return poses, [*found.problems, *problems]


def lift_file(options):
    """Lift, print what was left out, and write every file; returns the exit status."""
    for path in options.out:
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"--out {path}: expected a suffix of {' '.join(SUFFIXES)}")
    poses, problems = poses_of(options)
    if options.smooth is not None:
        poses = smoothing.smooth(poses, options.smooth)
        print(f"smoothed over {options.smooth:g} s, which is not in the paper")
    for line in problems:
        print(line, file=sys.stderr)
    frames = len(poses.meta["frames"])
    with_people = len(np.unique(poses.frame))
    print(
        f"{len(poses.frame)} poses of {len(np.unique(poses.person))} people in {with_people} "
        f"of {frames} frames; left out: {len(problems) or 'nothing'}"
    )
    if not len(poses.frame):
        print("nobody found: nothing to write")
        return 3
    photos = drawing.Photos(options.images)
    for path in options.out:
        for written in write(path, poses, photos):
            print(f"wrote {written}")
    for line in dict.fromkeys(photos.problems):
        print(line, file=sys.stderr)
    return 3 if problems or photos.problems else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(
        _parser(), lift_file, arguments, interrupted="files not named as written are not there"
    )


if __name__ == "__main__":
    sys.exit(main())
