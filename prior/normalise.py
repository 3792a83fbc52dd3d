"""Poses in millimetres to the model's space (section 4): centre, scale, mirror."""

import numpy as np

from prior.skeleton import L, limb_scale, mirrored

# A person's limb scale (skeleton.limb_scale) lies near 1000 mm for an adult; children and giants,
# and the differences between definitions of the landmarks, are well inside this range.
LIMB_SCALE_RANGE_MM = (300.0, 2500.0)


class PoseError(ValueError):
    """Poses that cannot be used: what was expected, what came, what to try."""


def check_poses(poses_mm):
    """The poses as a float64 array (N, 17, 3); PoseError if they are not poses in millimetres."""
    poses = np.asarray(poses_mm, dtype=float)
    if poses.ndim != 3 or poses.shape[1:] != (L, 3) or not len(poses):
        raise PoseError(f"poses: expected shape (N, {L}, 3) with N > 0, got {poses.shape}")
    finite = np.isfinite(poses).all(axis=(1, 2))
    if not finite.all():
        raise PoseError(
            f"poses: {np.count_nonzero(~finite)} of {len(poses)} have NaN or infinite coordinates, "
            f"the first is number {np.flatnonzero(~finite)[0]}; leave these frames out"
        )
    scale = float(np.median(limb_scale(poses)))
    low, high = LIMB_SCALE_RANGE_MM
    if not low <= scale <= high:
        guesses = {"metres": 1000.0, "centimetres": 10.0, "inches": 25.4, "micrometres": 1e-3}
        guess = [unit for unit, factor in guesses.items() if low <= scale * factor <= high]
        hint = f"; are they in {' or '.join(guess)}?" if guess else ""
        raise PoseError(
            f"poses: expected millimetres, that is a limb scale of {low:.0f} to {high:.0f}, "
            f"got {scale:.4g}{hint}"
        )
    return poses


def centred(poses):
    """Poses (..., L, D) less their mean landmark."""
    poses = np.asarray(poses)
    return poses - poses.mean(axis=-2, keepdims=True)


def normalise(poses_mm):
    """The set of poses that the model is fitted to.

    poses_mm: (N, 17, 3). Returns (poses (2N, 17, 3), scale_mm (N,)): each pose centred on its mean
    landmark and divided by its limb scale, then all of them once more mirrored, in the same order.
    Raises PoseError.
    """
    poses = check_poses(poses_mm)
    scale = limb_scale(poses)
    if not scale.min() > 0:
        raise PoseError("poses: expected limbs with a length, got a pose with all landmarks equal")
    poses = centred(poses) / scale[:, None, None]
    return np.concatenate([poses, mirrored(poses)]), scale
