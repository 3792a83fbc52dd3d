"""2D landmarks to 3D poses (section 5.3): exact, in batches, with derivatives.

The model of one image, with Pi the orthographic projection, E the camera rotation and R a turn of
the person about the vertical (equation 4, in full):

    y = s Pi E R (mu + sum_j a_j e_j) + noise,   a_j ~ N(0, std_j^2),
    noise ~ N(0, s^2 nu),   nu = noise_std^2 + noise_mm^2 in units of limb scale

R is enumerated. For each R and component, the scale s and a' = s a are linear least squares with a
ridge nu (a'_j / std_j)^2 (weak_perspective.Systems), and the marginal density of y tells how
probable (R, component) is. All that it needs of y is y^T Q y, a linear form in the products
y_i y_j, and g^T y: one matrix product for all rotations and components. This search may be
approximate, in float32 or with a table of a near elevation: the best few are solved exactly.
"""

import warnings
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from prior import weak_perspective as weak
from prior.camera import turned
from prior.skeleton import L

# Section 5.3.
ROTATIONS = 80

# The detector's noise at the scale of the body. On held-out motion capture the 3D error is lowest
# where this is the detector's own noise. Our choice: 20 mm, 5 px in Human3.6M's images.
NOISE_MM = 20.0

# Candidates (rotation, component) that are solved exactly where the search does not decide.
SHORTLIST = 8

# Log densities in float32 were seen to be off by up to 0.005 (rotations near the best, real poses):
# two that are closer than this are compared in float64.
TIE = 0.01

# Elevations of shared search tables are this far apart. A table half a step away ranks the best
# candidate within the shortlist: tests/test_lifting.py checks it.
ELEVATION_STEP = np.deg2rad(0.5)

# Search tables kept; one takes about 2.5 MB with 3 components and 80 rotations.
TABLES = 128

# Poses searched at once: their products stay in the processor's cache.
BLOCK = 512

# Poses solved at once: bounds the memory.
CHUNK = 1 << 15


class Lifted(NamedTuple):
    """What `lift` knows of N poses.

    pose (N, L, 3), mm at the typical limb scale, world frame, centred on the mean landmark;
    projection (N, L, 2), px, equation 5; scale (N,), px per unit of limb scale; yaw (N,), of the
    person about the vertical, world; coefficients (N, J); component (N,); log_likelihood (N,), of
    the points with the weight of the component; component_probability (N, K), all rotations
    together; ok (N,): False where the points cannot be lifted (too few landmarks, all in one
    place, only upside down). There pose is the first component's mean, projection the mean of the
    points, and scale, coefficients and log_likelihood are 0, 0 and -inf.
    """

    pose: np.ndarray
    projection: np.ndarray
    scale: np.ndarray
    yaw: np.ndarray
    coefficients: np.ndarray
    component: np.ndarray
    log_likelihood: np.ndarray
    component_probability: np.ndarray
    ok: np.ndarray


class _Answer(NamedTuple):
    """What is found for each of N poses: combination (N,), -1 for none; scale (N,), in units of
    Views.size; a' (N, J); log_det (N,), of Systems; probability of each component (N, K)."""

    combination: np.ndarray
    scale: np.ndarray
    scaled: np.ndarray
    log_det: np.ndarray
    probability: np.ndarray


class _Table(NamedTuple):
    """All components and rotations at one elevation and weight, for the search and the solution.

    products (L (2L + 1), K R): y_i y_j -> y^T Q y (m^T Q m)^2 / nu, and linear (2L, K R):
    y -> g^T y, so that the log density is constant - (products / linear^2 + dimensions log
    linear^2) / 2; all float32. solution (K R, 2L, 1 + J): y -> (s, a'). log_det (K R,), of Systems.
    """

    products: np.ndarray
    linear: np.ndarray
    constant: np.ndarray
    solution: np.ndarray
    log_det: np.ndarray
    dimensions: int


