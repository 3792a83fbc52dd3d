"""The least squares of perspective.py for many candidates, one after another (newton.py).

What is solved is solved in float64, to the end. By weak perspective one step is exact.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from prior.lifting import newton
from prior.lifting.perspective import Projections, Views
from prior.model import PriorModel

# The first unknowns are the two of the place.
PLACE = newton.PLACE


class Solution(NamedTuple):
    """The minimum of each candidate: unknowns, place px, s a and s px per unit of limb scale;
    projection, px; cost, px^2; log_density of the landmarks in px, without the prior of the
    combination; ok: the scale is positive and all landmarks are before the camera."""

    unknowns: Float[np.ndarray, "P C"]
    projection: Float[np.ndarray, "P L 2"]
    cost: Float[np.ndarray, "P"]
    log_density: Float[np.ndarray, "P"]
    ok: Bool[np.ndarray, "P"]


class LeastSquares(Projections):
    """Solves for the poses of a model."""

    def __init__(self, model: PriorModel, nu: Float[np.ndarray, "K"]) -> None:
        super().__init__(model, nu)
        self._unknowns = model.basis_size + 3
        shape = np.concatenate([model.basis, model.mean[:, None]], axis=1)
        self._flat = np.ascontiguousarray(shape.swapaxes(2, 3)).reshape(*shape.shape[:2], -1)

    def solve(self, views: Views, start: Float[np.ndarray, "P C"]) -> Solution:
        """The minima that are reached from `start`; by weak perspective, from anywhere."""
        if not views.matrix[:, 2].any():
            unknowns, cost, log_det = self._stepped(views, start)
            ok = unknowns[:, -1] > 0
        else:
            unknowns = start.copy()
            cost, log_det = np.empty((2, len(start)))
            ok = np.empty(len(start), dtype=bool)
            newton.descend(*self._asked(views), newton.STEPS, unknowns, cost, log_det, ok)
        density = self._log_density(views, unknowns, cost, log_det)
        projection, _ = self.project(views, unknowns)
        return Solution(unknowns, projection, cost, np.where(ok, density, -np.inf), ok)

    def approach(
        self, views: Views, start: Float[np.ndarray, "P C"]
    ) -> tuple[Float[np.ndarray, "P C"], Float[np.ndarray, "P"]]:
        """Unknowns after one step, and the log densities to which it leads: -inf where it turns the
        person upside down. Where it leads behind the camera, which a shorter one need not do, the
        unknowns are those of the start, and the density is NaN: it is not known."""
        unknowns, cost, log_det = self._stepped(views, start)
        upright = unknowns[:, -1] > 0
        known = np.isfinite(self.project(views, unknowns)[1]) | ~upright
        density = np.where(known, self._log_density(views, unknowns, cost, log_det), np.nan)
        return np.where(known[:, None], unknowns, start), np.where(upright, density, -np.inf)

    def weakly(self, views: Views) -> tuple[Float[np.ndarray, "P C"], Float[np.ndarray, "P"]]:
        """The minima by weak perspective, and the log determinants of their normal matrices without
        the scale's row."""
        anywhere = np.empty((len(views.points), self._unknowns))
        unknowns, _, log_det = self._stepped(views, anywhere)
        return unknowns, log_det

    def project(
        self, views: Views, unknowns: Float[np.ndarray, "P C"]
    ) -> tuple[Float[np.ndarray, "P L 2"], Float[np.ndarray, "P"]]:
        """What is seen of these unknowns, px, and their costs, px^2, infinite where they are no
        person before a camera."""
        projection, cost = np.empty(views.points.shape), np.empty(len(unknowns))
        newton.project(*self._asked(views), unknowns, projection, cost)
        return projection, cost

    def distances(
        self, views: Views, unknowns: Float[np.ndarray, "P C"], share: Float[np.ndarray, "P L"]
    ) -> Float[np.ndarray, "P L"]:
        """Of newton.py."""
        return newton.distances(*self._asked(views), self._nu, share, unknowns)

    def _log_density(
        self,
        views: Views,
        unknowns: Float[np.ndarray, "P C"],
        cost: Float[np.ndarray, "P"],
        log_det: Float[np.ndarray, "P"],
    ) -> Float[np.ndarray, "P"]:
        """Of newton.py."""
        return newton.log_densities(
            np.ascontiguousarray(views.component),
            np.ascontiguousarray(views.whitening),
            unknowns,
            cost,
            log_det,
            self._nu,
            self._log_std,
        )

    def _stepped(
        self, views: Views, start: Float[np.ndarray, "P C"]
    ) -> tuple[Float[np.ndarray, "P C"], Float[np.ndarray, "P"], Float[np.ndarray, "P"]]:
        """Unknowns after one step, the costs to which it leads, and the log determinants; by weak
        perspective whatever the start."""
        unknowns = start.copy() if views.matrix[:, 2].any() else _middles(views, start.shape[1])
        cost, log_det = np.empty((2, len(start)))
        newton.step_all(*self._asked(views), unknowns, cost, log_det)
        return unknowns, cost, log_det

    def _asked(self, views: Views) -> tuple[np.ndarray, ...]:
        """Arguments of newton.py: arrays as it is compiled for."""
        return (*(np.ascontiguousarray(a) for a in views), self._flat, self._ridge)


def _middles(views: Views, unknowns: int) -> Float[np.ndarray, "P C"]:
    """Where weak perspective starts, at the landmarks' middle, which rounds least."""
    start = np.zeros((len(views.points), unknowns))
    visible = np.asarray(views.whitening.any(axis=(2, 3)))[..., None]
    middle = np.where(visible, views.points, 0).sum(axis=1) / np.maximum(visible.sum(axis=1), 1)
    start[:, :PLACE], start[:, -1] = middle, 1
    return start
