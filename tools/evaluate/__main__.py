"""Run a trained network on annotated images, and score what it says.

    python -m tools.evaluate DEPLOY CAFFEMODEL --data test.json --prior prior.npz --out FOLDER
    python -m tools.evaluate DEPLOY CAFFEMODEL --data photographs.pack --out FOLDER

Writes predictions.npz (landmarks in px of the images and poses in mm, of every stage, and which
frames they are of: tools.evaluate.predictions) and errors.json (tools.evaluate.images) into FOLDER.
Of data without 3D truth, as photographs, errors.json has the 2D part. The landmarks are those that
the network names, its skeleton's (prototxt/); data and pose model have to have the same. What has
no meaning for them is left out, and named.
The final pose is that of the last landmarks, lifted with the lens and with the covariances of the
network's beliefs; with --as-published, the network's own.

Stopped, the same command goes on. --shard 2/4 does the second quarter of the work, on a machine of
its own; where the parts of all shards lie in FOLDER/parts, the command without --shard scores them.
"""

import argparse
import contextlib
import functools
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

import prior
from prior import program
from prior.errors import InputError
from prior.files import locked, write
from prototxt.named import skeleton_of
from python_layers.data import annotations
from tools import measured
from tools.arguments import add_as_published, add_network
from tools.caffe_io.files import read_net
from tools.evaluate import images, parts
from tools.evaluate.lifting import LandmarkLifter
from tools.evaluate.predictions import Predictions, frames_of, save
from tools.infer.estimator import Estimator, Network, add_options, annotated


class EvaluationError(InputError):
    """Files that do not fit together: what was expected, what came, what to try."""


def predict(estimator, people, made, of=None):
    """Run an Estimator on annotated people, each cropped by its box, into the Parts `made`.

    of: a Shard of them alone.
    """
    missing = made.missing(of)
    rows = [row for part in missing for row in made.rows(part)]
    all_rows = len(people) if of is None else len(rows)
    bar = tqdm(
        estimator.estimates(rows, functools.partial(annotated, people)),
        "evaluate",
        all_rows,
        initial=all_rows - len(rows),
        unit="image",
        mininterval=1 if sys.stderr.isatty() else 10,
    )
    with bar:  # where it fails, the message stands in a line of its own
        estimates = iter(bar)
        for part in missing:
            made.save(part, gathered(list(itertools.islice(estimates, len(made.rows(part))))))


def gathered(estimates):
    """The Predictions of a list of Estimates."""
    points, beliefs, poses, peaks, covariance = zip(*estimates, strict=True)
    return Predictions(
        points=np.stack(points, axis=1).astype(float),
        poses=None if poses[0] is None else np.stack(poses, axis=1).astype(float),
        beliefs=np.stack(beliefs, axis=1).astype(float),
        peaks=np.stack(peaks).astype(float),
        covariance=np.stack(covariance, axis=1).astype(float),
    )


def evaluate(options):
    """Run the network on the data and write predictions.npz and errors.json; see the module."""
    skeleton = skeleton_of(read_net(options.deploy).name, options.deploy)
    people = annotations.load(options.data, skeleton=skeleton)
    model = options.prior and prior.load(options.prior, skeleton)
    if model is None and images.has_3d(people).any():
        raise EvaluationError(
            f"{options.data}: has 3D poses: expected a pose model to lift with; name it by --prior"
        )
    training = None
    if options.training_data:
        training = annotations.load(options.training_data, False, skeleton)
        for path, data in ((options.data, people), (options.training_data, training)):
            if not images.has_3d(data).all():
                raise EvaluationError(
                    f"{path}: expected a 3D pose with every annotation, for --training-data"
                )
    network = Network(options.deploy, options.weights, options.gpu, options.batch)
    # Shards share the folder, and each writes its own parts; who scores them has it alone.
    with contextlib.nullcontext() if options.shard else locked(options.out):
        _evaluate(options, network, people, model, training)


def _evaluate(options, network, people, model, training):
    """The same on what has been read. training: the people of --training-data, or None."""
    made = parts.Parts(options.out / "parts", what_is_run(options, network), len(people))
    if made.removed:
        print(f"{made.folder}: {made.removed} parts of another run removed")
    how = how_shown(options)
    estimator = Estimator(network, model=model, workers=options.workers, **how)
    predict(estimator, people, made, options.shard)
    if options.shard:
        print(
            f"shard {options.shard.number} of {options.shard.count} is done; "
            f"{len(made.missing())} of {made.count} parts are missing in {made.folder}"
        )
        return
    predictions = made.merged(np.array(network.fusion) if network.lifts else None)
    lifter = model and LandmarkLifter(model, options.as_published)
    predictions = images.lifted_again(predictions, people, lifter)
    errors = images.score(predictions, people, lifter)
    errors |= {
        "measured": measured.stamp(),
        "network": str(options.deploy),
        "weights": str(options.weights),
        "data": str(options.data),
        "landmarks": people.skeleton.landmarks,
        "lifted_as_published": options.as_published,
        **how,
    }
    if training is not None:
        errors |= images.baselines(people, training, lifter, network.size)
    save(options.out / "predictions.npz", predictions, frames_of(people))
    write(options.out / "errors.json", json.dumps(errors, indent=1) + "\n")
    made.remove()
    print(f"{summary(errors)}; wrote {options.out}")
    if errors["left_out"]:
        print(f"not measured: {said(errors['left_out'])}")


def how_shown(options):
    """The options of an Estimator that its results depend on."""
    return {name: getattr(options, name) for name in ("scales", "flip", "subpixel")}


def what_is_run(options, network):
    """What the predictions depend on, for Parts: options, and the content of the files."""
    files = [options.deploy, options.weights, options.prior, network.lifting.get("model")]
    digests = [path and parts.digest(path) for path in files]
    return how_shown(options) | {"files": [*digests, annotations.digest(options.data)]}


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
    values = [
        f"{name} {factor * errors[key]:.1f} {unit}"
        for name, key, factor, unit in shown
        if errors.get(key) is not None
    ]
    return f"{errors['images']} images: {', '.join(values)}"


def said(left_out):
    """Which measures were left out, those of one reason together: {measure: why} in a line."""
    reasons = dict.fromkeys(left_out.values())
    measures = {why: [name for name in left_out if left_out[name] == why] for why in reasons}
    return "; ".join(f"{', '.join(names)} ({why})" for why, names in measures.items())


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
    parser.add_argument(
        "--shard",
        type=parts.shard,
        metavar="I/N",
        help="do the I-th of N shares of the work alone, and score nothing",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), evaluate, arguments, interrupted="the same command goes on")


if __name__ == "__main__":
    sys.exit(main())
