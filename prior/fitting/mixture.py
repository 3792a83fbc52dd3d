"""A mixture of PPCA: greedy seeds (equation 2), then EM (Tipping and Bishop 1999, appendix C)."""

import logging
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from prior import ppca
from prior.chunks import Passes, over_rows
from prior.errors import InputError
from prior.normalise import AlignedPoses

log = logging.getLogger(__name__)

# Poses among which seeds are sought; the search is quadratic in this number. The paper says "a
# subsample" and no size.
SUBSAMPLE = 4000

# A candidate seed this close to another one ends the search: the paper's "too close", for which it
# gives no number. In units of limb scale, over all landmarks. 0.2 is about 50 mm a landmark; two
# poses that differ by less read as the same.
STOP_DISTANCE = 0.2

# EM has converged when an iteration gains less than this many nats a pose.
TOLERANCE = 1e-4
ITERATIONS = 500

# Of more rows than this, so many, evenly spread, go through EM first; all of them then take a few
# iterations from there. 200,000 are the poses of alignment.Method.first and their mirror images.
START = 200_000

# A row is left out of a component's statistics where its responsibility is below this; a million
# such rows weigh less than a hundredth of one.
NEGLIGIBLE = 1e-8

# A component whose noise is below this share of that of a single PPCA has collapsed on copies of a
# few poses, where the likelihood has no bound.
COLLAPSED = 1e-3

Rows: TypeAlias = Float[np.ndarray, "N D"] | AlignedPoses


class Mixture(NamedTuple):
    """components: K PPCAs; weight (K,); log_likelihood: per pose, after each EM iteration over all
    poses; converged: the last gain was below the tolerance; floor: the noise variance below which
    a component counts as collapsed."""

    components: list[ppca.PPCA]
    weight: Float[np.ndarray, "K"]
    log_likelihood: list[float]
    converged: bool
    floor: float


