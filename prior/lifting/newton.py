"""Gauss-Newton for one candidate after another: the loops of least_squares.py.

A candidate's normal matrix is made of the whitened derivatives of its projections, a row for each
unknown: its entries are the products of two rows. The whitened residuals are one more row, so that
one Cholesky factor has the step, the cost to which it leads and the determinant in it.

Shapes: P candidates, L landmarks, M = 3 L, S = 1 + J, C = 2 + S unknowns: the place, s a, s.
V = C + 1 rows; D = 2 L numbers in each, and zeros up to a multiple of LANES.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from prior.lifting.compiled import compiled

# A step that moves no unknown by more than this share of the scale is the last: Gauss-Newton's next
# would be a hundredth of it or less, where people are at usual distances.
TOLERANCE = 1e-5

# A few are enough at usual distances. Our choice: more than half of the way each is enough too.
STEPS = 30

# A step that does not lower the cost is cut to a quarter, down to this share of it: our choice.
SHORTEST = 1e-3

# What is in the camera's own plane has some projection: such candidates are lost.
NEAREST = 1e-6

# A pivot below this share of what it was is nothing but rounding, and counts as that.
ROUNDING = 2.0**-52

# Numbers that a processor multiplies at once, of 64 bits.
LANES = 4

# The first unknowns are the two of the place.
PLACE = 2


@compiled
def descend(
    component: Int[np.ndarray, "P"],
    matrix: Float[np.ndarray, "P 3 3"],
    points: Float[np.ndarray, "P L 2"],
    whitening: Float[np.ndarray, "P L 2 2"],
    shapes: Float[np.ndarray, "K S M"],
    ridges: Float[np.ndarray, "K C"],
    steps: int,
    unknowns: Float[np.ndarray, "P C"],
    cost: Float[np.ndarray, "P"],
    log_det: Float[np.ndarray, "P"],
    ok: Bool[np.ndarray, "P"],
) -> None:
    """Moves `unknowns` to the minima that are reached from there in so many steps. Fills `cost` of
    there; `log_det`, of the normal matrix without the scale's row; and `ok`, whether the scale is
    positive and all landmarks are before the camera."""
    L, C = points.shape[1], unknowns.shape[1]
    place, slopes, rows, normal, step = room(L, C)
    tried = np.empty(C)
    for p in range(len(component)):
        k, here = component[p], unknowns[p]
        view = (matrix[p], points[p], whitening[p])
        cost[p] = linearise(shapes[k], ridges[k], view, here, place, slopes, rows)
        least, log_det[p] = step_from(rows, ridges[k], here, normal, step)
        length = 1.0
        for _ in range(steps):
            if not cost[p] < np.inf or length < SHORTEST:
                break
            if np.abs(step).max() <= TOLERANCE * here[-1]:
                here += step
                cost[p] = least
                break
            for j in range(C):
                tried[j] = here[j] + length * step[j]
            there = linearise(shapes[k], ridges[k], view, tried, place, slopes, rows)
            if there < cost[p]:
                cost[p], length = there, 1.0
                here[:] = tried
                least, log_det[p] = step_from(rows, ridges[k], here, normal, step)
            else:
                length /= 4
        ok[p] = cost[p] < np.inf


@compiled
def step_all(
    component: Int[np.ndarray, "P"],
    matrix: Float[np.ndarray, "P 3 3"],
    points: Float[np.ndarray, "P L 2"],
    whitening: Float[np.ndarray, "P L 2 2"],
    shapes: Float[np.ndarray, "K S M"],
    ridges: Float[np.ndarray, "K C"],
    unknowns: Float[np.ndarray, "P C"],
    cost: Float[np.ndarray, "P"],
    log_det: Float[np.ndarray, "P"],
) -> None:
    """Moves `unknowns` by one step, whatever is there. Fills `cost`, to which it leads where the
    projections are linear, and `log_det` as `descend` does, of before the step."""
    L, C = points.shape[1], unknowns.shape[1]
    place, slopes, rows, normal, step = room(L, C)
    for p in range(len(component)):
        k, view = component[p], (matrix[p], points[p], whitening[p])
        linearise(shapes[k], ridges[k], view, unknowns[p], place, slopes, rows)
        cost[p], log_det[p] = step_from(rows, ridges[k], unknowns[p], normal, step)
        unknowns[p] += step


@compiled
def project(
    component: Int[np.ndarray, "P"],
    matrix: Float[np.ndarray, "P 3 3"],
    points: Float[np.ndarray, "P L 2"],
    whitening: Float[np.ndarray, "P L 2 2"],
    shapes: Float[np.ndarray, "K S M"],
    ridges: Float[np.ndarray, "K C"],
    unknowns: Float[np.ndarray, "P C"],
    projection: Float[np.ndarray, "P L 2"],
    cost: Float[np.ndarray, "P"],
) -> None:
    """Fills `projection`, px, of these unknowns, and their `cost`, infinite where they are no
    person before a camera."""
    L, C = points.shape[1], unknowns.shape[1]
    place = np.empty(3 * L)
    for p in range(len(component)):
        k, here = component[p], unknowns[p]
        shape_of(shapes[k], here, place)
        cost[p] = 0.0 if here[-1] > 0 else np.inf
        for i in range(L):
            u, v, ahead = projected(matrix[p], here, place[i], place[L + i], place[2 * L + i])
            projection[p, i, 0], projection[p, i, 1] = u, v
            w = whitening[p, i]
            if w[0, 0] or w[0, 1] or w[1, 0] or w[1, 1]:
                u, v = points[p, i, 0] - u, points[p, i, 1] - v
                first, second = w[0, 0] * u + w[0, 1] * v, w[1, 0] * u + w[1, 1] * v
                cost[p] += first * first + second * second if ahead > 0 else np.inf
        for j in range(C):
            cost[p] += ridges[k, j] * here[j] * here[j]


@compiled
def log_densities(
    component: Int[np.ndarray, "P"],
    whitening: Float[np.ndarray, "P L 2 2"],
    unknowns: Float[np.ndarray, "P C"],
    cost: Float[np.ndarray, "P"],
    log_det: Float[np.ndarray, "P"],
    nu: Float[np.ndarray, "K"],
    log_std: Float[np.ndarray, "K"],
) -> Float[np.ndarray, "P"]:
    """Of the landmarks in px, NaN upside down: with s a and place integrated out, the latter by a
    flat prior; s is not. cost, log_det: of `descend`; log_std: of a component's vectors together.
    """
    P, C = unknowns.shape
    result = np.empty(P)
    for p in range(P):
        k, scale = component[p], unknowns[p, C - 1]
        landmarks, volume = 0, 0.0
        for i in range(whitening.shape[1]):
            w = whitening[p, i]
            stretch = abs(w[0, 0] * w[1, 1] - w[0, 1] * w[1, 0])
            if stretch > 0:
                landmarks += 1
                if stretch != 1:
                    volume += 2 * np.log(stretch)
        # Twice the log of how much W stretches the centred landmarks, as Observations.log_volume
        # has it: on their contrasts the determinant of W is that of W over that of its mean
        # precision, of which the sum's part cancels against that of the place.
        volume += 2 * np.log(landmarks)
        numbers, size = 2 * landmarks - 2, C - PLACE - 1
        value = cost[p] / (nu[k] * scale * scale) + log_det[p]
        value += (numbers - size) * np.log(nu[k]) + 2 * log_std[k]
        value += numbers * np.log(2 * np.pi * scale * scale)
        result[p] = 0.5 * (volume - value) if scale > 0 else np.nan
    return result


@compiled
def room(
    L: int, C: int
) -> tuple[
    Float[np.ndarray, "M"],
    Float[np.ndarray, "6 L"],
    Float[np.ndarray, "V D"],
    Float[np.ndarray, "_ V"],
    Float[np.ndarray, "C"],
]:
    """Arrays to work in, the same for all candidates: `place`, `slopes` and `rows` of `linearise`,
    with zeros at the rows' ends; `normal` of `step_from`, with the three rows that `factor` wants
    below it; and a step."""
    rows = np.zeros((C + 1, -(-2 * L // LANES) * LANES))
    return np.empty(3 * L), np.empty((6, L)), rows, np.zeros((C + 4, C + 1)), np.empty(C)


@compiled
def shape_of(
    shape: Float[np.ndarray, "S M"],
    unknowns: Float[np.ndarray, "C"],
    place: Float[np.ndarray, "M"],
) -> None:
    """Fills `place` with s times the pose of these unknowns, in the person's axes, coordinates
    first."""
    place[:] = 0
    for j in range(len(shape)):
        for i in range(len(place)):
            place[i] += unknowns[PLACE + j] * shape[j, i]


@compiled
def projected(
    matrix: Float[np.ndarray, "3 3"], unknowns: Float[np.ndarray, "C"], x: float, y: float, z: float
) -> tuple[float, float, float]:
    """Where a point in the person's axes is seen, px, and its denominator."""
    ahead = 1 + matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z
    if abs(ahead) < NEAREST:
        ahead = -NEAREST
    u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + unknowns[0]
    v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + unknowns[1]
    return u / ahead, v / ahead, ahead


