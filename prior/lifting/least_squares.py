"""The least squares of perspective.py for many candidates at once, by Gauss-Newton.

Every array has the candidates on its last axis, so that numpy works on long rows, and one Cholesky
factor of the normal matrices, with the gradient and the cost as its last row, has step, new cost
and determinant in it. The first steps are in float32, which halves what is moved through memory;
what is returned as solved, in float64. By weak perspective one step is exact.

Candidates are solved about the place and in units of the scale where they start: what float32
rounds is then a share of the person's size, not of the image's.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from prior.lifting.cholesky import lower_factors, places, transposed_solutions
from prior.lifting.perspective import Projections, Views, ahead
from prior.lifting.products import PAIRS, pairs, upper_triangle
from prior.lifting.runs import runs
from prior.lifting.two_by_two import precisions
from prior.model import PriorModel

# A step that moves no unknown by more than this share of the scale is the last: Gauss-Newton's next
# would be a hundredth of it or less, where people are at usual distances.
TOLERANCE = 1e-5

# A few are enough at usual distances. Our choice: more than half of the way each is enough too.
STEPS = 30

# A step that does not lower the cost is cut to a quarter, down to this share of it: our choice.
SHORTEST = 1e-3

# Candidates solved at once: enough for long rows, and few enough for a core's cache.
BATCH = 1024

# The first unknowns are the two of the place.
PLACE = 2


class Solution(NamedTuple):
    """The minimum of each candidate: unknowns, place px, s a and s px per unit of limb scale;
    projection, px; cost, px^2; log_density of the landmarks in px, without the prior of the
    combination; ok: the scale is positive and all landmarks are before the camera."""

    unknowns: Float[np.ndarray, "P C"]
    projection: Float[np.ndarray, "P L 2"]
    cost: Float[np.ndarray, "P"]
    log_density: Float[np.ndarray, "P"]
    ok: Bool[np.ndarray, "P"]


class Problem(NamedTuple):
    """The least squares of P candidates, in their own units: component; matrix, of Views; points;
    precision, the three cells of W^T W, 0 where a landmark is missing; ridge, on the squares of the
    unknowns; centre (2, P) and unit (P,), px, what the points were moved and divided by."""

    component: Int[np.ndarray, "P"]
    matrix: Float[np.ndarray, "3 3 P"]
    points: Float[np.ndarray, "2 L P"]
    precision: Float[np.ndarray, "3 L P"]
    ridge: Float[np.ndarray, "C P"]
    centre: Float[np.ndarray, "2 P"]
    unit: Float[np.ndarray, "P"]

    def take(self, which: np.ndarray) -> "Problem":
        """That of these candidates."""
        return Problem(*(a[..., which] for a in self))

    def own(self, unknowns: Float[np.ndarray, "P C"]) -> Float[np.ndarray, "C P"]:
        """Unknowns in these units."""
        result = np.array(unknowns.T, self.points.dtype, order="C")
        result[:PLACE] = unknowns[:, :PLACE].T - self.centre
        return result / self.unit.astype(result.dtype)

    def px(self, unknowns: Float[np.ndarray, "C P"]) -> Float[np.ndarray, "P C"]:
        """Unknowns in px."""
        result = unknowns * self.unit
        result[:PLACE] += self.centre
        return result.T


class Reached(NamedTuple):
    """Where the steps are, in a Problem's units: unknowns; cost, infinite where a landmark is
    behind the camera or a person upside down; step, Gauss-Newton's next, least, the cost to which
    it leads, and log_det, of its normal matrix without the scale's row."""

    unknowns: Float[np.ndarray, "C P"]
    cost: Float[np.ndarray, "P"]
    step: Float[np.ndarray, "C P"]
    least: Float[np.ndarray, "P"]
    log_det: Float[np.ndarray, "P"]

    def take(self, which: np.ndarray) -> "Reached":
        """That of these candidates."""
        return Reached(*(a[..., which] for a in self))

    def replaced(self, which: Bool[np.ndarray, "P"], by: "Reached") -> "Reached":
        """With those of other steps in the place of these candidates'."""
        return Reached(*(np.where(which, b, a) for a, b in zip(self, by, strict=True)))


