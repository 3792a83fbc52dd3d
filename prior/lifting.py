"""2D landmarks to 3D poses (section 5.3): exact, in batches, with derivatives.

The model of one image, with Pi the orthographic projection, E the camera rotation and R a turn of
the person about the vertical (equation 4, in full):

    y = s Pi E R (mu + sum_j a_j e_j) + noise,   a_j ~ N(0, std_j^2),
    noise ~ N(0, s^2 nu),   nu = noise_std^2 + noise_mm^2 in units of limb scale

R is enumerated. For each R and component, the scale s and a' = s a are linear least squares with a
ridge nu (a'_j / std_j)^2, and the marginal density of y tells how probable (R, component) is.

Three identities make it fast. The camera's roll only turns the image and its yaw only adds to the
person's, so what is precomputed depends on the elevation alone. With G = [columns of M for a'],
H = G^T G + nu std^-2 and Q = I - G H^-1 G^T, everything the choice needs of y is y^T Q y, a linear
form in the products y_i y_j, and y^T Q m: one matrix product for all rotations and components. And
this search may be approximate (float32, a table at a near elevation), since the few best are then
solved again, exactly.
"""

import warnings
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from prior.camera import LEVEL, check_rotation, decompose, level_camera, vertical_rotation
from prior.normalise import PoseError
from prior.skeleton import L

# Section 5.3.
ROTATIONS = 80

# The detector's noise at the scale of the body. On held-out motion capture the 3D error is lowest
# where this is the detector's own noise. Our choice: 20 mm, 5 px in Human3.6M's images.
NOISE_MM = 20.0

# Scale and yaw take two of the 2 (n - 1) numbers that n landmarks give.
MIN_LANDMARKS = 3

# Candidates (rotation, component) of the search that are solved exactly.
SHORTLIST = 8

# Elevations of shared search tables are this far apart. A table half a step away ranks the best
# candidate within the shortlist: tests/test_lifting.py checks it.
ELEVATION_STEP = np.deg2rad(0.5)

# Search tables kept; one takes about 0.6 MB with 3 components and 80 rotations.
TABLES = 256

# Poses handled at once: bounds the memory, and their products stay in the processor's cache.
BLOCK = 1024