@compiled
def linearise(
    shape: Float[np.ndarray, "S M"],
    ridge: Float[np.ndarray, "C"],
    view: tuple[np.ndarray, np.ndarray, np.ndarray],
    unknowns: Float[np.ndarray, "C"],
    place: Float[np.ndarray, "M"],
    slopes: Float[np.ndarray, "6 L"],
    rows: Float[np.ndarray, "V D"],
) -> float:
    """Fills `rows` for these unknowns; `place` and `slopes` are room to work in. Returns the cost,
    infinite where they are no person before a camera."""
    (matrix, points, whitening), L, C = view, slopes.shape[1], len(unknowns)
    shape_of(shape, unknowns, place)
    cost = 0.0 if unknowns[-1] > 0 else np.inf
    for i in range(L):
        u, v, ahead = projected(matrix, unknowns, place[i], place[L + i], place[2 * L + i])
        a, b, c, d = whitening[i, 0, 0], whitening[i, 0, 1], whitening[i, 1, 0], whitening[i, 1, 1]
        right = below = 0.0
        if a or b or c or d:
            right, below = points[i, 0] - u, points[i, 1] - v
            cost += 0.0 if ahead > 0 else np.inf
        rows[C, i], rows[C, L + i] = a * right + b * below, c * right + d * below
        cost += rows[C, i] * rows[C, i] + rows[C, L + i] * rows[C, L + i]
        a, b, c, d = a / ahead, b / ahead, c / ahead, d / ahead
        rows[0, i], rows[0, L + i], rows[1, i], rows[1, L + i] = a, c, b, d
        for j in range(3):
            across, down = matrix[0, j] - u * matrix[2, j], matrix[1, j] - v * matrix[2, j]
            slopes[j, i], slopes[3 + j, i] = a * across + b * down, c * across + d * down
    for j in range(C - PLACE):
        for i in range(L):
            x, y, z = shape[j, i], shape[j, L + i], shape[j, 2 * L + i]
            rows[PLACE + j, i] = slopes[0, i] * x + slopes[1, i] * y + slopes[2, i] * z
            rows[PLACE + j, L + i] = slopes[3, i] * x + slopes[4, i] * y + slopes[5, i] * z
    for j in range(C):
        cost += ridge[j] * unknowns[j] * unknowns[j]
    return cost


