"""The initial mean and yaws: a variant of Tomasi-Kanade factorisation (section 4).

Every pose is taken for the mean, turned about the vertical. Heights do not change by turning, so
their mean is the mean's. On the ground plane, poses and mean are rows of complex numbers
w = x + i z, and turning by theta multiplies by exp(-i theta): the stacked poses are a column of
phases times the mean, a matrix of rank 1. Its real form is the paper's rank-2 factorisation of
2N x L; the complex one has no 2 x 2 ambiguity to resolve and cannot give a reflection.
"""

import numpy as np


def factorise(poses):
    """Initial mean and yaws of normalised poses (N, L, 3).

    Returns (mean (L, 3), yaw (N,)): pose_i ~ vertical_rotation(yaw_i) applied to the mean. A
    common turn of all poses is not determined; alignment.face_forward settles it.
    """
    ground = poses[..., 0] + 1j * poses[..., 2]
    # The leading right singular vector, from the L x L Gram matrix: one pass over the poses.
    _, vectors = np.linalg.eigh(ground.conj().T @ ground)
    phase = ground @ vectors[:, -1]
    # The closest rotation to a scaled rotation: its phase alone (the paper's projection of each
    # 2 x 2 block to an orthonormal matrix). A pose with no extent on the ground keeps yaw 0.
    size = np.abs(phase)
    phase = np.where(size > 0, phase / np.where(size > 0, size, 1), 1)
    # pinv of stacked rotations is their stacked transposes over N.
    ground_mean = phase.conj() @ ground / len(poses)
    mean = np.stack([ground_mean.real, poses[..., 1].mean(axis=0), ground_mean.imag], axis=-1)
    return mean, -np.angle(phase)
