"""Candidates of rotation and component for each pose: enumerated, solved, compared, refined.

A Table holds what depends on the model, the camera's elevation and the landmarks' weights alone.
search.py ranks all combinations by it in float32; the best, and what the search cannot tell from
them, are solved in float64 (weak_perspective.Systems).
"""

import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from prior.lifting import search
from prior.lifting import weak_perspective as weak
from prior.skeleton import L

# Where poses come each with a camera of its own, search tables are shared: they hold two
# elevations so far apart, and the forms in between are interpolated.
ELEVATION_STEP = np.deg2rad(0.5)

# Interpolated log densities are off by so many times more than others.
INTERPOLATION = np.float32(4)

# Combinations whose tables are kept: about 300 MB, 128 elevations for 3 components and 80
# rotations. At least one table is kept.
TABLES = 128 * 240

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


class Table(NamedTuple):
    """A search.Table; the elevation where it starts; and, if it is for that elevation alone, what
    linear_maps returns for all combinations (else None)."""

    search: search.Table
    elevation: float
    solution: np.ndarray | None
    by_m: np.ndarray | None
    log_det: np.ndarray | None


class Pairs(NamedTuple):
    """Candidates: row (P,) of the pose, sorted component (P,), angle (P,), y (2, L, P) of Views,
    solution (1 + J, P), that is s and a', and log_det (P,) of Systems."""

    row: np.ndarray
    component: np.ndarray
    angle: np.ndarray
    y: np.ndarray
    solution: np.ndarray
    log_det: np.ndarray


