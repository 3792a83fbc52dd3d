"""The initial mean and yaws: a variant of Tomasi-Kanade factorisation (section 4).

Every pose is taken for the mean, turned about the vertical. Heights do not change by turning, so
their mean is the mean's. On the ground plane, poses and mean are rows of complex numbers
w = x + i z, and turning by theta multiplies by exp(-i theta): the stacked poses are a column of
phases times the mean, a matrix of rank 1. This complex form has no 2 x 2 ambiguity to resolve and
cannot give a reflection.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Complex, Float

from prior.chunks import each_chunk, one_thread
from prior.normalise import NormalisedPoses, from_rows, turned_back
from prior.skeleton import LANDMARKS, MIRROR, L, mirrored


class Start(NamedTuple):
    """mean (L, 3): its own mirror image, left along +x. yaw (N,), radians: pose_i is about
    vertical_rotation(yaw_i) applied to the mean; the mirror image of pose_i has yaw -yaw_i."""

    mean: Float[np.ndarray, "17 3"]
    yaw: Float[np.ndarray, "N"]


Poses: TypeAlias = Float[np.ndarray, "N 51"] | NormalisedPoses


def factorise(poses: Poses) -> Start:
    """Initial mean and yaws of normalised poses and their mirror images.

    poses: rows; their mirror images are counted in, not made.
    """
    gram = sum(each_chunk(lambda where: _gram(poses[where]), len(poses)))
    # In a mirror w becomes -conj(w), and left and right landmarks change places.
    gram = gram + gram.conj()[np.ix_(MIRROR, MIRROR)]
    # The leading right singular vector, from the L x L Gram matrix: one pass over the poses.
    with one_thread():
        _, vectors = np.linalg.eigh(gram)
    shape = _facing_forward(vectors[:, -1].conj())
    parts = list(each_chunk(lambda where: _turn_to(poses[where], shape), len(poses)))
    mean = from_rows(sum(total for _, total in parts) / len(poses))
    return Start((mean + mirrored(mean)) / 2, np.concatenate([yaw for yaw, _ in parts]))


def _facing_forward(shape: Complex[np.ndarray, "17"]) -> Complex[np.ndarray, "17"]:
    """The shape on the ground plane, turned so that its left is along +x.

    A common turn of all poses changes nothing in equation 1; this one makes the mean, and with it
    all that follows, its own mirror image.
    """
    left, right = (
        shape[[LANDMARKS.index(f"{side} {part}") for part in ("hip", "shoulder")]].sum()
        for side in ("left", "right")
    )
    return shape * np.exp(-1j * np.angle(left - right))


def _ground(rows: Float[np.ndarray, "n 51"]) -> Complex[np.ndarray, "n 17"]:
    return rows[:, :L] + 1j * rows[:, L : 2 * L]


def _gram(rows: Float[np.ndarray, "n 51"]) -> Complex[np.ndarray, "17 17"]:
    ground = _ground(rows)
    return ground.conj().T @ ground


def _turn_to(
    rows: Float[np.ndarray, "n 51"], shape: Complex[np.ndarray, "17"]
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "51"]]:
    """Yaws (n,) of the rows, and the sum of the rows turned back by them."""
    # The closest rotation to a scaled rotation: its phase alone (the paper's projection of each
    # 2 x 2 block to an orthonormal matrix); pinv of stacked rotations is their transposes over N.
    # A pose with no extent on the ground keeps yaw 0.
    yaw = -np.angle(_ground(rows) @ shape.conj())
    return yaw, turned_back(rows, yaw).sum(axis=0)
