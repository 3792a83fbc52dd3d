"""Keypoints to Poses: which landmarks count, which camera saw them, and what cannot be lifted."""

import warnings

import numpy as np
from threadpoolctl import threadpool_limits

import prior
from prior.camera import compose
from prior.lifting.lifter import AS_PUBLISHED, NOISE_MM
from prior.lifting.plausibility import judge, judge_tracks
from prior.skeleton import LANDMARKS as OURS
from tools.lift import bones, calibration, lifted, motions, tilt, tracks
from tools.lift.counting import LANDMARKS, PEOPLE, LeftOut

# A person with fewer landmarks is left out. Our choice: more than a head and shoulders.
LEAST_LANDMARKS = 6
# A landmark of lower confidence counts as missing. Our choice: what detectors call unreliable.
LEAST_CONFIDENCE = 0.2


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
    robust=False,
    noise_mm=NOISE_MM,
    as_published=False,
    refine=False,
    deviation=True,
    constant_bones=False,
    track=False,
):
    """Lift Keypoints; returns (lifted.Poses, list of the counting.LeftOut).

    camera: a Calibration; elevation, roll: radians, of one without rotation; no elevation: the tilt
    is searched, one for all, or for `each` its own. least: landmarks of less confidence are
    missing; the others count alike, or, `weigh`, by their confidence. robust: those that the others
    contradict are missing too. With known intrinsics the lifting is by full perspective, but
    as_published. constant_bones: bones.py; track: motions.py.
    """
    hidden = camera.hidden(people.points)
    rows, points, confidence, left = _enough(people, least, hidden)
    weight = confidence if weigh else (confidence > 0).astype(float)
    how = AS_PUBLISHED if as_published else {"noise_mm": noise_mm}
    lifter = prior.Lifter(model, **how)
    person = tracks.link(points, people.frame[rows], people.person[rows])
    # Small products: more threads than one hinder each other, and other programs.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the poses that are not ok are counted below
        searched, tilted = None, camera.rotation is None
        if tilted and elevation is None and not each and len(rows):
            searched = tilt.common(lifter, camera, points, weight)
            roll, elevation = searched.roll, searched.elevation
        rotation = compose(roll, elevation or 0.0, 0.0) if tilted else camera.rotation
        observed = _observed(camera, rotation, points, weak=as_published)
        observed["confidence"] = _shared(weight)
        result = lifter.lift(**observed, refine=refine, tilt=each and tilted, robust=robust)
        doubted = (confidence > 0) & ~result.inlier
        observed["points"] = np.where(doubted[..., None], np.nan, observed["points"])
        if track:
            result = motions.of_people(
                lifter, result, observed, people.frame[rows], person, people.rate
            )
        pose, spread, lengths = result.pose, np.full(points.shape[:2], np.nan), None
        if constant_bones:
            pose, spread, lengths = _with_bones(lifter, result, person)
        elif deviation:
            spread = lifter.deviation(result)
    left += _unlifted(people, rows, result, robust)
    left += _unseen(people, rows[result.ok], least, hidden)
    left += _doubted(people, rows[result.ok], doubted[result.ok])
    return _poses(
        _meta(people, model, how["noise_mm"], searched, lengths),
        result,
        judge_tracks(judge(result, model, how["noise_mm"]), person),
        pose_mm=pose,
        deviation_mm=spread,
        points=np.where(doubted[..., None], np.nan, points),
        confidence=np.where(doubted, 0, confidence),
        scale=result.scale / model.scale_mm,
        frame=people.frame[rows],
        person=person,
    ), left


def _shared(weight):
    """One row of weights, which stands for all poses, whose tables are then looked up together; or
    a row for each."""
    return weight[0] if len(weight) and (weight == weight[0]).all() else weight


def _unlifted(people, rows, result, robust):
    """A list of the LeftOut of a Lifted of rows of Keypoints; robust: as it was lifted."""
    if result.ok.all():
        return []
    frame = people.frame[rows[np.flatnonzero(~result.ok)[0]]]
    why, count = "all landmarks in one place, or upside down", np.count_nonzero(~result.ok)
    if robust:
        why = "all landmarks in one place, contradict each other, or upside down"
    return [LeftOut(PEOPLE, count, why, people.frame_name(frame))]


def _meta(people, model, noise_mm, searched, lengths):
    """What a file of poses says of itself."""
    meta = {
        "frames": list(people.frames),
        "first_frame": people.first,
        "rate": people.rate,
        "noise_mm": noise_mm,
        "model": str(model.meta.get("source", "unknown")),
    }
    if searched is not None:
        meta["searched_tilt"] = searched.record()
    if lengths is not None:
        meta["bones_mm"] = lengths
    return meta


def _observed(camera, rotation, points, *, weak):
    """The points and the camera as Lifter.lift takes them: with the lens where it is known, and
    not `weak` perspective is asked for."""
    if weak or camera.intrinsics is None:
        straight, cameras = camera.straighten(points, rotation)
        return {"points": straight, "camera": cameras}
    undistorted = camera.undistorted(points)
    return {"points": undistorted, "camera": rotation, "intrinsics": camera.intrinsics}


def _with_bones(lifter, result, person):
    """(poses, deviations, {person: bone lengths}), mm, of a Lifted with each person's bones
    constant; as lifted where a pose is not ok."""
    ok = np.flatnonzero(result.ok)
    pose, spread = result.pose.copy(), np.full(result.pose.shape[:2], np.nan)
    pose[ok], spread[ok], lengths = bones.constant(
        pose[ok], person[ok], lambda rows: lifter.posterior(result.take(ok[rows]))
    )
    return pose, spread, {str(k): v.round(3).tolist() for k, v in lengths.items()}


def _unseen(people, rows, least, hidden):
    """A list of the LeftOut of landmarks, of rows of Keypoints, that the lens does not show."""
    lost = hidden[rows] & (people.confidence[rows] >= max(least, 1e-9))
    if not lost.any():
        return []
    frame = people.frame[rows[np.flatnonzero(lost.any(axis=1))[0]]]
    why = "where the camera's lens shows nothing, by its distortion"
    return [LeftOut(LANDMARKS, np.count_nonzero(lost), why, people.frame_name(frame))]


def _doubted(people, rows, doubted):
    """A list of the LeftOut of landmarks, of rows of Keypoints, that others contradict."""
    if not doubted.any():
        return []
    row, landmark = np.argwhere(doubted)[0]
    first = f"{OURS[landmark]} in {people.frame_name(people.frame[rows[row]])}"
    why = "contradicted by the person's others"
    return [LeftOut(LANDMARKS, np.count_nonzero(doubted), why, first)]


def _enough(people, least, hidden):
    """The people with enough landmarks, without those that are `hidden`: rows of Keypoints, points,
    confidence; and a list of the LeftOut."""
    there = (people.confidence >= max(least, 1e-9)) & ~hidden
    confidence = np.where(there, people.confidence, 0)
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


def _poses(meta, result, verdict, **arrays):
    """The lifted.Poses of a Lifted and the Verdict on it, of those that could be lifted."""
    arrays |= {
        "camera": result.camera,
        "component": result.component,
        "component_probability": result.component_probability,
        "log_likelihood": result.log_likelihood,
        "translation_mm": result.translation,
        "misfit": verdict.misfit,
        "plausible": verdict.plausible,
        "reason": np.array(verdict.reason, dtype=str),
    }
    return lifted.make(meta, **{name: array[result.ok] for name, array in arrays.items()})
