"""The loops of weak perspective: over images, and over candidates, one after the other.

What this does to reference.py: nothing but speed. Each loop reads a pose once and writes it once.

Shapes: N images, P candidates of theirs, n images of a block, D = 2L image coordinates, S = 1 + J
unknowns, s and a', C combinations of component and rotation. Shapes of a model are (K, S, V): mean
and basis, their V = 3L coordinates by axis.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from prior.lifting.compiled import compiled


@compiled
def _cos_sin(angle: float, last: Float[np.ndarray, "3"]) -> tuple[float, float]:
    """Cosine and sine of an angle, taken from `last`, the last one and its own, where that is the
    same: angles come many alike in a row."""
    if angle != last[0]:
        last[0], last[1], last[2] = angle, np.cos(angle), np.sin(angle)
    return last[1], last[2]


@compiled
def observed(
    points: Float[np.ndarray, "N L 2"],
    confidence: Float[np.ndarray, "_ L"],
    roll: Float[np.ndarray, "N"],
    least: int,
) -> tuple[
    Float[np.ndarray, "N 2 L"],
    Float[np.ndarray, "N"],
    Float[np.ndarray, "N 2"],
    Float[np.ndarray, "N L"],
    Int[np.ndarray, "N"],
    Float[np.ndarray, "N"],
    Bool[np.ndarray, "N"],
]:
    """The first fields of Observations; confidence: of each image, or one row for all;
    least: so many landmarks can be lifted."""
    (count, L), last = points.shape[:2], np.full(3, np.nan)
    y, centre, weight = np.zeros((count, 2, L)), np.zeros((count, 2)), np.ones((count, L))
    size, log_volume = np.ones(count), np.zeros(count)
    dimensions, ok = np.full(count, 2 * (L - 1)), np.ones(count, np.bool_)
    for i in range(count):
        own = confidence[i if len(confidence) > 1 else 0]
        visible, total, middle_x, middle_y, logs = 0, 0.0, 0.0, 0.0, 0.0
        for j in range(L):
            a, b = points[i, j, 0], points[i, j, 1]
            missing = np.isnan(a) or np.isnan(b)
            if not (missing or (np.isfinite(a) and np.isfinite(b))):
                ok[i] = False
            w = 0.0 if missing else own[j]
            weight[i, j] = w
            if w > 0:
                visible += 1
                total += w * w
                middle_x += w * w * a
                middle_y += w * w * b
                if w != 1:
                    logs += np.log(w)
        if not ok[i] or visible < least:
            ok[i] = False
            weight[i] = 1
            continue
        middle_x, middle_y = middle_x / total, middle_y / total
        cos, sin = _cos_sin(roll[i], last)
        most, squared = 0.0, 0.0
        for j in range(L):
            w = weight[i, j]
            if w > 0:
                a, b = points[i, j, 0], points[i, j, 1]
                most = max(most, abs(a), abs(b))
                a, b = w * (a - middle_x), w * (b - middle_y)
                squared += a * a + b * b
                y[i, 0, j], y[i, 1, j] = cos * a + sin * b, cos * b - sin * a
        # Rounding of the coordinates is not an extent.
        ok[i] = 1e-9 * (1 + most) < np.sqrt(squared) < np.inf
        if not ok[i]:
            y[i], weight[i] = 0, 1
            continue
        size[i], centre[i, 0], centre[i, 1] = np.sqrt(squared), middle_x, middle_y
        dimensions[i] = 2 * (visible - 1)
        log_volume[i] = 2 * logs - np.log(total / visible)
        for j in range(L):
            y[i, 0, j] /= size[i]
            y[i, 1, j] /= size[i]
    return y, size, centre, weight, dimensions, log_volume, ok


@compiled
def products(
    y: Float[np.ndarray, "N 2 L"], rows: Int[np.ndarray, "n"], roll: Float[np.ndarray, "N"]
) -> tuple[Float32[np.ndarray, "D n"], Float32[np.ndarray, "pairs n"]]:
    """Landmarks of these rows turned by `roll`, radians, x towards y; and the products y_i y_j,
    i <= j. Both in float32, images last."""
    count, L, last = len(rows), y.shape[2], np.full(3, np.nan)
    flat = np.empty((2 * L, count), np.float32)
    pairs = np.empty((L * (2 * L + 1), count), np.float32)
    # So many images at a time, that what is read stays near while it is turned over.
    for start in range(0, count, 16):
        for p in range(start, min(start + 16, count)):
            i = rows[p]
            cos, sin = _cos_sin(roll[i], last)
            for j in range(L):
                a, b = y[i, 0, j], y[i, 1, j]
                flat[j, p], flat[L + j, p] = cos * a - sin * b, sin * a + cos * b
    k = 0
    for i in range(2 * L):
        for j in range(i, 2 * L):
            for p in range(count):
                pairs[k, p] = flat[i, p] * flat[j, p]
            k += 1
    return flat, pairs


@compiled
def densities(
    quadratic: Float32[np.ndarray, "C n"],
    scale: Float32[np.ndarray, "C n"],
    log_scale: Float32[np.ndarray, "C n"],
    constant: Float32[np.ndarray, "C _"],
    dimensions: int,
) -> tuple[Float32[np.ndarray, "C n"], Float32[np.ndarray, "n"]]:
    """Log densities of search.Evaluated, and the highest of each image."""
    size, count = quadratic.shape
    density, best = np.empty_like(quadratic), np.full(count, -np.inf, np.float32)
    times, each = np.float32(dimensions), constant.shape[1] > 1
    for c in range(size):
        same = np.float32(0) if each else constant[c, 0]
        for p in range(count):
            s = scale[c, p]
            density[c, p] = quadratic[c, p] / s / s - times * log_scale[c, p] + same
        if each:
            for p in range(count):
                density[c, p] += constant[c, p]
        for p in range(count):
            best[p] = density[c, p] if density[c, p] > best[p] else best[p]
    return density, best


@compiled
def solutions(
    maps: Float[np.ndarray, "C S D"],
    y: Float[np.ndarray, "N D"],
    row: Int[np.ndarray, "P"],
    combination: Int[np.ndarray, "P"],
) -> Float[np.ndarray, "P S"]:
    """Each combination's map, times the landmarks of its row."""
    size, length = maps.shape[1:]
    result = np.empty((len(row), size))
    for p in range(len(row)):
        own, landmarks = maps[combination[p]], y[row[p]]
        for s in range(size):
            total = 0.0
            for d in range(length):
                total += own[s, d] * landmarks[d]
            result[p, s] = total
    return result


