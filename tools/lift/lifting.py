"""Keypoints to Poses: which landmarks count, which camera saw them, and what cannot be lifted."""

import warnings

import numpy as np
from threadpoolctl import threadpool_limits

import prior
from prior.camera import compose
from prior.lifting.candidates import ELEVATIONS, ROLLS
from prior.lifting.lifter import AS_PUBLISHED, NOISE_MM
from prior.lifting.plausibility import judge
from tools.lift import calibration, lifted, tracks
from tools.lift.counting import PEOPLE, LeftOut

# A person with fewer landmarks is left out. Our choice: more than a head and shoulders.
LEAST_LANDMARKS = 6
# A landmark of lower confidence counts as missing. Our choice: what detectors call unreliable.
LEAST_CONFIDENCE = 0.2
# --weigh rounds confidences up to one of so many levels: each combination has tables of its own.
LEVELS = 4
# The number of poses in which one tilt is searched for all: our choice.
SAMPLE = 48
# How much one pose may speak against a tilt, nats. Our choice: a pose that is wrong altogether must
# not outvote the others.
DOUBT = 20.0


def lift(
    people,
    model,
    *,
    camera=calibration.NONE,
    elevation=None,
    roll=0.0,
    each=False,
    least=LEAST_CONFIDENCE,
    weigh=False,
    noise_mm=NOISE_MM,
    as_published=False,
    refine=False,
    deviation=True,
):
    """Lift Keypoints; returns (lifted.Poses, list of the counting.LeftOut).

    camera: a Calibration. elevation, roll: of a camera without rotation, radians; without elevation
    the tilt is searched, one for all poses, or for `each` its own. least: the confidence below
    which a landmark is missing. weigh: landmarks weigh as much as their confidence (slow); else
    those that are there count alike. Where the intrinsics are known the lifting is by full
    perspective; as_published: always by weak perspective, and to the letter of section 5.3.
    """
    rows, points, confidence, left = _enough(people, least)
    weight = np.ceil(confidence * LEVELS) / LEVELS if weigh else (confidence > 0).astype(float)
    how = AS_PUBLISHED if as_published else {"noise_mm": noise_mm}
    lifter = prior.Lifter(model, **how)
    # Small products: more threads than one hinder each other, and other programs.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the poses that are not ok are counted below
        rotation = camera.rotation
        if rotation is None:
            if elevation is None and not each and len(rows):
                roll, elevation = _common_tilt(lifter, camera, points, weight)
            rotation = compose(roll, elevation or 0.0, 0.0)
        if as_published or camera.intrinsics is None:
            straight, cameras = camera.straighten(points, rotation)
            lens = None
        else:
            straight, cameras, lens = camera.undistorted(points), rotation, camera.intrinsics
        tilt = each and camera.rotation is None
        # One row of weights stands for all poses, whose tables are then looked up together.
        shared = weight[0] if len(weight) and (weight == weight[0]).all() else weight
        result = lifter.lift(
            straight, camera=cameras, intrinsics=lens, confidence=shared, refine=refine, tilt=tilt
        )
        spread = lifter.deviation(result) if deviation else np.full(points.shape[:2], np.nan)
    if not result.ok.all():
        first = rows[np.flatnonzero(~result.ok)[0]]
        left.append(
            LeftOut(
                PEOPLE,
                np.count_nonzero(~result.ok),
                "all landmarks in one place, or upside down",
                people.frame_name(people.frame[first]),
            )
        )
    meta = {
        "frames": list(people.frames),
        "first_frame": people.first,
        "rate": people.rate,
        "noise_mm": how["noise_mm"],
        "model": str(model.meta.get("source", "unknown")),
    }
    scale = result.scale / model.scale_mm
    verdict = judge(result, model, how["noise_mm"])
    poses = _poses(meta, result, scale, spread, verdict, people, rows, points, confidence)
    return poses, left


def _enough(people, least):
    """The people with enough landmarks: rows of Keypoints, points, confidence; and a list of the
    LeftOut."""
    confidence = np.where(people.confidence >= max(least, 1e-9), people.confidence, 0)
    points = np.where(confidence[..., None] > 0, people.points, np.nan)
    enough = np.count_nonzero(confidence, axis=1) >= LEAST_LANDMARKS
    left = []
    if not enough.all():
        few = np.flatnonzero(~enough)
        left.append(
            LeftOut(
                PEOPLE,
                len(few),
                f"fewer than {LEAST_LANDMARKS} landmarks of confidence {least:g}",
                people.frame_name(people.frame[few[0]]),
            )
        )
    return np.flatnonzero(enough), points[enough], confidence[enough], left


def _poses(meta, result, scale, spread, verdict, people, rows, points, confidence):
    """The lifted.Poses of a Lifted and the Verdict on it, of those that could be lifted."""
    ok = result.ok
    person = tracks.link(points, people.frame[rows], people.person[rows])
    return lifted.make(
        meta,
        pose_mm=result.pose[ok],
        deviation_mm=spread[ok],
        points=points[ok],
        confidence=confidence[ok],
        camera=result.camera[ok],
        scale=scale[ok],
        component=result.component[ok],
        component_probability=result.component_probability[ok],
        log_likelihood=result.log_likelihood[ok],
        translation_mm=result.translation[ok],
        misfit=verdict.misfit[ok],
        plausible=verdict.plausible[ok],
        reason=np.array(verdict.reason, dtype=str)[ok],
        frame=people.frame[rows][ok],
        person=person[ok],
    )


def _common_tilt(lifter, camera, points, weight):
    """The roll and elevation, radians, that make a sample of the poses most probable together.

    The sample is of poses that have the same landmarks, since these share their tables.
    """
    patterns, pattern = np.unique(weight, axis=0, return_inverse=True)
    pattern = pattern.ravel()
    # The pattern with the most landmarks in all.
    landmarks = (patterns > 0).sum(axis=1) * np.bincount(pattern, minlength=len(patterns))
    rows = np.flatnonzero(pattern == landmarks.argmax())
    rows = rows[np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(int)]
    straight, turns = camera.straighten(points[rows], np.eye(3))
    turn = turns if turns.ndim == 2 else turns[len(turns) // 2]
    grid = [(roll, elevation) for elevation in ELEVATIONS for roll in ROLLS]
    scores = np.stack(
        [
            lifter.lift(
                straight, camera=turn @ compose(*tilt, 0.0), confidence=weight[rows[0]]
            ).log_likelihood
            for tilt in grid
        ]
    )
    scores = scores[:, np.isfinite(scores).any(axis=0)]
    scores = np.maximum(scores - scores.max(axis=0), -DOUBT).sum(axis=1)
    return grid[scores.argmax()]
