"""From motion capture to a PriorModel: the whole of section 4.

`align` makes the poses ready once; `mix` fits a mixture with any number of components to what it
gives; `fit` is both.
"""

import hashlib
import logging
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Real
from numpy.typing import ArrayLike

from prior.chunks import CHUNK, Passes, over_rows
from prior.errors import InputError
from prior.fitting import alignment, mixture, turns
from prior.fitting.alignment import AS_PUBLISHED, Alignment, Method, Progress, Step
from prior.model import PriorModel
from prior.normalise import AlignedPoses, NormalisedPoses, from_rows
from prior.partitions import PartitionedPoses
from prior.skeleton import HUMAN36M, Skeleton

log = logging.getLogger(__name__)

# Aligned poses kept in the model file for pictures.
SAMPLE = 500

# What a model is rounded to: decimals of limb scales, significant digits of deviations and
# weights. Matrix products differ in their last bits between processors and numbers of threads, and
# a fit makes of that up to 4e-11, mostly 1e-12. Our choice: so far above it that machines write the
# same model, but where a value lies between two roundings; 0.0001 mm of a person.
DIGITS = 7
# The objectives in meta, nats, differ by up to 1e-10; a tenth of the default tolerance is enough.
OBJECTIVE_DIGITS = 5

# The paper's mixture size, and the basis size of the authors' released models.
COMPONENTS = 3
BASIS = 25


@dataclass(frozen=True)
class Aligned:
    """Motion capture made ready for `mix`.

    rows: the normalised poses turned back by their yaws, each followed by its mirror image, if
    there is one;
    alignment: yaws, history and PPCA; method: how it was made; scale_mm: the median limb scale;
    digest: SHA-256 of the poses' bytes.
    """

    rows: AlignedPoses
    alignment: Alignment
    method: Method
    scale_mm: float
    digest: str

    @property
    def basis(self) -> int:
        """J."""
        return len(self.alignment.ppca.variance)


def fit(
    poses_mm: ArrayLike | PartitionedPoses,
    *,
    components: int = COMPONENTS,
    basis: int = BASIS,
    seed: int = 0,
    restarts: int = 1,
    stop_distance: float = mixture.STOP_DISTANCE,
    meta: dict[str, Any] | None = None,
    progress: Progress | None = None,
    passes: Passes = over_rows,
    **method: Any,
) -> PriorModel:
    """Learn the 3D pose model: `align`, then `mix`, whose arguments these are.

    Returns the same model for the same arguments. Raises InputError (PoseError for bad poses) for
    sizes that the data cannot support.
    """
    _check_counts(components, restarts)
    aligned = align(poses_mm, basis, progress=progress, passes=passes, **method)
    return mix(
        aligned,
        components,
        seed=seed,
        restarts=restarts,
        stop_distance=stop_distance,
        meta=meta,
        progress=progress,
        passes=passes,
    )


def align(
    poses_mm: ArrayLike | PartitionedPoses,
    basis: int = BASIS,
    *,
    skeleton: Skeleton = HUMAN36M,
    as_published: bool = False,
    progress: Progress | None = None,
    passes: Passes = over_rows,
    **method: Any,
) -> Aligned:
    """Normalise poses and align them (equation 1).

    poses_mm: (N, L, 3), mm, y up; an array, or a memory map or PartitionedPoses, which are read in
    passes; passes: how these are made, on this machine or a cluster (cluster.Cluster). basis: J.
    skeleton: of the poses. as_published: align by AS_PUBLISHED, the paper's way, not by the
    defaults of Method. progress: called with each Step. method: fields of Method that are to have
    other values than these: solver="closed-form", for instance.
    """
    if not skeleton.vertical and {"solver", "factorisation"} & set(method):
        raise InputError(
            "solver, factorisation: a skeleton without a vertical has one of each; leave them out"
        )
    chosen = replace(AS_PUBLISHED if as_published else Method(), **method)
    poses = NormalisedPoses(poses_mm, skeleton, passes)
    how: dict[str, Any] = {"skeleton": skeleton, "progress": progress, "passes": passes}
    aligned = (alignment if skeleton.vertical else turns).align(poses, basis, chosen, **how)
    return Aligned(
        AlignedPoses(poses, aligned.yaw),
        aligned,
        chosen,
        float(np.median(poses.scale_mm)),
        _digest(poses_mm, passes),
    )


