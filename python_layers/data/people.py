"""A person of a data set, as an object of the JSON format (`annotations`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from prior import skeleton
from prior.landmark_sets import MPII
from python_layers.data import columns

# A person with fewer landmarks, or a box whose longer side has fewer px, is context for others and
# never a sample: as in the later work of CPM's authors (Cao et al. 2017).
LEAST_LANDMARKS = 5
LEAST_SIDE = 32
# How far a body reaches beyond its landmarks, in parts of the longer side. Our choice: about what a
# hand or the sole of a foot adds to a standing person.
MARGIN = 0.1
# Our name of a landmark: the id of MPII's joint.
MPII_JOINTS = {ours: MPII.names.index(theirs) for ours, theirs in MPII.direct.items()}
MPII_UNIT = 200  # px, the height of a person of scale 1


def person(
    landmarks: Mapping[str, ArrayLike | Sequence[float]],
    box: ArrayLike | Sequence[float] | None = None,
    **more: Any,
) -> dict[str, Any] | None:
    """A person's object of the JSON format, or None for one without landmarks.

    landmarks: {name: (x, y, v)}, px, v as in COCO: 2 visible, 1 hidden. A "hip" that is missing is
    put in the middle of the right and the left hip, where Human3.6M's skeleton has it. box: (x, y,
    width, height), px; None: round the landmarks. more: other keys of the object.
    """
    keypoints = np.zeros((skeleton.L, 3))
    for name, point in landmarks.items():
        keypoints[skeleton.LANDMARKS.index(name)] = point
    hip, right, left = (skeleton.LANDMARKS.index(n) for n in ("hip", "right hip", "left hip"))
    if not keypoints[hip, 2] and keypoints[right, 2] and keypoints[left, 2]:
        keypoints[hip, :2] = (keypoints[right, :2] + keypoints[left, :2]) / 2
        keypoints[hip, 2] = min(keypoints[right, 2], keypoints[left, 2])
    there = keypoints[:, 2] > 0
    if not there.any():
        return None
    box = box_round(keypoints[there, :2]) if box is None else np.asarray(box, dtype=float)
    small = there.sum() < LEAST_LANDMARKS or not box[2:].max() >= LEAST_SIDE
    return {"keypoints": keypoints, "bbox": box, "context": bool(small)} | more


def box_round(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "4"]:
    """The box x, y, width, height, px, round a body with landmarks, px."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = MARGIN * max((high - low).max(), 1.0)
    return np.concatenate([low - margin, high - low + 2 * margin])


def inside(annotated: Mapping[str, Any], size: tuple[int, int]) -> tuple[dict[str, Any], int]:
    """The person's object with the landmarks outside an image of `size` (width, height) marked as
    missing, and how many these are."""
    keypoints = annotated["keypoints"].copy()
    outside = (keypoints[:, 2] > 0) & ~columns.inside(keypoints[:, :2], size)
    keypoints[outside] = 0
    return dict(annotated) | {"keypoints": keypoints.ravel()}, int(outside.sum())
