"""Measures methods under protocols: true 2D landmarks lifted, or predictions from a file.

Every result says what was measured, on which frames, and what was aligned. Where predictions do not
fit the frames there is a reason instead of a number.
"""

import warnings
from typing import NamedTuple

import numpy as np

from prior import metrics
from prior.skeleton import HUMAN36M, LANDMARKS
from tools.evaluate import protocols
from tools.evaluate.predictions import PredictionError, Predictions

PIXELS = "px of the original image"


class Method(NamedTuple):
    """name; predictions, of tools.evaluate.predictions, or None: the true 2D landmarks, lifted."""

    name: str
    predictions: Predictions | None


class Withheld(NamedTuple):
    """A number that is not given, and why."""

    method: str
    protocol: str
    what: str
    reason: str


class Result(NamedTuple):
    """One number and its parts. what: "3D error, mm", "2D error, px" or "PCKh@0.5"; aligned: in
    words; landmarks: how many; frames: how many, and `selection` which; mean: over all frames;
    by_...: {name: mean}; by_stage: means by the network's stages, or []."""

    method: str
    protocol: str
    what: str
    aligned: str
    scale: str
    landmarks: int
    frames: int
    selection: str
    mean: float
    mean_of_actions: float
    by_action: dict
    by_subject: dict
    by_camera: dict
    by_landmark: dict
    by_stage: list


def lifted(points, truth, lifter, confidence=None, covariance=None):
    """Poses (M, 17, 3) lifted from landmarks (M, 17, 2) with the cameras of their frames.

    confidence, covariance: as of LandmarkLifter.lift. Raises PredictionError where some cannot be
    lifted: their poses would be made up.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of those that cannot be lifted: counted here
        cameras = truth.rotations, truth.intrinsics, truth.distortions
        lifted_poses = lifter.lift(points, *cameras, confidence=confidence, covariance=covariance)
    lost = np.flatnonzero(~lifted_poses.ok)
    if len(lost):
        keys = truth.index.take(lost[:1]).keys()[0]
        raise PredictionError(
            f"{len(lost)} of {len(points)} poses could not be lifted (too few landmarks, or upside "
            "down), the first is {}/{}.{} frame {}".format(*keys)
        )
    return lifted_poses.pose


def aligned(poses, truth, alignment, skeleton=HUMAN36M):
    """Poses as an Alignment brings them to the truth (both (M, L, 3), mm), of a skeleton."""
    if alignment.to == "procrustes":
        return metrics.procrustes(poses, truth)
    if alignment.scale == "known":
        poses = metrics.with_scale_of(poses, truth, skeleton)
    if alignment.to == "root":
        return metrics.at_root(poses, truth, skeleton.root)
    return metrics.at_mean(poses, truth)


def errors_3d(poses, truth, alignment, landmarks):
    """Distances (M, len(landmarks)), mm, of poses (M, 17, 3) under an Alignment."""
    chosen = list(landmarks)
    poses, truth = poses[:, chosen], truth[:, chosen]
    return metrics.landmark_error(aligned(poses, truth, alignment), truth)


def _result(method, protocol, truth, errors, by_stage, **facts):
    """The Result of errors (M, L)."""
    index = truth.index
    by_action = metrics.grouped(errors, index.action)
    order = [
        *(a for a in protocols.ACTIONS if a in by_action),
        *(a for a in by_action if a not in protocols.ACTIONS),
    ]
    names = [LANDMARKS[i] for i in facts.pop("landmarks")]
    return Result(
        method=method.name,
        protocol=protocol.name,
        landmarks=len(names),
        frames=len(truth),
        selection=protocols.describe(protocol, video=truth.human36m),
        mean=metrics.mean(errors),
        mean_of_actions=float(np.nanmean(list(by_action.values()))),
        by_action={action: by_action[action] for action in order},
        by_subject=metrics.grouped(errors, index.subject),
        by_camera=metrics.grouped(errors, index.camera),
        by_landmark={n: metrics.mean(column) for n, column in zip(names, errors.T, strict=True)},
        by_stage=by_stage,
        **facts,
    )


def _poses(method, truth, predicted, lifter):
    """Poses (T, M, 17, 3) of a method's stages on the frames of `truth`."""
    if method.predictions is None:
        return lifted(truth.points, truth, lifter)[None]
    if predicted.poses is not None:
        return predicted.poses
    # Only the last stage has to be liftable: the others are for show.
    covariance = None if predicted.covariance is None else predicted.covariance[-1]
    return np.stack([lifted(predicted.points[-1], truth, lifter, predicted.confidence, covariance)])