class Lifted(NamedTuple):
    """What `lift` knows of N poses.

    pose (N, L, 3), mm at the typical limb scale, world frame, centred on the mean landmark;
    projection (N, L, 2), px, equation 5; scale (N,), px per unit of limb scale; yaw (N,), of the
    person about the vertical, world; coefficients (N, J); component (N,); log_likelihood (N,), of
    the points with the weight of the component; component_probability (N, K), all rotations
    together; ok (N,): False where the points cannot be lifted (too few landmarks, all in one
    place, only upside down). There pose is the component's mean, projection the mean of the
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


class _Views(NamedTuple):
    """Points in the frame of a camera without roll or yaw, centred and weighted, as lifting wants
    them. y (N, 2L) of unit norm; size (N,), px; centre (N, 2); weight (N, L)."""

    y: np.ndarray
    size: np.ndarray
    centre: np.ndarray
    weight: np.ndarray
    roll: np.ndarray
    elevation: np.ndarray
    yaw: np.ndarray
    ok: np.ndarray


class _Systems(NamedTuple):
    """Least squares of M (component, angle, elevation, weight) combinations.

    m (M, 2L), G (M, 2L, J): weighted, centred projections of mean and basis; solve (M, J, 2L) =
    H^-1 G^T; g (M, 2L) = Q m; mqm (M,) = m^T Q m; nu (M,); log_det (M,), of the covariance of
    centred weighted points at s = 1.
    """

    m: np.ndarray
    G: np.ndarray
    solve: np.ndarray
    g: np.ndarray
    mqm: np.ndarray
    nu: np.ndarray
    log_det: np.ndarray


class _Table(NamedTuple):
    """All components and rotations at one elevation and weight: systems, and their search form.

    products (2L (2L + 1) / 2, K R): y_i y_j -> y^T Q y; linear (2L, K R): y -> g^T y; float32.
    """

    products: np.ndarray
    linear: np.ndarray
    systems: _Systems


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
        count = model.components
        self._nu = model.noise_std**2 + (noise_mm / model.scale_mm) ** 2
        # Mean and basis side by side, coordinates first: (K, 3, L, 1 + J).
        shape = np.concatenate([model.mean[:, None], model.basis], axis=1)
        self._shape = np.ascontiguousarray(shape.transpose(0, 3, 2, 1)).reshape(count, 3, -1)
        self._ridge = self._nu[:, None] / model.std**2
        self._log_std = np.log(model.std).sum(axis=1)
        angles = np.arange(rotations) * (2 * np.pi / rotations)
        self._component = np.repeat(np.arange(count), rotations)
        self._angle = np.tile(angles, count)
        # The prior of a combination: its component's weight, every rotation alike.
        self._log_prior = np.log(model.weight)[self._component] - np.log(rotations)
        self._upper = np.triu_indices(2 * L)
        self._tables = OrderedDict()

    # Least squares ---------------------------------------------------------------------------

    def _systems(self, component, angle, elevation, weight):
        """_Systems for component (M,), angle (M,), elevation (M,), weight (M, L)."""
        view = (level_camera(elevation) @ vertical_rotation(angle))[:, :2]
        columns = (view @ self._shape[component]).reshape(len(view), 2, L, -1)
        weighted = weight[:, None, :, None]
        share = weighted**2 / np.sum(weighted**2, axis=2, keepdims=True)
        columns = columns - np.sum(share * columns, axis=2, keepdims=True)
        columns = (weighted * columns).reshape(len(view), 2 * L, -1)
        m, G = columns[..., 0], columns[..., 1:]
        transposed = np.ascontiguousarray(G.swapaxes(1, 2))
        size = G.shape[2]
        H = transposed @ G
        H[:, np.arange(size), np.arange(size)] += self._ridge[component]
        solve = np.linalg.solve(H, transposed)
        g = m - _apply(G, _apply(solve, m))
        nu = self._nu[component]
        # |nu I + G std^2 G^T| over centred points, by the matrix determinant lemma.
        dimensions = 2 * (np.count_nonzero(weight, axis=1) - 1)
        log_det = (dimensions - size) * np.log(nu) + 2 * self._log_std[component]
        log_det += np.linalg.slogdet(H)[1]
        return _Systems(m, G, solve, g, np.einsum("ni,ni->n", m, g), nu, log_det)

    def _table(self, elevation, weight):
        key = (round(float(elevation), 12), weight.tobytes())
        if key in self._tables:
            self._tables.move_to_end(key)
            return self._tables[key]
        count = len(self._angle)
        systems = self._systems(
            self._component, self._angle, np.full(count, elevation), np.tile(weight, (count, 1))
        )
        Q = np.eye(2 * L) - systems.G @ systems.solve
        i, j = self._upper
        products = np.where(i == j, 1, 2) * Q[:, i, j]
        table = _Table(
            np.ascontiguousarray(products.T, dtype=np.float32),
            np.ascontiguousarray(systems.g.T, dtype=np.float32),
            systems,
        )
        self._tables[key] = table
        while len(self._tables) > TABLES:
            self._tables.popitem(last=False)
        return table

    @staticmethod
    def _log_density(cost, scale, nu, log_det, dimensions):
        """Log density of centred unit-norm points at scale s, -inf where s is not positive."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value = cost / (nu * scale**2) + log_det + dimensions * np.log(2 * np.pi * scale**2)
        return np.where(scale > 0, -0.5 * value, -np.inf)

    # Forward ---------------------------------------------------------------------------------

    def lift(self, points, camera=None, confidence=None):
        """The most probable 3D poses of 2D landmarks.

        points: (N, L, 2), px; NaN marks a missing landmark. camera: (3, 3) or (N, 3, 3), world to
        camera, a level one by default. confidence: (N, L) or (L,), a weight on each landmark's
        residuals, 0 for missing. Returns Lifted. Raises PoseError for other shapes, values or
        confidences, ValueError if the camera is no rotation. A pose that cannot be lifted is
        marked in `ok`, warned of, and leaves the others alone.
        """
        views = self._views(points, camera, confidence)
        count = len(views.y)
        component, angle = np.zeros(count, dtype=int), np.zeros(count)
        likelihood = np.full(count, -np.inf)
        probability = np.tile(self.model.weight, (count, 1))
        for rows, elevation, exact in self._groups(views):
            table = self._table(elevation, views.weight[rows[0]])
            for i in range(0, len(rows), BLOCK):
                block = rows[i : i + BLOCK]
                best, likelihood[block], probability[block] = self._choose(
                    views, block, table, exact
                )
                component[block], angle[block] = self._component[best], self._angle[best]
        ok = likelihood > -np.inf
        lost = count - np.count_nonzero(ok)
        if lost:
            warnings.warn(
                f"{lost} of {count} poses could not be lifted (fewer than {MIN_LANDMARKS} "
                "landmarks, all in one place, or upside down): see Lifted.ok",
                stacklevel=2,
            )
        return self._finish(views, component, angle, likelihood, probability, ok)

    def _views(self, points, camera, confidence):
        points = np.asarray(points, dtype=float)
        if points.ndim != 3 or points.shape[1:] != (L, 2):
            raise PoseError(f"points: expected shape (N, {L}, 2), px, got {points.shape}")
        count = len(points)
        camera = check_rotation(LEVEL if camera is None else camera)
        if camera.shape not in ((3, 3), (count, 3, 3)):
            raise PoseError(f"camera: expected (3, 3) or ({count}, 3, 3), got {camera.shape}")
        missing = np.isnan(points).any(axis=2)
        weight = np.where(missing, 0.0, 1.0)
        if confidence is not None:
            confidence = np.asarray(confidence, dtype=float)
            if confidence.shape not in ((L,), (count, L)):
                raise PoseError(
                    f"confidence: expected ({L},) or ({count}, {L}), got {confidence.shape}"
                )
            if not (np.isfinite(confidence) & (confidence >= 0)).all():
                raise PoseError("confidence: expected finite numbers of 0 or more")
            weight = weight * confidence
        roll, elevation, yaw = (np.broadcast_to(a, (count,)) for a in decompose(camera))
        ok = np.isfinite(np.where(missing[..., None], 0, points)).all(axis=(1, 2))
        ok = ok & (np.count_nonzero(weight, axis=1) >= MIN_LANDMARKS)
        usable = np.where((weight > 0)[..., None] & ok[:, None, None], points, 0)
        weight = np.where(ok[:, None], weight, 1)
        share = weight**2 / np.sum(weight**2, axis=1, keepdims=True)
        centre = np.einsum("nl,nlc->nc", share, usable)
        upright = _turned(usable - centre[:, None], -roll)
        y = (weight[:, None] * upright.swapaxes(1, 2)).reshape(count, 2 * L)
        size = np.linalg.norm(y, axis=1)
        # Rounding of the coordinates is not an extent.
        ok = ok & (size > 1e-9 * (1 + np.abs(usable).max(axis=(1, 2), initial=0)))
        y = y / np.where(ok, size, 1)[:, None]
        return _Views(y, size, centre, weight, roll, elevation, yaw, ok)

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
        shared = counts[inverse] * SHORTLIST >= len(self._angle)
        table = np.where(shared, own, near)
        keys = np.concatenate([table[:, None], views.weight[rows]], axis=1)
        _, inverse = np.unique(keys, axis=0, return_inverse=True)
        inverse = inverse.ravel()
        order = np.argsort(inverse, kind="stable")
        for group in np.split(order, np.cumsum(np.bincount(inverse))[:-1]):
            yield rows[group], table[group[0]], bool(np.all(own[group] == table[group[0]]))

    def _choose(self, views, rows, table, exact):
        """The best combination, its log likelihood, and the components' probability, of rows."""
        y = views.y[rows]
        systems = table.systems
        dimensions = 2 * (np.count_nonzero(views.weight[rows[0]]) - 1)
        search = y.astype(np.float32)
        i, j = self._upper
        scale = (search @ table.linear) / systems.mqm.astype(np.float32)
        cost = (search[:, i] * search[:, j]) @ table.products
        cost -= scale**2 * systems.mqm.astype(np.float32)
        score = self._log_density(cost, scale, systems.nu, systems.log_det, dimensions)
        score = score + self._log_prior
        likely = np.exp(score - np.maximum(score.max(axis=1, keepdims=True), np.finfo(float).min))
        probability = likely.reshape(len(rows), self.model.components, -1).sum(axis=2)
        probability /= np.maximum(probability.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        # Once more in float64, at the camera's own elevation.
        shortlist = np.argpartition(-score, SHORTLIST - 1, axis=1)[:, :SHORTLIST]
        pick = shortlist.ravel()
        if exact:
            systems = _Systems(*(array[pick] for array in systems))
        else:
            owner = np.repeat(rows, SHORTLIST)
            systems = self._systems(
                self._component[pick], self._angle[pick], views.elevation[owner],
                views.weight[owner],
            )  # fmt: skip
        repeated = np.repeat(y, SHORTLIST, axis=0)
        scale, coefficients = _solve(systems, repeated)
        rest = repeated - scale[:, None] * systems.m - _apply(systems.G, coefficients)
        cost = np.einsum("ni,ni->n", repeated, rest)
        score = self._log_density(cost, scale, systems.nu, systems.log_det, dimensions)
        score = (score + self._log_prior[pick]).reshape(shortlist.shape)
        best = score.argmax(axis=1)[:, None]
        likelihood = np.take_along_axis(score, best, axis=1)[:, 0]
        # From centred weighted points of unit norm to the points in px.
        weight = views.weight[rows[0]][views.weight[rows[0]] > 0]
        likelihood += 2 * np.log(weight).sum() - np.log(np.mean(weight**2))
        likelihood -= dimensions * np.log(views.size[rows])
        return np.take_along_axis(shortlist, best, axis=1)[:, 0], likelihood, probability

    def _finish(self, views, component, angle, likelihood, probability, ok):
        model, count = self.model, len(angle)
        scale, coefficients = np.zeros(count), np.zeros((count, model.basis_size))
        pose, projection = np.empty((count, L, 3)), np.empty((count, L, 2))
        # The person's turn in the world: the camera's yaw is part of the angle enumerated.
        yaw = np.angle(np.exp(1j * (angle - views.yaw)))
        for i in range(0, count, BLOCK):
            rows = slice(i, i + BLOCK)
            systems = self._systems(
                component[rows], angle[rows], views.elevation[rows], views.weight[rows]
            )
            s, a = _solve(systems, views.y[rows])
            s = np.where(ok[rows], s, 0)
            a = np.where(ok[rows, None], a / np.where(ok[rows], s, 1)[:, None], 0)
            shape = model.mean[component[rows]] + np.einsum(
                "nj,njlc->nlc", a, model.basis[component[rows]]
            )
            scale[rows], coefficients[rows] = s * views.size[rows], a
            pose[rows] = model.scale_mm * shape @ vertical_rotation(yaw[rows]).swapaxes(1, 2)
            flat = shape @ (level_camera(views.elevation[rows]) @ vertical_rotation(angle[rows])
                            )[:, :2].swapaxes(1, 2)  # fmt: skip
            share = views.weight[rows] ** 2
            share = share / share.sum(axis=1, keepdims=True)
            flat = flat - np.einsum("nl,nlc->nc", share, flat)[:, None]
            projection[rows] = views.centre[rows, None] + _turned(
                scale[rows, None, None] * flat, views.roll[rows]
            )
        return Lifted(
            pose, projection, scale, yaw, coefficients, component, likelihood, probability, ok
        )

    # Backward --------------------------------------------------------------------------------

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
        views = self._views(points, camera, confidence)
        count = len(views.y)
        systems = self._systems(
            lifted.component, lifted.yaw + views.yaw, views.elevation, views.weight
        )
        s = np.where(lifted.ok, lifted.scale, 1)
        weight = np.repeat(views.weight[:, None], 2, axis=1).reshape(count, -1)
        to_points = np.zeros((count, 2 * L))  # with respect to weighted, centred points
        to_scale = np.zeros(count)
        total = np.zeros((count, 2))
        if projection is not None:
            grad = _turned(np.asarray(projection, dtype=float), -views.roll)
            total = grad.sum(axis=1)
            # Landmarks of weight 0 are predicted too: unweighted columns of mean and basis.
            view = (level_camera(views.elevation) @ vertical_rotation(lifted.yaw + views.yaw)
                    )[:, :2]  # fmt: skip
            columns = (view @ self._shape[lifted.component]).reshape(count, 2, L, -1)
            share = views.weight**2 / np.sum(views.weight**2, axis=1, keepdims=True)
            columns = columns - np.einsum("nl,nclj->ncj", share, columns)[:, :, None]
            reduced = np.einsum("nclj,nlc->nj", columns, grad)
            to_points += _apply(systems.solve.swapaxes(1, 2), reduced[:, 1:])
            to_scale += reduced[:, 0] - np.einsum(
                "nj,nj->n", reduced[:, 1:], _apply(systems.solve, systems.m)
            )
        if pose is not None:
            turn = vertical_rotation(lifted.yaw)
            grad = self.model.scale_mm * np.asarray(pose, dtype=float) @ turn
            to_a = np.einsum("nlc,njlc->nj", grad, self.model.basis[lifted.component])
            to_points += _apply(systems.solve.swapaxes(1, 2), to_a) / s[:, None]
            to_scale -= (
                np.einsum("nj,nj->n", to_a, lifted.coefficients)
                + np.einsum("nj,nj->n", to_a, _apply(systems.solve, systems.m))
            ) / s
        if scale == "exact":
            to_points += systems.g * (to_scale / systems.mqm)[:, None]
        grad = (weight * to_points).reshape(count, 2, L).swapaxes(1, 2)
        share = views.weight**2 / np.sum(views.weight**2, axis=1, keepdims=True)
        # Centring: the points' weighted mean is taken off, and given back to the projection.
        grad = grad + share[..., None] * (total - grad.sum(axis=1))[:, None]
        return np.where(lifted.ok[:, None, None], _turned(grad, views.roll), 0)


def lift(points, model, *, camera=None, confidence=None, rotations=ROTATIONS, noise_mm=NOISE_MM):
    """Lift 2D landmarks (N, L, 2) to 3D: `Lifter.lift` for a single call."""
    return Lifter(model, rotations, noise_mm).lift(points, camera, confidence)


def _apply(matrices, vectors):
    """Each matrix (M, A, B) times its vector (M, B)."""
    return np.matmul(matrices, vectors[..., None])[..., 0]


def _solve(systems, y):
    """Scale (M,) and a' (M, J) of equation 4 for points y (M, 2L)."""
    scale = np.einsum("ni,ni->n", systems.g, y) / systems.mqm
    return scale, _apply(systems.solve, y - scale[:, None] * systems.m)


def _turned(points, angle):
    """Image points (N, L, 2) turned by angle (N,) about the origin, x towards y."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
