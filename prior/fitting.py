"""From motion capture to a PriorModel: the whole of section 4."""

import hashlib

import numpy as np

from prior import alignment, mixture
from prior.model import PriorModel
from prior.normalise import normalise
from prior.skeleton import L

# Aligned poses kept in the model file for pictures.
SAMPLE = 500

# The paper's mixture size, and the basis size of the authors' released models.
COMPONENTS = 3
BASIS = 25


def fit(poses_mm, *, components=COMPONENTS, basis=BASIS, solver="ceres", seed=0,
        stop_distance=mixture.STOP_DISTANCE, meta=None, progress=None):  # fmt: skip
    """Learn the 3D pose model.

    poses_mm: (N, 17, 3), mm, y up; components: K, at most; basis: J; solver: "ceres" as the
    paper, or "closed-form", the global minimum at once; seed: of the subsamples; meta: a dict to
    keep in the file (source, licence); progress: called with each alignment.Step.

    Returns a PriorModel, the same for the same arguments. Raises PoseError, and ValueError for
    sizes the data cannot support.
    """
    poses, scale = normalise(poses_mm)
    if not components >= 1:
        raise ValueError(f"components: expected 1 or more, got {components}")
    aligned = alignment.align(poses, basis, solver, progress=progress)
    rows = aligned.poses.reshape(len(poses), -1)
    random = np.random.default_rng(seed)
    subsample = rows[_choose(random, len(rows), mixture.SUBSAMPLE)]
    seeds = subsample[mixture.greedy_seeds(subsample, components, stop_distance)]
    mixed = mixture.fit(rows, seeds, basis)
    parts = mixed.components
    worse = [step.worse for step in aligned.history if step.worse is not None]
    return PriorModel(
        mean=np.stack([c.mean.reshape(L, 3) for c in parts]),
        basis=np.stack([c.basis.reshape(basis, L, 3) for c in parts]),
        std=np.sqrt([c.variance for c in parts]),
        noise_std=np.sqrt([c.noise_variance for c in parts]),
        weight=mixed.weight,
        scale_mm=float(np.median(scale)),
        seeds=seeds.reshape(-1, L, 3),
        sample=aligned.poses[_choose(random, len(rows), SAMPLE)].astype(np.float32),
        meta={
            "solver": solver,
            "seed": seed,
            "poses": len(scale),
            "data_sha256": hashlib.sha256(np.ascontiguousarray(poses_mm)).hexdigest(),
            "alignment_nll": [[s.basis, s.half_step, s.nll] for s in aligned.history],
            "worse_minima": worse,
            "em_log_likelihood": mixed.log_likelihood,
            "em_converged": mixed.converged,
        }
        | (meta or {}),
    )


def _choose(random, count, size):
    """At most `size` of `count` indices, without repetition, in order."""
    return np.sort(random.permutation(count)[:size])
