"""The least squares of perspective.py for a few candidates, by conjugate gradients.

The minimum of each is followed from the candidate's weak perspective, whose covariance, which the
search has in its tables, makes the steps nearly Newton's. By weak perspective, with covariances,
one step is exact.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from prior.lifting.perspective import Data, Projections, Seen, Views
from prior.lifting.runs import runs
from prior.lifting.two_by_two import applied, determinants, inverses

# The steps end when no unknown moves by more than this share of the scale: a millionth of a
# person's size.
TOLERANCE = 1e-6

# Candidates solved at once: their matrices stay near a core.
BATCH = 256

# At a usual distance some 10 are enough by a covariance of weak perspective. The first two tell
# which candidates may be the best; after one alone one may still be some nats from its minimum.
STEPS, FIRST_STEPS = 30, 2

# A step that does not lower the cost is cut to a quarter, down to this share of it: our choice.
SHORTEST = 1e-3

# Candidates that are done are left out when at most this share of a batch is not, since the others
# have to be copied: our choice.
WORTHWHILE = 0.75


class Solution(NamedTuple):
    """The minimum of each candidate: unknowns, place px, s a and s px per unit of limb scale;
    projection, px; cost, px^2; log_density of the landmarks in px, without the prior of the
    combination; ok: the scale is positive and all landmarks are before the camera."""

    unknowns: Float[np.ndarray, "P C"]
    projection: Float[np.ndarray, "P L 2"]
    cost: Float[np.ndarray, "P"]
    log_density: Float[np.ndarray, "P"]
    ok: Bool[np.ndarray, "P"]


class Reached(NamedTuple):
    """Where the steps are: unknowns; linear, P theta and z theta; projection, px, and denominator,
    as in Seen; cost, px^2; slope, half the descent of the cost; newton, the step that the
    preconditioner makes of it."""

    unknowns: Float[np.ndarray, "P C"]
    linear: Float[np.ndarray, "P 3 L"]
    projection: Float[np.ndarray, "P 2 L"]
    denominator: Float[np.ndarray, "P L"]
    cost: Float[np.ndarray, "P"]
    slope: Float[np.ndarray, "P C"]
    newton: Float[np.ndarray, "P C"]

    def take(self, which: Bool[np.ndarray, "P"]) -> "Reached":
        """Those of these candidates."""
        return Reached(*(a[which] for a in self))

    def replaced(self, which: Bool[np.ndarray, "P"], by: "Reached") -> "Reached":
        """With those of other steps in the place of these candidates'."""
        return Reached(
            *(
                np.where(which.reshape(-1, *(1,) * (a.ndim - 1)), b, a)
                for a, b in zip(self, by, strict=True)
            )
        )