@compiled
def step_from(
    rows: Float[np.ndarray, "V D"],
    ridge: Float[np.ndarray, "C"],
    unknowns: Float[np.ndarray, "C"],
    normal: Float[np.ndarray, "_ V"],
    step: Float[np.ndarray, "C"],
) -> tuple[float, float]:
    """Fills `step` with Gauss-Newton's from these unknowns, whose rows these are; `normal` is room
    to work in. Returns the cost to which it leads, and the log determinant of the normal matrix
    without the scale's row."""
    C = len(unknowns)
    multiply(rows, normal)
    for j in range(C):
        pull = ridge[j] * unknowns[j]
        normal[j, j] += ridge[j]
        normal[C, j] -= pull
        normal[C, C] += pull * unknowns[j]
    factor(normal)
    log_det = 0.0
    for j in range(C - 1):
        log_det += 2 * np.log(normal[j, j])
    # The last row is what forward substitution makes of the descent.
    for j in range(C - 1, -1, -1):
        step[j] = normal[C, j] / normal[j, j]
        for i in range(j):
            normal[C, i] -= normal[j, i] * step[j]
    return normal[C, C] * normal[C, C], log_det


@compiled
def multiply(rows: Float[np.ndarray, "V D"], normal: Float[np.ndarray, "_ V"]) -> None:
    """Fills the lower triangle of `normal` with the products of the rows with each other; two rows
    by two, which a processor keeps at hand for each other."""
    last = len(rows) - 1
    for i in range(0, len(rows), 2):
        under = min(i + 1, last)
        for j in range(0, under + 1, 2):
            beside = min(j + 1, last)
            a = b = c = d = 0.0
            for n in range(rows.shape[1]):
                a += rows[i, n] * rows[j, n]
                b += rows[i, n] * rows[beside, n]
                c += rows[under, n] * rows[j, n]
                d += rows[under, n] * rows[beside, n]
            normal[i, j], normal[i, beside] = a, b
            normal[under, j], normal[under, beside] = c, d


