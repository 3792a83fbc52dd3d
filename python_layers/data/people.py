"""A person of a data set, as an object of the JSON format (`annotations`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from prior.landmark_sets import MPII
from prior.skeleton import HUMAN36M, Skeleton
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
    skeleton: Skeleton = HUMAN36M,
    **more: Any,
) -> dict[str, Any] | None:
    """A person's object of the JSON format, or None for one without landmarks.

    landmarks: {name: (x, y, v)}, px, v as in COCO: 2 visible, 1 hidden. Human3.6M's "hip", if it is
    missing, is put in the middle of the right and the left hip, where that skeleton has it. box:
    (x, y, width, height), px; None: round the landmarks. skeleton: whose landmarks the person has.
    more: other keys of the object.
    """
    keypoints = np.zeros((len(skeleton), 3))
    for name, point in landmarks.items():
        keypoints[skeleton.landmarks.index(name)] = point
    if skeleton == HUMAN36M:
        keypoints = _with_hip(keypoints)
    there = keypoints[:, 2] > 0
    if not there.any():
        return None
    box = box_round(keypoints[there, :2]) if box is None else np.asarray(box, dtype=float)
    small = there.sum() < min(LEAST_LANDMARKS, len(skeleton)) or not box[2:].max() >= LEAST_SIDE
    return {"keypoints": keypoints, "bbox": box, "context": bool(small)} | more


def _with_hip(keypoints: Float[np.ndarray, "17 3"]) -> Float[np.ndarray, "17 3"]:
    """The keypoints with the hip, if it is missing and the two hips are there, in their middle."""
    hip, right, left = (HUMAN36M.landmarks.index(n) for n in ("hip", "right hip", "left hip"))
    if keypoints[hip, 2] or not (keypoints[right, 2] and keypoints[left, 2]):
        return keypoints
    placed = keypoints.copy()
    placed[hip, :2] = (keypoints[right, :2] + keypoints[left, :2]) / 2
    placed[hip, 2] = min(keypoints[right, 2], keypoints[left, 2])
    return placed


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
