"""The pose of a person in each image: tools.infer.predict [DEPLOY CAFFEMODEL] IMAGE... --out F.

The network is the one that comes with the project, for photographs; or DEPLOY CAFFEMODEL: one of
ours, or a released one of CPM's or OpenPose's with its own deploy.prototxt, whose landmarks a prior
lifts, or another, with --landmarks; or FOLDER, one that tools.infer.export wrote: it runs without
Caffe.

IMAGE: images, folders of them, or videos. Whatever cannot be read or lifted, or shows nobody, is
named in a line, and the exit status is then 3. tools.lift reads F: it writes other formats and a
viewer page, and can search for the camera.

F is JSON: {image: {"box": [x, y, width, height] px, of the person that was looked at, "score" of
one whom the scan found, up to about 0.7, "landmarks": L x [x, y] px, null where missing,
"confidence": L maxima of the belief maps, "covariance": L x [[xx, xy], [xy, yy]] px^2, how unsure
the landmarks are, "pose_mm": L x [x, y, z], world axes, y up}}, in the order of "landmark_names":
Human3.6M's 17, or those of the skeleton that a network of ours names. With --fov also
"translation_mm", where the person is in the camera's axes, if of average size. The pose is that of
the last maps' landmarks, weighed by their covariances; with --as-published it is that of the
network, if it lifts and its skeleton has a vertical. A network without lifting has one with
--prior. Pixels are those of the image as it is shown, turned as its EXIF data say. Without --box a
network of ours scans the image for people, and the surest is taken; a released one looks at the
middle of the whole image. Without --elevation the camera is taken to be level. With - as image and
as F it stays open (tools/infer/answers.py).
"""

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from prior import program
from prior.camera import intrinsics_of_view, level_camera
from prior.errors import InputError
from prior.files import write
from prior.landmark_sets import LANDMARK_SETS
from tools import pictures
from tools.arguments import add_as_published, add_fov
from tools.infer import answers
from tools.infer.estimator import Person, add_options, whole_image
from tools.infer.networks import choose, open_network
from tools.infer.released import LEAST_CONFIDENCE, LEAST_LANDMARKS
from tools.infer.scan import scan
from tools.infer.staged import Staged


class NobodyError(InputError):
    """An image in which nobody was found."""


def predict(source, estimator, lifter, options):
    """(the JSON document that the top describes, a line for each input that was left out).

    source: Pictures; estimator, lifter: as open_network gives them. Raises InputError or OSError.
    """
    asked = []
    camera = level_camera(np.deg2rad(options.elevation))

    def people():
        for name, image, factor in source:
            if image is None:
                continue
            try:
                box, score = _look(estimator.network, name, image, factor, options)
            except NobodyError as error:
                problems.append(str(error))
                continue
            intrinsics = None
            if options.fov is not None:
                intrinsics = intrinsics_of_view(options.fov, image.shape[1], image.shape[0])
            asked.append((name, factor, score, Person(image, box, camera, intrinsics)))
            yield asked[-1][-1]

    result, problems = {"landmark_names": estimator.skeleton.landmarks}, []
    estimates = tqdm(estimator.estimates(people()), "predict", len(source), disable=None)
    for i, estimate in enumerate(estimates):
        name, factor, score, person = asked[i]
        asked[i] = None  # so that images do not pile up
        points, covariance = factor * estimate.points[-1], factor**2 * estimate.covariance[-1]
        result[name] = {"box": (factor * np.asarray(person.box)).round(1).tolist()}
        if score is not None:
            result[name]["score"] = round(score, 3)
        result[name] |= {
            "landmarks": _rounded(points, 2),
            "confidence": estimate.peak.round(4).tolist(),
            "covariance": _rounded(covariance, 3),
        }
        if options.as_published and estimate.poses is not None:
            result[name]["pose_mm"] = estimate.poses[-1].round(1).tolist()
        if lifter is None or "pose_mm" in result[name]:
            continue
        lifted = lift(lifter, person, estimate)
        if lifted is None:
            count = np.isfinite(points).all(axis=-1).sum()
            why = f"only {count} landmarks are there"
            if count >= LEAST_LANDMARKS:
                why = "no upright person fits the landmarks"
            problems.append(f"{name}: not lifted: {why}")
            continue
        result[name]["pose_mm"] = lifted.pose[0].round(1).tolist()
        if person.intrinsics is not None:
            result[name]["translation_mm"] = lifted.translation[0].round(1).tolist()
    return result, source.problems + problems


