"""2D landmarks to 3D poses (section 5.3): exact, in batches, with derivatives.

The model of one image, with Pi the orthographic projection, E the camera rotation and R a turn of
the person about the vertical (equation 4, in full):

    y = s Pi E R (mu + sum_j a_j e_j) + noise,   a_j ~ N(0, std_j^2),
    noise ~ N(0, s^2 nu),   nu = noise_std^2 + noise_mm^2 in units of limb scale

R is enumerated. For each R and component, the scale s and a' = s a are linear least squares with a
ridge nu (a'_j / std_j)^2 (weak_perspective.Systems), and the marginal density of y tells how
probable (R, component) is. search.py finds the best in float32; what it cannot tell apart, and
everything that is returned, is solved in float64.
"""

import threading
import warnings
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from prior import posterior, search
from prior import weak_perspective as weak
from prior.camera import LEVEL, compose, turned
from prior.skeleton import L

# Section 5.3.
ROTATIONS = 80

# The detector's noise at the scale of the body. Our choice: 20 mm, 5 px in Human3.6M's images.
NOISE_MM = 20.0

# Where poses come each with a camera of its own, search tables are shared: they hold two
# elevations so far apart, and the forms in between are interpolated.
ELEVATION_STEP = np.deg2rad(0.5)

# Combinations whose tables are kept: about 300 MB, 128 elevations for 3 components and 80
# rotations. At least one table is kept.
TABLES = 128 * 240

# Poses handled at once by one thread: bounds the memory, and is enough for large products.
CHUNK = 8192

# Poses described at once: these arrays stay near the processor.
BLOCK = 2048

# Systems set up at once.
BATCH = 512

# Refinement: the highest maxima of the enumerated density that are followed to the top of the
# continuous one, and the steps it takes. From 20 rotations, six leave less than 0.1 degrees.
PEAKS = 4
REFINEMENTS = 6

# Unknown tilt: photos are taken from a little below the person to well above, and hardly ever
# rolled; the prior is flat over this grid. Half a step of elevation leans a pose by 2 % of its
# height.
ELEVATIONS = np.deg2rad(np.arange(-10, 40.1, 2.5))
ROLLS = np.deg2rad(np.arange(-10, 10.1, 5))

# Combinations that are less probable than the best by more than this many nats do not count in
# the posterior: less than a thousandth.
REACH = 7.0


class Lifted(NamedTuple):
    """What `lift` knows of N poses.

    pose (N, L, 3), mm at the typical limb scale, world frame, centred on the mean landmark;
    projection (N, L, 2), px, equation 5; scale (N,), px per unit of limb scale; yaw (N,), of the
    person about the vertical, world; coefficients (N, J); component (N,); log_likelihood (N,), of
    the points with the weight of the component; component_probability (N, K), all rotations
    together; camera (N, 3, 3), as given, or as found where its tilt was searched; ok (N,): False
    where the points cannot be lifted (too few landmarks, all in one place, only upside down).
    There pose is the first component's mean, projection the mean of the points, and scale,
    coefficients and log_likelihood are 0, 0 and -inf.
    """

    pose: np.ndarray
    projection: np.ndarray
    scale: np.ndarray
    yaw: np.ndarray
    coefficients: np.ndarray
    component: np.ndarray
    log_likelihood: np.ndarray
    component_probability: np.ndarray
    camera: np.ndarray
    ok: np.ndarray


class _Table(NamedTuple):
    """A search.Table; the elevation where it starts; and, if it is for that elevation alone, what
    _solution returns for all combinations (else None)."""

    search: search.Table
    elevation: float
    solution: np.ndarray | None
    by_m: np.ndarray | None
    log_det: np.ndarray | None


class _Pairs(NamedTuple):
    """Candidates: row (P,) of the pose, sorted component (P,), angle (P,), y (2, L, P) of Views,
    solution (1 + J, P), that is s and a', and log_det (P,) of Systems."""

    row: np.ndarray
    component: np.ndarray
    angle: np.ndarray
    y: np.ndarray
    solution: np.ndarray
    log_det: np.ndarray


