"""Candidates for images whose landmarks are not alike: with covariances, weights, or some missing.

Each image has precisions of its own, by which all combinations are ranked (ranking.py). How large a
person is in the image, which makes a covariance in px one at the body, and how deep its landmarks
are, which perspective needs, is taken from the best combination: where that was taken wrong before,
the image is ranked again.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from prior.camera import level_camera, vertical_rotation
from prior.lifting import search
from prior.lifting import weak_perspective as weak
from prior.lifting.candidates import PEAKS, REFINED, Candidates, CandidateSearch
from prior.lifting.compiled import compiled
from prior.lifting.least_squares import LeastSquares
from prior.lifting.perspective import Views
from prior.lifting.ranking import Ranked
from prior.lifting.toward import Toward, sureness
from prior.lifting.two_by_two import inverse_root, whitenings
from prior.lifting.weak_perspective import Inputs

# An image is ranked again where its scale was off by more than this share, or a depth by more than
# this share of the distance; so many times at most. Our choice: what is ranked first within
# full.REACH is solved by its own scale and depth anyway.
SCALE_OFF, DEPTH_OFF = 0.1, 0.03
RANKINGS = 3

# Landmarks are between these shares of the distance behind the mean one: a person that reaches the
# camera is none, and the next round may say otherwise.
DEPTHS = (-0.5, 1.0)

# A landmark tells at least so much, as a share of one of the usual noise: its system stays regular.
LEAST_PRECISION = 1e-10

# So many poses of the same landmarks pay for tables of theirs.
TABLES_PAY = 64


class Known(NamedTuple):
    """What is taken of N persons: scale (N,), px per unit of limb scale in the turned image; depth
    (N, L), how far landmarks are behind the mean one, as a share of its distance."""

    scale: Float[np.ndarray, "N"]
    depth: Float[np.ndarray, "N L"]


class Combinations(NamedTuple):
    """P candidates, sorted by component, as Candidates are; scale: by the ranking, px per unit of
    limb scale in the turned image; weakly: with intrinsics, unknowns of perspective.py, by weak
    perspective in the upright turned image, px."""

    row: Int[np.ndarray, "P"]
    component: Int[np.ndarray, "P"]
    rotation: Int[np.ndarray, "P"]
    angle: Float[np.ndarray, "P"]
    scale: Float[np.ndarray, "P"]
    weakly: Float[np.ndarray, "P C"] | None


def rare(inputs: Inputs) -> Bool[np.ndarray, "N"]:
    """Which of the Inputs (N,) have landmarks that are not alike, and too few others like them for
    tables of their own."""
    count = len(inputs.points)
    if inputs.covariance is not None:
        return np.ones(count, dtype=bool)
    missing = np.isnan(inputs.points)
    if inputs.confidence is None and not missing.any():
        return np.zeros(count, dtype=bool)
    weight = np.where(missing.any(axis=2), 0.0, 1.0)
    if inputs.confidence is not None:
        weight = weight * inputs.confidence
    own = (weight != weight[:, :1]).any(axis=1)
    if not own.any():
        return own
    _, which, members = np.unique(weight[own], axis=0, return_inverse=True, return_counts=True)
    result = np.zeros(count, dtype=bool)
    result[own] = members[which.ravel()] < TABLES_PAY
    return result


class UnlikeSearch:
    """Finds Combinations by a CandidateSearch's ranking."""

    def __init__(self, candidates: CandidateSearch, projections: LeastSquares) -> None:
        self.search, self.projections = candidates, projections
        model = candidates.model
        self._shape = np.concatenate([model.basis, model.mean[:, None]], axis=1)
        # Root mean square extent of the mean poses along an axis across the view.
        self._extent = float(np.sqrt(np.square(model.mean[..., :2]).sum(axis=2).mean()))

    def combinations(
        self,
        inputs: Inputs,
        toward: Toward,
        images: weak.Observations,
        known: Known | None,
        refine: bool,
        reach: float,
    ) -> tuple[Combinations, Float[np.ndarray, "N K"]]:
        """The Combinations within `reach` nats of the best of each image, and the components'
        shares of the probability. refine: also the highest peaks, all between the enumerated
        angles. images: of `toward`."""
        model, count = self.search.model, len(images.ok)
        size = model.components * self.search.rotations
        scale, depth = known or self._first(inputs, toward, images)
        scale, depth = scale.copy(), depth.copy()
        density, own_scale = np.empty((2, size, count))
        points, precision = self._observed(
            inputs, toward, images, Known(scale, depth), np.arange(count)
        )
        rows = np.arange(count)
        for i in range(RANKINGS):
            if i:
                now = Known(scale[rows], depth[rows])
                points[rows], precision[:, rows] = self._observed(inputs, toward, images, now, rows)
            ranked = self.search.ranking.rank(
                points[rows], images.elevation[rows], precision[:, rows]
            )
            density[:, rows] = ranked.log_density.reshape(size, -1)
            own_scale[:, rows] = ranked.scale.reshape(size, -1)
            better = self._best(inputs, toward, images, points, precision, rows, density, ranked)
            off = np.abs(better.scale / scale[rows] - 1) > SCALE_OFF
            off &= inputs.covariance is not None
            off |= (np.abs(better.depth - depth[rows]) > DEPTH_OFF).any(axis=1)
            scale[rows], depth[rows] = better
            rows = rows[off & images.ok[rows]]
            if not len(rows):
                break
        best = density.argmax(axis=0)
        # Of a person that is upside down in every combination, the first stands for all.
        density[0, ~np.isfinite(density[best, np.arange(count)])] = 0
        highest = density[best, np.arange(count)]
        probability = search.shares(density, highest, model.components)
        near = density >= highest - reach
        if refine:
            near |= search.peaks(density, model.components, PEAKS)
        combination, row = np.nonzero(near)
        component, angle = self.search.component[combination], self.search.angle[combination]
        rotation = combination - component * self.search.rotations
        if refine:
            angle = angle + self._beside(density, component, rotation, row)
            rotation = np.full(len(row), REFINED)
        weakly = None
        if inputs.intrinsics is not None:
            weakly = self._weakly(images, points, precision, row, component, angle)
        return Combinations(row, component, rotation, angle, own_scale[near], weakly), probability

    def _first(self, inputs: Inputs, toward: Toward, images: weak.Observations) -> Known:
        """What is taken of persons of whom nothing is known: what the tables that all share say
        where no landmark is missing, as if all were alike; else as large as the mean pose seen from
        the front, and flat."""
        weight = sureness(inputs)[..., None]
        weight = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
        points = np.where(np.isfinite(toward.inputs.points), toward.inputs.points, 0)
        middle = (weight * points).sum(axis=1, keepdims=True)
        spread = np.sqrt((weight * np.square(points - middle)).sum(axis=(1, 2)))
        scale = np.where(spread > 0, spread, 1) / self._extent
        depth = np.zeros(points.shape[:2])
        whole = np.flatnonzero((weight > 0).all(axis=(1, 2)) & images.ok)
        if len(whole):
            every = len(whole) == len(images.ok)
            alike = images if every else weak.observe(toward.inputs.take(whole))
            best = self.search.best(alike, self.search.near_best(alike, rough=True)[0])
            upright = best.solution[:, 0] > 0
            rows = whole[best.row[upright]]
            scale[rows] = (alike.size[best.row] * best.solution[:, 0])[upright]
            depth[rows] = self.depths(alike, best, toward.focal[whole])[upright]
        return Known(scale, depth)

    def depths(
        self,
        images: weak.Observations,
        candidates: Candidates,
        focal: Float[np.ndarray, "N"],
    ) -> Float[np.ndarray, "P L"]:
        """Known.depth by Candidates, in images of cameras of these focal lengths, px."""
        row = candidates.row
        _, height, z = self.search.project(images, candidates).shape.swapaxes(0, 1)
        elevation = images.elevation[row, None]
        away = -(np.sin(elevation) * height + np.cos(elevation) * z)
        return np.clip(away * (images.size / focal)[row, None], *DEPTHS)

    def _observed(
        self,
        inputs: Inputs,
        toward: Toward,
        images: weak.Observations,
        known: Known,
        rows: Int[np.ndarray, "n"],
    ) -> tuple[Float[np.ndarray, "n L 2"], Float[np.ndarray, "K n L 2 2"]]:
        """Points of these rows as weak perspective would see them, upright, px; and the precisions
        of ranking.py."""
        flat, model = toward.inputs.points[rows], self.search.model
        if inputs.confidence is None:
            weight = np.ones(flat.shape[:2])
        else:
            weight = np.ascontiguousarray(inputs.confidence[rows])
        if inputs.covariance is None:
            # As precise everywhere as nu has it: no body's own noise beside it.
            covariance, body = np.zeros((1, 1, 2, 2)), self.search.nu
        else:
            # Of what is missing it may be anything.
            there = np.isfinite(flat).all(axis=2)[..., None, None]
            slopes = toward.slopes(inputs, rows)
            covariance = np.where(there, inputs.covariance[rows], 0)
            covariance = slopes @ covariance @ slopes.swapaxes(2, 3)
            body = model.noise_std**2
        return _weighed(
            flat,
            np.where(images.ok[rows, None], weight, 0),
            covariance,
            known.depth,
            known.scale,
            images.roll[rows],
            body,
            self.search.nu,
            self.search.ranking.others,
        )

    def _best(
        self,
        inputs: Inputs,
        toward: Toward,
        images: weak.Observations,
        points: Float[np.ndarray, "N L 2"],
        precision: Float[np.ndarray, "K N L 2 2"],
        rows: Int[np.ndarray, "n"],
        density: Float[np.ndarray, "C N"],
        ranked: Ranked,
    ) -> Known:
        """What the best combinations of these rows say of their persons."""
        best = density[:, rows].argmax(axis=0)
        scale = ranked.scale.reshape(len(density), -1)[best, np.arange(len(rows))]
        scale = np.where(scale > 0, scale, 1)
        depth = np.zeros(points[rows].shape[:2])
        if inputs.intrinsics is None:
            return Known(scale, depth)
        order = np.argsort(best, kind="stable")
        best, row = best[order], rows[order]
        component, angle = self.search.component[best], self.search.angle[best]
        weakly = self._weakly(images, points, precision, row, component, angle)
        shape = np.einsum("ps,pslc->plc", weakly[:, 2:], self._shape[component])
        axes = level(images.elevation[row], angle)
        away = (shape @ axes[:, 2, :, None])[..., 0] / toward.focal[row, None]
        depth[order] = np.clip(away, *DEPTHS)
        scale[order] = np.where(weakly[:, -1] > 0, weakly[:, -1], 1)
        return Known(scale, depth)

    def _weakly(
        self,
        images: weak.Observations,
        points: Float[np.ndarray, "N L 2"],
        precision: Float[np.ndarray, "K N L 2 2"],
        row: Int[np.ndarray, "P"],
        component: Int[np.ndarray, "P"],
        angle: Float[np.ndarray, "P"],
    ) -> Float[np.ndarray, "P C"]:
        """Combinations.weakly of these."""
        matrix = level(images.elevation[row], angle) * np.array([1, 1, 0])[:, None]
        whitening = whitenings(precision[component, row])
        views = Views(component, matrix, points[row], whitening)
        return self.projections.weakly(views)[0]

    def _beside(
        self,
        density: Float[np.ndarray, "C N"],
        component: Int[np.ndarray, "P"],
        rotation: Int[np.ndarray, "P"],
        row: Int[np.ndarray, "P"],
    ) -> Float[np.ndarray, "P"]:
        """How far from these angles the parabola through the three around each is highest, but at
        most half a step."""
        turns = self.search.rotations
        values = density.reshape(-1, turns, density.shape[1])
        low, middle, high = (values[component, (rotation + i) % turns, row] for i in (-1, 0, 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            part = 0.5 * (high - low) / (2 * middle - low - high)
        part = np.where(np.isfinite(part) & (2 * middle > low + high), part, 0)
        return np.clip(part, -0.5, 0.5) * (2 * np.pi / turns)


@compiled
def _weighed(
    flat: Float[np.ndarray, "n L 2"],
    weight: Float[np.ndarray, "n L"],
    covariance: Float[np.ndarray, "_ _ 2 2"],
    depth: Float[np.ndarray, "n L"],
    scale: Float[np.ndarray, "n"],
    roll: Float[np.ndarray, "n"],
    body: Float[np.ndarray, "K"],
    nu: Float[np.ndarray, "K"],
    others: Float[np.ndarray, "K L"],
) -> tuple[Float[np.ndarray, "n L 2"], Float[np.ndarray, "K n L 2 2"]]:
    """Points turned upright and moved to where weak perspective would see them; and ranking.py's
    precisions, of the covariances in the turned images, px^2 (all 0 if there is but one), and of
    the body's variance, limb scale^2. Precision 1 where nothing can be lifted."""
    count, L = weight.shape
    points, precision = np.zeros((count, L, 2)), np.zeros((len(nu), count, L, 2, 2))
    for p in range(count):
        cos, sin = np.cos(roll[p]), np.sin(roll[p])
        nothing = True
        for i in range(L):
            x, y = flat[p, i, 0], flat[p, i, 1]
            if not (weight[p, i] > 0 and np.isfinite(x) and np.isfinite(y)):
                continue
            nothing = False
            stretch = 1 + depth[p, i]
            points[p, i, 0] = stretch * (cos * x + sin * y)
            points[p, i, 1] = stretch * (cos * y - sin * x)
            a = b = d = 0.0
            if covariance.shape[1] == L:
                c, share = covariance[p, i], stretch * stretch / (scale[p] * scale[p])
                across = cos * c[0, 0] + sin * c[1, 0], cos * c[0, 1] + sin * c[1, 1]
                down = cos * c[1, 0] - sin * c[0, 0], cos * c[1, 1] - sin * c[0, 1]
                a = share * (cos * across[0] + sin * across[1])
                b = share * (cos * across[1] - sin * across[0])
                d = share * (cos * down[1] - sin * down[0])
            certainty = max(weight[p, i] * weight[p, i], LEAST_PRECISION)
            for k in range(len(nu)):
                own = body[k] * stretch * stretch
                first = (a + own) / certainty + others[k, i]
                second = (d + own) / certainty + others[k, i]
                root, across, last = inverse_root(first, b / certainty, second)
                precision[k, p, i, 0, 0] = nu[k] * root * root + LEAST_PRECISION
                precision[k, p, i, 1, 1] = nu[k] * (across * across + last * last) + LEAST_PRECISION
                precision[k, p, i, 0, 1] = precision[k, p, i, 1, 0] = nu[k] * root * across
        if nothing:
            for k in range(len(nu)):
                for i in range(L):
                    precision[k, p, i, 0, 0] = precision[k, p, i, 1, 1] = 1
    return points, precision


def level(
    elevation: Float[np.ndarray, "P"], angle: Float[np.ndarray, "P"]
) -> Float[np.ndarray, "P 3 3"]:
    """From a person's axes to those of a camera without roll, the person turned by the angle."""
    return level_camera(elevation) @ vertical_rotation(angle)