class Lifter:
    """Lifts batches of 2D poses with one model; keeps what can be precomputed.

    rotations: how many are enumerated; noise_mm: standard deviation of the detector's noise, mm
    at the body. Raises ValueError for fewer than 4 rotations or a negative noise.
    """

    def __init__(self, model, rotations=ROTATIONS, noise_mm=NOISE_MM):
        if rotations < 4:
            raise ValueError(f"rotations: expected 4 or more, got {rotations}")
        if not noise_mm >= 0:
            raise ValueError(f"noise_mm: expected 0 or more, got {noise_mm}")
        self.model = model
        self._nu = model.noise_std**2 + (noise_mm / model.scale_mm) ** 2
        self._projector = weak.Projector(model, self._nu)
        count = model.components
        self._component = np.repeat(np.arange(count), rotations)
        self._angle = np.tile(np.arange(rotations) * (2 * np.pi / rotations), count)
        # The prior of a combination: its component's weight, every rotation alike.
        self._log_prior = np.log(model.weight)[self._component] - np.log(rotations)
        self._tables = OrderedDict()

    def lift(self, points, camera=None, confidence=None):
        """The most probable 3D poses of 2D landmarks.

        points: (N, L, 2), px; NaN marks a missing landmark. camera: (3, 3) or (N, 3, 3), world to
        camera, a level one by default. confidence: (N, L) or (L,), a weight on each landmark's
        residuals, 0 for missing. Returns Lifted. Raises PoseError for other shapes, values or
        confidences, ValueError if the camera is no rotation. A pose that cannot be lifted is
        marked in `ok`, warned of, and leaves the others alone.
        """
        views = weak.views(points, camera, confidence)
        count = len(views.y)
        answer = _Answer(
            np.full(count, -1), np.zeros(count), np.zeros((count, self.model.basis_size)),
            np.zeros(count), np.tile(self.model.weight, (count, 1)),
        )  # fmt: skip
        for rows, elevation, exact in self._groups(views):
            table = self._table(elevation, views.weight[rows[0]])
            for i in range(0, len(rows), CHUNK):
                chunk = rows[i : i + CHUNK]
                best, shortlist, answer.probability[chunk] = self._search(
                    table, views.y[chunk], exact
                )
                self._compare(views, chunk[best < 0], shortlist, answer)
                found, best = chunk[best >= 0], best[best >= 0]
                solution = _each(table.solution, best, views.y[found])
                answer.combination[found], answer.log_det[found] = best, table.log_det[best]
                answer.scale[found], answer.scaled[found] = solution[:, 0], solution[:, 1:]
        lifted = self._describe(views, answer)
        lost = count - np.count_nonzero(lifted.ok)
        if lost:
            warnings.warn(
                f"{lost} of {count} poses could not be lifted (fewer than {weak.MIN_LANDMARKS} "
                "landmarks, all in one place, or upside down): see Lifted.ok",
                stacklevel=2,
            )
        return lifted

    def vjp(self, points, lifted, camera=None, confidence=None, *, projection=None, pose=None,
            scale="exact"):  # fmt: skip
        """Gradient of a function of the lifted poses with respect to the points.

        points, camera, confidence: as given to `lift`, lifted: what it returned; projection
        (N, L, 2) and pose (N, L, 3): the function's gradients with respect to these. Rotation and
        component are held at their values. scale: "exact", or "held", the supplement's
        approximation that holds s too. Returns (N, L, 2); 0 for poses that are not ok and for
        missing landmarks.
        """
        if scale not in ("exact", "held"):
            raise ValueError(f"scale: expected 'exact' or 'held', got {scale!r}")
        views = weak.views(points, camera, confidence)
        where = lifted.component, lifted.yaw + views.yaw, views.elevation, views.weight
        systems = self._projector.systems(*where)
        back = systems.solve.swapaxes(1, 2)
        solve_m = weak.apply(systems.solve, systems.m)
        to_y, to_scale = np.zeros_like(views.y), np.zeros(len(views.y))
        total = np.zeros((len(views.y), 2))
        if projection is not None:
            grad = weak.rolled(np.asarray(projection, dtype=float), -views.roll)
            total = grad.sum(axis=1)
            reduced = np.einsum("nclj,nlc->nj", self._projector.columns(*where), grad)
            to_y += weak.apply(back, reduced[:, 1:])
            to_scale += reduced[:, 0] - np.einsum("nj,nj->n", reduced[:, 1:], solve_m)
        if pose is not None:
            grad = turned(np.asarray(pose, dtype=float), -lifted.yaw) * self.model.scale_mm
            to_a = np.einsum("nlc,njlc->nj", grad, self.model.basis[lifted.component])
            s = np.where(lifted.ok, lifted.scale, 1)
            to_y += weak.apply(back, to_a) / s[:, None]
            to_scale -= np.einsum("nj,nj->n", to_a, lifted.coefficients + solve_m) / s
        if scale == "exact":
            to_y += systems.g * (to_scale / systems.mqm)[:, None]
        grad = views.weight[..., None] * to_y.reshape(-1, 2, L).swapaxes(1, 2)
        # Centring: the points' weighted mean is taken off, and given back to the projection.
        grad += weak.share(views.weight)[..., None] * (total - grad.sum(axis=1))[:, None]
        return np.where(lifted.ok[:, None, None], weak.rolled(grad, views.roll), 0)

    # The search ------------------------------------------------------------------------------

    def _groups(self, views):
        """Rows that share a table: (rows, elevation of the table, whether it is theirs exactly).

        A table costs as much as its K R systems, a pose without one of its own SHORTLIST of them:
        where enough poses share an elevation, they get their own.
        """
        rows = np.flatnonzero(views.ok)
        if not len(rows):
            return
        own = np.round(views.elevation[rows], 12)
        near = np.round(np.round(own / ELEVATION_STEP) * ELEVATION_STEP, 12)
        _, inverse, counts = np.unique(own, return_inverse=True, return_counts=True)
        table = np.where(counts[inverse] * SHORTLIST >= len(self._angle), own, near)
        weight = views.weight[rows]
        if (table == table[0]).all() and (weight == weight[0]).all():
            yield rows, table[0], bool((own == table).all())
            return
        keys = np.concatenate([table[:, None], (own == table)[:, None], weight], axis=1)
        _, inverse = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(inverse.ravel(), kind="stable")
        for group in np.split(order, np.cumsum(np.bincount(inverse.ravel()))[:-1]):
            yield rows[group], table[group[0]], bool(own[group[0]] == table[group[0]])

    def _table(self, elevation, weight):
        """The _Table of an elevation and a weight (L,), made at its first use."""
        key = (float(elevation), weight.tobytes())
        if key in self._tables:
            self._tables.move_to_end(key)
            return self._tables[key]
        count = len(self._angle)
        systems = self._projector.systems(
            self._component, self._angle, np.full(count, elevation), np.tile(weight, (count, 1))
        )
        Q = np.eye(2 * L) - systems.G @ systems.solve
        i, j = np.triu_indices(2 * L)
        mqm, nu = systems.mqm, systems.nu
        products = np.where(i == j, 1, 2) * Q[:, i, j] * (mqm**2 / nu)[:, None]
        dimensions = 2 * (np.count_nonzero(weight) - 1)
        constant = mqm / nu - systems.log_det + 2 * dimensions * np.log(mqm)
        constant -= dimensions * np.log(2 * np.pi)
        by_scale = systems.g / mqm[:, None]
        solve = systems.solve - weak.apply(systems.solve, systems.m)[..., None] * by_scale[:, None]
        solution = np.concatenate([by_scale[:, None], solve], axis=1).swapaxes(1, 2)
        table = _Table(
            np.ascontiguousarray(products.T, dtype=np.float32),
            np.ascontiguousarray(systems.g.T, dtype=np.float32),
            (constant / 2 + self._log_prior).astype(np.float32),
            np.ascontiguousarray(solution),
            systems.log_det,
            dimensions,
        )
        self._tables[key] = table
        while len(self._tables) > TABLES:
            self._tables.popitem(last=False)
        return table

    def _search(self, table, y, exact):
        """The best combination of each of y (n, 2L), or -1 where it takes a shortlist; these
        shortlists (number of -1, SHORTLIST); and the components' probabilities (n, K)."""
        best = np.empty(len(y), dtype=int)
        probability = np.empty((len(y), self.model.components))
        size = min(SHORTLIST, len(self._angle))
        shortlists = [np.empty((0, size), dtype=int)]
        for i in range(0, len(y), BLOCK):
            score = self._scores(table, y[i : i + BLOCK].astype(np.float32))
            top = score.argmax(axis=1)
            highest = np.take_along_axis(score, top[:, None], axis=1)
            # Every combination upside down: all -inf, and the first will do.
            score -= np.maximum(highest, np.finfo(np.float32).min)
            # Decided: nothing else as probable, and the table is the pose's own.
            open_ = (np.count_nonzero(score > -TIE, axis=1) > 1) | (not exact)
            shortlists.append(
                np.argpartition(-score[open_], size - 1, axis=1)[:, :size]
            )
            best[i : i + BLOCK] = np.where(open_, -1, top)
            likely = np.exp(score, out=score).reshape(len(score), self.model.components, -1)
            likely = likely.sum(axis=2) + np.finfo(np.float32).tiny
            probability[i : i + BLOCK] = likely / likely.sum(axis=1, keepdims=True)
        return best, np.concatenate(shortlists), probability

    @staticmethod
    def _scores(table, y):
        """Log density of y (n, 2L) float32, unit norm, under every combination: (n, K R)."""
        products = np.empty((len(y), len(table.products)), dtype=np.float32)
        start = 0
        for i in range(2 * L):
            stop = start + 2 * L - i
            np.multiply(y[:, i:], y[:, i : i + 1], out=products[:, start:stop])
            start = stop
        linear = y @ table.linear
        positive = linear > 0
        squared = np.square(linear, out=linear)
        score = products @ table.products
        with np.errstate(divide="ignore", invalid="ignore"):
            score /= squared
            score += np.float32(table.dimensions) * np.log(squared, out=squared)
        score *= np.float32(-0.5)
        score += table.constant
        score[~positive] = -np.inf
        return score

    def _compare(self, views, rows, shortlist, answer):
        """Solve the shortlists (n, SHORTLIST) of rows (n,) exactly, in float64 at the camera's own
        elevation, and enter the best of each into the answer."""
        for i in range(0, len(rows), BLOCK):
            block, pick = rows[i : i + BLOCK], shortlist[i : i + BLOCK]
            owner = np.repeat(block, pick.shape[1])
            systems = self._projector.systems(
                self._component[pick.ravel()], self._angle[pick.ravel()], views.elevation[owner],
                views.weight[owner],
            )  # fmt: skip
            y = views.y[owner]
            s, a = weak.solve(systems, y)
            rest = y - s[:, None] * systems.m - weak.apply(systems.G, a)
            cost = np.einsum("ni,ni->n", y, rest)
            dimensions = _dimensions(views.weight[owner])
            score = _log_density(cost, s, systems.nu, systems.log_det, dimensions)
            score = (score + self._log_prior[pick.ravel()]).reshape(pick.shape)
            best = score.argmax(axis=1) + pick.shape[1] * np.arange(len(block))
            answer.combination[block], answer.scale[block] = pick.ravel()[best], s[best]
            answer.scaled[block], answer.log_det[block] = a[best], systems.log_det[best]

    # The answer ------------------------------------------------------------------------------

    def _describe(self, views, answer):
        """Lifted from an _Answer."""
        model = self.model
        ok = answer.scale > 0
        scale = np.where(ok, answer.scale, 0)
        coefficients = np.where(ok[:, None], answer.scaled, 0) / np.where(ok, scale, 1)[:, None]
        component = np.where(ok, self._component[answer.combination], 0)
        angle = np.where(ok, self._angle[answer.combination], 0)
        shape = np.empty((len(ok), L, 3))
        for k in range(model.components):
            rows = component == k
            flat = coefficients[rows] @ model.basis[k].reshape(model.basis_size, -1)
            shape[rows] = (flat + model.mean[k].ravel()).reshape(-1, L, 3)
        seen = turned(shape, angle)
        cos, sin = np.cos(views.elevation)[:, None], np.sin(views.elevation)[:, None]
        seen = np.stack([seen[..., 0], sin * seen[..., 2] - cos * seen[..., 1]], axis=-1)
        seen -= np.einsum("nl,nlc->nc", weak.share(views.weight), seen)[:, None]
        seen *= scale[:, None, None]
        # The least squares' minimum is y^T (y - prediction), and y has unit norm.
        fit = np.einsum("nlc,nl,ncl->n", seen, views.weight, views.y.reshape(-1, 2, L))
        dimensions = _dimensions(views.weight)
        likelihood = self._log_prior[answer.combination] + _log_density(
            1 - fit, scale, self._nu[component], answer.log_det, dimensions
        )
        # From centred weighted points of unit norm to the points in px.
        weight = views.weight
        likelihood += 2 * np.log(np.where(weight > 0, weight, 1)).sum(axis=1)
        likelihood -= np.log((weight**2).sum(axis=1) / np.count_nonzero(weight, axis=1))
        likelihood -= dimensions * np.log(np.where(ok, views.size, 1))
        # The camera's yaw is part of the angle enumerated.
        yaw = np.angle(np.exp(1j * (angle - views.yaw)))
        return Lifted(
            pose=turned(model.scale_mm * shape, yaw),
            projection=views.centre[:, None]
            + weak.rolled(views.size[:, None, None] * seen, views.roll),
            scale=scale * views.size,
            yaw=yaw,
            coefficients=coefficients,
            component=component,
            log_likelihood=likelihood,
            component_probability=answer.probability,
            ok=ok,
        )


def lift(points, model, *, camera=None, confidence=None, rotations=ROTATIONS, noise_mm=NOISE_MM):
    """Lift 2D landmarks (N, L, 2) to 3D: `Lifter.lift` for a single call."""
    return Lifter(model, rotations, noise_mm).lift(points, camera, confidence)


def _dimensions(weight):
    """How many numbers the centred points (N, 2L) of weights (N, L) are: (N,)."""
    return 2 * (np.count_nonzero(weight, axis=1) - 1)


def _log_density(cost, scale, nu, log_det, dimensions):
    """Log density of centred points at scale s, -inf where s is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = cost / (nu * scale**2) + log_det + dimensions * np.log(2 * np.pi * scale**2)
    return np.where(scale > 0, -0.5 * value, -np.inf)


def _each(matrices, index, vectors):
    """vectors (n, A) times matrices (M, A, B)[index (n,)], one product for each matrix: (n, B)."""
    result = np.empty((len(vectors), matrices.shape[2]))
    order = np.argsort(index, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(index[order])) + 1):
        if len(rows):
            result[rows] = vectors[rows] @ matrices[index[rows[0]]]
    return result