@compiled
def factor(normal: Float[np.ndarray, "_ V"]) -> None:
    """Puts the lower triangular L with L L^T the symmetric matrix, of which the lower triangle is
    read, in its place; four rows at once, for which three more are below the last."""
    V = normal.shape[1]
    for j in range(V):
        dot = 0.0
        for n in range(j):
            dot += normal[j, n] * normal[j, n]
        normal[j, j] = np.sqrt(max(normal[j, j] - dot, ROUNDING * normal[j, j]))
        inverse = 1 / normal[j, j]
        for i in range(j + 1, V, 4):
            a = b = c = d = 0.0
            for n in range(j):
                a += normal[i, n] * normal[j, n]
                b += normal[i + 1, n] * normal[j, n]
                c += normal[i + 2, n] * normal[j, n]
                d += normal[i + 3, n] * normal[j, n]
            normal[i, j] = (normal[i, j] - a) * inverse
            normal[i + 1, j] = (normal[i + 1, j] - b) * inverse
            normal[i + 2, j] = (normal[i + 2, j] - c) * inverse
            normal[i + 3, j] = (normal[i + 3, j] - d) * inverse


@compiled
def distances(
    component: Int[np.ndarray, "P"],
    matrix: Float[np.ndarray, "P 3 3"],
    points: Float[np.ndarray, "P L 2"],
    whitening: Float[np.ndarray, "P L 2 2"],
    shapes: Float[np.ndarray, "K S M"],
    ridges: Float[np.ndarray, "K C"],
    nu: Float[np.ndarray, "K"],
    share: Float[np.ndarray, "P L"],
    unknowns: Float[np.ndarray, "P C"],
) -> Float[np.ndarray, "P L"]:
    """Squared distances of landmarks from where the others foretell them, in standard deviations of
    noise and foretelling together: chi squared with 2 degrees of freedom, if the noise is normal.
    share: with how much of its precision each was part of the solution, 0 if it was left out. 0
    where there is no landmark."""
    (P, L), C = share.shape, unknowns.shape[1]
    result = np.zeros((P, L))
    place, slopes, rows, normal, _ = room(L, C)
    weighed = np.zeros_like(rows)
    ahead = np.empty((2, C))
    for p in range(P):
        k, here = component[p], unknowns[p]
        view = (matrix[p], points[p], whitening[p])
        linearise(shapes[k], ridges[k], view, here, place, slopes, rows)
        for i in range(L):
            root = np.sqrt(share[p, i])
            for j in range(C + 1):
                weighed[j, i], weighed[j, L + i] = root * rows[j, i], root * rows[j, L + i]
        multiply(weighed, normal)
        for j in range(C):
            normal[j, j] += ridges[k, j]
        normal[C, C] += 1 + ROUNDING  # Not read; it stays positive.
        factor(normal)
        for i in range(L):
            if not whitening[p, i].any():
                continue
            for side in range(2):
                for j in range(C):
                    value = rows[j, side * L + i]
                    for n in range(j):
                        value -= normal[j, n] * ahead[side, n]
                    ahead[side, j] = value / normal[j, j]
            # How unsure the solution is of the landmark, beside the noise.
            a = b = d = 0.0
            for j in range(C):
                a += ahead[0, j] * ahead[0, j]
                b += ahead[0, j] * ahead[1, j]
                d += ahead[1, j] * ahead[1, j]
            x, y, own = rows[C, i], rows[C, L + i], share[p, i]
            # r^T (1 - share G)^-1 (1 + (1 - share) G)^-1 r, two matrices with the same axes.
            u, v = x, y
            for w in (-own, 1 - own):
                p00, p01, p11 = 1 + w * a, w * b, 1 + w * d
                det = max(p00 * p11 - p01 * p01, ROUNDING)
                u, v = (p11 * u - p01 * v) / det, (p00 * v - p01 * u) / det
            scale = here[C - 1]
            result[p, i] = (x * u + y * v) / (nu[k] * scale * scale)
    return result
