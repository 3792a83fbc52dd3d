"""Run a trained network on annotated images, and score what it says.

    python -m tools.evaluate DEPLOY CAFFEMODEL --data test.json --prior prior.npz --out FOLDER
    python -m tools.evaluate DEPLOY CAFFEMODEL --data photographs.pack --out FOLDER

Writes predictions.npz (landmarks in px of the images and poses in mm, of every stage, and which
frames they are of: tools.evaluate.predictions) and errors.json (tools.evaluate.images) into FOLDER.
Of data without 3D truth, as photographs, errors.json has the 2D part.
The final pose is that of the last landmarks, lifted with the lens and with the covariances of the
network's beliefs; with --as-published, the network's own.
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
from prior.skeleton import HUMAN36M
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
    points, beliefs, poses, peaks, covariance = zip(*bar, strict=True)
    return Predictions(
        points=np.stack(points, axis=1).astype(float),
        poses=np.stack(poses, axis=1).astype(float) if network.lifts else None,
        beliefs=np.stack(beliefs, axis=1).astype(float),
        fusion=np.array(network.fusion) if network.lifts else None,
        peaks=np.stack(peaks).astype(float),
        covariance=np.stack(covariance, axis=1).astype(float),
    )


def evaluate(options):
    """Run the network on the data and write predictions.npz and errors.json; see the module."""
    people = annotations.load(options.data)
    model = options.prior and prior.load(options.prior, HUMAN36M)
    if model is None and images.has_3d(people).any():
        raise EvaluationError(
            f"{options.data}: has 3D poses: expected a pose model to lift with; name it by --prior"
        )
    training = None
    if options.training_data:
        training = annotations.load(options.training_data, check_images=False)
        for path, data in ((options.data, people), (options.training_data, training)):
            if not images.has_3d(data).all():
                raise EvaluationError(
                    f"{path}: expected a 3D pose with every annotation, for --training-data"
                )
    network = Network(options.deploy, options.weights)
    predictions = predict(
        network,
        people,
        scales=options.scales,
        flip=options.flip,
        subpixel=options.subpixel,
        model=model,
    )
    lifter = model and LandmarkLifter(model, options.as_published)
    predictions = images.lifted_again(predictions, people, lifter)
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
    if training is not None:
        errors |= images.baselines(people, training, lifter, network.size)
    save(options.out / "predictions.npz", predictions, frames_of(people))
    write(options.out / "errors.json", json.dumps(errors, indent=1) + "\n")
    print(f"{summary(errors)}; wrote {options.out}")


def summary(errors):
    """The main numbers of errors.json in a line, those that there are."""
    shown = (
        ("2D", "error_2d_px", 1, "px"),
        ("PCKh@0.5", "pckh", 100, "%"),
        ("PCK@0.2 of the torso", "pck_0.2", 100, "%"),
        ("upright", "pck_0.2_upright", 100, "%"),
        ("OKS-AP", "oks_ap", 100, "%"),
        ("3D", "mpjpe_mm", 1, "mm root-aligned"),
    )
    parts = [
        f"{name} {factor * errors[key]:.1f} {unit}"
        for name, key, factor, unit in shown
        if errors.get(key) is not None
    ]
    return f"{errors['images']} images: {', '.join(parts)}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.evaluate",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_network(parser)
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="annotations, JSON or packed"
    )
    parser.add_argument(
        "--training-data",
        type=Path,
        metavar="FILE",
        help="annotations of the training set: their best single pose is scored for comparison",
    )
    parser.add_argument(
        "--prior",
        type=Path,
        metavar="FILE",
        help="the pose model, .npz; needed where the data has 3D poses",
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