def mix(
    aligned: Aligned,
    components: int = COMPONENTS,
    *,
    seed: int = 0,
    restarts: int = 1,
    stop_distance: float = mixture.STOP_DISTANCE,
    meta: dict[str, Any] | None = None,
    progress: Progress | None = None,
    passes: Passes = over_rows,
) -> PriorModel:
    """The mixture of PPCA of aligned poses: greedy seeds (equation 2), then EM.

    components: K, at most. seed: of the subsamples among which seeds are sought. restarts: EM from
    the seeds of so many subsamples, of which the likeliest result is kept. stop_distance: between
    seeds, in limb scales. meta: a dict to keep in the file (source, licence). progress: called with
    a Step, "EM", after each iteration.
    """
    _check_counts(components, restarts)
    random, rows = np.random.default_rng(seed), aligned.rows

    def report(likelihood: float, count: int) -> None:
        if progress:
            progress(Step(aligned.basis, "EM", -likelihood, None, count))

    runs = []
    for number in range(restarts):
        seeds = _seeds(rows, components, random, stop_distance, again=number > 0)
        runs.append(
            (mixture.fit(rows, seeds, aligned.basis, progress=report, passes=passes), seeds)
        )
    likelihoods = [mixed.log_likelihood[-1] for mixed, _ in runs]
    mixed, seeds = runs[int(np.argmax(likelihoods))]
    sample = rows[_choose(random, len(rows), SAMPLE)]
    return PriorModel(
        mean=from_rows(np.round([part.mean for part in mixed.components], DIGITS)),
        basis=from_rows(np.round([part.basis for part in mixed.components], DIGITS)),
        std=_significant(np.sqrt([part.variance for part in mixed.components])),
        noise_std=_significant(np.sqrt([part.noise_variance for part in mixed.components])),
        weight=_significant(mixed.weight),
        scale_mm=round(aligned.scale_mm, DIGITS),
        seeds=from_rows(np.round(seeds, DIGITS)),
        sample=from_rows(np.round(sample, DIGITS)).astype(np.float32),
        skeleton=rows.skeleton,
        meta=_alignment_meta(aligned)
        | {
            "seed": seed,
            "em_log_likelihood": np.round(mixed.log_likelihood, OBJECTIVE_DIGITS).tolist(),
            "em_converged": mixed.converged,
            "restarts_log_likelihood": np.round(likelihoods, OBJECTIVE_DIGITS).tolist(),
        }
        | (meta or {}),
    )


def _significant(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The values to DIGITS significant digits."""
    return np.vectorize(lambda value: float(f"{value:.{DIGITS}g}"), otypes=[float])(values)


def _check_counts(components: int, restarts: int) -> None:
    for name, value in (("components", components), ("restarts", restarts)):
        if not value >= 1:
            raise InputError(f"{name}: expected 1 or more, got {value}")


def _alignment_meta(aligned: Aligned) -> dict[str, Any]:
    """What the model file says of the alignment."""
    history = aligned.alignment.history
    default = asdict(Method())
    changed = {
        name: value
        for name, value in asdict(aligned.method).items()
        if name != "solver" and value != default[name]
    }
    return {
        "solver": aligned.method.solver if aligned.rows.skeleton.vertical else "all rotations",
        **({"method": changed} if changed else {}),
        "poses": len(aligned.alignment.yaw),
        "data_sha256": aligned.digest,
        "alignment_nll": [
            [step.basis, step.half_step, round(step.nll, OBJECTIVE_DIGITS), step.poses]
            for step in history
        ],
        "alignment_converged": aligned.alignment.converged,
        "worse_minima": [step.worse for step in history if step.worse is not None],
    }


def _seeds(
    rows: AlignedPoses,
    components: int,
    random: np.random.Generator,
    stop_distance: float,
    *,
    again: bool,
) -> Float[np.ndarray, "S D"]:
    """The greedy seeds among a random subsample of the rows.

    The first subsample may be all of the rows; one that is taken `again` would equal it if it were
    all of them too, so it is half of them at most.
    """
    size = min(mixture.SUBSAMPLE, max(len(rows) // 2, 1) if again else len(rows))
    subsample = rows[_choose(random, len(rows), size)]
    seeds = subsample[mixture.greedy_seeds(subsample, components, stop_distance)]
    if len(seeds) < components:
        log.warning(
            "%d components asked for, %d seeds found: the next would be within %g of another",
            components,
            len(seeds),
            stop_distance,
        )
    return seeds


def _choose(random: np.random.Generator, count: int, size: int) -> Int[np.ndarray, "n"]:
    """At most `size` of `count` indices, without repetition, in order."""
    return np.sort(random.permutation(count)[:size])


def _digest(poses_mm: ArrayLike | PartitionedPoses, passes: Passes) -> str:
    """SHA-256 of the poses' bytes; of partitions, that of the SHA-256s of all chunks, which need
    not be made one after the other."""
    digest = hashlib.sha256()
    if isinstance(poses_mm, PartitionedPoses):
        for part in passes(_chunk_digest, poses_mm):
            digest.update(part)
        return digest.hexdigest()
    poses_mm = np.asanyarray(poses_mm)
    for i in range(0, len(poses_mm), CHUNK):
        digest.update(np.ascontiguousarray(poses_mm[i : i + CHUNK]).data)
    return digest.hexdigest()


def _chunk_digest(poses_mm: Real[np.ndarray, "n L 3"]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(poses_mm).data).digest()
