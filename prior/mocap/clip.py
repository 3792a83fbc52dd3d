"""A clip, which every reader returns, and the checks that every clip has to pass."""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Real

from prior.errors import InputError
from prior.files import FilePath
from prior.normalise import PoseError, check_poses
from prior.skeleton import HUMAN36M, Skeleton

log = logging.getLogger(__name__)

# How far a person's limb scale may be from its median. It changes a little as the trunk bends,
# since some limbs span several joints: by 3 % at most in 48 clips of CMU's database. Two adults can
# differ by 10 % and more.
SCALE_SPREAD = 0.08


class Clip(NamedTuple):
    """A stretch of motion capture of one person.

    poses: (F, L, 3), mm, y up, of the skeleton's landmarks; rate: frames per second; name: of the
    clip, where the action has several; kind: of motion, such as "walk", where it is known;
    placed_on: the file's skeleton, on which the landmarks were placed, where it is known.
    """

    poses: Float[np.ndarray, "F L 3"]
    rate: float
    subject: str
    action: str
    name: str = ""
    kind: str = ""
    skeleton: Skeleton = HUMAN36M
    placed_on: str = ""


class MocapError(InputError):
    """A motion-capture file that cannot be used; the message begins with its name."""


def check_frames(
    where: FilePath,
    good: Bool[np.ndarray, "F"],
    expected: str,
    got: Real[np.ndarray, "F"],
    first: int = 0,
) -> None:
    """Raise MocapError, which begins with `where`, for the first frame that is not good.

    got: a number of each frame, for the message; first: the number of the file's first frame.
    """
    if not np.all(good):
        bad = int(np.argmin(good))
        raise MocapError(
            f"{where}: frame {first + bad}: expected {expected}, got {got[bad]:.6g}; "
            "repair or drop the frame"
        )


def check(clip: Clip, where: FilePath) -> None:
    """Raise MocapError, which begins with `where`, unless the clip can be used.

    It must have two frames or more, finite positions, millimetres, and one skeleton.
    """
    if len(clip.poses) < 2:
        raise MocapError(
            f"{where}: expected at least 2 frames, got {len(clip.poses)}; use a longer clip"
        )
    if not 0 < clip.rate < np.inf:
        raise MocapError(f"{where}: expected a positive rate in frames per second, got {clip.rate}")
    try:
        _, scale = check_poses(clip.poses, clip.skeleton)
    except PoseError as error:
        raise MocapError(f"{where}: {error}") from None
    typical = np.median(scale)
    check_frames(
        where,
        abs(scale / typical - 1) <= SCALE_SPREAD,
        f"one skeleton, a limb scale within {SCALE_SPREAD:.0%} of {typical:.0f} mm",
        scale,
    )


def say_kinds(clips: Iterable[Clip]) -> None:
    """Say it when the landmarks of the clips were placed on several kinds of skeleton."""
    kinds = Counter(clip.placed_on for clip in clips if clip.placed_on)
    if len(kinds) > 1:
        counts = ", ".join(f"{count} on {kind}" for kind, count in sorted(kinds.items()))
        log.warning(
            "clips of %d kinds of skeleton: %s; their joints are not at the same places of a body, "
            "and a model learns the differences too",
            len(kinds),
            counts,
        )
