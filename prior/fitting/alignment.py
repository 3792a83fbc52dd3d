"""Alignment of poses about the vertical, and their PPCA basis (equation 1 of the paper).

Two half-steps alternate: closed-form PPCA of the poses turned back by their yaws, and the yaw and
coefficients of each pose given the PPCA. As printed, equation 1 is not a proper likelihood. The
objective here is the PPCA negative log-likelihood (NLL) of the turned poses, which the text asks
for, and which neither half-step can raise. The basis grows from 1 to J ("annealed"), so that what
rotations can explain never enters it.

Rotation half-step. With the coefficients eliminated, each pose has a distance that depends on its
yaw alone (prior.fitting.distances). Ceres minimises it as published; its global minimum also has a
closed form.

Mirror images. The set contains the mirror image of each pose (section 4), so its PPCA is its own
mirror image, and the image of a pose has the opposite yaw and the same distance. What the images
add to the statistics is known (`_with_mirror_images`); they are never made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float

from prior import ppca
from prior.chunks import cores, each_chunk
from prior.errors import InputError
from prior.fitting.distances import Distances, distances, minimise_closed_form
from prior.fitting.factorisation import factorise
from prior.normalise import ROW_MIRROR, ROW_SIGN, NormalisedPoses, turned_back

SOLVERS = ("ceres", "closed-form")

# Ceres counts as in a worse local minimum where its distance is above the closed form's by more
# than this share.
WORSE = 1e-6

# Rows (normalise.to_rows) of normalised poses, or what gives their slices.
Poses: TypeAlias = Float[np.ndarray, "N 51"] | NormalisedPoses

# From Distances and the yaws to start from (n,) to the yaws of minima (n,).
Minimiser: TypeAlias = Callable[[Distances, Float[np.ndarray, "n"]], Float[np.ndarray, "n"]]


@dataclass(frozen=True)
class Method:
    """How poses are aligned. Raises InputError for a solver that is none of SOLVERS.

    solver: of the rotation half-step: "ceres" as the paper, or "closed-form".
    annealed: whether the basis grows from 1, or has J vectors at once.
    alternations: for each basis size below J. Our choice is 2; the authors' released code makes 10.
        On real motion capture the end is the same from 1 to 100 of them: prior/README.md.
    tolerance: at J, the alternation has converged when it gains less than so many nats a pose. Our
        choice: for any set below a million poses, the sampling error of the likelihood is larger.
    limit: of alternations at J. 300 is three times the most that was needed.
    first: of more poses than this, so many, evenly spread, are aligned first; the others take a few
        half-steps from where these end. Our choice: a mean of 100,000 is known to 0.3 % of a
        standard deviation.
    """

    solver: str = "ceres"
    annealed: bool = True
    alternations: int = 2
    tolerance: float = 1e-4
    limit: int = 300
    first: int = 100_000

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise InputError(f"solver: expected one of {', '.join(SOLVERS)}, got {self.solver!r}")


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
    """yaw (N,) of the poses, radians; the single PPCA of all rows turned back by their yaws; the
    Steps; whether the last gain was below the tolerance."""

    yaw: Float[np.ndarray, "N"]
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
) -> Rotated:
    """The yaws that minimise the NLL, under the model, of the poses turned back by them.

    yaw: where `minimise`, by default the closed form, starts.
    """
    part = partial(_rotate, poses, np.asarray(yaw, dtype=float), model, minimise)
    yaws, totals, worse, moments = zip(*each_chunk(part, len(poses)), strict=True)
    constant = ppca.log_determinant(model) + model.mean.size * np.log(2 * np.pi)
    return Rotated(
        np.concatenate(yaws),
        float(sum(totals) / len(poses) + constant) / 2,
        None if minimise is None else sum(worse),
        _with_mirror_images(reduce(ppca.merge, moments)),
    )


def _rotate(
    poses: Poses,
    start: Float[np.ndarray, "N"],
    model: ppca.PPCA,
    minimise: Minimiser | None,
    where: slice,
) -> tuple[Float[np.ndarray, "n"], float, int, ppca.Moments]:
    """A chunk's part of rotation_half_step: yaws, sum of distances, count of worse minima, Moments
    without mirror images."""
    rows = poses[where]
    curves = distances(rows, model)
    yaw, worse = minimise_closed_form(curves), 0
    if minimise is not None:
        lowest = curves.at(yaw)
        yaw = minimise(curves, start[where])
        worse = int(np.count_nonzero(curves.at(yaw) > lowest * (1 + WORSE)))
    return yaw, float(curves.at(yaw).sum()), worse, ppca.chunk_moments(turned_back(rows, yaw))


def _with_mirror_images(moments: ppca.Moments) -> ppca.Moments:
    """The Moments of rows and their mirror images, from those of the rows."""
    mean = moments.mean[ROW_MIRROR] * ROW_SIGN
    scatter = moments.scatter[np.ix_(ROW_MIRROR, ROW_MIRROR)] * np.outer(ROW_SIGN, ROW_SIGN)
    return ppca.merge(moments, ppca.Moments(moments.weight, mean, scatter))


def _turned_moments(poses: Poses, yaw: Float[np.ndarray, "N"]) -> ppca.Moments:
    """The Moments of the poses turned back by yaw and their mirror images."""
    part = partial(_turned_part, poses, yaw)
    return _with_mirror_images(reduce(ppca.merge, each_chunk(part, len(poses))))


def _turned_part(poses: Poses, yaw: Float[np.ndarray, "N"], where: slice) -> ppca.Moments:
    return ppca.chunk_moments(turned_back(poses[where], yaw[where]))


def align(
    poses: Poses,
    basis: int,
    method: Method = Method(),  # noqa: B008  frozen
    *,
    yaw: Float[np.ndarray, "N"] | None = None,
    progress: Progress | None = None,
) -> Alignment:
    """Minimise equation 1 over yaws, mean, basis and standard deviations.

    poses: rows of normalised poses; their mirror images are part of the set. basis: J. yaw: where
    to start, radians, by default at Tomasi-Kanade's. progress: called with each Step.
    The mean of the result has its left along +x. Raises InputError when J exceeds the rank of the
    data.
    """
    if yaw is None:
        _, yaw = factorise(poses)
    alternation = _Alternation(poses, _minimiser(method.solver), progress)
    if len(poses) > method.first:
        yaw, model = _from_first_poses(alternation, yaw, basis, method)
    else:
        yaw, model = _anneal(alternation, yaw, basis, method)
    return _converge(alternation, yaw, model, method)


def _minimiser(solver: str) -> Minimiser | None:
    """What rotation_half_step takes for this solver."""
    if solver == "closed-form":
        return None
    from prior.fitting.ceres import CeresMinimiser  # starts processes, which few need

    return CeresMinimiser(cores())


class _Alternation:
    """The two half-steps on one set of poses, with the record of what each reached."""

    def __init__(self, poses: Poses, minimise: Minimiser | None, progress: Progress | None) -> None:
        self.poses, self.progress = poses, progress
        self._minimise = minimise
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

    def alternate(
        self, yaw: Float[np.ndarray, "N"], model: ppca.PPCA
    ) -> tuple[Float[np.ndarray, "N"], ppca.PPCA, ppca.Moments]:
        """Both half-steps: yaws, the PPCA of the poses turned back by them, and its Moments."""
        size = len(model.variance)
        rotated = rotation_half_step(self.poses, yaw, model, self._minimise)
        self.record(size, "rotation", rotated.nll, rotated.worse)
        return rotated.yaw, self.fit(rotated.moments, size), rotated.moments


def _anneal(
    alternation: _Alternation, yaw: Float[np.ndarray, "N"], basis: int, method: Method
) -> tuple[Float[np.ndarray, "N"], ppca.PPCA]:
    """Yaws, and a PPCA with J vectors, after alternations at each basis size from 1 to J - 1."""
    moments = _turned_moments(alternation.poses, yaw)
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
    first = align(poses[part], basis, method, yaw=yaw[part], progress=alternation.progress)
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
    basis, converged = len(model.variance), False
    for _ in range(0, method.limit, 2):
        before = alternation.nll
        once, model, _ = alternation.alternate(yaw, model)
        twice, model, _ = alternation.alternate(once, model)
        ahead = extrapolate(yaw, once, twice)
        yaw = twice
        extrapolated = ppca.fit(_turned_moments(alternation.poses, ahead), basis)
        if ppca.nll(extrapolated) < alternation.nll:
            yaw, model = ahead, extrapolated
            alternation.record(basis, "extrapolation", ppca.nll(model))
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
