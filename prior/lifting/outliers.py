"""Landmarks that a detector got grossly wrong: which to leave out.

What this does to reference.py: its noise is normal, so one landmark on another person, or left for
right, bends the whole pose. Here the noise of each landmark is first Student's t: the pose is
lifted again with each landmark weighed by how well it agrees with the others (re-weighting, as in
the EM algorithm of the t distribution). What this pose disagrees with is left out, as if it were
missing, and the rest decides anew who is doubted.

A landmark is compared with where the others foretell it, by a pose without it. A wrong wrist bends
its own arm, until it hardly disagrees with that; the others foretell it elsewhere.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from prior.lifting.full import FullSearch, matrices
from prior.lifting.lifted import Lifted
from prior.lifting.perspective import Views
from prior.lifting.weak_perspective import Inputs

# Degrees of freedom of the t distribution. On motion capture of training subjects with a twentieth
# of the landmarks anywhere about the person, 2 to 8 are alike (make ways-lift).
FREEDOM = 4.0

# A landmark is doubted when its squared distance, in standard deviations, is above this: of normal
# noise 1 of 3,000 is. By the same command 12 to 30 are alike.
DOUBT = 16.0

# Rounds of re-weighting, and of deciding anew who is left out. More change hardly a pose.
REWEIGHTED, LEFT_OUT = 1, 2

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


def lift(full: FullSearch, inputs: Inputs, lift: Lift) -> Lifted:
    """The Lifted of Inputs with NaN in the place of outliers; all NaN where a pose has too many of
    them. full: what `lift` uses."""
    result = lift(inputs)
    squared = distances(full, inputs, result)
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
        squared = distances(full, part, weighed)
    left, active = squared > DOUBT, np.arange(len(rows))
    for i in range(LEFT_OUT + 1):
        points = np.where(left[active, :, None], np.nan, part.points[active])
        own = part.take(active)
        lifted = lifted.replaced(active, lift(own._replace(points=points), weighed.take(active)))
        doubted = distances(full, own, lifted.take(active)) > DOUBT
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


def distances(full: FullSearch, inputs: Inputs, lifted: Lifted) -> Float[np.ndarray, "N L"]:
    """Squared distances of the landmarks of Inputs from where the others foretell them, in standard
    deviations of both, by a Lifted of these that may have left some out or weighed them otherwise;
    of normal noise chi squared with 2 degrees of freedom. 0 where there is none to compare."""
    confidence = 1.0 if inputs.confidence is None else inputs.confidence
    there = np.isfinite(inputs.points).all(axis=2) & lifted.ok[:, None]
    weight = np.where(there, confidence, 0.0)
    own = 1.0 if lifted.inputs.confidence is None else lifted.inputs.confidence
    share = np.square(np.where(lifted.inlier, own, 0) / np.where(weight > 0, weight, 1))
    views = Views(
        lifted.component,
        matrices(inputs, lifted.yaw),
        np.where(there[..., None], inputs.points, 0),
        full.whitening(inputs, weight, lifted.scale, lifted.component),
    )
    scale = np.where(lifted.ok, lifted.scale, 1)[:, None]
    place = np.zeros((len(scale), 2)) if lifted.full is None else lifted.full.place
    unknowns = np.concatenate([place, lifted.coefficients * scale, scale], axis=1)
    if lifted.full is None:
        flat, _ = full.projections.project(views, unknowns)
        unknowns[:, :2] = (lifted.projection - flat).mean(axis=1)
    return full.projections.distances(views, unknowns, share)
