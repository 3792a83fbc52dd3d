"""What the people in the dataset do: the motion that the project carries (prior.mocap.motion).

Its split is by subject, once and for ever, so those who are tested do what nobody in training was
recorded doing.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from prior.mocap import motion
from prior.mocap.clip import Clip
from prior.skeleton import LANDMARKS, LIMBS
from tools.rendered.retarget import neutral_pitches

RIGID_ENDS = ("knee", "foot", "elbow", "wrist")
# Lengths by which two skeletons differ, in parts of the sum of all: those of one are the same to
# the whole mm of the file.
SAME_SKELETON = 0.002
# Those that no bending changes: of arms and legs.
RIGID = np.array([(a, b) for a, b in LIMBS if LANDMARKS[b].split()[-1] in RIGID_ENDS])


# Every third of the 30 frames a second is kept: neighbours are near-duplicates.
STEP = 3


class Recording(NamedTuple):
    """A clip. split: "train" or "test"; kind: of motion, such as "walk"; poses (F, 17, 3) mm, y up;
    rate: frames per second; neutral: of its skeleton, as retarget.neutral_pitches gives it."""

    split: str
    kind: str
    poses: Float[np.ndarray, "F 17 3"]
    rate: float
    neutral: dict[str, float]


@cache
def load() -> tuple[Recording, ...]:
    """All recordings, sorted by kind; read once per process."""
    splits = {"training": "train", "test": "test"}
    clips = [(ours, clip) for theirs, ours in splits.items() for clip in motion.load(theirs)]
    clips.sort(key=lambda pair: (pair[0], pair[1].kind, pair[1].subject, pair[1].name))
    neutral = _neutral([clip for _, clip in clips])
    return tuple(
        Recording(split, clip.kind, clip.poses[::STEP], clip.rate / STEP, pitches)
        for (split, clip), pitches in zip(clips, neutral, strict=True)
    )


def _neutral(clips: list[Clip]) -> list[dict[str, float]]:
    """Of each clip the neutral pitches of its skeleton, over all clips that have it: one dancer's
    posture is not a skeleton's."""
    limbs = np.stack([_limbs(clip.poses) for clip in clips])
    same = np.abs(limbs[:, None] - limbs[None]).max(axis=2) < SAME_SKELETON
    known: dict[int, dict[str, float]] = {}
    result = []
    for row in same:
        first = int(row.argmax())
        if first not in known:
            own = [clip.poses for clip, its in zip(clips, row, strict=True) if its]
            known[first] = neutral_pitches(np.concatenate(own))
        result.append(known[first])
    return result


def _limbs(poses: Float[np.ndarray, "F 17 3"]) -> Float[np.ndarray, "8"]:
    """The mean length of each part of arms and legs, in parts of the sum of all."""
    lengths = np.linalg.norm(poses[:, RIGID[:, 1]] - poses[:, RIGID[:, 0]], axis=2).mean(axis=0)
    return lengths / lengths.sum()
