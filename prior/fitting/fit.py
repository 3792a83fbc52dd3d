"""From motion capture to a PriorModel: the whole of section 4."""

import hashlib
import logging

import numpy as np

from prior.chunks import CHUNK
from prior.fitting import alignment, mixture
from prior.model import PriorModel
from prior.normalise import AlignedPoses, NormalisedPoses, from_rows

log = logging.getLogger(__name__)

# Aligned poses kept in the model file for pictures.
SAMPLE = 500

# The paper's mixture size, and the basis size of the authors' released models.
COMPONENTS = 3
BASIS = 25


def fit(poses_mm, *, components=COMPONENTS, **options):
    """Learn the 3D pose model.

    poses_mm: (N, 17, 3), mm, y up, an array or a memory map, read in passes; components: K, at
    most; options: those of fit_each. Returns a PriorModel, the same for the same arguments. Raises
    PoseError, and ValueError for sizes the data cannot support.
    """
    return next(fit_each(poses_mm, [components], **options))


def fit_each(
    poses_mm,
    components,
    *,
    basis=BASIS,
    solver="ceres",
    seed=0,
    restarts=1,
    stop_distance=mixture.STOP_DISTANCE,
    meta=None,
    progress=None,
):
    """Yield a PriorModel for each number of `components`, from one alignment.

    basis: J; solver: "ceres" as the paper, or "closed-form", the global minimum at once; seed: of
    the subsamples; restarts: EM from the seeds of so many subsamples, of which the likeliest result
    is kept; stop_distance: of the seeds, in limb scales; meta: a dict to keep in the file (source,
    licence); progress: called with each alignment.Step, among which are EM's iterations, as the
    half-step "EM".
    """
    for name, value in (("components", min(components)), ("restarts", restarts)):
        if not value >= 1:
            raise ValueError(f"{name}: expected 1 or more, got {value}")
    poses = NormalisedPoses(poses_mm)
    aligned = alignment.align(poses, basis, solver, progress=progress)
    rows = AlignedPoses(poses, aligned.yaw)
    meta = {
        "solver": solver,
        "seed": seed,
        "poses": len(poses),
        "data_sha256": _digest(poses_mm),
        "alignment_nll": [[*s[:3], s.poses] for s in aligned.history],
        "alignment_converged": aligned.converged,
        "worse_minima": [s.worse for s in aligned.history if s.worse is not None],
    } | (meta or {})
    for count in components:
        random = np.random.default_rng(seed)
        mixed, seeds, likelihoods = _mix(
            rows, count, basis, random, restarts, stop_distance, progress
        )
        yield PriorModel(
            mean=from_rows([part.mean for part in mixed.components]),
            basis=from_rows([part.basis for part in mixed.components]),
            std=np.sqrt([part.variance for part in mixed.components]),
            noise_std=np.sqrt([part.noise_variance for part in mixed.components]),
            weight=mixed.weight,
            scale_mm=float(np.median(poses.scale_mm)),
            seeds=from_rows(seeds),
            sample=from_rows(rows[_choose(random, len(rows), SAMPLE)]).astype(np.float32),
            meta={
                "em_log_likelihood": mixed.log_likelihood,
                "em_converged": mixed.converged,
                "restarts_log_likelihood": likelihoods,
            }
            | meta,
        )


def _mix(rows, components, basis, random, restarts, stop_distance, progress):
    """The mixture of PPCA of aligned rows: greedy seeds, then EM, from `restarts` subsamples.

    Returns (the likeliest Mixture, its seeds (S, 3L), the log likelihood that each start came to).
    """

    def report(likelihood, count):
        if progress:
            progress(alignment.Step(basis, "EM", -likelihood, None, count))

    found = []
    for number in range(restarts):
        # The first start may use all poses; the others would equal it if they did.
        size = min(mixture.SUBSAMPLE, len(rows) if number == 0 else max(len(rows) // 2, 1))
        subsample = rows[_choose(random, len(rows), size)]
        seeds = subsample[mixture.greedy_seeds(subsample, components, stop_distance)]
        if len(seeds) < components:
            log.warning(
                "%d components asked for, %d seeds found: the next would be within %g of another",
                components,
                len(seeds),
                stop_distance,
            )
        found.append((mixture.fit(rows, seeds, basis, progress=report), seeds))
    likelihoods = [mixed.log_likelihood[-1] for mixed, _ in found]
    return *found[int(np.argmax(likelihoods))], likelihoods


def _choose(random, count, size):
    """At most `size` of `count` indices, without repetition, in order."""
    return np.sort(random.permutation(count)[:size])


def _digest(poses_mm):
    """SHA-256 of the poses' bytes."""
    digest = hashlib.sha256()
    for i in range(0, len(poses_mm), CHUNK):
        digest.update(np.ascontiguousarray(poses_mm[i : i + CHUNK]))
    return digest.hexdigest()
