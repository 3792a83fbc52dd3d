"""A mixture of PPCA: greedy seeds (equation 2), then EM (Tipping and Bishop 1999, appendix C)."""

import logging
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from prior import ppca

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


class Mixture(NamedTuple):
    """components: K PPCAs; weight (K,); log_likelihood: per pose, after each EM iteration;
    converged: the last gain was below the tolerance."""

    components: list
    weight: np.ndarray
    log_likelihood: list
    converged: bool


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
        costs = np.concatenate([
            np.minimum(cdist(poses[i : i + block], poses), nearest).sum(axis=1)
            for i in range(0, len(poses), block)
        ])  # fmt: skip
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


def _e_step(rows, components, weight):
    joint = log_joint(rows, components, weight)
    total = logsumexp(joint, axis=1)
    return np.exp(joint - total[:, None]), float(total.mean())


def _m_step(rows, responsibility, size):
    components = [ppca.fit(ppca.moments(rows, r), size) for r in responsibility.T]
    return components, responsibility.mean(axis=0)


def fit(poses, seeds, size, *, tolerance=TOLERANCE, iterations=ITERATIONS):
    """EM from the assignment of every pose to its nearest seed.

    poses: (N, D); seeds: (K, D); size: J. A component that is left with too few poses to span J
    directions is dropped, with a warning. Returns a Mixture, components by descending weight.
    """
    nearest = cdist(poses, seeds).argmin(axis=1)
    responsibility = np.eye(len(seeds))[nearest]
    history, converged = [], False
    for _ in range(iterations):
        # J directions and one of noise need J + 2 poses, mean included.
        kept = responsibility.sum(axis=0) >= size + 2
        if not kept.all():
            log.warning(
                "%d of %d components have fewer than %d poses, too few for %d basis vectors: "
                "dropped", np.count_nonzero(~kept), len(kept), size + 2, size,
            )  # fmt: skip
            if not kept.any():
                raise ValueError(f"no component has the {size + 2} poses that J = {size} needs")
            responsibility = responsibility[:, kept]
            responsibility = responsibility / responsibility.sum(axis=1, keepdims=True).clip(1e-300)
            history.clear()  # another model: its likelihoods are not comparable
        components, weight = _m_step(poses, responsibility, size)
        responsibility, likelihood = _e_step(poses, components, weight)
        history.append(likelihood)
        converged = len(history) > 1 and history[-1] - history[-2] < tolerance
        if converged:
            break
    if not converged:
        log.warning("EM stopped after %d iterations before converging", iterations)
    order = np.argsort(-weight, kind="stable")
    return Mixture([components[k] for k in order], weight[order], history, converged)
