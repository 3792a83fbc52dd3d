"""Scores of 2D landmarks on annotated images: the 2D part of errors.json.

Landmarks count that are annotated, hidden ones too. A measure that needs a landmark which a person
lacks (the head for PCKh, the torso for PCK) leaves this person out; one that nobody has is None.
"""

import contextlib
import io

import numpy as np
from jaxtyping import Bool, Float
from pycocotools.coco import COCO as Coco
from pycocotools.cocoeval import COCOeval

from prior import metrics
from prior.landmark_sets import COCO
from prior.skeleton import LANDMARKS
from python_layers.data.annotations import Annotations

HIP, RIGHT_HIP, LEFT_HIP = (LANDMARKS.index(name) for name in ("hip", "right hip", "left hip"))
MIDWAY_PX = 1e-3  # a rounding error, in coordinates of three decimals

# COCO's keypoints that are ours, and their standard deviations in parts of the square root of the
# person's area (cocodataset.org/#keypoints-eval; COCOeval's kpt_oks_sigmas has all 17).
OKS_SIGMA = {
    "nose": 0.026,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "foot": 0.089,
}
OKS_LANDMARKS = [LANDMARKS.index(name) for name in COCO.direct]


def annotated(people: Annotations) -> Bool[np.ndarray, "M 17"]:
    """Which landmarks are compared: those that are annotated.

    Sets without a hip of their own get one midway between the two hips (tools.convert), which says
    nothing new. It is told by being there exactly midway on everybody.
    """
    there = people.visible > 0
    both = there[:, [HIP, RIGHT_HIP, LEFT_HIP]].all(axis=1)
    middle = people.points[both][:, [RIGHT_HIP, LEFT_HIP]].mean(axis=1)
    if both.any() and (np.abs(people.points[both, HIP] - middle) < MIDWAY_PX).all():
        there = there.copy()
        there[:, HIP] = False
    return there


def errors(points: Float[np.ndarray, "M 17 2"], people: Annotations) -> dict[str, float | None]:
    """Errors of landmarks: mean distance in px of the image, PCKh, and PCK of the torso."""
    there = annotated(people)
    torso = there & _known(metrics.torso_diagonal(people.points))
    right = metrics.pck_torso(points, people.points)
    return {
        "error_px": _mean(metrics.landmark_error(points, people.points), there),
        "pckh_0.5": _pckh(points, people, 0.5),
        "pckh_0.2": _pckh(points, people, 0.2),
        "pck_0.2": _mean(right, torso),
        "pck_0.2_upright": _mean(right, torso & metrics.upright(people.points)[:, None]),
    }


def by_landmark(
    points: Float[np.ndarray, "M 17 2"], people: Annotations
) -> dict[str, dict[str, float]]:
    """Mean distance, px, and PCK of the torso, of all and of the upright, for each landmark."""
    there = annotated(people)
    torso = there & _known(metrics.torso_diagonal(people.points))
    upright = torso & metrics.upright(people.points)[:, None]
    distance = metrics.landmark_error(points, people.points)
    right = metrics.pck_torso(points, people.points)
    return {
        "error_2d_px_by_landmark": _columns(distance, there),
        "pck_0.2_by_landmark": _columns(right, torso),
        "pck_0.2_upright_by_landmark": _columns(right, upright),
    }


def counts(people: Annotations) -> dict[str, int]:
    """How many people the PCK of the torso is over, and how many of them are upright."""
    torso = np.isfinite(metrics.torso_diagonal(people.points))
    upright = torso & metrics.upright(people.points)
    return {"pck_0.2_people": int(torso.sum()), "pck_0.2_upright_people": int(upright.sum())}


def oks_ap(
    points: Float[np.ndarray, "M 17 2"], peaks: Float[np.ndarray, "M 17"], people: Annotations
) -> float | None:
    """COCO's AP of the 13 landmarks that COCO and we have, over OKS of 0.50 to 0.95.

    Each person was given by a box, so there is one answer for each; its score is the mean of the
    maps' maxima. None unless every annotation has an area.
    """
    there = (people.visible > 0)[:, OKS_LANDMARKS]
    counted = there.any(axis=1)
    if not np.isfinite(people.areas).all() or not counted.any():
        return None
    keypoints = np.concatenate(
        [np.nan_to_num(people.points[:, OKS_LANDMARKS]), people.visible[:, OKS_LANDMARKS, None]],
        axis=2,
    )
    answers = np.concatenate([points[:, OKS_LANDMARKS], np.ones_like(there)[..., None]], axis=2)
    rows = np.flatnonzero(counted)
    truth = [
        _record(people, i, keypoints[i])
        | {"num_keypoints": int(there[i].sum()), "iscrowd": 0, "ignore": 0}
        for i in rows
    ]
    scores = peaks[:, OKS_LANDMARKS].mean(axis=1)
    predicted = [_record(people, i, answers[i]) | {"score": float(scores[i])} for i in rows]
    return _average_precision(truth, predicted)


def _record(people: Annotations, i: int, keypoints: np.ndarray) -> dict:
    """COCO's object of a person's keypoints."""
    return {
        "id": int(i) + 1,
        "image_id": int(people.crowd.image[i]),
        "category_id": 1,
        "keypoints": keypoints.ravel().tolist(),
        "bbox": people.boxes[i].tolist(),
        "area": float(people.areas[i]),
    }


def _average_precision(truth: list[dict], predicted: list[dict]) -> float:
    """COCOeval's first number. It prints as it works; nobody needs that here."""
    images = [{"id": i} for i in sorted({record["image_id"] for record in truth})]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = Coco()
        coco.dataset = {"images": images, "annotations": truth, "categories": [{"id": 1}]}
        coco.createIndex()
        answers = Coco()
        answers.dataset = coco.dataset | {"annotations": predicted}
        answers.createIndex()
        evaluation = COCOeval(coco, answers, "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(
            [OKS_SIGMA[LANDMARKS[i].split()[-1]] for i in OKS_LANDMARKS]
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def _pckh(points: np.ndarray, people: Annotations, share: float) -> float | None:
    head = people.points[:, [LANDMARKS.index(name) for name in ("neck", "head top")]]
    known = np.isfinite(head).all(axis=(1, 2))[:, None]
    return _mean(metrics.pckh(points, people.points, share), annotated(people) & known)


def _known(lengths: Float[np.ndarray, "M"]) -> Bool[np.ndarray, "M 1"]:
    return np.isfinite(lengths)[:, None]


def _mean(values: np.ndarray, where: Bool[np.ndarray, "..."]) -> float | None:
    return float(values[where].mean()) if where.any() else None


def _columns(values: np.ndarray, where: Bool[np.ndarray, "M 17"]) -> dict[str, float]:
    """{landmark: the mean of its column}, of those that somebody has."""
    means = {name: _mean(values[:, i], where[:, i]) for i, name in enumerate(LANDMARKS)}
    return {name: mean for name, mean in means.items() if mean is not None}