class LeastSquares(Projections):
    """Solves for the poses of a model."""

    def solve(
        self,
        views: Views,
        start: Float[np.ndarray, "P C"],
        covariances: Callable[[slice], Float[np.ndarray, "p S S"]] | None = None,
    ) -> Solution:
        """The minima that are reached from `start`.

        covariances: gives of a slice about the covariance of s a and s, over nu, by which the steps
        are then taken; None: they are taken by the inverse of Gauss-Newton's matrix at the start.
        By weak perspective the minima are found in one step from anywhere.
        """
        batches = (slice(i, i + BATCH) for i in range(0, max(1, len(start)), BATCH))
        parts = [
            self._solve(views.take(i), start[i], None if covariances is None else covariances(i))
            for i in batches
        ]
        return Solution(*(np.concatenate(a) for a in zip(*parts, strict=True)))

    def approach(
        self,
        views: Views,
        start: Float[np.ndarray, "P C"],
        covariances: Callable[[slice], Float[np.ndarray, "p S S"]],
    ) -> tuple[Float[np.ndarray, "P C"], Float[np.ndarray, "P"]]:
        """Unknowns near the minima, after FIRST_STEPS by these covariances, and their costs."""
        unknowns, cost = start.copy(), np.empty(len(start))
        for i in range(0, len(start), BATCH):
            part = slice(i, i + BATCH)
            own = views.take(part)
            data = self._data(own)
            inverse = self._with_place(own, data, start[part, :2], covariances(part))
            unknowns[part], cost[part], _ = self._descend(
                own, data, start[part], inverse, FIRST_STEPS
            )
        return unknowns, cost

    def _solve(
        self,
        views: Views,
        start: Float[np.ndarray, "P C"],
        covariance: Float[np.ndarray, "P S S"] | None,
    ) -> Solution:
        """One batch."""
        data = self._data(views)
        if not views.matrix[:, 2].any():
            return self._solution(views, data, *self._about_a_landmark(views, data))
        unknowns, cost, done = start.copy(), np.zeros(len(start)), np.zeros(len(start), dtype=bool)
        if covariance is not None:
            inverse = self._with_place(views, data, start[:, :2], covariance)
            unknowns, cost, done = self._descend(views, data, start, inverse)
        rest = np.flatnonzero(~done & np.isfinite(cost))
        if len(rest):
            part, own = views.take(rest), data.take(rest)
            inverse = self._inverse(part, own, unknowns[rest])
            unknowns[rest], cost[rest], _ = self._descend(part, own, unknowns[rest], inverse)
        return self._solution(views, data, unknowns, cost)

    def _inverse(
        self, views: Views, data: Data, unknowns: Float[np.ndarray, "P C"]
    ) -> Float[np.ndarray, "P C C"]:
        """Of Gauss-Newton's matrix at these unknowns."""
        return np.linalg.inv(self._normal_matrix(views, data, self._seen(views, unknowns)))

    def _with_place(
        self,
        views: Views,
        data: Data,
        place: Float[np.ndarray, "P 2"],
        inverse: Float[np.ndarray, "P S S"],
    ) -> Float[np.ndarray, "P C C"]:
        """The inverse of Gauss-Newton's matrix from its part of s a and s, by weak perspective."""
        # Of a landmark where the place is.
        slope = views.matrix[:, :2] - place[:, :, None] * views.matrix[:, 2:]
        weights = np.einsum("pabl,pbi->pail", data.precision, slope)
        cross = np.empty((len(inverse), 2, inverse.shape[1]))
        for k, part in runs(views.component):
            rows = weights[part].reshape(-1, len(self._flat[k])) @ self._flat[k]
            cross[part] = rows.reshape(cross[part].shape)
        of_place = inverses(data.precision.sum(axis=3))
        cross = of_place @ cross
        by_place = -(cross @ inverse)
        result = np.empty((len(inverse), 2 + inverse.shape[1], 2 + inverse.shape[1]))
        result[:, 2:, 2:] = inverse
        result[:, :2, 2:] = by_place
        result[:, 2:, :2] = by_place.swapaxes(1, 2)
        result[:, :2, :2] = of_place - by_place @ cross.swapaxes(1, 2)
        return result

    def _descend(
        self,
        views: Views,
        data: Data,
        start: Float[np.ndarray, "P C"],
        inverse: Float[np.ndarray, "P C C"],
        steps: int = STEPS,
    ) -> tuple[Float[np.ndarray, "P C"], Float[np.ndarray, "P"], Bool[np.ndarray, "P"]]:
        """The best unknowns of so many steps by conjugate gradients, preconditioned by this
        inverse; their cost; and whether they are the minimum."""
        best, cost = start.copy(), np.full(len(start), np.inf)
        done, rows = np.zeros(len(start), dtype=bool), np.arange(len(start))
        at = self._reached(views, data, start, self._linear_parts(views, start), inverse)
        step, length = at.newton, np.ones(len(start))
        for _ in range(steps):
            small = np.abs(at.newton).max(axis=1) <= TOLERANCE * at.unknowns[:, -1]
            lost = ~np.isfinite(at.cost)
            done[rows] = small & ~lost
            active = ~(small | lost) & (length > SHORTEST)
            count = np.count_nonzero(active)
            if count <= WORTHWHILE * len(rows):
                best[rows], cost[rows] = at.unknowns, at.cost
                if not count:
                    return best, cost, done
                views, data, at = views.take(active), data.take(active), at.take(active)
                rows, step, length, inverse = (a[active] for a in (rows, step, length, inverse))
            moved = self._linear_parts(views, step)
            bend = self._bend(views, data, at, step, moved)
            share = length * np.einsum("pc,pc->p", at.slope, step) / np.where(bend > 0, bend, 1)
            tried = self._reached(
                views,
                data,
                at.unknowns + share[:, None] * step,
                at.linear + share[:, None, None] * moved,
                inverse,
            )
            better = tried.cost < at.cost
            before = np.einsum("pc,pc->p", at.slope, at.newton)
            turn = np.einsum("pc,pc->p", tried.newton, tried.slope - at.slope)
            turn = np.maximum(turn / np.where(before > 0, before, 1), 0)
            step = np.where(better[:, None], tried.newton + turn[:, None] * step, step)
            length = np.where(better, 1, length / 4)
            at = at.replaced(better, tried)
        best[rows], cost[rows] = at.unknowns, at.cost
        return best, cost, done

    def _reached(
        self,
        views: Views,
        data: Data,
        unknowns: Float[np.ndarray, "P C"],
        linear: Float[np.ndarray, "P 3 L"],
        inverse: Float[np.ndarray, "P C C"],
    ) -> Reached:
        cost, slope, seen = self._descent(views, data, unknowns, linear)
        newton = (inverse @ slope[..., None])[..., 0]
        return Reached(unknowns, linear, *seen, cost, slope, newton)

    def _bend(
        self,
        views: Views,
        data: Data,
        at: Reached,
        step: Float[np.ndarray, "P C"],
        moved: Float[np.ndarray, "P 3 L"],
    ) -> Float[np.ndarray, "P"]:
        """Half the second derivative of the cost along a step, by Gauss-Newton; moved: its
        `_linear_parts`."""
        flat = (moved[:, :2] + step[:, :2, None]) - at.projection * moved[:, 2:]
        flat /= at.denominator[:, None]
        bend = np.einsum("pal,pal->p", applied(data.precision, flat), flat)
        return bend + np.einsum("pc,pc,pc->p", data.ridge, step, step)

    def weakly(self, views: Views) -> Float[np.ndarray, "P C"]:
        """The minima by weak perspective."""
        unknowns = np.empty((len(views.points), self._ridge.shape[1]))
        for i in range(0, len(unknowns), BATCH):
            part = views.take(slice(i, i + BATCH))
            unknowns[i : i + BATCH], *_ = self._about_a_landmark(part, self._data(part))
        return unknowns

    def _about_a_landmark(
        self, views: Views, data: Data
    ) -> tuple[Float[np.ndarray, "P C"], Float[np.ndarray, "P"], Float[np.ndarray, "P C C"]]:
        """The minima by weak perspective, their costs, and Gauss-Newton's matrices, which are the
        same everywhere."""
        count, L = data.visible.shape
        # About a point among the landmarks: rounding is then one of the person's size.
        middle = data.points[np.arange(count), :, data.visible.argmax(axis=1)]
        points = np.where(data.visible[:, None], data.points - middle[..., None], 0)
        nothing = Seen(np.zeros((count, 2, L)), np.ones((count, L)))
        weighted = np.zeros((count, 3, L))
        weighted[:, :2] = applied(data.precision, points)
        slope = np.empty(data.ridge.shape)
        slope[:, :2] = weighted[:, :2].sum(axis=2)
        slope[:, 2:] = self._back(views, weighted)
        normal = self._normal_matrix(views, data, nothing)
        unknowns = np.linalg.solve(normal, slope[..., None])[..., 0]
        residual = points - self._seen(views, unknowns).projection
        cost = np.einsum("pal,pal->p", applied(data.precision, residual), residual)
        cost += (data.ridge * unknowns**2).sum(axis=1)
        unknowns[:, :2] += middle
        return unknowns, cost, normal

    def _solution(
        self,
        views: Views,
        data: Data,
        unknowns: Float[np.ndarray, "P C"],
        cost: Float[np.ndarray, "P"],
        normal: Float[np.ndarray, "P C C"] | None = None,
    ) -> Solution:
        """The Solution, with its density; normal: Gauss-Newton's matrices, where they are known."""
        component = views.component
        nu, scale = self._nu[component], unknowns[:, -1]
        ok = np.isfinite(cost) & (scale > 0)
        at = self._seen(views, unknowns)
        # The density with s a and place integrated out, the latter by a flat prior; s is not, and
        # is the last.
        normal = self._normal_matrix(views, data, at) if normal is None else normal
        factor = np.linalg.cholesky(normal)
        diagonal = np.diagonal(factor, axis1=1, axis2=2)
        whole = 2 * np.log(diagonal[:, :-1]).sum(axis=1)
        landmarks = np.count_nonzero(data.visible, axis=1)
        numbers = 2 * landmarks - 2
        size = unknowns.shape[1] - 3
        log_det = (numbers - size) * np.log(nu) + 2 * self._log_std[component] + whole
        # Twice the log of how much W stretches the centred landmarks, as Observations.log_volume
        # has it: on their contrasts the determinant of W is that of W over that of its mean
        # precision, of which the sum's part cancels against that of the place.
        determinant = determinants(data.precision.transpose(0, 3, 1, 2))
        volume = np.log(np.where(determinant > 0, determinant, 1)).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = cost / (nu * scale**2) + log_det + numbers * np.log(2 * np.pi * scale**2)
        density = np.where(ok, 0.5 * (volume + 2 * np.log(landmarks) - value), -np.inf)
        return Solution(unknowns, at.projection.swapaxes(1, 2), cost, density, ok)
