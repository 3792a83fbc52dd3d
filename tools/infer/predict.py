"""The pose of a person in each image: tools.infer.predict DEPLOY CAFFEMODEL IMAGE... --out F.

IMAGE: images, folders of them, or videos. What cannot be read is left out, said in a line, and the
exit status is 3. tools.lift reads F, for other formats, with the searched camera and a viewer page.

F is JSON: {image: {"landmarks": 17 x [x, y] px, "confidence": 17 maxima of the belief maps,
"pose_mm": 17 x [x, y, z], world axes, y up (of a network with lifting)}}, in the order of
"landmark_names". Without --box the whole image is searched for the person in its middle, or at
--centre. Without --elevation the camera is taken to be level.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

import prior
from prior.camera import level_camera
from prior.files import write
from prior.program import one_line_errors
from prior.skeleton import LANDMARKS
from tools import pictures
from tools.caffe_io.files import CaffeFileError
from tools.caffe_io.process import CaffeError
from tools.infer.estimator import Estimator, Network, Person, add_options, whole_image


def predict(given):
    """What is written, see the top, and a line for each input that was left out. Raises ValueError,
    CaffeError, CaffeFileError or OSError."""
    source, names = pictures.Source(given.images), []
    model = prior.load(given.prior) if given.prior else None
    network = Network(given.deploy, given.weights)
    estimator = Estimator(
        network, scales=given.scales, flip=given.flip, subpixel=given.subpixel, model=model
    )
    camera = level_camera(np.deg2rad(given.elevation))

    def people():
        for name, image, factor in source:
            if image is not None:
                box = given.box and np.array(given.box) / factor
                if box is None:
                    centre = given.centre and np.array(given.centre) / factor
                    box = whole_image(image.shape, network.size, centre)
                names.append((name, factor))
                yield Person(image, box, camera)

    result = {"landmark_names": LANDMARKS}
    estimates = tqdm(estimator.estimates(people()), "predict", len(source), disable=None)
    for i, found in enumerate(estimates):
        name, factor = names[i]
        result[name] = {
            "landmarks": (factor * found.points[-1]).round(2).tolist(),
            "confidence": found.peak.round(4).tolist(),
        }
        if found.poses is not None:
            result[name]["pose_mm"] = found.poses[-1].round(1).tolist()
    if not names:
        raise ValueError(source.problems[0])
    return result, source.problems


@one_line_errors(CaffeError, CaffeFileError, ValueError, OSError)
def main(arguments=None):
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser("python -m tools.infer.predict", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("deploy", type=Path, help="deploy.prototxt of the network")
    parser.add_argument("weights", type=Path, help="trained .caffemodel")
    parser.add_argument(
        "images",
        type=Path,
        nargs="+",
        metavar="IMAGE",
        help="an image, a folder of them, or a video",
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
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
    parser.add_argument("--prior", type=Path, help="pose model (.npz), for averaged maps")
    given = parser.parse_args(arguments)
    result, problems = predict(given)
    write(given.out, json.dumps(result, indent=1) + "\n")
    for line in problems:
        print(line, file=sys.stderr)
    print(f"{given.out}: {len(result) - 1} images; left out: {len(problems)}")
    return 3 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
