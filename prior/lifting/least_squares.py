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

# Candidates solved at once: their Jacobians stay near a core.
BATCH = 256

# At a usual distance 10 are enough by a covariance of weak perspective, and 5 by Gauss-Newton's
# own. A step that does not lower the cost is cut to a quarter. The first two tell which candidates
# may be the best; after one alone a candidate may still be some nats from its minimum.
STEPS, FIRST_STEPS = 30, 2


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
        at, linear = start, self._linear_parts(views, start)
        reached, slope, seen = self._descent(views, data, at, linear)
        towards = step = (inverse @ slope[..., None])[..., 0]
        length = np.ones(len(start))
        for _ in range(steps):
            small = np.abs(towards).max(axis=1) <= TOLERANCE * at[:, -1]
            done[rows] = small & np.isfinite(reached)
            active = ~small & (length > 1e-3) & np.isfinite(reached)
            count = np.count_nonzero(active)
            if count <= 0.75 * len(rows):
                best[rows], cost[rows] = at, reached
                if not count:
                    return best, cost, done
                rows, views, data = rows[active], views.take(active), data.take(active)
                seen, inverse, length = (
                    Seen(*(a[active] for a in seen)),
                    inverse[active],
                    length[active],
                )
                at, linear, reached, slope = (
                    at[active],
                    linear[active],
                    reached[active],
                    slope[active],
                )
                towards, step = towards[active], step[active]
            moved = self._linear_parts(views, step)
            bend = self._bend(views, data, seen, step, moved)
            share = length * np.einsum("pc,pc->p", slope, step) / np.where(bend > 0, bend, 1)
            tried, there = at + share[:, None] * step, linear + share[:, None, None] * moved
            value, new, view = self._descent(views, data, tried, there)
            better = value < reached
            pull = (inverse @ new[..., None])[..., 0]
            before = np.einsum("pc,pc->p", slope, towards)
            turn = np.einsum("pc,pc->p", pull, new - slope) / np.where(before > 0, before, 1)
            onward = pull + np.maximum(turn, 0)[:, None] * step
            length = np.where(better, 1, length / 4)
            reached = np.where(better, value, reached)
            each = better[:, None]
            at, slope = np.where(each, tried, at), np.where(each, new, slope)
            towards, step = np.where(each, pull, towards), np.where(each, onward, step)
            linear = np.where(each[..., None], there, linear)
            seen = Seen(
                np.where(each[..., None], view.projection, seen.projection),
                np.where(each, view.denominator, seen.denominator),
            )
        best[rows], cost[rows] = at, reached
        return best, cost, done

    def _bend(
        self,
        views: Views,
        data: Data,
        seen: Seen,
        step: Float[np.ndarray, "P C"],
        moved: Float[np.ndarray, "P 3 L"],
    ) -> Float[np.ndarray, "P"]:
        """Half the second derivative of the cost along a step, by Gauss-Newton; moved: its
        `_linear_parts`. seen: of where it starts."""
        flat = (moved[:, :2] + step[:, :2, None]) - seen.projection * moved[:, 2:]
        flat /= seen.denominator[:, None]
        bend = np.einsum("pal,pal->p", applied(data.precision, flat), flat)
        return bend + np.einsum("pc,pc,pc->p", data.ridge, step, step)

    def weakly(self, views: Views) -> Float[np.ndarray, "P C"]:
        """The minima by weak perspective."""
        unknowns = np.empty((len(views.points), self._ridge.shape[1]))
        for i in range(0, len(unknowns), BATCH):
            part = views.take(slice(i, i + BATCH))
            unknowns[i : i + BATCH] = self._about_a_landmark(part, self._data(part))[0]
        return unknowns

    def _about_a_landmark(
        self, views: Views, data: Data
    ) -> tuple[Float[np.ndarray, "P C"], Float[np.ndarray, "P"]]:
        """The minima by weak perspective and their costs."""
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
        return unknowns, cost

    def _solution(
        self,
        views: Views,
        data: Data,
        unknowns: Float[np.ndarray, "P C"],
        cost: Float[np.ndarray, "P"],
    ) -> Solution:
        """The Solution, with its density."""
        component = views.component
        nu, scale = self._nu[component], unknowns[:, -1]
        ok = np.isfinite(cost) & (scale > 0)
        at = self._seen(views, unknowns)
        # The density with s a and place integrated out, the latter by a flat prior; s is not, and
        # is the last.
        factor = np.linalg.cholesky(self._normal_matrix(views, data, at))
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
