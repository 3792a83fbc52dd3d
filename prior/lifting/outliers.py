"""Landmarks that a detector got grossly wrong: which to leave out.

What this does to reference.py: its noise is normal, so one landmark on another person, or left for
right, bends the whole pose. Here the noise of each landmark is first Student's t. The pose that is
then most probable is reached by lifting again and again, each landmark weighed by how well it
agreed with the last pose (iterated re-weighting, the EM algorithm of the t distribution). What this
pose disagrees with is left out, as if it were missing, and the rest decides anew who is doubted.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from prior.lifting.candidates import CandidateSearch
from prior.lifting.lifted import Lifted
from prior.lifting.weak_perspective import Inputs

# Degrees of freedom of the t distribution. On motion capture of training subjects with a twentieth
# of the landmarks anywhere about the person, 2 to 8 are alike (make ways-lift).
FREEDOM = 4.0

# A landmark is doubted when its squared distance from the pose, in standard deviations of its
# noise, is above this: of normal noise 1 of 400 are. From 9 to 20 it makes little difference.
DOUBT = 12.0

# Rounds of re-weighting, and of deciding anew who is left out. More change hardly a pose.
REWEIGHTED, LEFT_OUT = 3, 2

# With less than this share of its landmarks left a pose is not lifted: it would be the doubted ones
# that are right. Our choice.
LEAST_SHARE = 0.6


@runtime_checkable
class Lift(Protocol):
    """Lifts Inputs. like: of the same persons, from a lift before; weighed: the landmarks
    are, for the time being; a rough lift will do, which says what full.py does."""

    def __call__(
        self, inputs: Inputs, like: Lifted | None = None, /, *, weighed: bool = False
    ) -> Lifted: ...


def lift(search: CandidateSearch, inputs: Inputs, lift: Lift) -> Lifted:
    """The Lifted of Inputs with NaN in the place of outliers; all NaN where a pose has too many of
    them. search: the one that `lift` uses."""
    result = lift(inputs)
    squared = distances(search, inputs, result)
    # Poses that agree with all their landmarks are left alone.
    rows = np.flatnonzero((squared > DOUBT).any(axis=1))
    if not len(rows):
        return result
    part, lifted, squared = inputs.take(rows), result.take(rows), squared[rows]
    confidence = np.ones(squared.shape) if part.confidence is None else part.confidence
    weighed = lifted
    for _ in range(REWEIGHTED):
        weight = confidence * np.sqrt((FREEDOM + 2) / (FREEDOM + squared))
        weighed = lift(part._replace(confidence=weight), weighed, weighed=True)
        squared = distances(search, part, weighed)
    left, active = squared > DOUBT, np.arange(len(rows))
    for i in range(LEFT_OUT + 1):
        points = np.where(left[active, :, None], np.nan, part.points[active])
        own = part.take(active)
        lifted = lifted.replaced(active, lift(own._replace(points=points), weighed.take(active)))
        doubted = distances(search, own, lifted.take(active)) > DOUBT
        changed = (doubted != left[active]).any(axis=1)
        active, doubted = active[changed], doubted[changed]
        if i == LEFT_OUT or not len(active):
            break
        # What goes to and fro is doubted.
        left[active] = doubted if i == 0 else doubted | left[active]
    there = ~np.isnan(part.points).any(axis=2) & (confidence > 0)
    lost = np.flatnonzero((there & ~left).sum(axis=1) < LEAST_SHARE * there.sum(axis=1))
    if len(lost):
        own = part.take(lost)
        lifted = lifted.replaced(lost, lift(own._replace(points=np.full_like(own.points, np.nan))))
    return result.replaced(rows, lifted)


def distances(search: CandidateSearch, inputs: Inputs, lifted: Lifted) -> Float[np.ndarray, "N L"]:
    """Squared distances of the landmarks of Inputs from a Lifted's projections, in standard
    deviations of their noise; 0 where there is none to compare."""
    scale, component = lifted.scale[:, None], lifted.component
    residual = inputs.points - lifted.projection
    residual = np.where(lifted.ok[:, None, None] & np.isfinite(residual), residual, 0)
    if inputs.covariance is None:
        noise = np.where(scale > 0, search.nu[component, None] * scale**2, 1)
        squared = np.square(residual).sum(axis=2) / noise
    else:
        body = (search.model.noise_std[component, None] * scale) ** 2
        noise = inputs.covariance + body[..., None, None] * np.eye(2)
        noise = np.where(np.isfinite(noise).all(axis=(2, 3), keepdims=True), noise, np.eye(2))
        squared = (residual * np.linalg.solve(noise, residual[..., None])[..., 0]).sum(axis=2)
    return squared if inputs.confidence is None else squared * inputs.confidence**2