def greedy_seeds(
    poses: Float[np.ndarray, "N D"], count: int, stop_distance: float = STOP_DISTANCE
) -> Int[np.ndarray, "S"]:
    """Equation 2: indices of the poses whose set S keeps sum_p min_{s in S} d(s, p) low.

    Each step adds the pose that lowers the sum the most, all considered. It ends with `count`
    seeds, or when the next would be within stop_distance of one. Time and arithmetic grow with N^2,
    memory with N.
    """
    nearest = np.full(len(poses), np.inf)
    seeds: list[int] = []
    block = max(1, 4_000_000 // len(poses))  # 32 MB of distances at a time
    for _ in range(count):
        costs = np.concatenate(
            [
                np.minimum(cdist(poses[i : i + block], poses), nearest).sum(axis=1)
                for i in range(0, len(poses), block)
            ]
        )
        candidate = int(costs.argmin())
        if seeds and nearest[candidate] < stop_distance:
            break
        seeds.append(candidate)
        nearest = np.minimum(nearest, cdist(poses[[candidate]], poses)[0])
    return np.array(seeds)


def log_joint(
    rows: Float[np.ndarray, "N D"],
    components: Sequence[ppca.PPCA],
    weight: Float[np.ndarray, "K"],
) -> Float[np.ndarray, "N K"]:
    """log(weight_k p(row | k))."""
    with np.errstate(divide="ignore"):
        log_weight = np.log(weight)
    return np.stack([ppca.log_density(rows, c) for c in components], axis=1) + log_weight


def fit(
    poses: Rows,
    seeds: Float[np.ndarray, "S D"],
    size: int,
    *,
    tolerance: float = TOLERANCE,
    iterations: int = ITERATIONS,
    progress: Callable[[float, int], None] | None = None,
    passes: Passes = over_rows,
) -> Mixture:
    """EM from the assignment of every pose to its nearest seed.

    size: J. progress: called after each iteration with the log likelihood per pose, and of how many
    rows it is. passes: how passes over the poses are made. A component that is left with too few
    poses to span J directions, or collapses on copies of a pose, is dropped, with a warning. The
    components of the result are in order of descending weight. Raises InputError when no component
    is left.
    """
    if len(poses) > START:
        part = poses[np.linspace(0, len(poses) - 1, START).astype(int)]
        first = fit(
            part, seeds, size, tolerance=tolerance, iterations=iterations, progress=progress
        )
        components, weight, floor = first.components, first.weight, first.floor
    else:
        components, weight, floor = _from_seeds(poses, seeds, size, passes)
    history: list[float] = []
    moments: list[ppca.Moments] = []
    converged = False
    while not converged and len(history) < iterations:
        if moments:
            components, weight = _m_step(moments, size, floor)
            if len(components) < len(moments):
                history.clear()  # another model: its likelihoods are not comparable
        likelihood, moments = _e_step(poses, components, weight, passes)
        history.append(likelihood)
        if progress:
            progress(likelihood, len(poses))
        converged = len(history) > 1 and history[-1] - history[-2] < tolerance
    if not converged:
        log.warning("EM stopped after %d iterations before converging", iterations)
    order = np.argsort(-weight, kind="stable")
    return Mixture([components[k] for k in order], weight[order], history, converged, floor)


def _from_seeds(
    poses: Rows, seeds: Float[np.ndarray, "S D"], size: int, passes: Passes
) -> tuple[list[ppca.PPCA], Float[np.ndarray, "K"], float]:
    """Components and weights of the poses nearest to each seed, and the floor of the noise."""
    moments = reduce(_merge_all, passes(partial(_nearest_part, seeds=seeds), poses))
    floor = COLLAPSED**2 * ppca.fit(reduce(ppca.merge, moments), size).noise_variance
    return *_m_step(moments, size, floor), floor


def _nearest_part(
    rows: Float[np.ndarray, "n D"], seeds: Float[np.ndarray, "S D"]
) -> list[ppca.Moments]:
    """A chunk's Moments for each seed, each row in those of the nearest."""
    return _by_component(rows, np.eye(len(seeds))[cdist(rows, seeds).argmin(axis=1)])


def _e_step(
    poses: Rows, components: Sequence[ppca.PPCA], weight: Float[np.ndarray, "K"], passes: Passes
) -> tuple[float, list[ppca.Moments]]:
    """Log likelihood per pose, and the Moments of each component, weighted by responsibility."""
    part = partial(_e_step_part, components=components, weight=weight)
    totals, parts = zip(*passes(part, poses), strict=True)
    return float(sum(totals)) / len(poses), reduce(_merge_all, parts)


def _e_step_part(
    rows: Float[np.ndarray, "n D"],
    components: Sequence[ppca.PPCA],
    weight: Float[np.ndarray, "K"],
) -> tuple[float, list[ppca.Moments]]:
    """A chunk's part of _e_step: the sum of its log likelihoods, and its Moments."""
    joint = log_joint(rows, components, weight)
    total = logsumexp(joint, axis=1)
    return float(total.sum()), _by_component(rows, np.exp(joint - total[:, None]))


def _m_step(
    moments: Sequence[ppca.Moments], size: int, floor: float
) -> tuple[list[ppca.PPCA], Float[np.ndarray, "K"]]:
    """The PPCAs, and the weights, of the components that can have one; the others are dropped, and
    a warning says why."""
    components, weight = [], []
    for number, part in enumerate(moments, 1):
        # J directions and one of noise need J + 2 poses, mean included.
        if part.weight < size + 2:
            log.warning(
                "component %d of %d has %.1f poses, too few for %d basis vectors: dropped",
                number,
                len(moments),
                part.weight,
                size,
            )
            continue
        try:
            component = ppca.fit(part, size)
        except ValueError as error:
            log.warning("component %d of %d: %s: dropped", number, len(moments), error)
            continue
        if component.noise_variance < floor:
            log.warning(
                "component %d of %d collapsed on %.1f poses next to equal: dropped",
                number,
                len(moments),
                part.weight,
            )
            continue
        components.append(component)
        weight.append(part.weight)
    if not components:
        raise InputError(
            f"components: expected at least one with the {size + 2} different poses that J = "
            f"{size} needs, got none; try a smaller basis, fewer components or more poses"
        )
    return components, np.array(weight) / sum(weight)


def _by_component(
    rows: Float[np.ndarray, "n D"], responsibility: Float[np.ndarray, "n K"]
) -> list[ppca.Moments]:
    """The Moments of the rows for each component."""
    moments = []
    for weights in responsibility.T:
        counted = weights > NEGLIGIBLE
        moments.append(ppca.chunk_moments(rows[counted], weights[counted]))
    return moments


def _merge_all(a: list[ppca.Moments], b: list[ppca.Moments]) -> list[ppca.Moments]:
    return [ppca.merge(*pair) for pair in zip(a, b, strict=True)]
