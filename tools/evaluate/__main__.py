"""Run a trained network on annotated images, and score what it says.

    python -m tools.evaluate DEPLOY CAFFEMODEL --data test.json --prior prior.npz --out FOLDER

Writes predictions.npz (landmarks in px of the images and poses in mm, of every stage, and which
frames they are of: tools.evaluate.predictions) and errors.json (tools.evaluate.images) into FOLDER.
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
from prior.errors import InputError
from prior.files import write
from python_layers.data import annotations
from tools import measured
from tools.arguments import add_as_published, add_network
from tools.evaluate import images
from tools.evaluate.lifting import LandmarkLifter
from tools.evaluate.predictions import Predictions, frames_of, save
from tools.infer.estimator import Estimator, Network, add_options, annotated


class EvaluationError(InputError):
    """Files that do not fit together: what was expected, what came, what to try."""


def predict(network, people, **options):
    """Run a Network on every annotated person, cropped by its box: Predictions.

    options: of infer.estimator.Estimator.
    """
    estimator = Estimator(network, **options)
    asked = (annotated(people, i) for i in range(len(people)))
    interval = 1 if sys.stderr.isatty() else 10
    bar = tqdm(
        estimator.estimates(asked), "evaluate", len(people), unit="image", mininterval=interval
    )
    points, beliefs, poses, _ = zip(*bar, strict=True)
    return Predictions(
        points=np.stack(points, axis=1).astype(float),
        poses=np.stack(poses, axis=1).astype(float) if network.lifts else None,
        beliefs=np.stack(beliefs, axis=1).astype(float),
        fusion=np.array(network.fusion) if network.lifts else None,
    )


def evaluate(options):
    """Run the network on the data and write predictions.npz and errors.json; see the module."""
    people = annotations.load(options.data)
    if not np.isfinite(people.poses_mm).all():
        raise EvaluationError(f"{options.data}: expected a 3D pose with every annotation")
    model = prior.load(options.prior)
    network = Network(options.deploy, options.weights)
    predictions = predict(
        network,
        people,
        scales=options.scales,
        flip=options.flip,
        subpixel=options.subpixel,
        model=model,
    )
    lifter = LandmarkLifter(model, options.as_published)
    errors = images.score(predictions, people, lifter)
    errors |= {
        "measured": measured.stamp(),
        "network": str(options.deploy),
        "weights": str(options.weights),
        "data": str(options.data),
        "lifted_as_published": options.as_published,
        "subpixel": options.subpixel,
        "scales": options.scales,
        "flip": options.flip,
    }
    if options.training_data:
        training = annotations.load(options.training_data, check_images=False)
        errors |= images.baselines(people, training, lifter, network.size)
    save(options.out / "predictions.npz", predictions, frames_of(people))
    write(options.out / "errors.json", json.dumps(errors, indent=1) + "\n")
    print(
        f"{errors['images']} images: 2D {errors['error_2d_px']:.2f} px, PCKh@0.5 "
        f"{100 * errors['pckh']:.1f} %, 3D {errors['mpjpe_mm']:.1f} mm root-aligned; "
        f"wrote {options.out}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.evaluate",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_network(parser)
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="annotations with 3D truth"
    )
    parser.add_argument(
        "--training-data",
        type=Path,
        metavar="FILE",
        help="annotations of the training set: their best single pose is scored for comparison",
    )
    parser.add_argument(
        "--prior", type=Path, required=True, metavar="FILE", help="the pose model, .npz"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="the folder to write into"
    )
    add_as_published(parser, "landmarks that the network does not lift itself")
    add_options(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), evaluate, arguments)


if __name__ == "__main__":
    sys.exit(main())