def lift(lifter, person, estimate):
    """The Lifted of the last landmarks of an Estimate, or None where nobody fits them."""
    points = estimate.points[-1]
    if np.isfinite(points).all(axis=-1).sum() < LEAST_LANDMARKS:
        return None
    intrinsics = np.full((3, 3), np.nan) if person.intrinsics is None else person.intrinsics
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what cannot be lifted: None
        lifted = lifter.lift(
            points[None],
            person.rotation[None],
            intrinsics[None],
            covariance=estimate.covariance[-1:],
        )
    return lifted if lifted.ok.all() else None


def _rounded(values, digits):
    """Lists of the values of each landmark, None where they are NaN."""
    return [v.round(digits).tolist() if np.isfinite(v).all() else None for v in values]


def _look(network, name, image, factor, options):
    """(the box of the person of an image, px of it; the scan's score, or None where it did not look
    for one). Raises NobodyError."""
    if options.box is not None:
        return np.array(options.box) / factor, None
    if options.centre is not None or not isinstance(network, Staged):
        # Others' networks respond to everyone in sight.
        centre = options.centre and np.array(options.centre) / factor
        return whole_image(image.shape, network.size, centre), None
    people = scan(network, image)
    if not people:
        raise NobodyError(
            f"{name}: nobody was found; say where the person is, by --box or --centre"
        )
    if len(people) > 1:
        boxes = "; ".join(" ".join(f"{v:.0f}" for v in factor * person.box) for person in people)
        print(f"{name}: {len(people)} people, the surest is taken; for another one --box: {boxes}")
    return people[0].box, people[0].score


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.infer.predict",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="first the network, if not the one that comes with the project: DEPLOY CAFFEMODEL, or "
        "a FOLDER of tools.infer.export; then images, folders of them, or videos",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="F", help="the JSON to write")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--box",
        type=float,
        nargs=4,
        metavar=("X", "Y", "WIDTH", "HEIGHT"),
        help="of the person, px, in all images",
    )
    where.add_argument(
        "--centre", type=float, nargs=2, metavar=("X", "Y"), help="of the person, px, in all images"
    )
    parser.add_argument(
        "--elevation",
        type=float,
        default=0.0,
        metavar="DEGREES",
        help="how far the camera looks down (default: 0)",
    )
    add_fov(parser, "weak perspective")
    add_as_published(parser, "the landmarks")
    add_options(parser)
    parser.add_argument(
        "--prior",
        type=Path,
        help="pose model (.npz) that lifts (default: the network's own; of a released network the "
        "ready one)",
    )
    parser.add_argument(
        "--landmarks",
        metavar="SET",
        help=f"what the maps of a network that is not known are: {', '.join(LANDMARK_SETS)}, or "
        'the names of all maps with commas, ours as in "landmark_names" and - for others',
    )
    parser.add_argument(
        "--min-confidence",
        type=float,
        default=LEAST_CONFIDENCE,
        metavar="C",
        help="of a released network: the height of a maximum from which it is a landmark (default: "
        "%(default)s)",
    )
    return parser


def predict_images(options):
    """Write the poses and print what was left out; returns 3 if anything was, else 0."""
    chosen = choose(options.paths)
    stays = answers.asked(chosen.inputs, options.out)
    network = open_network(chosen.network, options)
    if stays:
        return answers.answer(lambda path: predict(pictures.Pictures([path]), *network, options)[0])
    result, problems = predict(pictures.Pictures(chosen.inputs), *network, options)
    if len(result) == 1:
        raise InputError(problems[0])
    write(options.out, json.dumps(result, indent=1) + "\n")
    for line in problems:
        print(line, file=sys.stderr)
    print(f"{options.out}: {len(result) - 1} images; left out: {len(problems)}")
    return 3 if problems else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), predict_images, arguments)


if __name__ == "__main__":
    sys.exit(main())
