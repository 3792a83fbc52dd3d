"""Bones of constant length: the poses of a track lifted again, with the skeleton of that track.

The lifting gives each image a Gaussian over poses, of mean x0 and covariance S (its posterior), in
which bones have any length. A person's do not change. The pose that is most probable among those
with bones of lengths l is

    argmin_x (x - x0)^T S^-1 (x - x0)   such that   |x_child - x_parent| = l   for every bone,

and its depths change most, since these are least certain. The lengths are the track's medians,
those of the left and the right side together. This goes beyond the paper, which lifts every image
by itself.
"""

import numpy as np

from prior.skeleton import LIMBS, MIRROR, PARENTS, L

# Steps of the linearised problem, and how much of each is taken. Our choices: on held-out clips
# more steps change the error by less than 0.1 mm, and full ones go to and fro where a bone turns
# far.
STEPS, DAMPING = 8, 0.8
# Poses at once, which bounds the memory of their covariances.
CHUNK = 512


def lengths_of(poses):
    """(16,), mm, in the order of LIMBS, of the bones of poses (n, 17, 3) of one person."""
    bones = np.linalg.norm(poses[:, LIMBS[:, 1]] - poses[:, LIMBS[:, 0]], axis=2)
    lengths = np.zeros(L)
    lengths[LIMBS[:, 1]] = np.median(bones, axis=0)
    return ((lengths + lengths[MIRROR]) / 2)[LIMBS[:, 1]]


def impose(poses, lengths, covariance=None):
    """(poses (n, 17, 3), mm, with bones of these lengths (16,); their covariances (n, 51, 51)).

    covariance: S (n, 51, 51), mm^2, of coordinates landmark by landmark; without it all coordinates
    are as certain. The poses keep their mean landmark.
    """
    count = len(poses)
    if covariance is None:
        covariance = np.broadcast_to(np.eye(3 * L), (count, 3 * L, 3 * L))
    # How each coordinate goes together with each bone (n, 51, 16, 3).
    S = covariance.reshape(count, 3 * L, L, 3)
    with_bones = S[:, :, LIMBS[:, 1]] - S[:, :, LIMBS[:, 0]]
    x = poses
    for _ in range(STEPS):
        size, way = _bones(x)
        gain, _ = _gain(with_bones, way)
        wanting = size - lengths + _along(way, poses - x)
        step = poses - np.einsum("nib,nb->ni", gain, wanting).reshape(x.shape) - x
        x = x + DAMPING * step
    gain, across = _gain(with_bones, _bones(x)[1])
    left = covariance - gain @ across.swapaxes(1, 2)
    result = _exact(x, lengths)
    return result + (poses - result).mean(axis=1, keepdims=True), left


def _bones(poses):
    """Lengths (n, 16) and directions (n, 16, 3) of the bones."""
    bones = poses[:, LIMBS[:, 1]] - poses[:, LIMBS[:, 0]]
    size = np.maximum(np.linalg.norm(bones, axis=2), 1e-6)
    return size, bones / size[..., None]


def _along(way, offsets):
    """A times offsets (n, 17, 3): by how much they lengthen each bone (n, 16)."""
    return np.sum(way * (offsets[:, LIMBS[:, 1]] - offsets[:, LIMBS[:, 0]]), axis=2)


def _gain(with_bones, way):
    """(S A^T (A S A^T)^-1, S A^T), both (n, 51, 16), A the derivatives of the bones' lengths."""
    across = np.einsum("nibc,nbc->nib", with_bones, way)
    by_landmark = across.reshape(len(way), L, 3, len(LIMBS))
    apart = by_landmark[:, LIMBS[:, 1]] - by_landmark[:, LIMBS[:, 0]]
    inner = np.einsum("nac,nacb->nab", way, apart)
    # Against bones that are certain already.
    inner += 1e-6 * np.trace(inner, axis1=1, axis2=2)[:, None, None] * np.eye(len(LIMBS))
    return np.linalg.solve(inner, across.swapaxes(1, 2)).swapaxes(1, 2), across


def _exact(poses, lengths):
    """Every bone in its direction, of its length, from the root on."""
    result = poses.copy()
    of = dict(zip(LIMBS[:, 1].tolist(), lengths, strict=True))
    for i, parent in enumerate(PARENTS):
        if parent >= 0:
            bone = poses[:, i] - poses[:, parent]
            size = np.maximum(np.linalg.norm(bone, axis=1, keepdims=True), 1e-9)
            result[:, i] = result[:, parent] + of[i] * bone / size
    return result


def held(poses):
    """The lifted.Poses with the bones that their meta says: what smoothing changed is put back."""
    result = poses.pose_mm.copy()
    for person, lengths in poses.meta.get("bones_mm", {}).items():
        rows = poses.person == int(person)
        result[rows] = impose(result[rows], np.array(lengths))[0]
    return poses._replace(pose_mm=result.round(3))


def constant(poses, person, moments_of):
    """(poses (N, 17, 3), deviations (N, 17), {person: lengths (16,)}), mm, of poses of people
    (N,), each with the bones of its track.

    moments_of: from rows to their covariances (n, 51, 51), mm^2.
    """
    result, deviation, lengths = poses.copy(), np.full(poses.shape[:2], np.nan), {}
    for one in np.unique(person):
        rows = np.flatnonzero(person == one)
        lengths[int(one)] = lengths_of(poses[rows])
        for i in range(0, len(rows), CHUNK):
            part = rows[i : i + CHUNK]
            moments = moments_of(part)
            result[part], left = impose(poses[part], lengths[int(one)], moments)
            variance = np.diagonal(left, axis1=1, axis2=2).reshape(-1, L, 3).sum(axis=2)
            deviation[part] = np.sqrt(np.maximum(variance, 0))
    return result, deviation, lengths
