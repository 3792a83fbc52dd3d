"""Fewer frames of clips: by rate, by change of pose, or equally many of each kind."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from prior.errors import InputError
from prior.mocap.clip import Clip
from prior.normalise import centred


def to_rate(clip: Clip, hz: float) -> Clip:
    """The clip at hz frames per second: the frames nearest to 0, 1 / hz, 2 / hz, ... seconds.

    Frames are not interpolated. A clip of this rate or a lower one is returned as it is. Raises
    InputError unless hz is positive.
    """
    if not hz > 0:
        raise InputError(f"rate: expected a positive number of frames per second, got {hz}")
    if hz >= clip.rate:
        return clip
    step = clip.rate / hz
    frames = np.round(np.arange(0, len(clip.poses) - 0.5, step)).astype(int)
    return clip._replace(poses=clip.poses[frames], rate=float(hz))


def change_mm(
    poses: Float[np.ndarray, "F L 3"], reference: Float[np.ndarray, "L 3"]
) -> Float[np.ndarray, "F"]:
    """How far poses, mm, are from a reference pose: the greatest displacement of a landmark, mm.

    Each pose is first put with its mean landmark on the reference's, and turned about the vertical
    to fit it best in least squares. The prior knows neither a person's place nor heading, so
    walking on, or turning on the spot, makes no new pose.
    """
    poses, reference = centred(poses), centred(reference)
    ground, onto = (p[..., 0] + 1j * p[..., 2] for p in (poses, reference))
    turn = np.sum(ground.conj() * onto, axis=-1)
    ground = ground * np.exp(1j * np.angle(turn))[:, None]
    height = poses[..., 1] - reference[:, 1]
    return np.sqrt(np.abs(ground - onto) ** 2 + height**2).max(axis=-1)


def by_change(clip: Clip, mm: float) -> Clip:
    """The first frame, and each that differs by `mm` or more (change_mm) from the last one kept.

    It keeps those who stand still from dominating. The frames are no longer evenly spaced: the rate
    of the result is their mean rate. Raises InputError when mm is negative.
    """
    if not mm >= 0:
        raise InputError(f"change: expected millimetres, 0 or more, got {mm}")
    kept, at, count = [0], 1, 1
    while at < len(clip.poses):
        change = change_mm(clip.poses[at : at + count], clip.poses[kept[-1]])
        new = np.flatnonzero(change >= mm)
        if len(new):
            kept.append(at + int(new[0]))
            at, count = kept[-1] + 1, max(1, int(new[0]))
        else:
            # No new pose yet: look at twice as many frames at once.
            at, count = at + count, 2 * count
    rate = clip.rate * len(kept) / len(clip.poses)
    return clip._replace(poses=clip.poses[kept], rate=rate)


Name = TypeVar("Name")


def shared(available: Mapping[Name, int], count: int) -> dict[Name, int]:
    """How many each gives, so that they are `count` together: equally many, but those that have
    fewer give all that they have, and the others more. Fewer than `count` if there are fewer."""
    shares: dict[Name, int] = {}
    for number, name in enumerate(sorted(available, key=lambda name: available[name])):
        left = count - sum(shares.values())
        shares[name] = min(available[name], left // (len(available) - number))
    return shares


def balanced(clips: Sequence[Clip], count: int) -> list[Clip]:
    """The clips with `count` frames together, or somewhat fewer: equally many of each kind of
    motion and, within a kind, of each subject, as far as there are so many (`shared`).

    So no kind with long clips dominates, nor a subject within a kind; who is alone in doing
    something gives all of it. The frames of a subject's motions of one kind are evenly spread. The
    rate of a clip becomes its mean rate; clips without a frame are left out. Raises InputError
    unless count is positive.
    """
    if count < 1:
        raise InputError(f"balance: expected a positive number of frames, got {count}")
    frames: dict[str, dict[str, int]] = {}
    for clip in clips:
        subjects = frames.setdefault(clip.kind, {})
        subjects[clip.subject] = subjects.get(clip.subject, 0) + len(clip.poses)
    of_kind = shared({kind: sum(subjects.values()) for kind, subjects in frames.items()}, count)
    kept = {}
    for kind, subjects in frames.items():
        for subject, wanted in shared(subjects, of_kind[kind]).items():
            rows = np.linspace(0, subjects[subject] - 1, wanted).round().astype(int)
            kept[kind, subject] = np.isin(np.arange(subjects[subject]), rows)
    result = []
    for clip in clips:
        mask, kept[clip.kind, clip.subject] = np.split(
            kept[clip.kind, clip.subject], [len(clip.poses)]
        )
        if mask.any():
            rate = clip.rate * float(mask.mean())
            result.append(clip._replace(poses=clip.poses[mask], rate=rate))
    return result
