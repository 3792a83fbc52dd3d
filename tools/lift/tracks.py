"""Which person is which from frame to frame, where a detector does not say."""

import numpy as np
from scipy.optimize import linear_sum_assignment

# Our choices. Two poses may be the same person if the landmarks moved by less than REACH times
# their spread. Who was out of sight for more than PATIENCE frames counts as a new person.
REACH = 1.0
PATIENCE = 15
# Frames with more people are compared one by one: our choice, which bounds memory.
MOST_AT_ONCE = 8


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
    starts = np.flatnonzero(np.diff(frame, prepend=frame[0] - 1))
    groups = np.split(np.arange(len(frame)), starts[1:])
    clear = _clear_pairs(points, frame, groups)
    last, count = {}, 0  # person: (row, frame)
    for k, rows in enumerate(groups):
        now = int(frame[rows[0]])
        known = [p for p, (_, then) in last.items() if now - then <= PATIENCE]
        if k in clear and len(known) == len(rows):
            # All who are known were there in the frame before, and it is clear who is who.
            result[rows] = result[clear[k]]
        elif known:
            before = points[[last[p][0] for p in known]]
            cost = _distance(points[rows][:, None], before)
            for i, j in zip(*linear_sum_assignment(np.minimum(cost, 10 * REACH)), strict=True):
                if cost[i, j] < REACH:
                    result[rows[i]] = known[j]
        for row in rows.tolist():
            if result[row] < 0:
                result[row], count = count, count + 1
            last[int(result[row])] = row, now
    return result


def _clear_pairs(points, frame, groups):
    """{k: rows of groups[k - 1], in the order of groups[k]} where each one's nearest in the frame
    before is another one, and near enough: then no other pairing has a smaller sum.

    groups: the rows of each frame. All frames of as many people are compared at once.
    """
    sizes = np.array([len(rows) for rows in groups])
    result = {}
    for size in range(1, MOST_AT_ONCE + 1):
        at = np.flatnonzero((sizes[1:] == size) & (sizes[:-1] == size)) + 1
        if not len(at):
            continue
        now, before = (np.stack([groups[k - back] for k in at]) for back in (0, 1))
        cost = np.stack(
            [
                np.stack([_distance(points[one], points[other]) for other in before.T], axis=1)
                for one in now.T
            ],
            axis=1,
        )
        nearest = cost.argmin(axis=2)
        clear = (np.sort(nearest, axis=1) == np.arange(size)).all(axis=1)
        clear &= (cost.min(axis=2) < REACH).all(axis=1)
        clear &= frame[now[:, 0]] - frame[before[:, 0]] <= PATIENCE
        partner = np.take_along_axis(before, nearest, axis=1)
        result.update({int(at[i]): partner[i] for i in np.flatnonzero(clear)})
    return result


def _distance(points, other):
    """The mean distance of poses (..., 17, 2) from `other` (..., 17, 2), over the landmarks that
    both have, in units of the spread of `other`; infinite where they share none."""
    there = np.isfinite(other).all(axis=-1)
    weight = there / np.maximum(there.sum(axis=-1, keepdims=True), 1)
    filled = np.where(there[..., None], other, 0)
    middle = (weight[..., None] * filled).sum(axis=-2, keepdims=True)
    spread = np.sqrt((weight[..., None] * (filled - middle) ** 2).sum(axis=(-2, -1)))
    apart = np.linalg.norm(points - other, axis=-1)
    both = np.isfinite(apart)
    mean = np.where(both, apart, 0).sum(axis=-1) / np.maximum(both.sum(axis=-1), 1)
    return np.where(both.any(axis=-1) & (spread > 0), mean / np.maximum(spread, 1e-9), np.inf)
