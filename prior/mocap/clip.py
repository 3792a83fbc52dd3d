"""What every reader gives, and what is asked of it whatever the file."""

from typing import NamedTuple

import numpy as np

from prior.normalise import PoseError, check_poses

# A person's limb scale changes a little as the trunk bends, since some limbs span several joints:
# by 3 % at most in 48 clips of CMU's database. Adults differ by 10 % and more.
SCALE_SPREAD = 0.08


class Clip(NamedTuple):
    """A stretch of motion capture of one person.

    poses: (F, 17, 3), mm, y up, the landmarks of prior.skeleton; rate: frames per second.
    """

    poses: np.ndarray
    rate: float
    subject: str
    action: str


class MocapError(ValueError):
    """A motion-capture file that cannot be used: which one, what was expected, what came."""


def check_frames(where, good, expected, got, first=0):
    """MocapError for the first frame that is not good.

    good: (F,) bool; got: F numbers; first: what the file calls its first frame.
    """
    if not np.all(good):
        bad = int(np.argmin(good))
        raise MocapError(
            f"{where}: frame {first + bad}: expected {expected}, got {got[bad]:.6g}; "
            "repair or drop the frame"
        )


def check(clip, where):
    """MocapError, which begins with `where`, unless the clip can be used.

    Asked for: two frames or more, finite positions, millimetres, one skeleton.
    """
    if len(clip.poses) < 2:
        raise MocapError(
            f"{where}: expected at least 2 frames, got {len(clip.poses)}; use a longer clip"
        )
    if not 0 < clip.rate < np.inf:
        raise MocapError(f"{where}: expected a positive rate in frames per second, got {clip.rate}")
    try:
        _, scale = check_poses(clip.poses)
    except PoseError as error:
        raise MocapError(f"{where}: {error}") from None
    typical = np.median(scale)
    check_frames(
        where,
        abs(scale / typical - 1) <= SCALE_SPREAD,
        f"one skeleton, a limb scale within {SCALE_SPREAD:.0%} of {typical:.0f} mm",
        scale,
    )
