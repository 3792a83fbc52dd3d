"""Alignment of poses about the vertical, and their PPCA basis (equation 1 of the paper).

Two half-steps alternate: closed-form PPCA of the poses turned back by their yaws, and the yaw and
coefficients of each pose given the PPCA. As printed, equation 1 is not a proper likelihood. The
objective here is the PPCA negative log-likelihood (NLL) of the turned poses, which the text asks
for, and which neither half-step can raise. The basis grows from 1 to J ("annealed"), so that what
rotations can explain never enters it.

Rotation half-step. With the coefficients eliminated, each pose has a distance that depends on its
yaw alone (prior.fitting.distances). It may have two valleys, roughly a pose and the same pose seen
from behind. Ceres, started at the last yaw as published, stays in the valley where it starts. Early
in the alternation that is the worse one for some poses; the next PPCA gives these the variance that
they need to be where they are, so they hardly ever leave, and the whole alignment ends higher. The
global minimum has a closed form, which tells when this has happened: by default Ceres is then
started again in the better valley.

Mirror images. The set contains the mirror image of each pose (section 4), if there is one, so its
PPCA is its own mirror image, and the image of a pose has the opposite yaw and the same distance.
What the images add to the statistics is known (`with_mirror_images`); they are never made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float

from prior import ppca
from prior.chunks import Passes, cores, over_rows
from prior.errors import InputError
from prior.fitting.distances import Distances, distances, minimise_closed_form
from prior.fitting.factorisation import factorise, factorise_real
from prior.normalise import NormalisedPoses, turned_back
from prior.skeleton import HUMAN36M, Skeleton

# How the rotation half-step may be solved (Method.solver).
SOLVERS = ("ceres", "ceres-one-start", "ceres-joint", "closed-form")

# Where the initial mean and yaws come from (Method.factorisation): rank 1, or real and of rank 2.
FACTORISATIONS = {"complex": factorise, "real": factorise_real}

# A pose counts as in the worse of its valleys where its distance is above the closed form's by more
# than this share.
WORSE = 1e-6

# Nats a pose. An extrapolation that gains less ends where the alternations did, and machines would
# not agree on whether it is lower. Our choice: far above the 1e-11 of rounding errors, and far
# below any tolerance.
ROUNDING = 1e-9

# Rows (normalise.to_rows) of normalised poses, or what gives their slices.
Poses: TypeAlias = Float[np.ndarray, "N D"] | NormalisedPoses

# From the rows of a chunk, the model, their Distances from it, and the yaws to start from, to the
# yaws of minima.
Minimiser: TypeAlias = Callable[
    [Float[np.ndarray, "n D"], ppca.PPCA, Distances, Float[np.ndarray, "n"]],
    Float[np.ndarray, "n"],
]


@dataclass(frozen=True)
class Method:
    """How poses are aligned. AS_PUBLISHED is the paper's way. Raises InputError for bad values.

    solver: of the rotation half-step, one of SOLVERS. "ceres-joint" is the published one: Ceres
        over the rotation and the coefficients of each pose, from its last yaw. "ceres-one-start"
        eliminates the coefficients, which leaves the minima as they are. Both may leave a pose in
        the worse of its two valleys. "ceres" is "ceres-one-start" with a second start, in the
        better valley, for such poses. "closed-form" is the global minimum without Ceres.
    factorisation: the initial mean and yaws: "complex", of rank 1, or "real", of rank 2, the
        published one.
    annealed: whether the basis grows from 1, or has J vectors at once.
    alternations: for each basis size below J. Our choice is 2; the authors' released code makes 10.
        On real motion capture the end is the same: prior/README.md.
    tolerance: at J, the alternation has converged when it gains less than so many nats a pose. Our
        choice: for any set below a million poses, the sampling error of the likelihood is larger.
    limit: of alternations at J. 300 is three times the most that was needed.
    extrapolate: whether every two alternations at J are followed by an extrapolation of the yaws.
        The paper does not have it.
    first: of more poses than this, so many, evenly spread, are aligned first; the others take a few
        half-steps from where these end. 0 aligns all of them at once, as the paper does. Our
        choice: a mean of 100,000 is known to 0.3 % of a standard deviation.
    """

    solver: str = "ceres"
    factorisation: str = "complex"
    annealed: bool = True
    alternations: int = 2
    tolerance: float = 1e-4
    limit: int = 300
    extrapolate: bool = True
    first: int = 100_000

    def __post_init__(self) -> None:
        for name, known in (("solver", SOLVERS), ("factorisation", tuple(FACTORISATIONS))):
            if getattr(self, name) not in known:
                raise InputError(
                    f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        for name, least in (("alternations", 0), ("tolerance", 0), ("limit", 1), ("first", 0)):
            if not getattr(self, name) >= least:
                raise InputError(f"{name}: expected {least} or more, got {getattr(self, name)}")


# The paper's method, with the 10 alternations at each basis size of the authors' released code. At
# J there are fewer if it has converged.
AS_PUBLISHED = Method(
    solver="ceres-joint",
    factorisation="real",
    alternations=10,
    limit=10,
    extrapolate=False,
    first=0,
)


class Step(NamedTuple):
    """One half-step and what it reached.

    basis: size; half_step: "ppca", "rotation" or "extrapolation" (and "EM" in prior.fitting.fit);
    nll: per pose, after it; worse: how many poses Ceres left in a worse local minimum, None where
    this does not apply; poses: how many took part, all of them or those that are aligned first.
    """

    basis: int
    half_step: str
    nll: float
    worse: int | None
    poses: int


Progress: TypeAlias = Callable[[Step], None]


class Alignment(NamedTuple):
    """yaw (N,) of the poses, radians (of a skeleton without a vertical rotations (N, 4), turns.py);
    the single PPCA of all rows turned back by their yaws; the Steps; whether the last gain was
    below the tolerance."""

    yaw: Float[np.ndarray, "N *turn"]
    ppca: ppca.PPCA
    history: list[Step]
    converged: bool


class Rotated(NamedTuple):
    """What a rotation half-step gives: yaw (N,), radians; NLL per pose; how many poses are in a
    worse minimum, None if the closed form put them in the best one; the Moments of the poses turned
    back and their mirror images."""

    yaw: Float[np.ndarray, "N"]
    nll: float
    worse: int | None
    moments: ppca.Moments


def rotation_half_step(
    poses: Poses,
    yaw: Float[np.ndarray, "N"],
    model: ppca.PPCA,
    minimise: Minimiser | None = None,
    *,
    both_valleys: bool = False,
    skeleton: Skeleton = HUMAN36M,
    passes: Passes = over_rows,
) -> Rotated:
    """The yaws that minimise the NLL, under the model, of the poses turned back by them.

    yaw: where `minimise`, by default the closed form, starts. both_valleys: whether `minimise`
    starts a second time, in the better valley, for poses that it left in the worse.
    """
    part = partial(_rotate, model=model, minimise=minimise, both_valleys=both_valleys)
    parts = passes(part, poses, np.asarray(yaw, dtype=float))
    yaws, totals, worse, moments = zip(*parts, strict=True)
    constant = ppca.log_determinant(model) + model.mean.size * np.log(2 * np.pi)
    return Rotated(
        np.concatenate(yaws),
        float(sum(totals) / len(poses) + constant) / 2,
        None if minimise is None else sum(worse),
        with_mirror_images(reduce(ppca.merge, moments), skeleton),
    )


def _rotate(
    rows: Float[np.ndarray, "n D"],
    start: Float[np.ndarray, "n"],
    model: ppca.PPCA,
    minimise: Minimiser | None,
    both_valleys: bool,
) -> tuple[Float[np.ndarray, "n"], float, int, ppca.Moments]:
    """A chunk's part of rotation_half_step: yaws, sum of distances, number of poses in the worse
    valley, Moments without mirror images."""
    curves = distances(rows, model)
    best = yaw = minimise_closed_form(curves)
    count = 0
    if minimise is not None:
        limit = curves.at(best) * (1 + WORSE)
        yaw = minimise(rows, model, curves, start)
        worse = np.flatnonzero(curves.at(yaw) > limit)
        if both_valleys and len(worse):
            yaw[worse] = minimise(rows[worse], model, curves.take(worse), best[worse])
            worse = np.flatnonzero(curves.at(yaw) > limit)
        count = len(worse)
    return yaw, float(curves.at(yaw).sum()), count, ppca.chunk_moments(turned_back(rows, yaw))


def with_mirror_images(moments: ppca.Moments, skeleton: Skeleton) -> ppca.Moments:
    """The Moments of rows and their mirror images, if there are any, from those of the rows."""
    if not skeleton.mirrors:
        return moments
    order, sign = skeleton.row_mirror
    mean = moments.mean[order] * sign
    scatter = moments.scatter[np.ix_(order, order)] * np.outer(sign, sign)
    return ppca.merge(moments, ppca.Moments(moments.weight, mean, scatter))


def _turned_part(rows: Float[np.ndarray, "n D"], yaw: Float[np.ndarray, "n"]) -> ppca.Moments:
    return ppca.chunk_moments(turned_back(rows, yaw))


def align(
    poses: Poses,
    basis: int,
    method: Method = Method(),  # noqa: B008  frozen
    *,
    skeleton: Skeleton = HUMAN36M,
    yaw: Float[np.ndarray, "N"] | None = None,
    progress: Progress | None = None,
    passes: Passes = over_rows,
) -> Alignment:
    """Minimise equation 1 over yaws, mean, basis and standard deviations.

    poses: rows of normalised poses of the skeleton; their mirror images, if it has any, are part of
    the set. basis: J. yaw: where to start, radians, by default at Tomasi-Kanade's. progress: called
    with each Step. passes: how passes over the poses are made. The mean of the result has its left,
    if there is one, along +x. Raises InputError when J exceeds the rank of the data.
    """
    if yaw is None:
        yaw = FACTORISATIONS[method.factorisation](poses, skeleton, passes).yaw
    alternation = _Alternation(poses, skeleton, method.solver, progress, passes)
    if 0 < method.first < len(poses):
        yaw, model = _from_first_poses(alternation, yaw, basis, method)
    else:
        yaw, model = _anneal(alternation, yaw, basis, method)
    return _converge(alternation, yaw, model, method)


def _minimiser(solver: str) -> Minimiser | None:
    """What rotation_half_step takes for this solver."""
    if solver == "closed-form":
        return None
    from prior.fitting import ceres  # starts processes, which few need

    return (ceres.JointMinimiser if solver == "ceres-joint" else ceres.YawMinimiser)(cores())


class _Alternation:
    """The two half-steps on one set of poses, with the record of what each reached."""

    def __init__(
        self,
        poses: Poses,
        skeleton: Skeleton,
        solver: str,
        progress: Progress | None,
        passes: Passes,
    ) -> None:
        self._passes = passes
        self.poses, self.skeleton, self.progress = poses, skeleton, progress
        self._minimise, self._both_valleys = _minimiser(solver), solver == "ceres"
        self.history: list[Step] = []

    @property
    def nll(self) -> float:
        """NLL per pose after the last half-step."""
        return self.history[-1].nll

    def record(self, basis: int, half_step: str, nll: float, worse: int | None = None) -> None:
        """Append a Step to the history, and report it."""
        self.history.append(Step(basis, half_step, nll, worse, len(self.poses)))
        if self.progress:
            self.progress(self.history[-1])

    def fit(self, moments: ppca.Moments, size: int) -> ppca.PPCA:
        """The PPCA half-step."""
        model = ppca.fit(moments, size)
        self.record(size, "ppca", ppca.nll(model))
        return model

    def turned_moments(self, yaw: Float[np.ndarray, "N"]) -> ppca.Moments:
        """The Moments of the poses turned back by yaw and their mirror images."""
        parts = self._passes(_turned_part, self.poses, yaw)
        return with_mirror_images(reduce(ppca.merge, parts), self.skeleton)

    def alternate(
        self, yaw: Float[np.ndarray, "N"], model: ppca.PPCA
    ) -> tuple[Float[np.ndarray, "N"], ppca.PPCA, ppca.Moments]:
        """Both half-steps: yaws, the PPCA of the poses turned back by them, and its Moments."""
        size = len(model.variance)
        rotated = rotation_half_step(
            self.poses,
            yaw,
            model,
            self._minimise,
            both_valleys=self._both_valleys,
            skeleton=self.skeleton,
            passes=self._passes,
        )
        self.record(size, "rotation", rotated.nll, rotated.worse)
        return rotated.yaw, self.fit(rotated.moments, size), rotated.moments


def _anneal(
    alternation: _Alternation, yaw: Float[np.ndarray, "N"], basis: int, method: Method
) -> tuple[Float[np.ndarray, "N"], ppca.PPCA]:
    """Yaws, and a PPCA with J vectors, after alternations at each basis size from 1 to J - 1."""
    moments = alternation.turned_moments(yaw)
    ppca.fit(moments, basis)  # an impossible basis size is an error now, not after smaller ones
    for size in range(1, basis) if method.annealed else ():
        model = alternation.fit(moments, size)
        for _ in range(method.alternations):
            yaw, model, moments = alternation.alternate(yaw, model)
    return yaw, alternation.fit(moments, basis)


def _from_first_poses(
    alternation: _Alternation, yaw: Float[np.ndarray, "N"], basis: int, method: Method
) -> tuple[Float[np.ndarray, "N"], ppca.PPCA]:
    """Yaws, and a PPCA with J vectors, of all poses, from where the first of them end by
    themselves."""
    poses = alternation.poses
    part = np.linspace(0, len(poses) - 1, method.first).astype(int)
    first = align(
        poses[part],
        basis,
        method,
        skeleton=alternation.skeleton,
        yaw=yaw[part],
        progress=alternation.progress,
    )
    alternation.history += first.history
    yaw, model, _ = alternation.alternate(yaw, first.ppca)
    return yaw, model


def _converge(
    alternation: _Alternation, yaw: Float[np.ndarray, "N"], model: ppca.PPCA, method: Method
) -> Alignment:
    """Alternate at J until the gain is below the tolerance.

    Convergence is slow and linear, so every two alternations are followed by an extrapolation of
    the yaws, which is kept if it lowers the objective.
    """
    converged = False
    for _ in range(0, method.limit, 2):
        before = alternation.nll
        once, model, _ = alternation.alternate(yaw, model)
        twice, model, _ = alternation.alternate(once, model)
        ahead = extrapolate(yaw, once, twice)
        yaw = twice
        if method.extrapolate:
            extrapolated = ppca.fit(alternation.turned_moments(ahead), len(model.variance))
            if ppca.nll(extrapolated) < alternation.nll - ROUNDING:
                yaw, model = ahead, extrapolated
                alternation.record(len(model.variance), "extrapolation", ppca.nll(model))
        converged = before - alternation.nll < 2 * method.tolerance
        if converged:
            break
    return Alignment(_wrapped(yaw), model, alternation.history, converged)


def extrapolate(
    start: Float[np.ndarray, "N"], once: Float[np.ndarray, "N"], twice: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "N"]:
    """Where the yaws are heading, from those at the start and after one and two alternations:
    SQUAREM's squared extrapolation (Varadhan and Roland 2008, step length S3)."""
    step = _wrapped(once - start)
    bend = _wrapped(twice - once) - step
    lengths = [float(np.linalg.norm(part)) for part in (step, bend)]
    length = lengths[0] / max(lengths[1], float(np.finfo(float).tiny))
    length = max(length, 1.0)  # 1 is where the alternations themselves are
    return start + 2 * length * step + length**2 * bend


def _wrapped(angle: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    return np.angle(np.exp(1j * angle))
