"""Errors of 3D poses and 2D landmarks. Pure functions; what is aligned is in the name.

3D: poses and truth (N, L, 3), mm. Alignment and measuring are apart: `at_root`, `at_mean` and
`procrustes` move each pose to its truth, `with_scale_of` and `with_best_scale` scale it first, and
`landmark_error` gives (N, L) distances of which any mean can be taken: per pose, per landmark, or
with `grouped` per action or camera. `root_aligned`, `mean_aligned` and `procrustes_aligned` are the
usual means per pose (N,). Over a subset of the landmarks, give both arrays with that subset alone,
so that the alignment is fitted to what is measured. 2D: points and truth (N, L, 2), px of the
original image.
"""

import numpy as np

from prior.normalise import centred
from prior.skeleton import LANDMARKS, limb_scale

ROOT = LANDMARKS.index("hip")
_HEAD = [LANDMARKS.index(name) for name in ("neck", "head top")]

# PCKh (Andriluka et al. 2014): a landmark is right within this share of the head's length.
PCKH_SHARE = 0.5


def landmark_error(poses, truth):
    """Distance of each landmark: (N, L), in the unit of the coordinates (N, L, 2 or 3)."""
    return np.linalg.norm(poses - truth, axis=-1)


# Alignment ---------------------------------------------------------------------------------------


def at_root(poses, truth):
    """The poses (N, 17, 3), each moved so that its hip is its truth's."""
    return poses - poses[:, [ROOT]] + truth[:, [ROOT]]


def at_mean(poses, truth):
    """The poses, each moved so that its mean landmark is its truth's."""
    return centred(poses) + truth.mean(axis=1, keepdims=True)


def with_scale_of(poses, truth):
    """The poses (N, 17, 3), each limb scale changed to that of its truth ("known scale")."""
    return poses * (limb_scale(truth) / limb_scale(poses))[:, None, None]


def with_best_scale(poses, truth):
    """The poses, each scaled as its truth wants it: the least squares' scale about the mean
    landmark. More than any method can know; with `at_mean` the "N-MPJPE" of later papers."""
    a, b = centred(poses), centred(truth)
    return poses * (np.sum(a * b, axis=(1, 2)) / np.sum(a * a, axis=(1, 2)))[:, None, None]


def procrustes(poses, truth, scaling=True):
    """The poses moved by the similarity (or, without scaling, the rigid motion) that brings each
    closest to its truth in least squares; never a reflection (Umeyama 1991)."""
    a, b = centred(poses), centred(truth)
    u, values, vt = np.linalg.svd(a.swapaxes(1, 2) @ b)
    sign = np.ones_like(values)
    sign[:, -1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = np.ones(len(a))
    if scaling:
        scale = (values * sign).sum(axis=1) / np.square(a).sum(axis=(1, 2))
    return scale[:, None, None] * (a @ rotation) + truth.mean(axis=1, keepdims=True)


# Means per pose ----------------------------------------------------------------------------------


def root_aligned(poses, truth):
    """MPJPE with the hips of both poses at the same place: (N,)."""
    return landmark_error(at_root(poses, truth), truth).mean(axis=1)


def mean_aligned(poses, truth):
    """MPJPE with the mean landmarks of both poses at the same place: (N,)."""
    return landmark_error(at_mean(poses, truth), truth).mean(axis=1)


def procrustes_aligned(poses, truth, scaling=True):
    """Mean distance after Procrustes alignment of each pose: (N,)."""
    return landmark_error(procrustes(poses, truth, scaling), truth).mean(axis=1)


# 2D ----------------------------------------------------------------------------------------------


def pck(points, truth, radius):
    """Whether each landmark is within `radius` of the truth, px, a number or (N,): (N, L) bool.

    False where the truth is missing (NaN); leave those out of a mean.
    """
    return landmark_error(points, truth) <= np.broadcast_to(radius, len(truth))[:, None]


def pckh(points, truth, share=PCKH_SHARE):
    """Whether each landmark is within `share` of its own person's head length: (N, L) bool.

    The head is measured from neck to head top in the image. Our neck is lower than MPII's upper
    neck, so this head is longer and the measure laxer than MPII's at the same share.
    """
    return pck(points, truth, share * landmark_error(truth[:, _HEAD[0]], truth[:, _HEAD[1]]))


# Groups ------------------------------------------------------------------------------------------


def grouped(errors, labels):
    """Mean of errors (N,) or (N, L) over the poses of each label (N,), NaN left out: {label: mean},
    sorted. A label without any number has NaN."""
    labels = np.asarray(labels)
    return {str(label): mean(errors[labels == label]) for label in np.unique(labels)}


def mean(errors):
    """Mean of all the numbers, NaN left out; NaN where there are none."""
    there = ~np.isnan(errors)
    return float(errors[there].mean()) if there.any() else float("nan")
