"""Is this a person? What was lifted, judged against what the model knows of people.

Whatever landmarks come in, a pose comes out. Three things tell whether it is one of a person:

- the misfit: the squared Mahalanobis distance of the landmarks from what the pose's component
  expects at that rotation and scale, which is what the least squares of equation 4 leave,

      sum_j a_j^2 / std_j^2 + sum_l |residual_l|^2 / (s^2 nu),

  for each number that the landmarks give beside place, scale and yaw. It is the part of the log
  likelihood that depends on the landmarks: about 1 for poses like the training poses, seen with the
  noise that is assumed;
- the limb scale of the pose, which is 1 for every training pose (section 4), but not for every
  combination of basis vectors;
- the residual: how far landmarks are from the projected pose.

A track, many frames of one body, tells more: a person is seldom in an odd pose for long, and an
animal is one in every frame. So of a track the median misfit is judged too, by a lower threshold.

The thresholds are not of one model: each is in units of what the model expects. tools/bench/
plausibility.py shows what they let through and what they refuse.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from prior.lifting.lifted import Lifted
from prior.lifting.lifter import NOISE_MM
from prior.model import PriorModel

# From `make bench-plausibility`: of people whom the model was not fitted to, so with the ready
# one's twin, and of what is no person with both. There is little room: the misfit is above 5 for 9
# of 1,000 people whose landmarks are as exact as assumed (they bend far over, or are upside down),
# above 10 for all shuffled ones, and above 5 for 99 of 100 animals from the side.
MOST_MISFIT = 5.0
# Of the median over a track, from the same command: no track of three seconds has more with up to
# twice the noise that is assumed, and five of six animals from the front have. Our choice within
# what is left between them, toward people.
MOST_TRACK_MISFIT = 3.5
# Fewer frames are judged one by one. Our choice: a second of ten frames.
LEAST_FRAMES = 10
# Beyond these are fewer than one in 1,000 people; they are the better reasons.
LIMB_SCALES = (0.6, 1.7)
# Of the residual, in units of the noise.
MOST_RESIDUAL = 7.5


class Verdict(NamedTuple):
    """Of N poses: misfit (N,); limb_scale (N,), in units of the training poses'; residual_mm (N,),
    root mean square over the landmarks, at the body; plausible (N,); reason (N,), in words why not,
    empty for plausible poses. NaN, not plausible, for poses that could not be lifted."""

    misfit: Float[np.ndarray, "N"]
    limb_scale: Float[np.ndarray, "N"]
    residual_mm: Float[np.ndarray, "N"]
    plausible: Bool[np.ndarray, "N"]
    reason: tuple[str, ...]


def judge(lifted: Lifted, model: PriorModel, noise_mm: float = NOISE_MM) -> Verdict:
    """The Verdict on poses that a Lifter with this model and noise, mm at the body, has lifted.

    Less noise than NOISE_MM counts as that: no detector is as exact as the letter of section 5.3,
    where there is none.
    """
    visible = np.isfinite(lifted.inputs.points).all(axis=2)
    weight = visible.astype(float)
    if lifted.inputs.confidence is not None:
        weight = weight * lifted.inputs.confidence
    scale = np.where(lifted.ok, lifted.scale, np.nan)
    offset = np.where(visible[..., None], lifted.projection - lifted.inputs.points, 0)
    squared = (weight * np.linalg.norm(offset, axis=2) / scale[:, None]) ** 2
    noise_mm = max(noise_mm, NOISE_MM)
    nu = model.noise_std[lifted.component] ** 2 + (noise_mm / model.scale_mm) ** 2
    distance = np.square(lifted.coefficients / model.std[lifted.component]).sum(axis=1)
    # Place, scale and yaw take four of the numbers.
    numbers = np.maximum(2 * np.count_nonzero(weight, axis=1) - 4, 1)
    misfit = (distance + squared.sum(axis=1) / nu) / numbers
    limbs = np.where(lifted.ok, model.skeleton.limb_scale(lifted.pose) / model.scale_mm, np.nan)
    residual = model.scale_mm * np.sqrt(squared.sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9))
    reasons = tuple(
        _reason(*of_one, MOST_RESIDUAL * noise_mm)
        for of_one in zip(misfit, limbs, residual, strict=True)
    )
    plausible = np.array([not reason for reason in reasons], dtype=bool)
    return Verdict(misfit, limbs, residual, plausible, reasons)


def judge_tracks(verdict: Verdict, track: Int[np.ndarray, "N"]) -> Verdict:
    """The Verdict on poses of tracks: who is no person most of the time is none at any time.

    track: the number of each one's track. A pose that has a reason keeps it.
    """
    reasons, plausible = list(verdict.reason), verdict.plausible.copy()
    order = np.argsort(track, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(track[order])) + 1):
        misfits = verdict.misfit[rows][np.isfinite(verdict.misfit[rows])]
        if len(misfits) < LEAST_FRAMES or np.median(misfits) <= MOST_TRACK_MISFIT:
            continue
        for row in rows[plausible[rows]]:
            reasons[row] = (
                f"most of this track is unlike a person: median misfit {np.median(misfits):.1f} "
                f"(at most {MOST_TRACK_MISFIT:g})"
            )
        plausible[rows] = False
    return verdict._replace(plausible=plausible, reason=tuple(reasons))


def _reason(misfit: float, limbs: float, residual_mm: float, most_mm: float) -> str:
    """Why a pose is not plausible, or nothing."""
    if not np.isfinite(misfit):
        return "could not be lifted"
    low, high = LIMB_SCALES
    if not low <= limbs <= high:
        return f"limbs {limbs:.2g} times as long as people's ({low:g} to {high:g})"
    if residual_mm > most_mm:
        return f"landmarks {residual_mm:.0f} mm from the nearest pose (at most {most_mm:.0f})"
    if misfit > MOST_MISFIT:
        return f"unlike any known pose: misfit {misfit:.1f} (at most {MOST_MISFIT:g})"
    return ""
