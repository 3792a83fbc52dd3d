"""The pose of a person in each image: tools.infer.predict DEPLOY CAFFEMODEL IMAGE... --out F.

The network is one of ours, or a released one of CPM's or OpenPose's with its own deploy.prototxt,
whose landmarks a prior lifts; or another, with --landmarks.

IMAGE: images, folders of them, or videos. Whatever cannot be read or lifted is named in a line, and
the exit status is then 3. tools.lift reads F: it writes other formats and a viewer page, and can
search for the camera.

F is JSON: {image: {"landmarks": 17 x [x, y] px, null where missing, "confidence": 17 maxima of the
belief maps, "pose_mm": 17 x [x, y, z], world axes, y up (of a network with lifting, and of a
released one)}}, in the order of "landmark_names". Without --box the whole image is searched for the
person in its middle, or at --centre. Without --elevation the camera is taken to be level.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

import prior
from prior import program
from prior.camera import level_camera
from prior.errors import InputError
from prior.files import write
from prior.landmark_sets import LANDMARK_SETS
from prior.skeleton import LANDMARKS
from tools import pictures
from tools.arguments import add_network
from tools.infer.estimator import Estimator, Network, Person, add_options, whole_image
from tools.infer.released import (
    LEAST_CONFIDENCE,
    ReleasedEstimator,
    ReleasedNetwork,
    is_ours,
    landmark_set,
)


def predict(options):
    """(the JSON document that the top describes, a line for each input that was left out).

    Raises InputError or OSError.
    """
    source, names = pictures.Pictures(options.images), []
    estimator, lifts = open_network(options)
    network = estimator.network
    camera = level_camera(np.deg2rad(options.elevation))

    def people():
        for name, image, factor in source:
            if image is not None:
                box = options.box and np.array(options.box) / factor
                if box is None:
                    centre = options.centre and np.array(options.centre) / factor
                    box = whole_image(image.shape, network.size, centre)
                names.append((name, factor))
                yield Person(image, box, camera)

    result, problems = {"landmark_names": LANDMARKS}, []
    estimates = tqdm(estimator.estimates(people()), "predict", len(source), disable=None)
    for i, estimate in enumerate(estimates):
        name, factor = names[i]
        result[name] = {
            "landmarks": [
                point.round(2).tolist() if np.isfinite(point).all() else None
                for point in factor * estimate.points[-1]
            ],
            "confidence": estimate.peak.round(4).tolist(),
        }
        if estimate.poses is not None:
            result[name]["pose_mm"] = estimate.poses[-1].round(1).tolist()
        elif lifts:
            count = np.isfinite(estimate.points[-1]).all(axis=-1).sum()
            problems.append(f"{name}: not lifted: only {count} landmarks are there")
    if not names:
        raise InputError(source.problems[0])
    return result, source.problems + problems


def open_network(options):
    """(an estimator with the network that the options name, whether it gives poses)."""
    averaging = {"scales": options.scales, "flip": options.flip, "subpixel": options.subpixel}
    model = prior.load(options.prior) if options.prior else None
    if is_ours(options.deploy):
        if options.landmarks:
            raise InputError(f"{options.deploy}: a network of ours, whose landmarks are known")
        network = Network(options.deploy, options.weights)
        return Estimator(network, model=model, **averaging), network.lifts
    landmarks = landmark_set(options.landmarks) if options.landmarks else None
    network = ReleasedNetwork(options.deploy, options.weights, landmarks)
    print(network)
    estimator = ReleasedEstimator(
        network,
        model=model or prior.load(),
        least=options.min_confidence,
        in_box=options.box is not None,
        **averaging,
    )
    return estimator, True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.infer.predict",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_network(parser)
    parser.add_argument(
        "images",
        type=Path,
        nargs="+",
        metavar="IMAGE",
        help="an image, a folder of them, or a video",
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
    add_options(parser)
    parser.add_argument(
        "--prior",
        type=Path,
        help="pose model (.npz) for averaged maps, and for a released network (default for this: "
        "the ready one)",
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
    result, problems = predict(options)
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
