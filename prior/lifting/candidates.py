"""Candidates of rotation and component for each pose: enumerated, solved, compared, refined.

What this does to reference.py: the loops become one search of all combinations in float32
(search.py), by tables that are made once (tables.py). The best combination of each pose, and what
the search cannot tell from it, are solved and compared in float64: nothing is decided in float32.
A candidate's solution is a matrix product where a table has its linear maps, else a system of its
own.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from prior.lifting import every_turn, passes, search
from prior.lifting import weak_perspective as weak
from prior.lifting.ranking import Ranking
from prior.lifting.tables import ELEVATION_STEP, Table, Tables
from prior.model import PriorModel

# Interpolated log densities are off by so many times more than others.
INTERPOLATION = np.float32(4)

# Refinement: the highest maxima of the enumerated density that are followed to the top of the
# continuous one, and the steps it takes. From 20 rotations, six leave less than 0.1 degrees.
PEAKS = 4
REFINEMENTS = 6

# Unknown tilt: photos are taken from a little below the person to well above, and hardly ever
# rolled; the prior is flat over this grid. Half a step of elevation leans a pose by 2 % of its
# height.
ELEVATIONS = np.deg2rad(np.arange(-10, 40.1, 2.5))
ROLLS = np.deg2rad(np.arange(-10, 10.1, 5))

# Where a tilt is shared, how much one pose may speak against it, nats: our choice.
DOUBT = 20.0

# Stands for an angle that is none of the enumerated ones.
REFINED = -1


class Candidates(NamedTuple):
    """P candidates, sorted by component.

    row, the pose; component; rotation, the index of the enumerated one, or REFINED; angle about the
    vertical in the camera's frame, radians; solution (P, 1 + J), that is s and a', for y of
    Observations; log_det of Systems.
    """

    row: Int[np.ndarray, "P"]
    component: Int[np.ndarray, "P"]
    rotation: Int[np.ndarray, "P"]
    angle: Float[np.ndarray, "P"]
    solution: Float[np.ndarray, "P S"]
    log_det: Float[np.ndarray, "P"]

    def take(self, which: slice | np.ndarray) -> "Candidates":
        """These of the Candidates: a slice or indices, ascending."""
        return Candidates(*(a[which] for a in self))


class Projected(NamedTuple):
    """Shapes of Candidates, times s: shape (P, 3, L), x, height and z after the turn by `angle`;
    flat (P, 2, L), their projection; cost (P,), the minimum of equation 4, and log_density (P,), of
    the centred weighted landmarks of unit norm."""

    shape: Float[np.ndarray, "P 3 L"]
    flat: Float[np.ndarray, "P 2 L"]
    cost: Float[np.ndarray, "P"]
    log_density: Float[np.ndarray, "P"]


class CandidateSearch:
    """The search over all rotations (`rotations` of them about the vertical) of all components of
    a model, with detector's noise of `noise`, in units of limb scale; keeps the tables it made.

    by_cost: the rotation of each component is that of least cost, else that of highest density; of
    the components, the one of highest density is taken either way.
    """

    def __init__(
        self, model: PriorModel, rotations: int, noise: float, by_cost: bool = False
    ) -> None:
        self.model, self.rotations, self.noise = model, rotations, noise
        self.by_cost = by_cost
        self.nu = model.noise_std**2 + noise**2
        self.projector = weak.Projector(model, self.nu)
        count = model.components
        self.component = np.repeat(np.arange(count), rotations)
        self.angle = np.tile(np.arange(rotations) * (2 * np.pi / rotations), count)
        # The prior of a combination: its component's weight, every rotation alike.
        self.log_prior = np.log(model.weight) - np.log(rotations)
        # Mean and basis of each component, (K, 1 + J, 3L), by axis.
        shape = np.concatenate([model.mean[:, None], model.basis], axis=1)
        self.shape = np.ascontiguousarray(shape.swapaxes(2, 3)).reshape(*shape.shape[:2], -1)
        self.ranking = Ranking(model, self.nu, rotations, self.log_prior)
        self.tables = Tables(
            self.projector, self.component, self.angle, self.log_prior[self.component]
        )

    def tie(self, table: Table) -> np.float32:
        """How close two log densities of the search by a Table may be and still be in the wrong
        order."""
        tie = np.float32(max(search.TIE / self.nu.min(), search.LEAST_TIE))
        return tie if table.exact else tie * INTERPOLATION

    # Search ----------------------------------------------------------------------------------

    def _evaluated(
        self,
        images: weak.Observations,
        rows: Int[np.ndarray, "n"],
        table: Table,
        roll: float | Float[np.ndarray, "N"] | None = None,
    ) -> Iterator[tuple[slice, search.Evaluated]]:
        """Blocks of rows and their forms by a Table; roll: the images are turned by it first."""
        turn = np.full(len(images.ok), 0.0 if roll is None else roll)
        for i in range(0, len(rows), search.BLOCK):
            block = slice(i, i + search.BLOCK)
            part = None
            if not table.exact:
                part = (images.elevation[rows[block]] - table.elevation) / ELEVATION_STEP
                part = part.astype(np.float32)
            yield block, search.evaluate(table.forms, images.y, rows[block], turn, part)

    def near_best(
        self,
        images: weak.Observations,
        refine: bool = False,
        reach: float | None = None,
        rough: bool = False,
    ) -> tuple[Candidates, Float[np.ndarray, "N K"]]:
        """What may be the best of each pose, and each component's share of the probability.

        refine: also the highest peaks, to be refined. reach: all within so many nats of the best,
        instead of what the search cannot tell from it. rough: they need not be solved to the last
        digit, but to 0.5 degrees of the elevation.
        """
        count = self.model.components
        probability = np.empty((len(images.ok), count))
        candidates = []
        others = [(np.empty(0, dtype=int), np.empty(0, dtype=int))]
        for rows, table in self.tables.groups(images):
            within = self.tie(table) if reach is None else np.float32(reach)
            near = np.empty((count, self.rotations, len(rows)), dtype=bool)
            for block, forms in self._evaluated(images, rows, table):
                density, best = search.log_densities(forms)
                probability[rows[block]] = search.shares(density, best, count)
                # Compared are all combinations, or the rotations of each component.
                score = density
                if self.by_cost and reach is None:
                    score = search.negative_costs(forms)
                    best = score.reshape(near[..., block].shape).max(axis=1, keepdims=True)
                score = score.reshape(near[..., block].shape)
                np.greater_equal(score, best - within, out=near[..., block])
                if refine:
                    peaks = search.peaks(score.reshape(len(self.angle), -1), count, PEAKS)
                    near[..., block] |= peaks.reshape(score.shape)
            # In C order: sorted by combination.
            combination, row = np.divmod(np.flatnonzero(near), len(rows))
            if table.exact or rough:
                candidates.append(self._solve(images, rows[row], combination, table))
            else:
                others.append((rows[row], combination))
        row, combination = map(np.concatenate, zip(*others, strict=True))
        if len(row) or not candidates:
            order = np.argsort(combination, kind="stable")
            row, combination = row[order], combination[order]
            component, rotation = np.divmod(combination, self.rotations)
            angle = self.angle[combination]
            candidates.append(self._solve_each(images, row, component, rotation, angle))
        if len(candidates) == 1:
            return candidates[0], probability
        together = Candidates(*(np.concatenate(a) for a in zip(*candidates, strict=True)))
        return together.take(np.argsort(together.component, kind="stable")), probability

    def tilt(self, images: weak.Observations, shared: bool = False) -> Float[np.ndarray, "3 N"]:
        """Roll, elevation and yaw, radians, of the most probable cameras for images whose
        Observations take them to be level; shared: one roll and elevation for all."""
        count = len(images.ok)
        if not self.model.skeleton.vertical:
            roll, elevation = every_turn.tilt(partial(self._highest, images), count)
            return np.stack([roll, elevation, images.yaw])
        scores = np.empty((len(ELEVATIONS), len(ROLLS), count))
        for i, elevation in enumerate(ELEVATIONS):
            level = images._replace(elevation=np.full(count, elevation), one_camera=True)
            for rows, table in self.tables.groups(level):
                for j, roll in enumerate(ROLLS):
                    for block, forms in self._evaluated(level, rows, table, -roll):
                        scores[i, j, rows[block]] = search.log_densities(forms)[1]
        flat = scores.reshape(-1, count)
        best = flat.argmax(axis=0)
        if shared:
            # A pose that is wrong altogether must not outvote the others.
            likely = np.maximum(flat - flat.max(axis=0), -DOUBT)[:, images.ok].sum(axis=1)
            best = np.full(count, likely.argmax())
        elevation, roll = np.divmod(best, len(ROLLS))
        return np.stack([ROLLS[roll], ELEVATIONS[elevation], images.yaw])

    def _highest(
        self,
        images: weak.Observations,
        elevation: Float[np.ndarray, "N"],
        roll: Float[np.ndarray, "N"],
    ) -> Float[np.ndarray, "N"]:
        """The highest log density of each image, as of a camera of this elevation and roll."""
        same = bool(len(elevation)) and bool((elevation == elevation[0]).all())
        tilted = images._replace(elevation=elevation, one_camera=same)
        highest = np.empty(len(elevation))
        for rows, table in self.tables.groups(tilted):
            for block, forms in self._evaluated(tilted, rows, table, -roll):
                highest[rows[block]] = search.log_densities(forms)[1]
        return highest

    def refined(self, images: weak.Observations, candidates: Candidates) -> Candidates:
        """The Candidates moved to the nearest maxima of the density, or minima of the cost: the
        parabola through three angles around each gives the next one."""

        def at(
            angle: Float[np.ndarray, "P"],
        ) -> tuple[Candidates, Float[np.ndarray, "P"]]:
            rotation = np.full(len(angle), REFINED)
            solved = self._solve_each(images, candidates.row, candidates.component, rotation, angle)
            projected = self.project(images, solved)
            if self.by_cost:
                return solved, np.where(solved.solution[:, 0] > 0, -projected.cost, -np.inf)
            return solved, projected.log_density

        step = 2 * np.pi / self.rotations
        low, middle, high = candidates.angle - step, candidates.angle, candidates.angle + step
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
            best = best._replace(
                angle=np.where(better, tried.angle, best.angle),
                solution=np.where(better[:, None], tried.solution, best.solution),
                log_det=np.where(better, tried.log_det, best.log_det),
            )
        return best

    # Solution --------------------------------------------------------------------------------

    def _solve(
        self,
        images: weak.Observations,
        row: Int[np.ndarray, "P"],
        combination: Int[np.ndarray, "P"],
        table: Table,
    ) -> Candidates:
        """The Candidates of these rows and sorted combinations, as if the elevation were that where
        the table starts."""
        component, rotation = np.divmod(combination, self.rotations)
        solution = passes.solutions(table.maps.solution, images.flat, row, combination)
        angle, log_det = self.angle[combination], table.maps.log_det[combination]
        return Candidates(row, component, rotation, angle, solution, log_det)

    def _solve_each(
        self,
        images: weak.Observations,
        row: Int[np.ndarray, "P"],
        component: Int[np.ndarray, "P"],
        rotation: Int[np.ndarray, "P"],
        angle: Float[np.ndarray, "P"],
    ) -> Candidates:
        """The Candidates of these rows, sorted components and any angles."""
        solution, log_det = self.projector.solve(
            component, angle, images.elevation[row], images.weight[row], images.y[row]
        )
        return Candidates(row, component, rotation, angle, solution, log_det)

    def project(self, images: weak.Observations, candidates: Candidates) -> Projected:
        """What the camera sees of the Candidates' shapes, and how probable they are."""
        return Projected(
            *passes.projected(
                self.shape,
                self.nu,
                self.log_prior,
                images.y,
                images.weight,
                images.dimensions,
                images.elevation,
                candidates.row,
                candidates.component,
                candidates.angle,
                candidates.solution,
                candidates.log_det,
            )
        )

    def describe(
        self,
        images: weak.Observations,
        candidates: Candidates,
        rows: Int[np.ndarray, "N"],
        results: dict[str, np.ndarray],
    ) -> None:
        """Fills in what the best of the Candidates say of their poses, by the names of Lifted's
        fields; rows: where each image's results are."""
        if self.by_cost:
            candidates = self.best(images, candidates)
        results["log_likelihood"][rows], results["ok"][rows] = np.nan, False
        passes.describe(
            self.shape,
            self.nu,
            self.log_prior,
            self.model.scale_mm,
            *images[:-1],
            *candidates,
            rows,
            *(results[name] for name in passes.DESCRIBED),
        )

    def best(self, images: weak.Observations, candidates: Candidates) -> Candidates:
        """One of the Candidates for each row: the most probable; by_cost: of those that have the
        least cost of their components."""
        if len(candidates.row) == len(images.ok):  # Each has one at least.
            return candidates
        many = np.bincount(candidates.row)[candidates.row] > 1
        tied = np.flatnonzero(many)
        row, component = candidates.row[tied], candidates.component[tied]
        projected = self.project(images, candidates.take(tied))
        cost = np.where(candidates.solution[tied, 0] > 0, projected.cost, np.inf)
        best = choose(row, component, cost, projected.log_density, self.by_cost)
        keep = ~many
        keep[tied[best]] = True
        return candidates.take(np.flatnonzero(keep))


def choose(
    row: Int[np.ndarray, "P"],
    component: Int[np.ndarray, "P"],
    cost: Float[np.ndarray, "P"],
    density: Float[np.ndarray, "P"],
    by_cost: bool,
) -> Int[np.ndarray, "n"]:
    """Which candidate is the best of each row: the most probable; by_cost: of those that have the
    least cost of their components."""
    if by_cost:
        order = np.lexsort((cost, component, row))
        new = (np.diff(row[order], prepend=-1) > 0) | (np.diff(component[order], prepend=-1) > 0)
        cheapest = np.zeros(len(row), dtype=bool)
        cheapest[order[new]] = True
        density = np.where(cheapest, density, -np.inf)
    order = np.lexsort((-density, row))
    return order[np.diff(row[order], prepend=-1) > 0]