class Enumeration:
    """All rotations (`rotations` of them about the vertical) of all components of a model, with
    detector's noise of `noise`, in units of limb scale; keeps the tables it made."""

    def __init__(self, model, rotations, noise):
        self.model, self.rotations, self.noise = model, rotations, noise
        self._nu = model.noise_std**2 + noise**2
        self.projector = weak.Projector(model, self._nu)
        count = model.components
        self._component = np.repeat(np.arange(count), rotations)
        self._angle = np.tile(np.arange(rotations) * (2 * np.pi / rotations), count)
        # The prior of a combination: its component's weight, every rotation alike.
        self._log_prior = np.log(model.weight) - np.log(rotations)
        # Mean and basis of each component, coordinates first: (K, 3L, 1 + J).
        shape = np.concatenate([model.mean[:, None], model.basis], axis=1)
        shape = shape.transpose(0, 3, 2, 1).reshape(count, 3 * L, -1)
        self.shape = np.ascontiguousarray(shape)
        self._tie = np.float32(max(search.TIE / self._nu.min(), search.LEAST_TIE))
        self._tables = OrderedDict()
        self._lock = threading.Lock()

    # Tables ----------------------------------------------------------------------------------

    def groups(self, views):
        """Rows (n,) that share a Table, and the Table.

        A camera for all poses gets a table of its own. Where each pose has its own camera, tables
        are interpolated: they are used again for other elevations.
        """
        weight, elevation = views.weight.T, views.elevation
        count = len(elevation)
        shared = count and elevation.strides[0] == 0
        if shared and (weight.strides[0] == 0 or (weight == weight[0]).all()):
            yield np.arange(count), self._table(elevation[0], weight[0], True, count)
            return
        keys = np.concatenate([np.floor(elevation / ELEVATION_STEP)[:, None], weight], axis=1)
        keys, group = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(group.ravel(), kind="stable")
        ends = np.cumsum(np.bincount(group.ravel(), minlength=len(keys)))
        for key, rows in zip(keys, np.split(order, ends)[: len(keys)], strict=True):
            own = elevation[rows[0]]
            alone = shared or len(rows) >= len(self._angle)
            alone |= (float(own), key[1:].tobytes(), True, False) in self._tables
            if alone and (elevation[rows] == own).all():
                yield rows, self._table(own, key[1:], True, len(rows))
            else:
                yield rows, self._table(key[0] * ELEVATION_STEP, key[1:], False, len(rows))

    def _table(self, elevation, weight, exact, count):
        """The Table that starts at an elevation, for a weight (L,), made at its first use. exact:
        for that elevation alone; count: of poses, which decides whether compressing it pays."""
        compress = exact and count >= len(self._angle)
        key = (float(elevation), weight.tobytes(), exact, compress)
        with self._lock:
            if key in self._tables:
                self._tables.move_to_end(key)
                return self._tables[key]
        dimensions = weak.dimensions(weight)

        def at(elevation, part):
            """Forms, and what linear_maps returns, of a part of the combinations."""
            component, angle = self._component[part], self._angle[part]
            count = len(angle)
            systems = self.projector.systems(
                component, angle, np.full(count, elevation), np.broadcast_to(weight, (count, L))
            )
            forms = search.forms(systems, dimensions, self._log_prior[component])
            return *forms, *linear_maps(systems)

        def whole(elevation):
            parts = [at(elevation, slice(i, i + BATCH)) for i in range(0, len(self._angle), BATCH)]
            return [np.concatenate(a) for a in zip(*parts, strict=True)]

        here = whole(elevation)
        there = None if exact else whole(elevation + ELEVATION_STEP)[:3]
        table = search.table(here[:3], there, dimensions, compress)
        table = Table(table, float(elevation), *(here[3:] if exact else (None, None, None)))
        with self._lock:
            self._tables[key] = table
            while len(self._tables) > max(1, TABLES // len(self._angle)):
                self._tables.popitem(last=False)
        return table

    # Search ----------------------------------------------------------------------------------

    def _scores(self, views, rows, table, roll=None):
        """Blocks of rows (n,) with their scores by a Table: (slice, (K R, n))."""
        y = views.y if roll is None else weak.rolled(views.y, roll)
        y = y.reshape(2 * L, -1).astype(np.float32)
        for i in range(0, len(rows), search.BLOCK):
            block = slice(i, i + search.BLOCK)
            part = None
            if table.solution is None:
                part = (views.elevation[rows[block]] - table.elevation) / ELEVATION_STEP
                part = part.astype(np.float32)
            yield block, search.scores(table.search, np.take(y, rows[block], axis=1), part)

    def candidates(self, views, shares, refine=False, reach=None):
        """The Pairs of what may be the best of each row; writes the components' shares (n, K) of
        the probability. refine: the pairs are peaks to refine. reach: all within so many nats."""
        found = []
        for rows, table in self.groups(views):
            tie = self._tie if table.solution is not None else self._tie * INTERPOLATION
            within = tie if reach is None else np.float32(reach)
            near = np.empty((len(self._angle), len(rows)), dtype=bool)
            for block, score in self._scores(views, rows, table):
                best = score.max(axis=0)
                np.greater_equal(score, best - within, out=near[:, block])
                if refine:
                    near[:, block] |= search.peaks(score, self.model.components, PEAKS)
                shares[rows[block]] = search.shares(score, best, self.model.components)
            # In C order: sorted by combination.
            combination, row = np.divmod(np.flatnonzero(near), len(rows))
            found.append(self._solve(views, rows[row], combination, table))
        if len(found) == 1:
            return found[0]
        pairs = Pairs(*(np.concatenate(a, axis=-1) for a in zip(*found, strict=True)))
        return some(pairs, np.argsort(pairs.component, kind="stable"))

    def tilt(self, views):
        """The most probable roll, elevation, and the yaw (3, n) of cameras that the Views take to
        be level."""
        best = np.full(len(views.ok), -np.inf)
        tilt = np.zeros((3, len(best)))
        tilt[2] = views.yaw
        for elevation in ELEVATIONS:
            level = views._replace(elevation=np.broadcast_to(elevation, len(best)))
            for rows, table in self.groups(level):
                for roll in ROLLS:
                    for block, score in self._scores(level, rows, table, -roll):
                        block, score = rows[block], score.max(axis=0)
                        better = block[score > best[block]]
                        best[block] = np.maximum(best[block], score)
                        tilt[:2, better] = [[roll], [elevation]]
        return tilt

    def refined(self, views, pairs):
        """The Pairs with the angles of the nearest maxima of the density: the parabola through
        three angles around it gives the next one."""

        def at(angle):
            solved = self._solve_each(views, pairs.row, pairs.component, angle)
            return solved, self.seen(views, solved)[-1]

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
            best = Pairs(*(np.where(better, a, b) for a, b in zip(tried, best, strict=True)))
        return best

    # Solution --------------------------------------------------------------------------------

    def _solve(self, views, row, combination, table):
        """The Pairs of rows (P,) and sorted combinations (P,)."""
        component, angle = self._component[combination], self._angle[combination]
        if table.solution is None:
            return self._solve_each(views, row, component, angle)
        y = np.take(views.y.reshape(2 * L, -1), row, axis=1)
        solution = np.empty((1 + self.model.basis_size, len(row)))
        for i, part in runs(combination):
            np.matmul(table.solution[i], y[:, part], out=solution[:, part])
        y = y.reshape(2, L, -1)
        return Pairs(row, component, angle, y, solution, table.log_det[combination])

    def _solve_each(self, views, row, component, angle):
        """The Pairs of rows (P,), sorted components (P,) and any angles (P,)."""
        y = np.take(views.y.reshape(2 * L, -1), row, axis=1)
        solution, log_det = np.empty((1 + self.model.basis_size, len(row))), np.empty(len(row))
        for i in range(0, len(row), BATCH):
            batch = slice(i, i + BATCH)
            systems = self.projector.systems(
                component[batch],
                angle[batch],
                views.elevation[row[batch]],
                views.weight[:, row[batch]].T,
            )
            scale, scaled = weak.solve(systems, y[:, batch].T)
            solution[0, batch], solution[1:, batch] = scale, scaled.T
            log_det[batch] = systems.log_det
        return Pairs(row, component, angle, y.reshape(2, L, -1), solution, log_det)

    def seen(self, views, pairs):
        """What the camera sees, times s: x, height and z (L, P) of the turned shapes, their
        projection (2, L, P), and the log density (P,) of the centred weighted points of unit
        norm."""
        shape = np.empty((3 * L, len(pairs.row)))
        ends = np.searchsorted(pairs.component, np.arange(self.model.components + 1)).tolist()
        for k, start in enumerate(ends[:-1]):
            part = slice(start, ends[k + 1])
            np.matmul(self.shape[k], pairs.solution[:, part], out=shape[:, part])
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
            1 - fit,
            pairs.solution[0],
            self._nu[pairs.component],
            pairs.log_det,
            views.dimensions[pairs.row],
        )
        return x, height, z, flat, density

    def best(self, views, pairs):
        """One of the Pairs for each row: the most probable."""
        many = np.bincount(pairs.row)[pairs.row] > 1
        if not many.any():
            return pairs
        tied = np.flatnonzero(many)
        density = self.seen(views, some(pairs, tied))[-1]
        order = np.lexsort((-density, pairs.row[tied]))
        first = np.diff(pairs.row[tied][order], prepend=-1) > 0
        keep = ~many
        keep[tied[order[first]]] = True
        return some(pairs, np.flatnonzero(keep))


def linear_maps(systems):
    """Of Systems: y -> (s, a') (M, 1 + J, 2L); H^-1 G^T m (M, J); log_det (M,)."""
    by_m = weak.apply(systems.solve, systems.m)
    by_scale = systems.g / systems.mqm[:, None]
    scaled = systems.solve - by_m[..., None] * by_scale[:, None]
    return np.concatenate([by_scale[:, None], scaled], axis=1), by_m, systems.log_det


def runs(numbers):
    """The different ones among sorted numbers (n,), each with the slice where it stands."""
    starts = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(numbers)], strict=True):
        yield numbers[start], slice(start, end)


def some(pairs, which):
    """Those of the Pairs."""
    return Pairs(*(a[..., which] for a in pairs))