class LeastSquares(Projections):
    """Solves for the poses of a model."""

    def __init__(self, model: PriorModel, nu: Float[np.ndarray, "K"]) -> None:
        super().__init__(model, nu)
        self._unknowns = model.basis_size + 3
        self._at = places(self._unknowns + 1)
        shape = np.concatenate([model.basis, model.mean[:, None]], axis=1)
        flat = [s.transpose(2, 1, 0).reshape(-1, s.shape[0]) for s in shape]
        # (3 L, S), coordinates first, and (S (S + 1) / 2, 6 L) of each component, by precision.
        self._tables = {
            np.dtype(kind): (
                [np.array(f, kind) for f in flat],
                [np.array(pairs(s).T, kind, order="C") for s in shape],
            )
            for kind in (np.float32, np.float64)
        }

    def solve(self, views: Views, start: Float[np.ndarray, "P C"]) -> Solution:
        """The minima that are reached from `start`; by weak perspective, from anywhere."""
        L = views.points.shape[1]
        if not views.matrix[:, 2].any():
            start = self.weakly(views)
        result = Solution(
            np.empty(start.shape),
            np.empty((len(start), L, 2)),
            np.empty(len(start)),
            np.empty(len(start)),
            np.empty(len(start), dtype=bool),
        )
        for i, problem in self._problems(views, start, np.float64):
            at = self._descended(problem, problem.own(start[i]))
            unknowns = problem.px(at.unknowns)
            ok = np.isfinite(at.cost) & (unknowns[:, -1] > 0)
            linear = self._linear(problem, at.unknowns)
            projection = (linear[:2] + at.unknowns[:PLACE, None]) / ahead(1 + linear[2])
            projection = projection * problem.unit + problem.centre[:, None]
            values = (
                unknowns,
                projection.transpose(2, 1, 0),
                at.least * np.square(problem.unit),
                np.where(ok, self._log_density(problem, at), -np.inf),
                ok,
            )
            for whole, part in zip(result, values, strict=True):
                whole[i] = part
        return result

    def approach(
        self, views: Views, start: Float[np.ndarray, "P C"]
    ) -> tuple[Float[np.ndarray, "P C"], Float[np.ndarray, "P"]]:
        """Unknowns after one step, in float32, and the log densities to which it leads: -inf where
        it turns the person upside down. Where it leads behind the camera, which a shorter one need
        not do, the unknowns are those of the start, and the density is NaN: it is not known."""
        unknowns, density = np.empty(start.shape), np.empty(len(start))
        for i, problem in self._problems(views, start, np.float32):
            at = self._reached(problem, problem.own(start[i]))
            at = at._replace(unknowns=at.unknowns + at.step)
            before = _before_camera(problem, 1 + self._linear(problem, at.unknowns)[2])
            upright = at.unknowns[-1] > 0
            known = before | ~upright
            unknowns[i] = np.where(known[:, None], problem.px(at.unknowns), start[i])
            value = np.where(known, self._log_density(problem, at), np.nan)
            density[i] = np.where(upright, value, -np.inf)
        return unknowns, density

    def weakly(self, views: Views) -> Float[np.ndarray, "P C"]:
        """The minima by weak perspective, to float32's rounding."""
        unknowns = np.empty((len(views.points), self._unknowns))
        visible = np.asarray(views.whitening.any(axis=(2, 3)))
        points = np.where(visible[..., None], views.points, 0)
        start = np.zeros(unknowns.shape)
        middle = points.sum(axis=1) / np.maximum(visible.sum(axis=1), 1)[:, None]
        off = np.where(visible[..., None], points - middle[:, None], 0)
        start[:, :PLACE], start[:, -1] = middle, np.sqrt(np.square(off).sum(axis=(1, 2)))
        for i, problem in self._problems(views, start, np.float32):
            at = self._reached(problem, problem.own(start[i]))
            unknowns[i] = problem.px(at.unknowns + at.step)
        return unknowns

    def _problems(
        self, views: Views, start: Float[np.ndarray, "P C"], kind: type
    ) -> Iterator[tuple[slice, Problem]]:
        """Batches, and their Problems in numbers of this kind."""
        for i in range(0, len(start), BATCH):
            part = slice(i, i + BATCH)
            component, matrix, points, whitening = views.take(part)
            precision = precisions(whitening)
            visible = np.asarray(precision.any(axis=(2, 3)))
            centre, unit = start[part, :PLACE].T, np.abs(start[part, -1])
            unit = np.where(unit > 0, unit, 1)
            about = np.where(visible[..., None], points - centre.T[:, None], 0)
            own = matrix.transpose(1, 2, 0).copy()
            own[:2] -= centre[:, None] * own[2]
            own[2] *= unit
            cells = precision.transpose(2, 3, 1, 0)[[0, 0, 1], [0, 1, 1]]
            yield (
                part,
                Problem(
                    component,
                    own.astype(kind),
                    np.array(about.transpose(2, 1, 0) / unit, kind, order="C"),
                    np.array(cells, kind, order="C"),
                    np.array(self._ridge[component].T, kind, order="C"),
                    centre,
                    unit,
                ),
            )

    def _descended(self, problem: Problem, start: Float[np.ndarray, "C P"]) -> Reached:
        """The minima that are reached from `start`, or how far it came in STEPS; `least` is the
        cost there."""
        at = self._reached(problem, start)
        done = Reached(*(a.copy() for a in at))
        rows, length = np.arange(start.shape[1]), np.ones(start.shape[1])
        for _ in range(STEPS):
            small = np.abs(at.step).max(axis=0) <= TOLERANCE * at.unknowns[-1]
            active = ~small & np.isfinite(at.cost) & (length > SHORTEST)
            if not active.all():
                # Who is not there has the cost of where it is.
                last = at._replace(
                    unknowns=np.where(small, at.unknowns + at.step, at.unknowns),
                    least=np.where(small, at.least, at.cost),
                )
                for whole, part in zip(done, last, strict=True):
                    whole[..., rows] = part
                if not active.any():
                    return done
                problem, at = problem.take(active), at.take(active)
                rows, length = rows[active], length[active]
            tried = self._reached(problem, at.unknowns + length * at.step)
            better = tried.cost < at.cost
            length = np.where(better, 1, length / 4)
            at = at.replaced(better, tried)
        for whole, part in zip(done, at._replace(least=at.cost), strict=True):
            whole[..., rows] = part
        return done

    def _reached(self, problem: Problem, unknowns: Float[np.ndarray, "C P"]) -> Reached:
        """What Gauss-Newton makes of these unknowns."""
        factors, cost = self._factors(problem, unknowns)
        # The last row is what forward substitution makes of the descent.
        step = transposed_solutions(factors[:-1, :-1], factors[-1, :-1])
        diagonal = np.einsum("iip->ip", factors)
        log_det = 2 * np.log(diagonal[:-2]).sum(axis=0)
        return Reached(unknowns, cost, step, np.square(diagonal[-1]), log_det)

    def _factors(
        self, problem: Problem, unknowns: Float[np.ndarray, "C P"]
    ) -> tuple[Float[np.ndarray, "V V P"], Float[np.ndarray, "P"]]:
        """Cholesky factors of the normal matrices with the descent and the cost as a last row, and
        the costs, infinite where these unknowns are no person before a camera."""
        component, matrix, points, (a, b, d) = problem[:4]
        count, kind, at = unknowns.shape[1], unknowns.dtype, self._at
        flat, pairs = self._tables[kind]
        linear = self._linear(problem, unknowns)
        denominator = ahead(1 + linear[2])
        projection = (linear[:2] + unknowns[:PLACE, None]) / denominator
        residual = points - projection
        # Derivatives of the projections by the landmarks' places in the person's axes.
        slope = matrix[:2, :, None] - projection[:, None] * matrix[2, :, None]
        slope /= denominator
        weighted = np.empty_like(slope)
        weighted[0], weighted[1] = a * slope[0] + b * slope[1], b * slope[0] + d * slope[1]
        products = np.stack([(slope[:, i] * weighted[:, j]).sum(axis=0) for i, j in PAIRS])
        by_place = weighted / denominator
        pull = (weighted * residual[:, None]).sum(axis=0)
        push = np.stack([a * residual[0] + b * residual[1], b * residual[0] + d * residual[1]])
        ridged = problem.ridge * unknowns
        cost = (push * residual).sum(axis=(0, 1)) + (ridged * unknowns).sum(axis=0)

        size = self._unknowns
        matrices = np.empty(((size + 1) * (size + 2) // 2, count), kind)
        first, second = upper_triangle(size - PLACE)
        rows = np.concatenate([by_place, pull[None]]).reshape(3, -1, count)
        for k, part in runs(component):
            theta = pairs[k] @ products[..., part].reshape(pairs[k].shape[1], -1)
            matrices[at[PLACE + first, PLACE + second], part] = theta
            for row, of in zip((0, 1, size), rows, strict=True):
                matrices[at[row, PLACE:size], part] = flat[k].T @ of[:, part]
        inverse = 1 / denominator
        squared = np.square(inverse)
        matrices[at[0, 0]], matrices[at[1, 1]] = (
            (a * squared).sum(axis=0),
            (d * squared).sum(axis=0),
        )
        matrices[at[0, 1]] = (b * squared).sum(axis=0)
        matrices[at[size, :PLACE]] = (push * inverse).sum(axis=1)
        matrices[at[size, :size]] -= ridged
        matrices[at[size, size]] = cost
        own = np.arange(size)
        matrices[at[own, own]] += problem.ridge
        person = _before_camera(problem, denominator) & (unknowns[-1] > 0)
        return lower_factors(matrices, size + 1), np.where(person, cost, np.inf)

    def _linear(
        self, problem: Problem, unknowns: Float[np.ndarray, "C P"]
    ) -> Float[np.ndarray, "3 L P"]:
        """P theta, and z theta."""
        flat, _ = self._tables[unknowns.dtype]
        shape = np.empty((len(flat[0]), unknowns.shape[1]), unknowns.dtype)
        for k, part in runs(problem.component):
            shape[:, part] = flat[k] @ unknowns[PLACE:, part]
        x, y, z = shape.reshape(3, -1, unknowns.shape[1])
        matrix = problem.matrix[:, :, None]
        return matrix[:, 0] * x + matrix[:, 1] * y + matrix[:, 2] * z

    def _log_density(self, problem: Problem, at: Reached) -> Float[np.ndarray, "P"]:
        """Of the landmarks in px: with s a and place integrated out, the latter by a flat prior; s
        is not."""
        nu, scale = self._nu[problem.component], at.unknowns[-1] * problem.unit
        a, b, d = problem.precision
        determinant = a * d - b * b
        landmarks = np.count_nonzero(a + d, axis=0)
        numbers, size = 2 * landmarks - 2, self._unknowns - PLACE - 1
        log_det = (numbers - size) * np.log(nu) + 2 * self._log_std[problem.component] + at.log_det
        # Twice the log of how much W stretches the centred landmarks, as Observations.log_volume
        # has it: on their contrasts the determinant of W is that of W over that of its mean
        # precision, of which the sum's part cancels against that of the place.
        volume = np.log(np.where(determinant > 0, determinant, 1)).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = at.least / (nu * np.square(at.unknowns[-1])) + log_det
            value = value + numbers * np.log(2 * np.pi * np.square(scale))
        return 0.5 * (volume + 2 * np.log(landmarks) - value)


def _before_camera(
    problem: Problem, denominator: Float[np.ndarray, "L P"]
) -> Bool[np.ndarray, "P"]:
    """Whether all landmarks that are not missing are before the camera."""
    a, _, d = problem.precision
    return ((denominator > 0) | (a + d == 0)).all(axis=0)
