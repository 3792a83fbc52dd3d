"""A single call, `lift`, and the noise of a detector of which nothing is known."""

import warnings
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from prior.errors import InputError
from prior.lifting.lifted import Lifted
from prior.lifting.lifter import NOISE_MM, ROTATIONS, Lifter
from prior.model import PriorModel

# What noise_mm="auto" tries: from as good as motion capture to one that hides a limb. The first and
# the last are not followed further.
NOISES_MM = 2.5 * 2.0 ** np.arange(8)

# Poses from which the noise is found, for all.
SAMPLE = 100

# Of two noises, a pose prefers one by no more than this many nats: an outlier says little.
DOUBT = 20.0

Noise = float | Literal["auto"]


def lift(
    points: ArrayLike,
    model: PriorModel,
    *,
    camera: ArrayLike | None = None,
    confidence: ArrayLike | None = None,
    intrinsics: ArrayLike | None = None,
    covariance: ArrayLike | None = None,
    refine: bool = False,
    tilt: bool = False,
    robust: bool = False,
    rotations: int = ROTATIONS,
    noise_mm: Noise = NOISE_MM,
    criterion: str = "density",
) -> Lifted:
    """Lift 2D landmarks (N, L, 2), px, to 3D: `Lifter.lift` for a single call. `Lifter` and its
    `lift` say what the arguments are. noise_mm may be "auto": that under which the landmarks are
    most probable, one for all poses."""
    arguments: dict[str, Any] = {
        "camera": camera,
        "confidence": confidence,
        "intrinsics": intrinsics,
        "covariance": covariance,
        "refine": refine,
        "tilt": tilt,
        "robust": robust,
    }
    how: dict[str, Any] = {"rotations": rotations, "criterion": criterion}
    return lifter_for(model, points, arguments, noise_mm=noise_mm, **how).lift(points, **arguments)


def lifter_for(
    model: PriorModel,
    points: ArrayLike,
    arguments: dict[str, Any],
    *,
    noise_mm: Noise = NOISE_MM,
    **how: Any,
) -> Lifter:
    """The Lifter for these points and arguments of `Lifter.lift`; how: as it is made."""
    if noise_mm == "auto":
        noise_mm = likely_noise_mm(model, points, arguments, **how)
    return Lifter(model, noise_mm=noise_mm, **how)


def likely_noise_mm(
    model: PriorModel, points: ArrayLike, arguments: dict[str, Any], **how: Any
) -> float:
    """The noise, mm at the body, that makes a sample of the poses most probable together; between
    the values that are tried, by a parabola. With covariances it is theirs, by the poses' scale:
    it then only rules out what cannot be the best. Where the lifting is robust, outliers at the
    noise of all landmarks are left out. Raises InputError when no pose can be lifted.
    """
    count = len(np.asarray(points))
    rows = np.linspace(0, count - 1, min(SAMPLE, count)).astype(int)
    # What is one for all poses has a dimension less.
    one = {"camera": 2, "intrinsics": 2, "confidence": 1, "covariance": 3}
    part = {
        name: value
        if value is None or np.ndim(value) <= one.get(name, 0)
        else np.asarray(value)[rows]
        for name, value in arguments.items()
    }
    sample, robust = np.asarray(points, dtype=float)[rows], part.pop("robust", False)
    noise_mm = _most_probable(model, sample, part, **how)
    if not robust or part.get("covariance") is not None:
        return noise_mm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of poses that cannot be lifted
        lifted = Lifter(model, noise_mm=noise_mm, **how).lift(sample, robust=True, **part)
    return _most_probable(model, lifted.inputs.points, part, **how)


def _most_probable(
    model: PriorModel, points: Float[np.ndarray, "N L 2"], arguments: dict[str, Any], **how: Any
) -> float:
    """`likely_noise_mm` of these points, with outliers."""
    part = dict(arguments)
    covariance = part.pop("covariance", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of poses that cannot be lifted: left out below
        if covariance is not None:
            lifted = Lifter(model, **how).lift(points, **part)
            if not lifted.ok.any():
                raise InputError("noise_mm auto: expected poses that can be lifted, got none")
            px = np.sqrt(np.nanmean(np.trace(covariance, axis1=-2, axis2=-1)) / 2)
            return float(px * model.scale_mm / np.median(lifted.scale[lifted.ok]))
        scores = np.stack(
            [
                Lifter(model, noise_mm=noise, **how).lift(points, **part).log_likelihood
                for noise in NOISES_MM
            ]
        )
    scores = scores[:, np.isfinite(scores).all(axis=0)]
    if not scores.size:
        raise InputError("noise_mm auto: expected poses that can be lifted, got none")
    total = np.maximum(scores - scores.max(axis=0), -DOUBT).sum(axis=1)
    best = int(total.argmax())
    step = 0.0
    if 0 < best < len(total) - 1:
        low, middle, high = total[best - 1 : best + 2]
        step = 0.5 * (low - high) / (low - 2 * middle + high)
    return float(NOISES_MM[best] * 2.0**step)
