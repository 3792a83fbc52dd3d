"""Full perspective: what a camera sees of a model's poses, and the least squares of that.

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

from prior.lifting.products import PAIRS, pairs, symmetric
from prior.lifting.runs import runs
from prior.lifting.two_by_two import applied, precisions
from prior.model import PriorModel


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


class Linearised(NamedTuple):
    """Projections (P, L, 2), px, and their derivatives by the unknowns; denominator (P, L)."""

    projection: Float[np.ndarray, "P L 2"]
    jacobian: Float[np.ndarray, "P L 2 C"]
    denominator: Float[np.ndarray, "P L"]


class Seen(NamedTuple):
    """Projections of unknowns (P, 2, L), px, and their denominators (P, L)."""

    projection: Float[np.ndarray, "P 2 L"]
    denominator: Float[np.ndarray, "P L"]


class Data(NamedTuple):
    """What the least squares of P candidates are of: the points (P, 2, L), 0 where one is missing;
    precision (P, 2, 2, L), W^T W; visible (P, L); ridge (P, C), on the squares of the unknowns."""

    points: Float[np.ndarray, "P 2 L"]
    precision: Float[np.ndarray, "P 2 2 L"]
    visible: Bool[np.ndarray, "P L"]
    ridge: Float[np.ndarray, "P C"]

    def take(self, which: np.ndarray) -> "Data":
        """Those of these candidates."""
        return Data(*(a[which] for a in self))


class Projections:
    """Projects a model's poses in full. nu (K,): as in weak_perspective.Projector."""

    def __init__(self, model: PriorModel, nu: Float[np.ndarray, "K"]) -> None:
        # Basis, then mean, coordinates first: (K, 3, L S).
        shape = np.concatenate([model.basis, model.mean[:, None]], axis=1)
        self._shape = np.ascontiguousarray(shape.transpose(0, 3, 2, 1)).reshape(len(nu), 3, -1)
        self._flat = self._shape.reshape(len(nu), -1, shape.shape[1])
        self._pairs = [pairs(s) for s in shape]
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
        projection, denominator = _projected(linear, unknowns)
        jacobian = np.empty((len(unknowns), 2, columns.shape[2], unknowns.shape[1]))
        np.multiply(projection[..., None], columns[:, 2:], out=jacobian[..., 2:])
        np.subtract(columns[:, :2], jacobian[..., 2:], out=jacobian[..., 2:])
        jacobian[..., :2] = np.eye(2)[:, None]
        jacobian /= denominator[:, None, :, None]
        return Linearised(projection.swapaxes(1, 2), jacobian.swapaxes(1, 2), denominator)

    def _data(self, views: Views) -> Data:
        precision = precisions(views.whitening)
        visible = np.asarray(precision.any(axis=(2, 3)))
        points = np.where(visible[..., None], views.points, 0)
        return Data(
            np.ascontiguousarray(points.swapaxes(1, 2)),
            np.ascontiguousarray(precision.transpose(0, 2, 3, 1)),
            visible,
            self._ridge[views.component],
        )

    def _linear_parts(
        self, views: Views, unknowns: Float[np.ndarray, "P C"]
    ) -> Float[np.ndarray, "P 3 L"]:
        """P theta, and z theta."""
        shape = np.empty((len(unknowns), self._flat.shape[1]))
        for k, part in runs(views.component):
            np.matmul(unknowns[part, 2:], self._flat[k].T, out=shape[part])
        return views.matrix @ shape.reshape(len(unknowns), 3, -1)

    def _back(self, views: Views, gradient: Float[np.ndarray, "P 3 L"]) -> Float[np.ndarray, "P S"]:
        """Gradients with respect to theta, from those with respect to P theta and z theta."""
        flat = (views.matrix.swapaxes(1, 2) @ gradient).reshape(len(gradient), -1)
        back = np.empty((len(gradient), self._flat.shape[2]))
        for k, part in runs(views.component):
            np.matmul(flat[part], self._flat[k], out=back[part])
        return back

    def _seen(self, views: Views, unknowns: Float[np.ndarray, "P C"]) -> Seen:
        return _projected(self._linear_parts(views, unknowns), unknowns)

    def _descent(
        self,
        views: Views,
        data: Data,
        unknowns: Float[np.ndarray, "P C"],
        linear: Float[np.ndarray, "P 3 L"],
    ) -> tuple[Float[np.ndarray, "P"], Float[np.ndarray, "P C"], Seen]:
        """The cost, infinite where a landmark is behind the camera or a person upside down; half
        its descent; and what is seen. linear: `_linear_parts` of the unknowns."""
        at = _projected(linear, unknowns)
        residual = data.points - at.projection
        weighted = applied(data.precision, residual)
        ahead = ((at.denominator > 0) | ~data.visible).all(axis=1) & (unknowns[:, -1] > 0)
        ridged = data.ridge * unknowns
        cost = np.einsum("pal,pal->p", weighted, residual)
        cost += np.einsum("pc,pc->p", ridged, unknowns)
        back = np.empty((len(unknowns), 3, residual.shape[2]))
        np.divide(weighted, at.denominator[:, None], out=back[:, :2])
        np.einsum("pal,pal->pl", back[:, :2], -at.projection, out=back[:, 2])
        slope = np.empty_like(unknowns)
        slope[:, :2] = back[:, :2].sum(axis=2)
        slope[:, 2:] = self._back(views, back)
        slope -= ridged
        return np.where(ahead, cost, np.inf), slope, at

    def _normal_matrix(self, views: Views, data: Data, at: Seen) -> Float[np.ndarray, "P C C"]:
        """Gauss-Newton's matrix, J^T W^T W J and the ridge."""
        count, matrix = len(views.matrix), views.matrix
        denominator = at.denominator[:, None, None]
        # Derivatives of the projections by the landmarks' places in the person's axes.
        slope = matrix[:, :2, :, None] - at.projection[:, :, None] * matrix[:, 2:, :, None]
        slope /= denominator
        weighted = data.precision[:, :, 0, None] * slope[:, None, 0]
        weighted += data.precision[:, :, 1, None] * slope[:, None, 1]
        products = np.empty((count, 6, slope.shape[3]))
        for pair, (a, b) in enumerate(PAIRS):
            np.einsum("pcl,pcl->pl", slope[:, :, a], weighted[:, :, b], out=products[:, pair])
        weighted /= denominator
        size = self._flat.shape[2]
        normal = np.empty((count, size + 2, size + 2))
        normal[:, :2, :2] = (data.precision / np.square(denominator)).sum(axis=3)
        for k, part in runs(views.component):
            of_pairs = products[part].reshape(-1, 6 * slope.shape[3]) @ self._pairs[k]
            normal[part, 2:, 2:] = symmetric(of_pairs, size)
            cross = weighted[part].reshape(-1, len(self._flat[k])) @ self._flat[k]
            normal[part, :2, 2:] = cross.reshape(-1, 2, size)
        normal[:, 2:, :2] = normal[:, :2, 2:].swapaxes(1, 2)
        normal[:, np.arange(size + 2), np.arange(size + 2)] += data.ridge
        return normal

    def pull_back(
        self,
        views: Views,
        unknowns: Float[np.ndarray, "P C"],
        gradient: Float[np.ndarray, "P C"],
        held: bool,
    ) -> Float[np.ndarray, "P L 2"]:
        """Gradients with respect to the points, from those with respect to the unknowns at the
        minimum: by the implicit function theorem, with W as it is. held: the scale is."""
        columns, data = self.columns(views), self._data(views)
        at = self.linearise(columns, unknowns)
        seen = Seen(at.projection.swapaxes(1, 2), at.denominator)
        weighted = applied(data.precision, data.points - seen.projection).swapaxes(1, 2)
        hessian = self._normal_matrix(views, data, seen)
        # What Gauss-Newton leaves out: the second derivative of a projection is minus the product
        # of its first and the denominator's, both ways, over the denominator.
        depth = np.concatenate([np.zeros((*views.points.shape[:2], 2)), columns[:, 2]], axis=2)
        bent = (weighted[:, :, None] @ at.jacobian)[:, :, 0] / at.denominator[..., None]
        bent = bent.swapaxes(1, 2) @ depth
        hessian += bent + bent.swapaxes(1, 2)
        free = slice(None, -1) if held else slice(None)
        back = np.zeros_like(unknowns)
        back[:, free] = np.linalg.solve(hessian[:, free, free], gradient[:, free, None])[..., 0]
        moved = (at.jacobian @ back[:, None, :, None])[..., 0]
        return applied(data.precision, moved.swapaxes(1, 2)).swapaxes(1, 2)


def _projected(linear: Float[np.ndarray, "P 3 L"], unknowns: Float[np.ndarray, "P C"]) -> Seen:
    """What is seen of unknowns with these P theta and z theta."""
    denominator = 1 + linear[:, 2]
    # What is in the camera's own plane has some projection; such candidates are lost.
    denominator = np.where(np.abs(denominator) < 1e-6, -1e-6, denominator)
    return Seen((linear[:, :2] + unknowns[:, :2, None]) / denominator[:, None], denominator)
