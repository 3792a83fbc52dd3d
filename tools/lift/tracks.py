"""Which person is which from frame to frame, where a detector does not say."""

import numpy as np
from scipy.optimize import linear_sum_assignment

# Our choices. Two poses may be the same person if the landmarks moved by less than REACH times
# their spread. Who was out of sight for more than PATIENCE frames counts as a new person.
REACH = 1.0
PATIENCE = 15


def link(points, frame, person):
    """Numbers (N,) of the people, each at most once in a frame.

    points (N, 17, 2), px, NaN where missing; frame (N,), rising; person (N,), -1 where nobody says
    it. Who has a number keeps it. The others get the numbers that are free, from 0: frame by frame
    its poses are paired with the last pose of each of them so that the sum of distances is least
    (Hungarian method).
    """
    result = person.copy()
    unknown = person < 0
    if unknown.any():
        own = _follow(points[unknown], frame[unknown])
        taken = np.unique(person[~unknown])
        free = np.setdiff1d(np.arange(len(taken) + own.max() + 1), taken)
        result[unknown] = free[own]
    return result


def _follow(points, frame):
    """Numbers (n,) from 0 of people of whom nobody says who they are."""
    if len(np.unique(frame)) == len(frame):
        return np.zeros(len(frame), dtype=int)
    result = np.full(len(frame), -1)
    last, count = {}, 0  # person: (row, frame)
    starts = np.flatnonzero(np.diff(frame, prepend=frame[0] - 1))
    for rows in np.split(np.arange(len(frame)), starts[1:]):
        now = frame[rows[0]]
        known = [p for p, (_, then) in last.items() if now - then <= PATIENCE]
        if known:
            cost = np.stack([_distance(points[rows], points[last[p][0]]) for p in known], axis=1)
            for i, j in zip(*linear_sum_assignment(np.minimum(cost, 10 * REACH)), strict=True):
                if cost[i, j] < REACH:
                    result[rows[i]] = known[j]
        for row in rows:
            if result[row] < 0:
                result[row], count = count, count + 1
            last[result[row]] = row, now
    return result


def _distance(points, one):
    """The mean distance (n,) of poses (n, 17, 2) from `one` (17, 2), over the landmarks that both
    have, in units of the spread of `one`; infinite where they share none."""
    there = np.isfinite(one).all(axis=1)
    spread = np.sqrt(np.var(one[there], axis=0).sum()) if there.any() else 0
    apart = np.linalg.norm(points - one, axis=2)
    both = np.isfinite(apart)
    mean = np.where(both, apart, 0).sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    return np.where(both.any(axis=1) & (spread > 0), mean / max(spread, 1e-9), np.inf)
