"""Scores of 2D landmarks on annotated images: the 2D part of errors.json.

Landmarks count that are annotated, hidden ones too. A measure that needs a landmark which a person
lacks (the head for PCKh, the torso for PCK) leaves this person out; one that nobody has is None, as
where the skeleton has no landmark of that name: `left_out` says which measures these are.
"""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from pycocotools.coco import COCO as Coco
from pycocotools.cocoeval import COCOeval

from prior import metrics
from prior.landmark_sets import COCO as COCO_SET
from prior.skeleton import COCO, HUMAN36M, LANDMARKS, Skeleton
from python_layers.data.annotations import Annotations

HIP, RIGHT_HIP, LEFT_HIP = (LANDMARKS.index(name) for name in ("hip", "right hip", "left hip"))
# What the measures' lengths are between, by Human3.6M's names.
HEAD, TORSO = ("neck", "head top"), ("right hip", "left shoulder")
MIDWAY_PX = 1e-3  # a rounding error, in coordinates of three decimals

# COCO's keypoints, by the last word of their names, and their standard deviations in parts of the
# square root of the person's area (cocodataset.org/#keypoints-eval; COCOeval's kpt_oks_sigmas).
OKS_SIGMA = {
    "nose": 0.026,
    "eye": 0.025,
    "ear": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "foot": 0.089,
    "ankle": 0.089,
}
# Which landmarks of a skeleton are COCO's.
OKS_LANDMARKS = {
    HUMAN36M: [LANDMARKS.index(name) for name in COCO_SET.direct],
    COCO: list(range(len(COCO))),
}


def left_out(skeleton: Skeleton) -> dict[str, str]:
    """{measure of errors.json: why it is not given} of a skeleton."""
    known = {name.replace("_", " ") for name in skeleton.landmarks}
    reasons = {}
    for measures, ends in ((("pckh", "pckh_0.2"), HEAD), (("pck_0.2", "pck_0.2_upright"), TORSO)):
        missing = [name for name in ends if name not in known]
        if missing:
            reasons |= dict.fromkeys(measures, f"there is no {' and no '.join(missing)}")
    if skeleton not in OKS_LANDMARKS:
        reasons["oks_ap"] = "COCO's deviations are those of its own landmarks"
    if skeleton != HUMAN36M:
        other = "it is of Human3.6M's landmarks"
        reasons |= dict.fromkeys(("procrustes_14_landmarks", "protocols"), other)
    if not skeleton.mirrors:
        reasons["side_distance_px"] = "there is no left and right"
    return reasons


def as_human36m(
    points: Float[np.ndarray, "M L 2"], skeleton: Skeleton
) -> Float[np.ndarray, "M 17 2"]:
    """Landmarks by Human3.6M's names, NaN for those that the skeleton does not have."""
    names = [name.replace("_", " ") for name in skeleton.landmarks]
    result = np.full((len(points), len(LANDMARKS), 2), np.nan)
    for i, name in enumerate(LANDMARKS):
        if name in names:
            result[:, i] = points[:, names.index(name)]
    return result


def annotated(people: Annotations) -> Bool[np.ndarray, "M L"]:
    """Which landmarks are compared: those that are annotated.

    Sets without a hip of their own get one midway between the two hips (tools.convert), which says
    nothing new. It is told by being there exactly midway on everybody.
    """
    there = people.visible > 0
    if people.skeleton != HUMAN36M:
        return there
    both = there[:, [HIP, RIGHT_HIP, LEFT_HIP]].all(axis=1)
    middle = people.points[both][:, [RIGHT_HIP, LEFT_HIP]].mean(axis=1)
    if both.any() and (np.abs(people.points[both, HIP] - middle) < MIDWAY_PX).all():
        there = there.copy()
        there[:, HIP] = False
    return there


def errors(points: Float[np.ndarray, "M L 2"], people: Annotations) -> dict[str, float | None]:
    """Errors of landmarks: mean distance in px of the image, PCKh, and PCK of the torso."""
    there = annotated(people)
    right, torso, upright = _pck(points, people)
    return {
        "error_px": _mean(metrics.landmark_error(points, people.points), there),
        "pckh_0.5": _pckh(points, people, 0.5),
        "pckh_0.2": _pckh(points, people, 0.2),
        "pck_0.2": _mean(right, torso),
        "pck_0.2_upright": _mean(right, upright),
    }


