"""Full perspective: the least squares of a few candidates, each solved by Gauss-Newton.

What this adds to reference.py: with intrinsics K, a person whose root is at T in the camera's axes
is seen at

    u = (K E R shape / T_z + K T / T_z)_xy / (1 + (E R shape)_z / T_z),

which is weak perspective, s = f / T_z, but for the denominator. In units of the image it is
(P theta + place) / (1 + z theta), where theta = (s, s a), P and z are linear, and place is where
the root is seen. All of theta and place minimise

    cost = sum_l |W_l (u_l - y_l)|^2 + nu sum_j (s a_j / std_j)^2,

the cost of equation 4 in px. Weak perspective is the special case z = 0. The density of the
landmarks is that of reference.py with the projections' derivatives at the minimum in the place of
the projections (Laplace's approximation, exact where z = 0).

Shapes: P candidates, L landmarks, S = 1 + J, C = 2 + S unknowns in the order (place, s a, s).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from prior.model import PriorModel

# The steps end when no unknown moves by more than this share of the scale: a millionth of a
# person's size.
TOLERANCE = 1e-6

# Candidates solved at once: their Jacobians stay near a core.
BATCH = 128

# At a usual distance five are enough. A step that does not lower the cost is cut to a quarter.
STEPS = 30


class Views(NamedTuple):
    """How P candidates are seen.

    component (P,); matrix (P, 3, 3): what a unit of scale, 1 px, makes of the person's axes, in
    units of limb scale: px in the image, and depth in the denominator. It is K E R / f, or E R with
    third row 0 for weak perspective. points (P, L, 2), px; whitening (P, L, 2, 2): W, which makes
    the noise of all landmarks alike, 0 where one is missing.
    """

    component: Int[np.ndarray, "P"]
    matrix: Float[np.ndarray, "P 3 3"]
    points: Float[np.ndarray, "P L 2"]
    whitening: Float[np.ndarray, "P L 2 2"]

    def take(self, which: slice | np.ndarray) -> "Views":
        """These of the Views."""
        return Views(*(a[which] for a in self))


class Solution(NamedTuple):
    """The minimum of each candidate: unknowns, place px, s a and s px per unit of limb scale;
    projection, px; cost, px^2; log_density of the landmarks in px, without the prior of the
    combination; ok: the scale is positive and all landmarks are before the camera."""

    unknowns: Float[np.ndarray, "P C"]
    projection: Float[np.ndarray, "P L 2"]
    cost: Float[np.ndarray, "P"]
    log_density: Float[np.ndarray, "P"]
    ok: Bool[np.ndarray, "P"]


class Linearised(NamedTuple):
    """Projections (P, L, 2), px, and their derivatives by the unknowns; denominator (P, L)."""

    projection: Float[np.ndarray, "P L 2"]
    jacobian: Float[np.ndarray, "P L 2 C"]
    denominator: Float[np.ndarray, "P L"]


class Projections:
    """Projects a model's poses in full. nu (K,): as in weak_perspective.Projector."""

    def __init__(self, model: PriorModel, nu: Float[np.ndarray, "K"]) -> None:
        # Basis, then mean, coordinates first: (K, 3, L S).
        shape = np.concatenate([model.basis, model.mean[:, None]], axis=1)
        self._shape = np.ascontiguousarray(shape.transpose(0, 3, 2, 1)).reshape(len(nu), 3, -1)
        self._nu = nu
        size = model.basis_size
        self._ridge = np.zeros((len(nu), size + 3))
        self._ridge[:, 2:-1] = nu[:, None] / model.std**2
        self._log_std = np.log(model.std).sum(axis=1)

    def columns(self, views: Views) -> Float[np.ndarray, "P 3 L S"]:
        """P and z, the linear parts of the projections."""
        columns = views.matrix @ self._shape[views.component]
        return columns.reshape(len(columns), 3, views.points.shape[1], -1)

    def linearise(
        self, columns: Float[np.ndarray, "P 3 L S"], unknowns: Float[np.ndarray, "P C"]
    ) -> Linearised:
        """The projections of these unknowns and their derivatives."""
        linear = (columns @ unknowns[:, None, 2:, None])[..., 0]
        denominator = _away_from_zero(1 + linear[:, 2])
        projection = (linear[:, :2] + unknowns[:, :2, None]) / denominator[:, None]
        jacobian = np.empty((len(unknowns), 2, columns.shape[2], unknowns.shape[1]))
        np.multiply(projection[..., None], columns[:, 2:], out=jacobian[..., 2:])
        np.subtract(columns[:, :2], jacobian[..., 2:], out=jacobian[..., 2:])
        jacobian[..., :2] = np.eye(2)[:, None]
        jacobian /= denominator[:, None, :, None]
        return Linearised(projection.swapaxes(1, 2), jacobian.swapaxes(1, 2), denominator)

    def solve(self, views: Views, start: Float[np.ndarray, "P C"]) -> Solution:
        """The minima that Gauss-Newton reaches from `start`."""
        if not len(start):
            return self._solve(views, start)
        batches = (slice(i, i + BATCH) for i in range(0, len(start), BATCH))
        parts = [self._solve(views.take(batch), start[batch]) for batch in batches]
        return Solution(*(np.concatenate(a) for a in zip(*parts, strict=True)))

    def _solve(self, views: Views, start: Float[np.ndarray, "P C"]) -> Solution:
        """One batch: steps by Gauss-Newton's matrix at the start, which is close to the minimum."""
        columns, ridge = self.columns(views), self._ridge[views.component]
        if not views.matrix[:, 2].any():
            return self._linear(views, columns, ridge)
        precision = precisions(views.whitening)
        visible = np.asarray(precision.any(axis=(2, 3)))
        points = np.where(visible[..., None], views.points, 0)
        normal = normal_matrix(self.linearise(columns, start), views)
        normal[:, np.arange(normal.shape[1]), np.arange(normal.shape[1])] += ridge
        inverse = np.linalg.inv(normal)

        best, cost = start.copy(), np.full(len(start), np.inf)
        step, length = np.zeros_like(start), np.ones(len(start))
        active = np.arange(len(start))
        for _ in range(STEPS):
            tried = best[active] + length[active, None] * step[active]
            value, slope = _descent(
                columns[active], points[active], precision[active], visible[active], tried
            )
            value += (ridge[active] * tried**2).sum(axis=1)
            slope -= ridge[active] * tried
            better = value < cost[active]
            rows = active[better]
            best[rows], cost[rows] = tried[better], value[better]
            step[rows] = (inverse[rows] @ slope[better][..., None])[..., 0]
            length[active] = np.where(better, 1, length[active] / 4)
            large = np.abs(step[active]).max(axis=1) > TOLERANCE * best[active, -1]
            active = active[large & (length[active] > 1e-3) & np.isfinite(cost[active])]
            if not len(active):
                break
        at = self.linearise(columns, best)
        normal = normal_matrix(at, views)
        normal[:, np.arange(normal.shape[1]), np.arange(normal.shape[1])] += ridge
        return self._solution(views, at.projection, normal, best, cost)

    def _linear(
        self, views: Views, columns: Float[np.ndarray, "P 3 L S"], ridge: Float[np.ndarray, "P C"]
    ) -> Solution:
        """One batch by weak perspective: the minima themselves."""
        count, L = views.points.shape[:2]
        jacobian = np.empty((count, L, 2, ridge.shape[1]))
        jacobian[..., :2] = np.eye(2)
        jacobian[..., 2:] = columns[:, :2].swapaxes(1, 2)
        visible = np.asarray(views.whitening.any(axis=(2, 3)))
        points = np.where(visible[..., None], views.points, 0)
        # About a point among the landmarks: rounding is then one of the person's size.
        middle = points[np.arange(count), visible.argmax(axis=1)]
        points = np.where(visible[..., None], points - middle[:, None], 0)
        whitened = (views.whitening @ jacobian).reshape(count, 2 * L, -1)
        data = (views.whitening @ points[..., None]).reshape(count, 2 * L, 1)
        transposed = whitened.swapaxes(1, 2)
        normal = transposed @ whitened
        normal[:, np.arange(ridge.shape[1]), np.arange(ridge.shape[1])] += ridge
        unknowns = np.linalg.solve(normal, transposed @ data)[..., 0]
        off = (data - whitened @ unknowns[..., None])[..., 0]
        cost = np.square(off).sum(axis=1) + (ridge * unknowns**2).sum(axis=1)
        unknowns[:, :2] += middle
        projection = (jacobian.reshape(count, 2 * L, -1) @ unknowns[..., None]).reshape(count, L, 2)
        return self._solution(views, projection, normal, unknowns, cost)

    def _solution(
        self,
        views: Views,
        projection: Float[np.ndarray, "P L 2"],
        normal: Float[np.ndarray, "P C C"],
        unknowns: Float[np.ndarray, "P C"],
        cost: Float[np.ndarray, "P"],
    ) -> Solution:
        """The Solution, with its density; normal: Gauss-Newton's matrix there."""
        component = views.component
        nu, scale = self._nu[component], unknowns[:, -1]
        ok = np.isfinite(cost) & (scale > 0)
        # The density with s a and place integrated out, the latter by a flat prior; s is not, and
        # is the last.
        diagonal = np.diagonal(np.linalg.cholesky(normal), axis1=1, axis2=2)
        whole = 2 * np.log(diagonal[:, :-1]).sum(axis=1)
        place = np.linalg.slogdet(precisions(views.whitening).sum(axis=1))[1]
        numbers = 2 * np.count_nonzero(views.whitening.any(axis=(2, 3)), axis=1) - 2
        size = unknowns.shape[1] - 3
        log_det = (numbers - size) * np.log(nu) + 2 * self._log_std[component] + whole - place
        with np.errstate(divide="ignore", invalid="ignore"):
            value = cost / (nu * scale**2) + log_det + numbers * np.log(2 * np.pi * scale**2)
        density = -0.5 * value + log_volume(views.whitening)
        return Solution(unknowns, projection, cost, np.where(ok, density, -np.inf), ok)

    def pull_back(
        self,
        views: Views,
        unknowns: Float[np.ndarray, "P C"],
        gradient: Float[np.ndarray, "P C"],
        held: bool,
    ) -> Float[np.ndarray, "P L 2"]:
        """Gradients with respect to the points, from those with respect to the unknowns at the
        minimum: by the implicit function theorem, with W as it is. held: the scale is."""
        columns = self.columns(views)
        at = self.linearise(columns, unknowns)
        precision = precisions(views.whitening)
        visible = np.asarray(precision.any(axis=(2, 3)))
        residual = np.where(visible[..., None], views.points, 0) - at.projection
        weighted = (precision @ residual[..., None])[..., 0]
        hessian = normal_matrix(at, views)
        size = hessian.shape[1]
        hessian[:, np.arange(size), np.arange(size)] += self._ridge[views.component]
        # What Gauss-Newton leaves out: the second derivative of a projection is minus the product
        # of its first and the denominator's, both ways, over the denominator.
        depth = np.concatenate([np.zeros((*views.points.shape[:2], 2)), columns[:, 2]], axis=2)
        bent = (weighted[:, :, None] @ at.jacobian)[:, :, 0] / at.denominator[..., None]
        bent = bent.swapaxes(1, 2) @ depth
        hessian += bent + bent.swapaxes(1, 2)
        free = slice(None, -1) if held else slice(None)
        back = np.zeros_like(unknowns)
        back[:, free] = np.linalg.solve(hessian[:, free, free], gradient[:, free, None])[..., 0]
        return (precision @ at.jacobian @ back[:, None, :, None])[..., 0]


