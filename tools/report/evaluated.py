"""What tools.evaluate left of a network, and its images and poses as parts of a figure."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

import prior
from prior import metrics, npz, show
from prior.errors import InputError
from prior.foreign import read_json
from prior.skeleton import HUMAN36M
from python_layers.data import annotations
from tools.labels import plain


class FigureError(InputError):
    """Something that a figure needs is missing: what, and what makes it."""


class EvaluatedNetwork(NamedTuple):
    """A network's results on annotated people: predictions.npz and errors.json of its folder, and
    the 3D error (M,) of each image, mm, hip aligned."""

    people: annotations.Annotations
    model: prior.PriorModel
    predictions: dict
    network: Path
    weights: Path
    error_mm: np.ndarray
    gpu: int | None = None  # that the network runs on


def load(evaluation, data, model, gpu=None):
    """The EvaluatedNetwork in a folder of build/eval. gpu: that it is to run on.

    Raises FigureError and what the readers raise.
    """
    people, predictions = load_predictions(evaluation, data)
    errors = evaluation / "errors.json"
    facts = read_json(errors)
    try:
        network, weights = Path(facts["network"]), Path(facts["weights"])
    except (KeyError, TypeError):
        raise FigureError(f"{errors}: expected that of a network; evaluate again") from None
    for path in (network, weights):
        if not path.is_file():
            raise FigureError(f"{path}: no such file, yet {errors} is of it; evaluate again")
    error = metrics.root_aligned(predictions["poses"][-1], people.poses_mm)
    return EvaluatedNetwork(
        people, prior.load(model, HUMAN36M), predictions, network, weights, error, gpu
    )


def load_predictions(evaluation, data):
    """The annotated people of a file, and the arrays that tools.evaluate left of them, with poses.

    Raises FigureError and what the readers raise.
    """
    path = evaluation / "predictions.npz"
    for needed in (path, evaluation / "errors.json"):
        if not needed.is_file():
            raise FigureError(f"{needed}: no such file; run make eval, or tools.evaluate, first")
    predictions = npz.read(path, optional=None, error=FigureError)
    people = annotations.load(data)
    if "poses" not in predictions:
        raise FigureError(f"{path}: expected a network with lifting, got one without poses")
    if predictions["points"].shape[1] != len(people):
        raise FigureError(
            f"{path}: expected predictions of the {len(people)} people of {data}, got "
            f"{predictions['points'].shape[1]}"
        )
    return people, predictions


def picture(people, i):
    """The image of a record, RGB."""
    return cv2.cvtColor(people.image(i), cv2.COLOR_BGR2RGB)


def draw_image(cell, people, i, points=None, **style):
    """The part of an image round its person, with landmarks (17, 2) px on it."""
    cell.imshow(picture(people, i))
    if points is not None:
        show.draw_points(cell, points, **{"linewidth": 2} | style)
    x, y, width, height = people.boxes[i]
    half = 0.65 * max(width, height)
    cell.set(
        xlim=(x + width / 2 - half, x + width / 2 + half),
        ylim=(y + height / 2 + half, y + height / 2 - half),
    )
    cell.axis("off")


def facing(people, i):
    """The azimuth, degrees, from which draw_pose shows a pose as the camera sees it."""
    right = people.rotations[i][0]
    return np.rad2deg(np.arctan2(-right[2], right[0]))


def draw_3d(cell, people, i, pose, turn=0.0, truth=True):
    """A pose (17, 3) from the camera's side, or turned by degrees; pale and wide, the true one."""
    azimuth = facing(people, i) + turn
    if truth:
        true = people.poses_mm[i] - people.poses_mm[i][metrics.ROOT]
        show.draw_pose(cell, true, azimuth, alpha=0.3, linewidth=3)
    show.draw_pose(cell, pose - pose[metrics.ROOT], azimuth)


def name_of(people, i):
    """Whom and what an image shows, for a figure."""
    return plain(f"{people.subjects[i]} {people.actions[i]}")
