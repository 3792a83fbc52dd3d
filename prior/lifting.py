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

from prior import search
from prior import weak_perspective as weak
from prior.camera import turned
from prior.skeleton import L

# Section 5.3.
ROTATIONS = 80

# The detector's noise at the scale of the body. Our choice: 20 mm, 5 px in Human3.6M's images.
NOISE_MM = 20.0

# Where poses come each with a camera of its own, search tables are shared: they hold two
# elevations so far apart, and the forms in between are interpolated.
ELEVATION_STEP = np.deg2rad(1.0)

# Search tables kept, and combinations up to which a table keeps its solutions (1.7 MB for 240).
TABLES = 128
SOLUTIONS = 2048

# Poses handled at once by one thread: bounds the memory, and is enough for large products.
CHUNK = 8192

# Systems set up at once.
BATCH = 512


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


class _Table(NamedTuple):
    """A search.Table; the elevation where it starts; and, if it is for that elevation alone,
    solution (K R, 2L, 1 + J): y -> (s, a') and log_det (K R,) of Systems (else None)."""

    search: search.Table
    elevation: float
    solution: np.ndarray | None
    log_det: np.ndarray | None


class _Pairs(NamedTuple):
    """Candidates: for each of P, row (P,) of the pose, sorted component (P,), angle (P,), the
    solution (P, 1 + J): s and a', and log_det (P,) of Systems. Every row has one at least."""

    row: np.ndarray
    component: np.ndarray
    angle: np.ndarray
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
        self._nu = model.noise_std**2 + (noise_mm / model.scale_mm) ** 2
        self._projector = weak.Projector(model, self._nu)
        count = model.components
        self._component = np.repeat(np.arange(count), rotations)
        self._angle = np.tile(np.arange(rotations) * (2 * np.pi / rotations), count)
        # The prior of a combination: its component's weight, every rotation alike.
        self._log_prior = np.log(model.weight) - np.log(rotations)
        # Mean and basis of each component, coordinates first: (K, 1 + J, 3L).
        shape = np.concatenate([model.mean[:, None], model.basis], axis=1)
        self._shape = np.ascontiguousarray(shape.swapaxes(2, 3)).reshape(count, -1, 3 * L)
        self._tables = OrderedDict()
        self._lock = threading.Lock()

    def lift(self, points, camera=None, confidence=None):
        """The most probable 3D poses of 2D landmarks.

        points: (N, L, 2), px; NaN marks a missing landmark. camera: (3, 3) or (N, 3, 3), world to
        camera, a level one by default. confidence: (N, L) or (L,), a weight on each landmark's
        residuals, 0 for missing. Returns Lifted. Raises PoseError for other shapes, values or
        confidences, ValueError if the camera is no rotation. A pose that cannot be lifted is
        marked in `ok`, warned of, and leaves the others alone.
        """
        points, cameras, confidence = weak.check(points, camera, confidence)
        count, size = len(points), self.model.basis_size
        lifted = Lifted(
            np.empty((count, L, 3)), np.empty((count, L, 2)), np.empty(count), np.empty(count),
            np.empty((count, size)), np.empty(count, dtype=int), np.empty(count),
            np.empty((count, self.model.components)), np.empty(count, dtype=bool),
        )  # fmt: skip

        def work(start):
            rows = slice(start, start + CHUNK)
            views = weak.views(points[rows], cameras[:, rows],
                               None if confidence is None else confidence[rows])  # fmt: skip
            pairs, shares = self._search(views)
            self._describe(views, pairs, Lifted(*(a[rows] for a in lifted)))
            lifted.component_probability[rows] = shares

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
        views = weak.views(*weak.check(points, camera, confidence))
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

    def _search(self, views):
        """The _Pairs to choose from, and the components' shares (n, K)."""
        shares = np.empty((len(views.y), self.model.components))
        found = []
        for rows, table in self._groups(views):
            y = views.y if rows is None else views.y[rows]
            part = None
            if table.solution is None:
                part = (views.elevation[rows] - table.elevation) / ELEVATION_STEP
                part = part.astype(np.float32)
            near = np.empty((len(self._angle), len(y)), dtype=bool)
            for i in range(0, len(y), search.BLOCK):
                block = slice(i, i + search.BLOCK)
                score = search.scores(
                    table.search, np.ascontiguousarray(y[block].T, dtype=np.float32),
                    None if part is None else part[block],
                )  # fmt: skip
                best = score.max(axis=0)
                np.greater_equal(score, best - np.float32(search.TIE), out=near[:, block])
                share = search.component_shares(score, best, self.model.components)
                shares[block if rows is None else rows[block]] = share
            # In C order: sorted by combination.
            combination, row = np.divmod(np.flatnonzero(near), len(y))
            row = row if rows is None else rows[row]
            found.append(self._solve(views, row, combination, table))
        if len(found) == 1:
            return found[0], shares
        pairs = _Pairs(*(np.concatenate(a) for a in zip(*found, strict=True)))
        order = np.argsort(pairs.component, kind="stable")
        return _Pairs(*(a[order] for a in pairs)), shares

    def _solve(self, views, row, combination, table):
        """The _Pairs of rows (P,) and combinations (P,)."""
        component, angle = self._component[combination], self._angle[combination]
        solution = np.empty((len(row), 1 + self.model.basis_size))
        if table.solution is not None:
            y = views.y[row]
            ends = np.append(np.flatnonzero(np.diff(combination)) + 1, len(row)).tolist()
            start = 0
            for end in ends:
                np.matmul(y[start:end], table.solution[combination[start]], out=solution[start:end])
                start = end
            return _Pairs(row, component, angle, solution, table.log_det[combination])
        log_det = np.empty(len(row))
        for i in range(0, len(row), BATCH):
            batch = slice(i, i + BATCH)
            systems = self._projector.systems(
                component[batch], angle[batch], views.elevation[row[batch]],
                views.weight[row[batch]],
            )  # fmt: skip
            solution[batch, 0], solution[batch, 1:] = weak.solve(systems, views.y[row[batch]])
            log_det[batch] = systems.log_det
        return _Pairs(row, component, angle, solution, log_det)

    def _groups(self, views):
        """Rows that share a table: (rows, or None for all; the _Table)."""
        weight, elevation = views.weight, views.elevation
        if not len(weight):
            return
        cell = np.floor(elevation / ELEVATION_STEP).astype(int)
        alike = weight.strides[0] == 0 or (weight == weight[0]).all()
        if alike and (elevation == elevation[0]).all():
            yield None, self._table(elevation[0], weight[0], True)
            return
        # A pose with a table of its own costs as much as ..., so only those that many share.
        keys = np.concatenate([cell[:, None], weight], axis=1)
        _, inverse = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(inverse.ravel(), kind="stable")
        for rows in np.split(order, np.cumsum(np.bincount(inverse.ravel()))[:-1]):
            own = elevation[rows]
            same = (own == own[0]).all()
            start = own[0] if same else cell[rows[0]] * ELEVATION_STEP
            yield rows, self._table(start, weight[rows[0]], same)

    def _table(self, elevation, weight, exact):
        """The _Table that starts at an elevation, for a weight (L,), made at its first use."""
        key = (float(elevation), weight.tobytes(), exact)
        with self._lock:
            if key in self._tables:
                self._tables.move_to_end(key)
                return self._tables[key]
        count = len(self._angle)
        dimensions = weak.dimensions(weight)

        def at(elevation):
            return self._projector.systems(
                self._component, self._angle, np.full(count, elevation),
                np.broadcast_to(weight, (count, L)),
            )  # fmt: skip

        def forms(systems):
            return search.forms(systems, dimensions, self._log_prior[self._component])

        systems = at(elevation)
        there = None if exact else forms(at(elevation + ELEVATION_STEP))
        found = search.table(forms(systems), there, dimensions)
        solution = log_det = None
        if exact:
            by_scale = systems.g / systems.mqm[:, None]
            lift = systems.solve - (
                weak.apply(systems.solve, systems.m)[..., None] * by_scale[:, None]
            )
            solution = np.ascontiguousarray(
                np.concatenate([by_scale[:, None], lift], axis=1).swapaxes(1, 2)
            )
            log_det = systems.log_det
        table = _Table(found, float(elevation), solution, log_det)
        with self._lock:
            self._tables[key] = table
            while len(self._tables) > TABLES:
                self._tables.popitem(last=False)
        return table

    # The answer ------------------------------------------------------------------------------

    def _describe(self, views, pairs, out):
        """Choose each row's best of the _Pairs, and write it into `out`, a Lifted."""
        model = self.model
        # s times the shape, as the camera sees it; coordinates first.
        shape = np.empty((len(pairs.row), 3, L))
        ends = np.searchsorted(pairs.component, np.arange(model.components + 1))
        for k, (start, end) in enumerate(zip(ends[:-1], ends[1:], strict=True)):
            if end > start:
                np.matmul(pairs.solution[start:end], self._shape[k],
                          out=shape[start:end].reshape(-1, 3 * L))  # fmt: skip
        x, height, z = shape.swapaxes(0, 1)
        cos, sin = np.cos(pairs.angle)[:, None], np.sin(pairs.angle)[:, None]
        x, z = cos * x + sin * z, cos * z - sin * x
        elevation = views.elevation[pairs.row]
        seen = np.empty((len(x), 2, L))
        seen[:, 0] = x
        seen[:, 1] = np.sin(elevation)[:, None] * z - np.cos(elevation)[:, None] * height
        # The least squares' minimum is y^T (y - prediction), y has unit norm and is centred.
        weight = views.weight[pairs.row]
        y = views.y[pairs.row].reshape(-1, 2, L)
        cost = 1 - np.einsum("pcl,pl,pcl->p", seen, weight, y)
        scale = pairs.solution[:, 0]
        score = self._log_prior[pairs.component] + weak.log_density(
            cost, scale, self._nu[pairs.component], pairs.log_det, views.dimensions[pairs.row]
        )
        best = np.empty(len(views.y), dtype=int)
        order = np.argsort(score, kind="stable")
        best[pairs.row[order]] = order  # the last one, of the highest score, stays
        ok = views.ok & (scale[best] > 0)
        scale = np.where(ok, scale[best], 1)
        out.ok[:] = ok
        out.scale[:] = np.where(ok, scale * views.size, 0)
        out.component[:] = np.where(ok, pairs.component[best], 0)
        out.coefficients[:] = np.where(ok[:, None], pairs.solution[best, 1:] / scale[:, None], 0)
        # From centred weighted points of unit norm to the points in px.
        out.log_likelihood[:] = np.where(
            ok, score[best] + views.log_volume - views.dimensions * np.log(views.size), -np.inf
        )
        # The camera's yaw is part of the angle enumerated.
        out.yaw[:] = np.where(
            ok, np.remainder(pairs.angle[best] - views.yaw + np.pi, 2 * np.pi) - np.pi, 0
        )
        mm = (model.scale_mm / scale)[:, None]
        cos, sin = np.cos(views.yaw)[:, None] * mm, np.sin(views.yaw)[:, None] * mm
        x, z = x[best], z[best]
        out.pose[..., 0] = cos * x - sin * z
        out.pose[..., 1] = height[best] * mm
        out.pose[..., 2] = cos * z + sin * x
        seen = seen[best]
        seen -= np.einsum("nl,ncl->nc", weak.share(views.weight), seen)[..., None]
        seen *= views.size[:, None, None]
        cos, sin = np.cos(views.roll)[:, None], np.sin(views.roll)[:, None]
        out.projection[..., 0] = cos * seen[:, 0] - sin * seen[:, 1] + views.centre[:, :1]
        out.projection[..., 1] = sin * seen[:, 0] + cos * seen[:, 1] + views.centre[:, 1:]
        if not ok.all():
            out.pose[~ok] = model.scale_mm * model.mean[0]
            out.projection[~ok] = views.centre[~ok, None]


def lift(points, model, *, camera=None, confidence=None, rotations=ROTATIONS, noise_mm=NOISE_MM):
    """Lift 2D landmarks (N, L, 2) to 3D: `Lifter.lift` for a single call."""
    return Lifter(model, rotations, noise_mm).lift(points, camera, confidence)


# One at a time: the limit on BLAS's threads holds for the whole process.
_threads = threading.Lock()
_blas = ThreadpoolController()


def _in_threads(work, items):
    """Call work(item) for all items, in as many threads as BLAS may use (OMP_NUM_THREADS)."""
    if len(items) > 1 and _threads.acquire(blocking=False):
        try:
            count = max((lib.num_threads for lib in _blas.lib_controllers), default=1)
            with _blas.limit(limits=1), ThreadPoolExecutor(count) as pool:
                for _ in pool.map(work, items):
                    pass
        finally:
            _threads.release()
    else:
        for item in items:
            work(item)
