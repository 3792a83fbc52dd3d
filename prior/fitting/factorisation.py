"""The initial mean and yaws: a variant of Tomasi-Kanade factorisation (section 4).

Every pose is taken for the mean, turned about the vertical. Heights do not change by turning, so
their mean is the mean's. On the ground plane, poses and mean are rows of complex numbers
w = x + i z, and turning by theta multiplies by exp(-i theta): the stacked poses are a column of
phases times the mean, a matrix of rank 1. Its real form is the paper's rank-2 factorisation of
2N x L; the complex one has no 2 x 2 ambiguity to resolve and cannot give a reflection.
"""

import numpy as np

from prior.chunks import each_chunk, one_thread
from prior.normalise import from_rows, turned_back
from prior.skeleton import LANDMARKS, MIRROR, L, mirrored


def factorise(poses):
    """Initial mean and yaws of normalised poses and their mirror images.

    poses: rows (N, 3L), an array or NormalisedPoses; mirror images are counted in, not made.
    Returns (mean (L, 3), its own mirror image, left along +x; yaw (N,)): pose_i ~
    vertical_rotation(yaw_i) applied to the mean; the mirror image of pose_i has yaw -yaw_i.
    """
    gram = sum(each_chunk(lambda where: _gram(poses[where]), len(poses)))
    # In a mirror w becomes -conj(w), and left and right landmarks change places.
    gram = gram + gram.conj()[np.ix_(MIRROR, MIRROR)]
    # The leading right singular vector, from the L x L Gram matrix: one pass over the poses.
    with one_thread():
        _, vectors = np.linalg.eigh(gram)
    shape = vectors[:, -1].conj()
    # A common turn of all poses changes nothing in equation 1: the one that puts the left along +x
    # makes the mean, and with it all that follows, its own mirror image.
    left, right = (
        shape[[LANDMARKS.index(f"{side} {part}") for part in ("hip", "shoulder")]].sum()
        for side in ("left", "right")
    )
    shape = shape * np.exp(-1j * np.angle(left - right))
    parts = list(each_chunk(lambda where: _align(poses[where], shape), len(poses)))
    mean = from_rows(sum(total for _, total in parts) / len(poses))
    return (mean + mirrored(mean)) / 2, np.concatenate([yaw for yaw, _ in parts])


def _ground(rows):
    return rows[:, :L] + 1j * rows[:, L : 2 * L]


def _gram(rows):
    ground = _ground(rows)
    return ground.conj().T @ ground


def _align(rows, shape):
    """Yaws (n,) of the rows, and the sum of the rows turned back by them."""
    # The closest rotation to a scaled rotation: its phase alone (the paper's projection of each
    # 2 x 2 block to an orthonormal matrix); pinv of stacked rotations is their transposes over N.
    # A pose with no extent on the ground keeps yaw 0.
    yaw = -np.angle(_ground(rows) @ shape.conj())
    return yaw, turned_back(rows, yaw).sum(axis=0)
