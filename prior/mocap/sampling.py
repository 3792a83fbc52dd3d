"""Fewer frames of a clip: by rate, or by how much the pose has changed."""

import numpy as np

from prior.normalise import centred


def to_rate(clip, hz):
    """The clip at hz frames per second: the frames nearest to 0, 1 / hz, 2 / hz, ... seconds.

    Frames are not interpolated. A clip of this rate or a lower one is returned as it is.
    """
    if not hz > 0:
        raise ValueError(f"rate: expected a positive number of frames per second, got {hz}")
    if hz >= clip.rate:
        return clip
    step = clip.rate / hz
    frames = np.round(np.arange(0, len(clip.poses) - 0.5, step)).astype(int)
    return clip._replace(poses=clip.poses[frames], rate=float(hz))


def change_mm(poses, reference):
    """How far poses (F, 17, 3), mm, are from a reference (17, 3): (F,), mm.

    The greatest displacement of a landmark, after the mean landmark of each pose was put on the
    reference's and the pose was turned about the vertical to fit best in the sense of least
    squares: the prior knows neither a person's place nor heading, so walking on, or turning on
    the spot, is no new pose.
    """
    poses, reference = centred(poses), centred(reference)
    ground, onto = (p[..., 0] + 1j * p[..., 2] for p in (poses, reference))
    turn = np.sum(ground.conj() * onto, axis=-1)
    ground = ground * np.exp(1j * np.angle(turn))[:, None]
    height = poses[..., 1] - reference[:, 1]
    return np.sqrt(np.abs(ground - onto) ** 2 + height**2).max(axis=-1)


def by_change(clip, mm):
    """The frames that differ by mm or more from the last one kept (change_mm); the first is kept.

    So that standing still does not dominate. They are no longer evenly spaced: the rate of the
    clip returned is their mean rate.
    """
    if not mm >= 0:
        raise ValueError(f"change: expected millimetres, 0 or more, got {mm}")
    kept, at, count = [0], 1, 1
    while at < len(clip.poses):
        change = change_mm(clip.poses[at : at + count], clip.poses[kept[-1]])
        new = np.flatnonzero(change >= mm)
        if len(new):
            kept.append(at + int(new[0]))
            at, count = kept[-1] + 1, max(1, int(new[0]))
        else:
            # As many frames at once as it took so far.
            at, count = at + count, 2 * count
    rate = clip.rate * len(kept) / len(clip.poses)
    return clip._replace(poses=clip.poses[kept], rate=rate)