@compiled
def _turned(
    shapes: Float[np.ndarray, "S V"],
    solution: Float[np.ndarray, "S"],
    angle: float,
    elevation: float,
    last: Float[np.ndarray, "_ 3"],
    shape: Float[np.ndarray, "3 L"],
    flat: Float[np.ndarray, "2 L"],
) -> None:
    """Fills in Projected.shape and .flat of one candidate; last: two as of _cos_sin."""
    (size, length), L = shapes.shape, shape.shape[1]
    together = shape.reshape(length)
    together[:] = 0
    for s in range(0, size - 3, 4):
        a, b, c, d = solution[s], solution[s + 1], solution[s + 2], solution[s + 3]
        for v in range(length):
            together[v] += a * shapes[s, v] + b * shapes[s + 1, v]
            together[v] += c * shapes[s + 2, v] + d * shapes[s + 3, v]
    for s in range(size - size % 4, size):
        for v in range(length):
            together[v] += solution[s] * shapes[s, v]
    cos, sin = _cos_sin(angle, last[0])
    up, away = _cos_sin(elevation, last[1])
    for j in range(L):
        x, height, z = shape[0, j], shape[1, j], shape[2, j]
        x, z = cos * x + sin * z, cos * z - sin * x
        shape[0, j], shape[2, j] = x, z
        flat[0, j], flat[1, j] = x, away * z - up * height


@compiled
def _likely(
    flat: Float[np.ndarray, "2 L"],
    y: Float[np.ndarray, "2 L"],
    weight: Float[np.ndarray, "L"],
    scale: float,
    nu: float,
    log_det: float,
    dimensions: int,
) -> tuple[float, float]:
    """Projected.cost and .log_density of one candidate, without its prior."""
    # The least squares' minimum is y^T (y - prediction); y has unit norm and is centred.
    cost = 1.0
    for j in range(len(weight)):
        cost -= weight[j] * (flat[0, j] * y[0, j] + flat[1, j] * y[1, j])
    if not scale > 0:
        return cost, -np.inf
    squared = scale * scale
    value = cost / (nu * squared) + log_det + dimensions * np.log(2 * np.pi * squared)
    return cost, -0.5 * value


@compiled
def projected(
    shapes: Float[np.ndarray, "K S V"],
    nu: Float[np.ndarray, "K"],
    log_prior: Float[np.ndarray, "K"],
    y: Float[np.ndarray, "N 2 L"],
    weight: Float[np.ndarray, "N L"],
    dimensions: Int[np.ndarray, "N"],
    elevation: Float[np.ndarray, "N"],
    row: Int[np.ndarray, "P"],
    component: Int[np.ndarray, "P"],
    angle: Float[np.ndarray, "P"],
    solution: Float[np.ndarray, "P S"],
    log_det: Float[np.ndarray, "P"],
) -> tuple[
    Float[np.ndarray, "P 3 L"],
    Float[np.ndarray, "P 2 L"],
    Float[np.ndarray, "P"],
    Float[np.ndarray, "P"],
]:
    """The fields of Projected, of Candidates of Observations."""
    count, L = len(row), y.shape[2]
    shape, flat = np.empty((count, 3, L)), np.empty((count, 2, L))
    cost, log_density, last = np.empty(count), np.empty(count), np.full((2, 3), np.nan)
    for p in range(count):
        i, k = row[p], component[p]
        _turned(shapes[k], solution[p], angle[p], elevation[i], last, shape[p], flat[p])
        cost[p], log_density[p] = _likely(
            flat[p], y[i], weight[i], solution[p, 0], nu[k], log_det[p], dimensions[i]
        )
        log_density[p] += log_prior[k]
    return shape, flat, cost, log_density


