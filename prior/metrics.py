"""Errors of 3D poses and 2D landmarks. Pure functions; what is aligned is in the name.

3D: poses (N, L, 3) and truth (N, L, 3), mm; each returns the mean Euclidean distance per pose (N,),
so that any average (per action, per camera) is the caller's. 2D: points and truth (N, L, 2), px.
"""

import numpy as np

from prior.normalise import centred
from prior.skeleton import LANDMARKS, limb_scale

ROOT = LANDMARKS.index("hip")
_HEAD = [LANDMARKS.index(name) for name in ("neck", "head top")]

# PCKh (Andriluka et al. 2014): a landmark is right within this share of the head's length.
PCKH_SHARE = 0.5


def _distance(a, b):
    return np.linalg.norm(a - b, axis=-1)


def root_aligned(poses, truth):
    """MPJPE with the hips of both poses at the same place."""
    return _distance(poses - poses[:, [ROOT]], truth - truth[:, [ROOT]]).mean(axis=1)


def mean_aligned(poses, truth):
    """MPJPE with the mean landmarks of both poses at the same place."""
    return _distance(centred(poses), centred(truth)).mean(axis=1)


def with_scale_of(poses, truth):
    """The poses with each limb scale changed to that of its truth ("known scale")."""
    return poses * (limb_scale(truth) / limb_scale(poses))[:, None, None]


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


def procrustes_aligned(poses, truth, scaling=True):
    """Mean distance after Procrustes alignment of each pose."""
    return _distance(procrustes(poses, truth, scaling), truth).mean(axis=1)


def landmark_error(points, truth):
    """Distance of each landmark, px: (N, L)."""
    return _distance(points, truth)


def pckh(points, truth, share=PCKH_SHARE):
    """Whether each landmark is within `share` of its own person's head length: (N, L) bool.

    The head is measured from neck to head top in the image. Our neck is lower than MPII's upper
    neck, so this head is longer and the measure laxer than MPII's at the same share.
    """
    head = _distance(truth[:, _HEAD[0]], truth[:, _HEAD[1]])
    return landmark_error(points, truth) <= share * head[:, None]