def score(method, protocol, truth, lifter):
    """Results and Withheld of a method on the whole Truth, under a protocol."""
    truth = truth.select(protocol)
    if not len(truth):
        reason = f"the data has no frame of it: {protocols.describe(protocol, truth.human36m)}"
        return [], [Withheld(method.name, protocol.name, "all", reason)]
    lacking = protocols.lacking(protocol, truth.index) if truth.human36m else []
    if lacking:
        reason = _lacking(lacking, set(truth.index.action.tolist()))
        return [], [Withheld(method.name, protocol.name, "all", reason)]
    try:
        predicted = method.predictions and method.predictions.take(truth.index)
    except PredictionError as error:
        return [], [Withheld(method.name, protocol.name, "all", str(error))]
    results, withheld = [], []
    try:
        poses = _poses(method, truth, predicted, lifter)
        for alignment in protocol.alignments:
            stages = [errors_3d(p, truth.poses_mm, alignment, protocol.landmarks) for p in poses]
            by_stage = [metrics.mean(e) for e in stages] if len(stages) > 1 else []
            results.append(
                _result(
                    method,
                    protocol,
                    truth,
                    stages[-1],
                    by_stage,
                    what="3D error, mm",
                    aligned=alignment.to,
                    scale=alignment.scale,
                    landmarks=protocol.landmarks,
                )
            )
    except PredictionError as error:
        withheld.append(Withheld(method.name, protocol.name, "3D error", str(error)))
    if (
        predicted is not None
        and predicted.points is not None
        and protocol is protocols.PROTOCOLS[0]
    ):
        more, reasons = _score_2d(method, protocol, truth, predicted.points)
        results, withheld = results + more, withheld + reasons
    return results, withheld


def _lacking(videos, actions):
    """What to say of data without some videos of a protocol."""
    text = f"the data has no frame of {len(videos)} videos of the protocol, the first is "
    text += "{}, {}, trial {}, camera {}".format(*videos[0])
    none = sorted({action for _, action, *_ in videos} - actions)
    return f"{text}; it has nothing of the actions {', '.join(none)}" if none else text


def _score_2d(method, protocol, truth, points):
    """2D error and PCKh, over the landmarks that are seen in truth; withheld if any was not found.
    points (T, M, 17, 2)."""
    visible = np.isfinite(truth.points).all(axis=2)
    lost = visible & ~np.isfinite(points[-1]).all(axis=2)
    if lost.any():
        reason = (
            f"{np.count_nonzero(lost)} of {np.count_nonzero(visible)} landmarks were not found, "
            f"in {np.count_nonzero(lost.any(axis=1))} of {len(truth)} frames"
        )
        return [], [Withheld(method.name, protocol.name, "2D error", reason)]
    results = []
    for what, measure in (
        ("2D error, px", metrics.landmark_error),
        ("PCKh@0.5", metrics.pckh),
    ):
        stages = [np.where(visible, measure(p, truth.points), np.nan) for p in points]
        by_stage = [metrics.mean(e) for e in stages] if len(stages) > 1 else []
        results.append(
            _result(
                method,
                protocol,
                truth,
                stages[-1],
                by_stage,
                what=what,
                aligned="nothing",
                scale=PIXELS,
                landmarks=protocol.landmarks,
            )
        )
    return results, []


def score_all(methods, truth, lifter, progress=iter):
    """Results and Withheld of all methods under all protocols. lifter: a LandmarkLifter."""
    results, withheld = [], []
    for method, protocol in progress([(m, p) for m in methods for p in protocols.PROTOCOLS]):
        more, reasons = score(method, protocol, truth, lifter)
        results += more
        withheld += reasons
    return results, withheld
