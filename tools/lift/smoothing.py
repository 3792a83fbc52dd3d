"""Motion smoothed over time. Beyond the paper, which lifts every image by itself."""

import numpy as np

from prior.errors import InputError
from prior.skeleton import L, limb_scale
from tools.lift import bones
from tools.lift.timeline import rate_of

# The Gaussian ends so many standard deviations away: our choice.
REACH = 3.0


def smooth(poses, seconds):
    """The lifted.Poses, each person's averaged over time.

    The weights are a Gaussian of standard deviation `seconds`, divided by the landmarks' variances
    where these are known: an uncertain landmark follows its neighbours in time. Only pose_mm
    changes, and each pose keeps its limb scale, or its bones if they are constant;
    meta["smoothed_s"] is `seconds`. A jump to another pose, such as a limb's depth that flips for
    longer than `seconds`, is only slowed down. Raises InputError unless seconds is positive, and
    for poses that are smoothed already.
    """
    if not 0 < seconds < np.inf:
        raise InputError(f"--smooth: expected a positive number of seconds, got {seconds:g}")
    if "smoothed_s" in poses.meta:
        raise InputError("--smooth: these poses are smoothed already; lift the landmarks again")
    reach = seconds * rate_of(poses)
    variance = np.where(np.isfinite(poses.deviation_mm), poses.deviation_mm, 1) ** 2
    trust = 1 / np.maximum(variance, 1e-6)
    result = poses.pose_mm.copy()
    for person in np.unique(poses.person):
        rows = np.flatnonzero(poses.person == person)
        frame = poses.frame[rows]
        total, weights = np.zeros((len(rows), *result.shape[1:])), np.zeros((len(rows), L, 1))
        far = min(int(REACH * reach), len(rows) - 1)
        for shift in range(-far, far + 1):
            # The pose `shift` rows away, which may be more frames away.
            there = np.arange(len(rows)) + shift
            ok = (there >= 0) & (there < len(rows))
            there = there[ok]
            apart = (frame[there] - frame[ok]) / reach
            weight = np.exp(-0.5 * apart**2)[:, None] * trust[rows[there]]
            weight[np.abs(apart) > REACH] = 0
            total[ok] += weight[..., None] * poses.pose_mm[rows[there]]
            weights[ok] += weight[..., None]
        # No weight is 0, since each pose counts itself.
        result[rows] = total / weights
    result *= (limb_scale(poses.pose_mm) / limb_scale(result))[:, None, None]
    result -= result.mean(axis=1, keepdims=True)
    return bones.held(
        poses._replace(pose_mm=result.round(3), meta=poses.meta | {"smoothed_s": seconds})
    )
