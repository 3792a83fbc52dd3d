"""Which person is which from frame to frame, where a detector does not say."""

import numpy as np
from scipy.optimize import linear_sum_assignment

# Our choices. Two poses may be the same person if the landmarks moved by less than REACH times
# their spread. Who was out of sight for more than PATIENCE frames counts as a new person.
REACH = 1.0
PATIENCE = 15
# Two people have exchanged their numbers where both move more than JUMP times as far as they
# usually do in a frame, and more than CLEARER times as far as if they had not. Usually is at least
# STILL, what landmarks of one who stands still jitter. Our choices, such that it is said of none of
# the carried motion's people whose paths cross (tests/tools/lift/test_exchanges.py); the fewer
# frames a second, the more exchanges happen where the two are as near as they move, and are missed.
JUMP, CLEARER, STILL = 2.0, 3.0, 0.05
# Nobody usually moves further in a frame: where numbers are exchanged in most frames, as those of
# the order in which a detector lists people are, the usual step is one from person to person.
FAST = 0.25
# More who jump in one frame are a cut in the video. Our choice, which bounds time.
MOST_JUMPS = 64
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


def exchanges(points, frame, person):
    """[(frame, its people)] in which people go on where others of them were in the frame before:
    their numbers are exchanged. Arguments as for `link`; who has no number has no say."""
    rows = np.lexsort((frame, person))
    rows = rows[(person[rows] >= 0) & np.isfinite(points[rows]).any(axis=(1, 2))]
    same = (np.diff(person[rows]) == 0) & (np.diff(frame[rows]) <= PATIENCE)
    now, before = rows[1:][same], rows[:-1][same]
    step = _distance(points[now], points[before]) / (frame[now] - frame[before])
    now, before, step = (array[np.isfinite(step)] for array in (now, before, step))
    if not len(now):
        return []
    starts = np.flatnonzero(np.diff(person[now], prepend=-1))
    usual = [np.clip(np.median(steps), STILL, FAST) for steps in np.split(step, starts[1:])]
    usual = np.repeat(usual, np.diff([*starts, len(now)]))
    jump = np.flatnonzero(step > JUMP * usual)
    jump = jump[np.argsort(frame[now[jump]], kind="stable")]
    result = []
    for group in np.split(jump, np.flatnonzero(np.diff(frame[now[jump]])) + 1):
        if not 1 < len(group) <= MOST_JUMPS:
            continue
        apart = frame[now[group]][:, None] - frame[before[group]]
        # Of each of the group, how far it is from where each of them was.
        cost = _distance(points[now[group]][:, None], points[before[group]]) / apart
        np.fill_diagonal(cost, np.inf)
        goes_on = CLEARER * cost < np.minimum.outer(step[group], step[group])
        moved = goes_on.any(axis=0) & goes_on.any(axis=1)
        if moved.any():
            result.append((int(frame[now[group[0]]]), sorted(person[now[group[moved]]].tolist())))
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
