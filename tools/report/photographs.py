"""The right half of figure 4: photographs without 3D truth, their 2D landmarks and 3D poses.

The people are ranked by their 2D error, and the ten in the middle of each tenth of the ranking are
shown, so that successes and failures come as often as they are.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from prior import metrics
from python_layers.data.annotations import Annotations
from tools.evaluate.landmarks import annotated
from tools.report.evaluated import draw_3d, draw_image, load_predictions

COLUMNS = 5  # people of a row, as the paper's


class EvaluatedPhotographs(NamedTuple):
    """A network's landmarks (M, 17, 2), px, and poses (M, 17, 3), mm, of annotated people."""

    people: Annotations
    points: np.ndarray
    poses: np.ndarray


def load(evaluation, data):
    """The EvaluatedPhotographs in a folder of build/eval. Raises what `load_predictions` does."""
    people, predictions = load_predictions(evaluation, data)
    return EvaluatedPhotographs(people, predictions["points"][-1], predictions["poses"][-1])


def mean_error(run):
    """The mean 2D error of each person (M,), in diagonals of the torso; NaN without a torso."""
    distance = metrics.landmark_error(run.points, run.people.points)
    compared = annotated(run.people) & np.isfinite(distance)
    total = np.where(compared, distance, 0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return total / compared.sum(axis=1) / metrics.torso_diagonal(run.people.points)


def chosen(run):
    """[(person, mean error in torsos)], from low to high: the middle of each tenth, as there are.

    Empty where nobody has a torso.
    """
    error = mean_error(run)
    order = np.argsort(error, kind="stable")[: np.isfinite(error).sum()]
    count = min(2 * COLUMNS, len(order))
    return [(int(i), float(error[i])) for i in order[middles(len(order), count)]]


def middles(length, count):
    """The middle places of `count` equal parts of a ranking."""
    return ((np.arange(count) + 0.5) * length / max(count, 1)).astype(int)


def figure(run):
    """The photographs with their landmarks, and below each its pose from the camera's side."""
    people = chosen(run)
    rows = [people[:COLUMNS], people[COLUMNS:]]
    drawn, axes = plt.subplots(
        4, COLUMNS, figsize=(2.6 * COLUMNS, 10.5), layout="constrained", squeeze=False
    )
    for cell in axes.flat:
        cell.axis("off")
    for pair, row in zip((axes[:2], axes[2:]), rows, strict=True):
        for cells, (i, error) in zip(pair.T, row, strict=False):
            draw_image(cells[0], run.people, i, run.points[i])
            cells[0].set_title(f"2D error {error:.2f} torsos", fontsize=9)
            draw_3d(cells[1], run.people, i, run.poses[i], truth=False)
    return drawn


def caption(run, data):
    """What the figure shows, and how it was chosen."""
    error = mean_error(run)
    ranked = int(np.isfinite(error).sum())
    return (
        f"Figure 4, right. Photographs, {data}, with 2D landmarks and 3D pose, the camera taken to "
        f"be level. Of the {ranked} people with a torso, ranked by their mean 2D error in "
        "diagonals of the torso, the middle one of each tenth: the five better tenths (two upper "
        "rows) and the five worse ones (two lower rows). Who fits no upright person has the mean "
        "pose. Red: the person's left."
    )
