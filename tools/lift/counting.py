"""What of the input was left out, and why: one summary that adds up."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from prior.skeleton import LANDMARKS as OURS

PEOPLE, FRAMES, LANDMARKS = "people", "frames", "landmarks"


class LeftOut(NamedTuple):
    """`count` of PEOPLE, FRAMES or LANDMARKS are left out: `why`, and `first`, where it happened
    first, with what was there."""

    what: str
    count: int
    why: str
    first: str = ""

    def __str__(self) -> str:
        first = f" (first: {self.first})" if self.first else ""
        return f"{self.count} {self.what}: {self.why}{first}"


def together(parts: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    """The parts with those of one reason as one, with the first's `first`."""
    sums: dict[tuple[str, str], LeftOut] = {}
    for part in parts:
        key = part.what, part.why
        before = sums.get(key)
        sums[key] = part if before is None else before._replace(count=before.count + part.count)
    return tuple(sums.values())


def summary(what: str, total: int, kept: dict[str, int], left: Iterable[LeftOut]) -> str:
    """One line: the total, and what it is the sum of: `kept`, and each reason of `left`.

    Raises ValueError where it does not add up, which would be a mistake in the program.
    """
    mine = [part for part in together(left) if part.what == what and part.count]
    if total != sum(kept.values()) + sum(part.count for part in mine):
        raise ValueError(f"{what}: {total} is not the sum of {kept} and {mine}")
    parts = [f"{count} {name}" for name, count in kept.items() if count or name == next(iter(kept))]
    parts += [
        f"{part.count} left out: {part.why}" + (f" (first: {part.first})" if part.first else "")
        for part in mine
    ]
    return f"{what}: {total} = " + " + ".join(parts)


def matters(left: Iterable[LeftOut]) -> bool:
    """Whether people or frames are left out, not only landmarks."""
    return any(part.what != LANDMARKS and part.count for part in left)


def account(people, left, poses, least):
    """The lines that account for what was in the input: people, frames, landmarks.

    people: the Keypoints that were read; left: what was left out after that; poses: the
    lifted.Poses; least: the confidence below which a landmark is missing.
    """
    everything = [*people.left, *left]
    lost = sum(part.count for part in people.left if part.what == PEOPLE)
    lifted_in = len(np.unique(poses.frame))
    unreadable = sum(part.count for part in everything if part.what == FRAMES)
    frames = {
        "with people lifted": lifted_in,
        "without": people.listed - lifted_in - unreadable,
        "that the input does not have": len(people.frames) - people.listed,
    }
    there = poses.confidence > 0
    lacking = len(poses.frame) * len(people.lacks)
    landmarks = {"used": int(there.sum()), f"that {people.set_name} lacks": lacking}
    missing = there.size - int(there.sum()) - lacking
    missing -= sum(part.count for part in left if part.what == LANDMARKS)
    if missing:
        own = np.array([name not in people.lacks for name in OURS])
        row, landmark = np.argwhere(~there & own)[0]
        everything.append(
            LeftOut(
                LANDMARKS,
                missing,
                f"missing, or of a confidence below {least:g}",
                f"{OURS[landmark]} in {poses.frame_name(poses.frame[row])}",
            )
        )
    return [
        summary(PEOPLE, len(people.frame) + lost, {"lifted": len(poses.frame)}, everything),
        summary(FRAMES, len(people.frames), frames, everything),
        summary(LANDMARKS, there.size, landmarks, everything),
    ]
