"""A mixture of PPCA: greedy seeds (equation 2), then EM (Tipping and Bishop 1999, appendix C)."""

import logging
from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from prior import ppca
from prior.chunks import each_chunk

log = logging.getLogger(__name__)

# Poses among which seeds are sought; the search is quadratic in this number. The paper says "a
# subsample" and no size.
SUBSAMPLE = 4000

# A candidate seed this close to another one ends the search: the paper's "too close", for which it
# gives no number. In units of limb scale over all landmarks; 0.2 is about 50 mm a landmark, less
# than which two poses read as the same.
STOP_DISTANCE = 0.2

# EM has converged when an iteration gains less than this many nats a pose.
TOLERANCE = 1e-4
ITERATIONS = 500

# Of more rows than this, EM runs on so many, evenly spread, first; all of them then take a few
# iterations from there. The poses of alignment.START and their mirror images.
START = 200_000

# A row is left out of a component's statistics where its responsibility is below this; a million
# such rows weigh less than a hundredth of one.
NEGLIGIBLE = 1e-8

# A component whose noise is below this share of that of a single PPCA has collapsed on copies of a
# few poses, where the likelihood has no bound.
COLLAPSED = 1e-3


class Mixture(NamedTuple):
    """components: K PPCAs; weight (K,); log_likelihood: per pose, after each EM iteration over all
    poses; converged: the last gain was below the tolerance; floor: the noise variance below which
    a component counts as collapsed."""

    components: list
    weight: np.ndarray
    log_likelihood: list
    converged: bool
    floor: float


def greedy_seeds(poses, count, stop_distance=STOP_DISTANCE):
    """Equation 2: indices of the poses whose set S keeps sum_p min_{s in S} d(s, p) low.

    poses: (N, D). Each step adds the pose that lowers the sum the most, all considered, and stops
    at `count`, or when it is within stop_distance of a seed. Returns (at most count,) indices.
    Time and arithmetic grow with N^2, memory with N.
    """
    nearest = np.full(len(poses), np.inf)
    seeds = []
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


def log_joint(rows, components, weight):
    """log(weight_k p(row | k)): (N, K)."""
    with np.errstate(divide="ignore"):
        log_weight = np.log(weight)
    return np.stack([ppca.log_density(rows, c) for c in components], axis=1) + log_weight


def _by_component(rows, responsibility):
    parts = []
    for weights in responsibility.T:
        counted = weights > NEGLIGIBLE
        parts.append(ppca.chunk_moments(rows[counted], weights[counted]))
    return parts


def _merge_all(a, b):
    return [ppca.merge(*pair) for pair in zip(a, b, strict=True)]


def _usable(stats, size, floor):
    """The PPCAs of components that can have one; the others are dropped, and a warning says why."""
    components, weight = [], []
    for number, part in enumerate(stats, 1):
        # J directions and one of noise need J + 2 poses, mean included.
        if part.weight < size + 2:
            log.warning(
                "component %d of %d has %.1f poses, too few for %d basis vectors: dropped",
                number,
                len(stats),
                part.weight,
                size,
            )
            continue
        try:
            component = ppca.fit(part, size)
        except ValueError as error:
            log.warning("component %d of %d: %s: dropped", number, len(stats), error)
            continue
        if component.noise_variance < floor:
            log.warning(
                "component %d of %d collapsed on %.1f poses next to equal: dropped",
                number,
                len(stats),
                part.weight,
            )
            continue
        components.append(component)
        weight.append(part.weight)
    if not components:
        raise ValueError(f"no component has the {size + 2} different poses that J = {size} needs")
    return components, np.array(weight) / sum(weight)


def fit(poses, seeds, size, *, tolerance=TOLERANCE, iterations=ITERATIONS, progress=None):
    """EM from the assignment of every pose to its nearest seed.

    poses: rows (N, D), an array or what gives its slices; seeds: (K, D); size: J; progress: called
    with the log likelihood per pose of each iteration, and of how many rows it is. A component that
    is left with too few poses to span J directions, or collapses on copies of a pose, is dropped,
    with a warning. Returns a Mixture, components by descending weight.
    """

    def nearest(where):
        rows = poses[where]
        return _by_component(rows, np.eye(len(seeds))[cdist(rows, seeds).argmin(axis=1)])

    def expect(where):
        """A chunk's part of an E-step, and of the sums for the M-step after it."""
        rows = poses[where]
        joint = log_joint(rows, components, weight)
        total = logsumexp(joint, axis=1)
        return total.sum(), _by_component(rows, np.exp(joint - total[:, None]))

    if len(poses) > START:
        part = poses[np.linspace(0, len(poses) - 1, START).astype(int)]
        start = fit(
            part, seeds, size, tolerance=tolerance, iterations=iterations, progress=progress
        )
        components, weight, floor = start.components, start.weight, start.floor
    else:
        stats = reduce(_merge_all, each_chunk(nearest, len(poses)))
        floor = COLLAPSED**2 * ppca.fit(reduce(ppca.merge, stats), size).noise_variance
        components, weight = _usable(stats, size, floor)
    history, converged = [], False
    while not converged and len(history) < iterations:
        if history:
            components, weight = _usable(stats, size, floor)
            if len(components) < len(stats):
                history.clear()  # another model: its likelihoods are not comparable
        totals, parts = zip(*each_chunk(expect, len(poses)), strict=True)
        stats = reduce(_merge_all, parts)
        history.append(float(sum(totals)) / len(poses))
        if progress:
            progress(history[-1], len(poses))
        converged = len(history) > 1 and history[-1] - history[-2] < tolerance
    if not converged:
        log.warning("EM stopped after %d iterations before converging", iterations)
    order = np.argsort(-weight, kind="stable")
    return Mixture([components[k] for k in order], weight[order], history, converged, floor)