def by_landmark(
    points: Float[np.ndarray, "M L 2"], people: Annotations
) -> dict[str, dict[str, float]]:
    """Mean distance, px, and PCK of the torso, of all and of the upright, for each landmark."""
    distance = metrics.landmark_error(points, people.points)
    right, torso, upright = _pck(points, people)
    names = people.skeleton.landmarks
    return {
        "error_2d_px_by_landmark": _columns(distance, annotated(people), names),
        "pck_0.2_by_landmark": _columns(right, torso, names),
        "pck_0.2_upright_by_landmark": _columns(right, upright, names),
    }


def counts(people: Annotations) -> dict[str, int]:
    """How many people the PCK of the torso is over, and how many of them are upright."""
    ours = as_human36m(people.points, people.skeleton)
    torso = np.isfinite(metrics.torso_diagonal(ours))
    upright = torso & metrics.upright(ours)
    return {"pck_0.2_people": int(torso.sum()), "pck_0.2_upright_people": int(upright.sum())}


def oks_ap(
    points: Float[np.ndarray, "M L 2"], peaks: Float[np.ndarray, "M L"], people: Annotations
) -> float | None:
    """COCO's AP of its landmarks, of which Human3.6M has 13, over OKS of 0.50 to 0.95.

    Each person was given by a box, so there is one answer for each; its score is the mean of the
    maps' maxima. None unless every annotation has an area and COCO's landmarks.
    """
    chosen = OKS_LANDMARKS.get(people.skeleton, [])
    there = (people.visible > 0)[:, chosen]
    counted = there.any(axis=1)
    if not np.isfinite(people.areas).all() or not counted.any():
        return None
    keypoints = np.concatenate(
        [np.nan_to_num(people.points[:, chosen]), people.visible[:, chosen, None]],
        axis=2,
    )
    answers = np.concatenate([points[:, chosen], np.ones_like(there)[..., None]], axis=2)
    rows = np.flatnonzero(counted)
    truth = [
        _record(people, i, keypoints[i])
        | {"num_keypoints": int(there[i].sum()), "iscrowd": 0, "ignore": 0}
        for i in rows
    ]
    scores = peaks[:, chosen].mean(axis=1)
    predicted = [_record(people, i, answers[i]) | {"score": float(scores[i])} for i in rows]
    words = [people.skeleton.landmarks[i].replace("_", " ").split()[-1] for i in chosen]
    return _average_precision(truth, predicted, np.array([OKS_SIGMA[word] for word in words]))


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


def _average_precision(truth: list[dict], predicted: list[dict], sigmas: np.ndarray) -> float:
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
        evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def _pckh(points: np.ndarray, people: Annotations, share: float) -> float | None:
    ours = as_human36m(people.points, people.skeleton)
    head = metrics.landmark_error(*(ours[:, LANDMARKS.index(name)] for name in HEAD))
    right = metrics.pck(points, people.points, share * head)
    return _mean(right, annotated(people) & _known(head))


def _pck(points: np.ndarray, people: Annotations) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PCK of the torso (M, L), which of them count, and which of these are of the upright."""
    ours = as_human36m(people.points, people.skeleton)
    diagonal = metrics.torso_diagonal(ours)
    right = metrics.pck(points, people.points, metrics.PCK_SHARE * diagonal)
    torso = annotated(people) & _known(diagonal)
    return right, torso, torso & metrics.upright(ours)[:, None]


def _known(lengths: Float[np.ndarray, "M"]) -> Bool[np.ndarray, "M 1"]:
    return np.isfinite(lengths)[:, None]


def _mean(values: np.ndarray, where: Bool[np.ndarray, "..."]) -> float | None:
    return float(values[where].mean()) if where.any() else None


def _columns(
    values: np.ndarray, where: Bool[np.ndarray, "M L"], names: Sequence[str]
) -> dict[str, float]:
    """{landmark: the mean of its column}, of those that somebody has."""
    means = {name: _mean(values[:, i], where[:, i]) for i, name in enumerate(names)}
    return {name: mean for name, mean in means.items() if mean is not None}
