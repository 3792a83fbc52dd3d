"""Poses in real millimetres, from people's heights: a picture alone does not tell a person's size.

A height is that of the body from the soles to the top of the head. Bones give it: thigh, shank,
trunk and head, one above the other, and below the ankle 0.039 of the height (Drillis and Contini,
1964, in Winter's Biomechanics).
"""

import numpy as np

from prior.errors import InputError
from prior.skeleton import LANDMARKS

# The ankle's height as a share of the body's.
ANKLE = 0.039
# Who is smaller or larger is in another unit, m.
SMALLEST, LARGEST = 0.4, 2.6
_AT = {name: i for i, name in enumerate(LANDMARKS)}
# What stands upon each other, by landmarks; of the legs the mean of both.
_CHAIN = (("hip", "spine"), ("spine", "neck"), ("neck", "head top"))
_LEGS = [
    (f"{side} {a}", f"{side} {b}")
    for side in ("left", "right")
    for a, b in (("hip", "knee"), ("knee", "foot"))
]


def stature(poses):
    """The height, mm, of the person of poses (n, 17, 3), mm: by the median of each bone."""

    def length(a, b):
        return np.median(np.linalg.norm(poses[:, _AT[a]] - poses[:, _AT[b]], axis=1))

    upright = sum(length(*bone) for bone in _CHAIN) + sum(length(*bone) for bone in _LEGS) / 2
    return float(upright / (1 - ANKLE))


def parse(words):
    """{person or None for all: m} of words such as 1.75 and 3=1.62. Raises InputError."""
    heights = {}
    for word in words:
        person, equals, metres = word.rpartition("=")
        try:
            who, height = int(person) if equals else None, float(metres)
        except ValueError:
            who, height = None, float("nan")
        if not SMALLEST <= height <= LARGEST:
            raise InputError(
                f"--height: expected metres, {SMALLEST} to {LARGEST}, such as 1.75, or 3=1.62 for "
                f"person 3, got {word}"
            )
        if who in heights:
            raise InputError(f"--height: expected one height a person, got {' '.join(words)}")
        heights[who] = height
    return heights


def scaled(poses, heights):
    """The lifted.Poses of people as tall as `heights` {person or None for all others: m} says.

    All lengths of a person are multiplied by one factor, and meta["height_m"] has the heights by
    person. Who has no height keeps the typical size. Raises InputError for a person who is not
    there, and for poses that have heights already.
    """
    if "height_m" in poses.meta:
        raise InputError("--height: these poses have heights already; lift the landmarks again")
    people = np.unique(poses.person).tolist()
    strange = [person for person in heights if person is not None and person not in people]
    if strange and people:
        raise InputError(
            f"--height: expected people of {', '.join(map(str, people))}, got {strange[0]}"
        )
    factor, known = np.ones(len(poses.person)), {}
    for person in people:
        metres = heights.get(person, heights.get(None))
        if metres is not None:
            rows = poses.person == person
            factor[rows] = 1000 * metres / stature(poses.pose_mm[rows])
            known[str(person)] = metres
    wide = factor[:, None, None]
    meta = poses.meta | {"height_m": known}
    if "bones_mm" in meta:
        of = {str(p): float(factor[poses.person == p][0]) for p in people}
        meta["bones_mm"] = {p: (of[p] * np.array(b)).tolist() for p, b in meta["bones_mm"].items()}
    return poses._replace(
        pose_mm=wide * poses.pose_mm,
        deviation_mm=wide[..., 0] * poses.deviation_mm,
        translation_mm=wide[..., 0] * poses.translation_mm,
        scale=poses.scale / factor,
        meta=meta,
    )