class Lifter:
    """Lifts batches of 2D poses with one model; keeps what can be precomputed.

    rotations: how many are enumerated; noise_mm: standard deviation of the detector's noise, mm
    at the body. Raises ValueError for fewer than 4 rotations or a negative noise.
    """

    def __init__(self, model, rotations=ROTATIONS, noise_mm=NOISE_MM):
        if rotations < 4:
            raise ValueError(f"rotations: expected 4 or more, got {rotations}")
        if not 0 <= noise_mm < np.inf:
            raise ValueError(f"noise_mm: expected 0 or more, got {noise_mm}")
        self.model = model
        self.rotations = rotations
        self.noise = noise_mm / model.scale_mm
        self._nu = model.noise_std**2 + self.noise**2
        self.projector = weak.Projector(model, self._nu)
        count = model.components
        self._component = np.repeat(np.arange(count), rotations)
        self._angle = np.tile(np.arange(rotations) * (2 * np.pi / rotations), count)
        # The prior of a combination: its component's weight, every rotation alike.
        self._log_prior = np.log(model.weight) - np.log(rotations)
        # Mean and basis of each component, coordinates first: (K, 3L, 1 + J).
        shape = np.concatenate([model.mean[:, None], model.basis], axis=1)
        shape = shape.transpose(0, 3, 2, 1).reshape(count, 3 * L, -1)
        self._shape = np.ascontiguousarray(shape)
        self._tie = np.float32(max(search.TIE / self._nu.min(), search.LEAST_TIE))
        self._tables = OrderedDict()
        self._lock = threading.Lock()

    def lift(self, points, camera=None, confidence=None, refine=False, tilt=False):
        """The most probable 3D poses of 2D landmarks.

        points: (N, L, 2), px; NaN marks a missing landmark. camera: (3, 3) or (N, 3, 3), world to
        camera, a level one by default. confidence: (N, L) or (L,), a weight on each landmark's
        residuals, 0 for missing. refine: from the enumerated rotations on to the best in between,
        as the paper does with 20. tilt: the camera's elevation and roll are not known (of `camera`
        only the yaw counts): the most probable of ELEVATIONS and ROLLS is taken.

        Returns Lifted. Raises PoseError for other shapes, values or confidences, ValueError if
        the camera is no rotation. A pose that cannot be lifted is marked in `ok`, warned of, and
        leaves the others alone.
        """
        points, angles, confidence = weak.check(points, camera, confidence)
        count, size = len(points), self.model.basis_size
        cameras = np.broadcast_to(LEVEL if camera is None else camera, (count, 3, 3))
        lifted = Lifted(
            np.empty((count, L, 3)), np.empty((count, L, 2)), np.empty(count), np.empty(count),
            np.empty((count, size)), np.empty(count, dtype=int), np.empty(count),
            np.empty((count, self.model.components)),
            np.empty((count, 3, 3)) if tilt else cameras, np.empty(count, dtype=bool),
        )  # fmt: skip

        def work(start):
            rows = slice(start, start + CHUNK)
            given = None if confidence is None else confidence[rows]
            out = Lifted(*(a[rows] for a in lifted))
            angle = angles[:, rows]
            if tilt:
                angle = self._tilt(weak.views(points[rows], angle * [[0], [0], [1]], given))
                out.camera[:] = compose(*angle)
            views = weak.views(points[rows], angle, given)
            pairs = self._search(views, out.component_probability, refine=refine)
            pairs = self._best(views, self._refined(views, pairs) if refine else pairs)
            for i in range(0, len(pairs.row), BLOCK):
                self._describe(views, _some(pairs, slice(i, i + BLOCK)), out)

        _in_threads(work, range(0, count, CHUNK))
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
        points, angles, confidence = weak.check(points, camera, confidence)
        grads = np.empty(points.shape)

        def work(start):
            rows = slice(start, start + CHUNK)
            given = None if confidence is None else confidence[rows]
            views = weak.views(points[rows], angles[:, rows], given)
            some = Lifted(*(a[rows] for a in lifted))
            upper = [None if g is None else np.asarray(g, dtype=float)[rows]
                     for g in (projection, pose)]  # fmt: skip
            found = np.empty((2 * L, len(some.ok)))
            for group, table in self._groups(views):
                component = some.component[group]
                turns = (some.yaw + views.yaw)[group] * (self.rotations / (2 * np.pi))
                turn = np.round(turns).astype(int)
                if not np.allclose(turns, turn, rtol=0, atol=1e-9):
                    table = None  # refined angles are not in it
                combination = component * self.rotations + turn % self.rotations
                order = np.argsort(combination, kind="stable")
                row = group[order]
                inner = self._inner_grads(views, some, row, *upper)
                found[:, row] = self._back(
                    views, row, combination[order], component[order],
                    (some.yaw + views.yaw)[row], table, inner, scale == "held",
                )  # fmt: skip
            total = 0 if upper[0] is None else weak.rolled(upper[0].T, -views.roll).sum(axis=1)
            found = views.weight * found.reshape(2, L, -1)
            # Centring: the points' weighted mean is taken off, and given back to the projection.
            found += weak.share(views.weight) * (total - found.sum(axis=1))[:, None]
            found = np.where(some.ok, weak.rolled(found, views.roll), 0)
            grads[rows] = found.transpose(2, 1, 0)

        _in_threads(work, range(0, len(points), CHUNK))
        return grads

    def _inner_grads(self, views, lifted, row, projection, pose):
        """Gradients with respect to (s, a') (1 + J, P) of rows (P,), sorted by component."""
        component = lifted.component[row]
        ends = np.searchsorted(component, np.arange(self.model.components + 1)).tolist()
        parts = [slice(*pair) for pair in zip(ends[:-1], ends[1:], strict=True)]
        inner = np.zeros((1 + self.model.basis_size, len(row)))
        if projection is not None:
            flat = weak.rolled(projection[row].T, -views.roll[row])
            flat -= weak.share(views.weight[:, row]) * flat.sum(axis=1, keepdims=True)
            elevation, angle = views.elevation[row], (lifted.yaw + views.yaw)[row]
            x, z = flat[0], np.sin(elevation) * flat[1]
            cos, sin = np.cos(angle), np.sin(angle)
            shape = np.stack([cos * x - sin * z, -np.cos(elevation) * flat[1], sin * x + cos * z])
            for shapes, part in zip(self._shape, parts, strict=True):
                inner[:, part] = shapes.T @ shape.reshape(3 * L, -1)[:, part]
        if pose is not None:
            x, y, z = pose[row].T * self.model.scale_mm
            cos, sin = np.cos(lifted.yaw[row]), np.sin(lifted.yaw[row])
            shape = np.stack([cos * x - sin * z, y, sin * x + cos * z]).reshape(3 * L, -1)
            s = np.where(lifted.ok, lifted.scale, 1)[row]
            for shapes, part in zip(self._shape, parts, strict=True):
                by_a = shapes[:, 1:].T @ shape[:, part] / s[part]
                inner[1:, part] += by_a
                inner[0, part] -= (by_a * lifted.coefficients[row[part]].T).sum(axis=0)
        return inner

    def _back(self, views, row, combination, component, angle, table, inner, held):
        """Gradients with respect to y (2L, P) of those with respect to (s, a') (1 + J, P)."""
        result = np.empty((2 * L, len(row)))
        if table is None or table.solution is None:
            for i in range(0, len(row), BATCH):
                batch = slice(i, i + BATCH)
                solution, by_m, _ = _solution(self.projector.systems(
                    component[batch], angle[batch], views.elevation[row[batch]],
                    views.weight[:, row[batch]].T,
                ))  # fmt: skip
                if held:
                    inner[0, batch] = np.einsum("pj,jp->p", by_m, inner[1:, batch])
                result[:, batch] = np.einsum("pji,jp->ip", solution, inner[:, batch])
            return result
        for i, part in _runs(combination):
            if held:
                inner[0, part] = table.by_m[i] @ inner[1:, part]
            np.matmul(table.solution[i].T, inner[:, part], out=result[:, part])
        return result

    def posterior(self, points, lifted, camera=None, confidence=None, spread=True):
        """How far the true poses may be from the lifted ones: second moments (N, 3L, 3L), mm^2.

        Arguments as for `vjp`. The moments are those of (truth - pose), landmark by landmark,
        with the mean landmarks at the same place and the person's limb scale the typical one;
        posterior.deviation makes of them a standard deviation in mm for each landmark. spread:
        with the other components and rotations, as far as they are probable; otherwise given
        (component, rotation). NaN for poses that are not ok.
        """
        points, angles, confidence = weak.check(points, camera, confidence)
        moments = np.full((len(points), 3 * L, 3 * L), np.nan)
        for start in range(0, len(points), BATCH):
            rows = np.arange(start, min(start + BATCH, len(points)))
            rows = rows[lifted.ok[rows]]
            given = None if confidence is None else confidence[rows]
            views = weak.views(points[rows], angles[:, rows], given)
            some = Lifted(*(a[rows] for a in lifted))
            moments[rows] = posterior.given(self, views, some)
            if spread and len(rows):
                pairs = self._search(views, some.component_probability, reach=REACH)
                *shape, _, density = self._seen(views, pairs)
                shape = np.stack(shape, axis=-1).swapaxes(0, 1) / pairs.solution[0][:, None, None]
                pose = turned(self.model.scale_mm * shape, -views.yaw[pairs.row])
                off = (pose - some.pose[pairs.row]).reshape(-1, 3 * L)
                moments[rows] += posterior.spread(pairs.row, off, density)
        return moments

    # The search ------------------------------------------------------------------------------

    def _scores(self, views, rows, table, roll=None):
        """Blocks of rows (n,) with their scores by a _Table: (slice, (K R, n))."""
        y = views.y if roll is None else weak.rolled(views.y, roll)
        y = y.reshape(2 * L, -1).astype(np.float32)
        for i in range(0, len(rows), search.BLOCK):
            block = slice(i, i + search.BLOCK)
            part = None
            if table.solution is None:
                part = (views.elevation[rows[block]] - table.elevation) / ELEVATION_STEP
                part = part.astype(np.float32)
            yield block, search.scores(table.search, np.take(y, rows[block], axis=1), part)

    def _search(self, views, shares, refine=False, reach=None):
        """The _Pairs of what may be the best of each row; writes the components' shares (n, K) of
        the probability. refine: the pairs are peaks to refine. reach: all within so many nats."""
        reach = self._tie if reach is None else np.float32(reach)
        found = []
        for rows, table in self._groups(views):
            near = np.empty((len(self._angle), len(rows)), dtype=bool)
            for block, score in self._scores(views, rows, table):
                best = score.max(axis=0)
                np.greater_equal(score, best - reach, out=near[:, block])
                if refine:
                    near[:, block] |= search.peaks(score, self.model.components, PEAKS)
                shares[rows[block]] = search.shares(score, best, self.model.components)
            # In C order: sorted by combination.
            combination, row = np.divmod(np.flatnonzero(near), len(rows))
            found.append(self._solve(views, rows[row], combination, table))
        if len(found) == 1:
            return found[0]
        pairs = _Pairs(*(np.concatenate(a, axis=-1) for a in zip(*found, strict=True)))
        return _some(pairs, np.argsort(pairs.component, kind="stable"))

    def _tilt(self, views):
        """The most probable roll, elevation, and the yaw (3, n) of cameras that the Views take to
        be level."""
        best = np.full(len(views.ok), -np.inf)
        tilt = np.zeros((3, len(best)))
        tilt[2] = views.yaw
        for elevation in ELEVATIONS:
            level = views._replace(elevation=np.full(len(best), elevation))
            for rows, table in self._groups(level):
                for roll in ROLLS:
                    for block, score in self._scores(level, rows, table, -roll):
                        block, score = rows[block], score.max(axis=0)
                        better = block[score > best[block]]
                        best[block] = np.maximum(best[block], score)
                        tilt[:2, better] = [[roll], [elevation]]
        return tilt

    def _refined(self, views, pairs):
        """The _Pairs with the angles of the nearest maxima of the density: the parabola through
        three angles around it gives the next one."""
        def at(angle):
            solved = self._solve_each(views, pairs.row, pairs.component, angle)
            return solved, self._seen(views, solved)[-1]

        step = 2 * np.pi / self.rotations
        low, middle, high = pairs.angle - step, pairs.angle, pairs.angle + step
        (_, f_low), (best, f_middle), (_, f_high) = at(low), at(middle), at(high)
        for _ in range(REFINEMENTS):
            left, right = middle - low, high - middle
            # -inf (upside down) gives no parabola, and a rising one no maximum.
            with np.errstate(invalid="ignore", divide="ignore"):
                up, down = (f_middle - f_low) * right, (f_middle - f_high) * left
                move = 0.5 * (up * right - down * left) / (up + down)
                good = (up + down > 0) & (move > -left) & (move < right)
            wide = np.where(right > left, right, -left)
            move = np.where(good, move, 0.4 * wide)
            move = np.where(np.abs(move) < 1e-4 * np.abs(wide), 1e-2 * wide, move)
            tried, f_tried = at(middle + move)
            better, after = f_tried > f_middle, move > 0
            # The new point, or the old middle, is the new end on its side.
            end = np.where(better, middle, middle + move)
            f_end = np.where(better, f_middle, f_tried)
            to_low = better == after
            low, f_low = np.where(to_low, end, low), np.where(to_low, f_end, f_low)
            high, f_high = np.where(to_low, high, end), np.where(to_low, f_high, f_end)
            middle, f_middle = middle + better * move, np.maximum(f_middle, f_tried)
            best = _Pairs(*(np.where(better, a, b) for a, b in zip(tried, best, strict=True)))
        return best

    def _solve(self, views, row, combination, table):
        """The _Pairs of rows (P,) and sorted combinations (P,)."""
        component, angle = self._component[combination], self._angle[combination]
        if table.solution is None:
            return self._solve_each(views, row, component, angle)
        y = np.take(views.y.reshape(2 * L, -1), row, axis=1)
        solution = np.empty((1 + self.model.basis_size, len(row)))
        for i, part in _runs(combination):
            np.matmul(table.solution[i], y[:, part], out=solution[:, part])
        y = y.reshape(2, L, -1)
        return _Pairs(row, component, angle, y, solution, table.log_det[combination])

    def _solve_each(self, views, row, component, angle):
        """The _Pairs of rows (P,), sorted components (P,) and any angles (P,)."""
        y = np.take(views.y.reshape(2 * L, -1), row, axis=1)
        solution, log_det = np.empty((1 + self.model.basis_size, len(row))), np.empty(len(row))
        for i in range(0, len(row), BATCH):
            batch = slice(i, i + BATCH)
            systems = self.projector.systems(
                component[batch], angle[batch], views.elevation[row[batch]],
                views.weight[:, row[batch]].T,
            )  # fmt: skip
            scale, scaled = weak.solve(systems, y[:, batch].T)
            solution[0, batch], solution[1:, batch] = scale, scaled.T
            log_det[batch] = systems.log_det
        return _Pairs(row, component, angle, y.reshape(2, L, -1), solution, log_det)

    def _groups(self, views):
        """Rows (n,) that share a table, and the _Table."""
        weight, elevation = views.weight.T, views.elevation
        rows = np.arange(len(elevation))
        alike = weight.strides[0] == 0 or (weight == weight[0]).all()
        if alike and (elevation == elevation[0]).all():
            yield rows, self._table(elevation[0], weight[0], True)
            return
        cell = np.floor(elevation / ELEVATION_STEP)
        keys = np.concatenate([cell[:, None], weight], axis=1)
        _, group = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(group.ravel(), kind="stable")
        for rows in np.split(order, np.cumsum(np.bincount(group.ravel()))[:-1]):
            first = rows[0]
            if (elevation[rows] == elevation[first]).all():
                yield rows, self._table(elevation[first], weight[first], True)
            else:
                yield rows, self._table(cell[first] * ELEVATION_STEP, weight[first], False)

    def _table(self, elevation, weight, exact):
        """The _Table that starts at an elevation, for a weight (L,), made at its first use."""
        key = (float(elevation), weight.tobytes(), exact)
        with self._lock:
            if key in self._tables:
                self._tables.move_to_end(key)
                return self._tables[key]
        dimensions = weak.dimensions(weight)
        parts = []
        for i in range(0, len(self._angle), BATCH):
            component, angle = self._component[i : i + BATCH], self._angle[i : i + BATCH]

            def at(elevation, component=component, angle=angle):
                count = len(angle)
                systems = self.projector.systems(
                    component, angle, np.full(count, elevation), np.broadcast_to(weight, (count, L))
                )
                return systems, search.forms(systems, dimensions, self._log_prior[component])

            systems, here = at(elevation)
            there = () if exact else at(elevation + ELEVATION_STEP)[1]
            parts.append((*here, *there, *(_solution(systems) if exact else ())))
        here, rest = [np.concatenate(a) for a in zip(*parts, strict=True)], None
        here, rest = here[:3], here[3:]
        table = search.table(here, None if exact else rest, dimensions)
        table = _Table(table, float(elevation), *(rest if exact else (None, None, None)))
        with self._lock:
            self._tables[key] = table
            while len(self._tables) > max(1, TABLES // len(self._angle)):
                self._tables.popitem(last=False)
        return table

    # The answer ------------------------------------------------------------------------------

    def _seen(self, views, pairs):
        """What the camera sees, times s: x, height and z (L, P) of the turned shapes, their
        projection (2, L, P), and the log density (P,) of the centred weighted points of unit
        norm."""
        shape = np.empty((3 * L, len(pairs.row)))
        ends = np.searchsorted(pairs.component, np.arange(self.model.components + 1)).tolist()
        for k, start in enumerate(ends[:-1]):
            part = slice(start, ends[k + 1])
            np.matmul(self._shape[k], pairs.solution[:, part], out=shape[:, part])
        x, height, z = shape.reshape(3, L, -1)
        cos, sin = np.cos(pairs.angle), np.sin(pairs.angle)
        x, z = cos * x + sin * z, cos * z - sin * x
        elevation = views.elevation[pairs.row]
        flat = np.empty((2, *x.shape))
        flat[0] = x
        np.subtract(np.sin(elevation) * z, np.cos(elevation) * height, out=flat[1])
        # The least squares' minimum is y^T (y - prediction); y has unit norm and is centred.
        fit = (flat * pairs.y * np.take(views.weight, pairs.row, axis=1)).sum(axis=(0, 1))
        density = self._log_prior[pairs.component] + weak.log_density(
            1 - fit, pairs.solution[0], self._nu[pairs.component], pairs.log_det,
            views.dimensions[pairs.row],
        )  # fmt: skip
        return x, height, z, flat, density

    def _best(self, views, pairs):
        """One of the _Pairs for each row: the most probable."""
        many = np.bincount(pairs.row)[pairs.row] > 1
        if not many.any():
            return pairs
        tied = np.flatnonzero(many)
        density = self._seen(views, _some(pairs, tied))[-1]
        order = np.lexsort((-density, pairs.row[tied]))
        first = np.diff(pairs.row[tied][order], prepend=-1) > 0
        keep = ~many
        keep[tied[order[first]]] = True
        return _some(pairs, np.flatnonzero(keep))

    def _describe(self, views, pairs, out):
        """Write what the _Pairs, one a row, say into `out`, a Lifted."""
        model, row = self.model, pairs.row
        x, height, z, flat, density = self._seen(views, pairs)
        ok = views.ok[row] & (pairs.solution[0] > 0)
        scale = np.where(ok, pairs.solution[0], 1)
        size, yaw, roll = views.size[row], views.yaw[row], views.roll[row]
        out.ok[row], out.scale[row], out.component[row] = ok, scale * size, pairs.component
        out.coefficients[row] = (pairs.solution[1:] / scale).T
        # From centred weighted points of unit norm to the points in px.
        density += views.log_volume[row] - views.dimensions[row] * np.log(size)
        out.log_likelihood[row] = density
        # The camera's yaw is part of the angle enumerated.
        out.yaw[row] = np.remainder(pairs.angle - yaw + np.pi, 2 * np.pi) - np.pi
        mm = model.scale_mm / scale
        cos, sin = np.cos(yaw) * mm, np.sin(yaw) * mm
        pose = np.empty((len(row), L, 3))
        pose[..., 0], pose[..., 1] = (cos * x - sin * z).T, (height * mm).T
        pose[..., 2] = (cos * z + sin * x).T
        out.pose[row] = pose
        share = weak.share(np.take(views.weight, row, axis=1))
        flat -= (share * flat).sum(axis=1, keepdims=True)
        flat *= size
        flat = weak.rolled(flat, roll)
        flat += views.centre[:, None, row]
        out.projection[row] = np.ascontiguousarray(flat.transpose(2, 1, 0))
        if not ok.all():
            lost = row[~ok]
            for array in (out.scale, out.component, out.coefficients, out.yaw):
                array[lost] = 0
            out.log_likelihood[lost] = -np.inf
            out.pose[lost] = model.scale_mm * model.mean[0]
            out.projection[lost] = views.centre.T[lost, None]


def _solution(systems):
    """Of Systems: y -> (s, a') (M, 1 + J, 2L); H^-1 G^T m (M, J); log_det (M,)."""
    by_m = weak.apply(systems.solve, systems.m)
    by_scale = systems.g / systems.mqm[:, None]
    scaled = systems.solve - by_m[..., None] * by_scale[:, None]
    return np.concatenate([by_scale[:, None], scaled], axis=1), by_m, systems.log_det


def _runs(numbers):
    """The different ones among sorted numbers (n,), each with the slice where it stands."""
    starts = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(numbers)], strict=True):
        yield numbers[start], slice(start, end)


def _some(pairs, which):
    """Those of the _Pairs."""
    return _Pairs(*(a[..., which] for a in pairs))


def lift(points, model, *, camera=None, confidence=None, rotations=ROTATIONS, noise_mm=NOISE_MM,
         refine=False, tilt=False):  # fmt: skip
    """Lift 2D landmarks (N, L, 2) to 3D: `Lifter.lift` for a single call."""
    return Lifter(model, rotations, noise_mm).lift(points, camera, confidence, refine, tilt)


# One at a time: the limit on BLAS's threads holds for the whole process.
_threads = threading.Lock()
_blas = ThreadpoolController()


def threads():
    """How many threads `lift` uses: as many as BLAS may (OMP_NUM_THREADS, threadpoolctl)."""
    return max((library.num_threads for library in _blas.lib_controllers), default=1)


def _in_threads(work, items):
    """Call work(item) for all items, in threads that leave BLAS one each."""
    if len(items) > 1 and _threads.acquire(blocking=False):
        try:
            count = threads()
            with _blas.limit(limits=1), ThreadPoolExecutor(count) as pool:
                for _ in pool.map(work, items):
                    pass
        finally:
            _threads.release()
    else:
        for item in items:
            work(item)
