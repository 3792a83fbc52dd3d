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
from jaxtyping import Float, Int

from prior.lifting.newton import NEAREST
from prior.lifting.two_by_two import precisions
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
        denominator = ahead(1 + linear[:, 2])
        projection = (linear[:, :2] + unknowns[:, :2, None]) / denominator[:, None]
        jacobian = np.empty((len(unknowns), 2, columns.shape[2], unknowns.shape[1]))
        np.multiply(projection[..., None], columns[:, 2:], out=jacobian[..., 2:])
        np.subtract(columns[:, :2], jacobian[..., 2:], out=jacobian[..., 2:])
        jacobian[..., :2] = np.eye(2)[:, None]
        jacobian /= denominator[:, None, :, None]
        return Linearised(projection.swapaxes(1, 2), jacobian.swapaxes(1, 2), denominator)

    def pull_back(
        self,
        views: Views,
        unknowns: Float[np.ndarray, "P C"],
        gradient: Float[np.ndarray, "P C"],
        held: bool,
    ) -> Float[np.ndarray, "P L 2"]:
        """Gradients with respect to the points, from those with respect to the unknowns at the
        minimum: by the implicit function theorem, with W as it is. held: the scale is."""
        columns, precision = self.columns(views), precisions(views.whitening)
        at = self.linearise(columns, unknowns)
        visible = np.asarray(precision.any(axis=(2, 3)))
        points = np.where(visible[..., None], views.points, 0)
        jacobian = (views.whitening @ at.jacobian).reshape(len(unknowns), -1, unknowns.shape[1])
        hessian = jacobian.swapaxes(1, 2) @ jacobian
        own = np.arange(unknowns.shape[1])
        hessian[:, own, own] += self._ridge[views.component]
        # What Gauss-Newton leaves out: the second derivative of a projection is minus the product
        # of its first and the denominator's, both ways, over the denominator.
        depth = np.concatenate([np.zeros((*views.points.shape[:2], 2)), columns[:, 2]], axis=2)
        weighted = (precision @ (points - at.projection)[..., None])[..., 0]
        bent = (weighted[:, :, None] @ at.jacobian)[:, :, 0] / at.denominator[..., None]
        bent = bent.swapaxes(1, 2) @ depth
        hessian += bent + bent.swapaxes(1, 2)
        free = slice(None, -1) if held else slice(None)
        back = np.zeros_like(unknowns)
        back[:, free] = np.linalg.solve(hessian[:, free, free], gradient[:, free, None])[..., 0]
        moved = (at.jacobian @ back[:, None, :, None])[..., 0]
        return (precision @ moved[..., None])[..., 0]


def ahead(denominator: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Denominators; what is in the camera's own plane has some projection: such candidates are
    lost."""
    return np.where(np.abs(denominator) < NEAREST, -NEAREST, denominator)