# What `describe` fills in, in its order.
DESCRIBED = [
    "pose",
    "projection",
    "scale",
    "yaw",
    "coefficients",
    "component",
    "rotation",
    "log_likelihood",
    "ok",
]


@compiled
def describe(
    shapes: Float[np.ndarray, "K S V"],
    nu: Float[np.ndarray, "K"],
    log_prior: Float[np.ndarray, "K"],
    scale_mm: float,
    y: Float[np.ndarray, "N 2 L"],
    size: Float[np.ndarray, "N"],
    centre: Float[np.ndarray, "N 2"],
    weight: Float[np.ndarray, "N L"],
    dimensions: Int[np.ndarray, "N"],
    log_volume: Float[np.ndarray, "N"],
    ok: Bool[np.ndarray, "N"],
    roll: Float[np.ndarray, "N"],
    elevation: Float[np.ndarray, "N"],
    yaw: Float[np.ndarray, "N"],
    row: Int[np.ndarray, "P"],
    component: Int[np.ndarray, "P"],
    rotation: Int[np.ndarray, "P"],
    angle: Float[np.ndarray, "P"],
    solution: Float[np.ndarray, "P S"],
    log_det: Float[np.ndarray, "P"],
    place: Int[np.ndarray, "N"],
    out_pose: Float[np.ndarray, "M L 3"],
    out_projection: Float[np.ndarray, "M L 2"],
    out_scale: Float[np.ndarray, "M"],
    out_yaw: Float[np.ndarray, "M"],
    out_coefficients: Float[np.ndarray, "M J"],
    out_component: Int[np.ndarray, "M"],
    out_rotation: Int[np.ndarray, "M"],
    out_log_likelihood: Float[np.ndarray, "M"],
    out_ok: Bool[np.ndarray, "M"],
) -> None:
    """Fills in the fields of Lifted of Observations' Candidates, the most probable of each image,
    and if they are as probable the first; place: the row of each image there, of NaN before."""
    L = y.shape[2]
    shape, flat, last = np.empty((3, L)), np.empty((2, L)), np.full((4, 3), np.nan)
    for p in range(len(row)):
        i, k, to = row[p], component[p], place[row[p]]
        _turned(shapes[k], solution[p], angle[p], elevation[i], last, shape, flat)
        _, density = _likely(
            flat, y[i], weight[i], solution[p, 0], nu[k], log_det[p], dimensions[i]
        )
        # From centred weighted landmarks of unit norm to the landmarks in px.
        density += log_prior[k] + log_volume[i] - dimensions[i] * np.log(size[i])
        if density <= out_log_likelihood[to]:
            continue
        out_log_likelihood[to], out_component[to], out_rotation[to] = density, k, rotation[p]
        scale = solution[p, 0] if ok[i] and solution[p, 0] > 0 else 1.0
        out_ok[to] = ok[i] and solution[p, 0] > 0
        out_scale[to] = scale * size[i]
        # The camera's yaw is part of the angle that is enumerated.
        out_yaw[to] = (angle[p] - yaw[i] + np.pi) % (2 * np.pi) - np.pi
        for j in range(out_coefficients.shape[1]):
            out_coefficients[to, j] = solution[p, 1 + j] / scale
        cos, sin = _cos_sin(yaw[i], last[2])
        mm = scale_mm / scale
        total, middle_x, middle_y = 0.0, 0.0, 0.0
        for j in range(L):
            x, height, z = shape[0, j], shape[1, j], shape[2, j]
            out_pose[to, j, 0] = mm * (cos * x - sin * z)
            out_pose[to, j, 1] = mm * height
            out_pose[to, j, 2] = mm * (cos * z + sin * x)
            squared = weight[i, j] * weight[i, j]
            total += squared
            middle_x += squared * flat[0, j]
            middle_y += squared * flat[1, j]
        middle_x, middle_y = middle_x / total, middle_y / total
        cos, sin = _cos_sin(roll[i], last[3])
        cos, sin = cos * size[i], sin * size[i]
        for j in range(L):
            a, b = flat[0, j] - middle_x, flat[1, j] - middle_y
            out_projection[to, j, 0] = cos * a - sin * b + centre[i, 0]
            out_projection[to, j, 1] = sin * a + cos * b + centre[i, 1]
