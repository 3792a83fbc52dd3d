"""Which number of components and basis size: held-out likelihood and lifting error.

Neighbouring frames are nearly equal, so what is held out is whole subjects, or whole clips.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Real
from scipy.special import logsumexp, softmax

from prior import ppca
from prior.chunks import each_chunk
from prior.errors import InputError
from prior.fitting.distances import Distances, distances, minimise_closed_form
from prior.fitting.fit import align, mix
from prior.lifting.lift import lift
from prior.metrics import root_aligned, with_scale_of
from prior.mocap import Clip
from prior.model import PriorModel
from prior.normalise import NormalisedPoses
from prior.simulation import INTRINSICS, room

# The share of subjects or clips that is held out.
SHARE = 0.2

# Held-out poses that are lifted. Errors vary by some 40 mm from pose to pose; were the poses
# independent, the mean of so many would be known to 1 mm.
LIFTED = 2000

# Of EM over the yaw of a pose. Most poses belong to one component, and take one step.
YAW_STEPS = 5


class Score(NamedTuple):
    """What a size (K, J) reached on held-out poses: log likelihood per pose (nats) and MPJPE (mm;
    root-aligned, known limb scale) of poses lifted from their 2D landmarks, without the cameras'
    intrinsics and with them."""

    components: int
    basis: int
    log_likelihood: float
    mpjpe_mm: float
    lens_mpjpe_mm: float
    model: PriorModel


def split(clips: Sequence[Clip], by: str, seed: int = 0) -> tuple[list[Clip], list[Clip]]:
    """(training clips, held-out clips): SHARE of the subjects, or of the actions of subjects.

    by: "subject" or "clip". Raises InputError when there is only one.
    """
    groups = [clip.subject if by == "subject" else (clip.subject, clip.action) for clip in clips]
    names = sorted(set(groups))
    if len(names) < 2:
        raise InputError(
            f"expected motion capture of 2 {by}s or more, one to hold out; got {names[0]} alone"
            + ("; hold out clips" if by == "subject" else "")
        )
    number = [names.index(group) for group in groups]
    # Here, since importing it takes longer than most commands of the program.
    from sklearn.model_selection import GroupShuffleSplit

    train, held_out = next(
        GroupShuffleSplit(1, test_size=SHARE, random_state=seed).split(number, groups=number)
    )
    return [clips[i] for i in train], [clips[i] for i in held_out]


def log_likelihood(
    model: PriorModel, poses_mm: Real[np.ndarray, "N L 3"]
) -> Float[np.ndarray, "N"]:
    """Log density of normalised poses, each at its most probable yaw.

    It is that over the 3L - 3 directions in which centred poses vary. The PPCAs have three more,
    translations, where the noise has a density too; that would grow with J without meaning
    anything, and is left out.
    """
    if not model.skeleton.vertical:
        raise InputError("log likelihood: expected a skeleton with a vertical, got one without")
    poses, parts = NormalisedPoses(poses_mm, model.skeleton), model.parts
    constant = np.log(model.weight) + 1.5 * np.log(2 * np.pi * model.noise_std**2)
    constant -= [(ppca.log_determinant(c) + c.mean.size * np.log(2 * np.pi)) / 2 for c in parts]

    def highest(where: slice) -> Float[np.ndarray, "n"]:
        curves = [distances(poses[where], component) for component in parts]
        return np.maximum.reduce([_climb(curves, constant, curve) for curve in curves])

    return np.concatenate(list(each_chunk(highest, len(poses))))


def _climb(
    curves: Sequence[Distances], constant: Float[np.ndarray, "K"], first: Distances
) -> Float[np.ndarray, "n"]:
    """The highest log density on the way of EM over the yaw, from the best yaw for one component.

    curves: the poses' Distances from each component; constant: of each component's log density.
    """
    highest: Any = -np.inf
    yaw = minimise_closed_form(first)
    for _ in range(YAW_STEPS):
        joint = constant - 0.5 * np.stack([c.at(yaw) for c in curves], axis=1)
        highest = np.maximum(highest, logsumexp(joint, axis=1))
        share = softmax(joint, axis=1).T
        yaw = minimise_closed_form(
            Distances(
                sum(r * c.constant for r, c in zip(share, curves, strict=True)),
                sum(r * c.harmonics for r, c in zip(share, curves, strict=True)),
            )
        )
    return highest


def lifting_error(
    model: PriorModel, poses_mm: Real[np.ndarray, "N L 3"], seed: int = 0, *, lens: bool = False
) -> float:
    """MPJPE (mm; root-aligned, known limb scale) of poses lifted from their true points in a room
    with cameras like Human3.6M's (simulation.room); lens: with their intrinsics."""
    images = room(poses_mm, seed)
    intrinsics = INTRINSICS if lens else None
    lifted = lift(images.points, model, camera=images.cameras, intrinsics=intrinsics)
    pose = with_scale_of(lifted.pose, images.truth, model.skeleton)
    return float(root_aligned(pose, images.truth, model.skeleton.root).mean())


def select(
    train: Real[np.ndarray, "N L 3"],
    held_out: Real[np.ndarray, "M L 3"],
    components: Sequence[int],
    basis: Sequence[int],
    *,
    seed: int = 0,
    **method: Any,
) -> Iterator[Score]:
    """Yield what each number of components and each basis size reaches.

    train, held_out: poses, mm. method: as in fitting.fit.align, which runs once for each size of
    the basis.
    """
    random = np.random.default_rng(0)
    chosen = held_out[np.sort(random.permutation(len(held_out))[:LIFTED])]
    for size in basis:
        aligned = align(train, size, **method)
        for count in components:
            model = mix(aligned, count, seed=seed)
            yield Score(
                model.components,
                size,
                float(log_likelihood(model, held_out).mean()),
                lifting_error(model, chosen),
                lifting_error(model, chosen, lens=True),
                model,
            )
