"""Which number of components and basis size: held-out likelihood and lifting error.

Neighbouring frames are nearly equal, so what is held out is whole subjects, or whole clips.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.model_selection import GroupShuffleSplit

from prior import ppca
from prior.chunks import each_chunk
from prior.fitting import alignment
from prior.fitting.fit import fit_each
from prior.lifting.lifter import lift
from prior.metrics import root_aligned, with_scale_of
from prior.normalise import NormalisedPoses
from prior.scene import room

# The share of subjects or clips that is held out.
SHARE = 0.2

# Held-out poses that are lifted: with some 40 mm from pose to pose, were they independent, their
# mean is known to 1 mm.
LIFTED = 2000

# Of EM over the yaw of a pose; most poses belong to one component, and take one.
YAW_STEPS = 5


class Candidate(NamedTuple):
    """A size (K, J) and what it reached on held-out poses: log likelihood per pose (nats) and
    MPJPE (mm; root-aligned, known limb scale) of poses lifted from their 2D landmarks."""

    components: int
    basis: int
    log_likelihood: float
    mpjpe_mm: float
    model: object


def split(clips, by, seed=0):
    """(training clips, held-out clips): SHARE of the subjects, or of the actions of subjects.

    by: "subject" or "clip". Raises ValueError when there is only one.
    """
    groups = [clip.subject if by == "subject" else (clip.subject, clip.action) for clip in clips]
    names = sorted(set(groups))
    if len(names) < 2:
        raise ValueError(
            f"expected motion capture of 2 {by}s or more, one to hold out; got {names[0]} alone"
            + ("; hold out clips" if by == "subject" else "")
        )
    number = [names.index(group) for group in groups]
    train, held_out = next(
        GroupShuffleSplit(1, test_size=SHARE, random_state=seed).split(number, groups=number)
    )
    return [clips[i] for i in train], [clips[i] for i in held_out]


def log_likelihood(model, poses_mm):
    """Log density (N,) of normalised poses, each at its most probable yaw.

    Over the 48 directions of centred poses: the PPCAs' other three, translations, are left out,
    where the noise has a density too, which would grow with J without meaning anything.
    """
    poses, parts = NormalisedPoses(poses_mm), model.parts
    constant = np.log(model.weight) + 1.5 * np.log(2 * np.pi * model.noise_std**2)
    constant -= [(ppca.log_determinant(c) + c.mean.size * np.log(2 * np.pi)) / 2 for c in parts]

    def part(where):
        curves = [alignment.distances(poses[where], component) for component in parts]
        highest = -np.inf
        for curve in curves:
            # EM over the yaw, from the best of each component.
            yaw = alignment.minimise_closed_form(curve)
            for _ in range(YAW_STEPS):
                joint = constant - 0.5 * np.stack([c.at(yaw) for c in curves], axis=1)
                highest = np.maximum(highest, logsumexp(joint, axis=1))
                share = softmax(joint, axis=1).T
                yaw = alignment.minimise_closed_form(
                    alignment.Distances(
                        sum(r * c.constant for r, c in zip(share, curves, strict=True)),
                        sum(r * c.harmonics for r, c in zip(share, curves, strict=True)),
                    )
                )
        return highest

    return np.concatenate(list(each_chunk(part, len(poses))))


def lifting_error(model, poses_mm, seed=0):
    """MPJPE (mm; root-aligned, known limb scale) of poses (N, 17, 3) lifted from their true points
    in a room with cameras like Human3.6M's (scene.room)."""
    scene = room(poses_mm, seed)
    lifted = lift(scene.points, model, camera=scene.cameras)
    return float(root_aligned(with_scale_of(lifted.pose, scene.truth), scene.truth).mean())


def select(train, held_out, components, basis, **options):
    """Yield a Candidate for each number of components and each basis size.

    train, held_out: poses (N, 17, 3), mm; options: those of fitting.fit_each.
    """
    random = np.random.default_rng(0)
    chosen = held_out[np.sort(random.permutation(len(held_out))[:LIFTED])]
    for size in basis:
        for model in fit_each(train, components, basis=size, **options):
            yield Candidate(
                model.components,
                size,
                float(log_likelihood(model, held_out).mean()),
                lifting_error(model, chosen),
                model,
            )