def normal_matrix(at: Linearised, views: Views) -> Float[np.ndarray, "P C C"]:
    """J^T W^T W J."""
    whitened = views.whitening @ at.jacobian
    whitened = whitened.reshape(len(whitened), 2 * whitened.shape[1], -1)
    return whitened.swapaxes(1, 2) @ whitened


def _descent(
    columns: Float[np.ndarray, "P 3 L S"],
    points: Float[np.ndarray, "P L 2"],
    precision: Float[np.ndarray, "P L 2 2"],
    visible: Bool[np.ndarray, "P L"],
    unknowns: Float[np.ndarray, "P C"],
) -> tuple[Float[np.ndarray, "P"], Float[np.ndarray, "P C"]]:
    """The cost without its ridge, infinite where a landmark is behind the camera or a person upside
    down, and half its descent."""
    count, L = points.shape[:2]
    flat = columns.reshape(count, 3 * L, -1)
    at = (flat @ unknowns[:, 2:, None]).reshape(count, 3, L)
    denominator = _away_from_zero(1 + at[:, 2])
    projection = (at[:, :2] + unknowns[:, :2, None]) / denominator[:, None]
    residual = points - projection.swapaxes(1, 2)
    weighted = (precision @ residual[..., None])[..., 0]
    ahead = ((denominator > 0) | ~visible).all(axis=1) & (unknowns[:, -1] > 0)
    cost = np.where(ahead, (weighted * residual).sum(axis=(1, 2)), np.inf)
    back = np.empty((count, 3, L))
    np.divide(weighted.swapaxes(1, 2), denominator[:, None], out=back[:, :2])
    back[:, 2] = -(back[:, :2] * projection).sum(axis=1)
    slope = np.empty_like(unknowns)
    slope[:, :2] = back[:, :2].sum(axis=2)
    slope[:, 2:] = (back.reshape(count, 1, -1) @ flat)[:, 0]
    return cost, slope


def _away_from_zero(denominator: Float[np.ndarray, "P L"]) -> Float[np.ndarray, "P L"]:
    """So that what is in the camera's own plane has some projection; such candidates are lost."""
    return np.where(np.abs(denominator) < 1e-6, -1e-6, denominator)


def log_volume(whitening: Float[np.ndarray, "P L 2 2"]) -> Float[np.ndarray, "P"]:
    """Log of how much W stretches the centred landmarks: as Observations.log_volume has it."""
    precision = precisions(whitening)
    determinant = np.linalg.det(precision)
    visible = determinant > 0
    total = 0.5 * np.log(np.where(visible, determinant, 1)).sum(axis=1)
    # Of the numbers without their common place: the determinant of W on the contrasts is that of W
    # over that of its mean precision.
    mean = precision.sum(axis=1) / np.count_nonzero(visible, axis=1)[:, None, None]
    return total - 0.5 * np.log(np.linalg.det(mean))


def precisions(whitening: Float[np.ndarray, "P L 2 2"]) -> Float[np.ndarray, "P L 2 2"]:
    """W^T W of each landmark."""
    return np.swapaxes(whitening, -1, -2) @ whitening
