"""The initial mean and yaws: the variant of Tomasi-Kanade factorisation of section 4, in two forms.

Every pose is taken for the mean, turned about the vertical. Heights do not change by turning, so
their mean is the mean's. On the ground plane the x and z rows of all poses, stacked, are a 2N x L
matrix M, of which a factor of low rank is taken.

`factorise_real` is the paper's: M ~ A B of rank 2. A has a 2 x 2 block for each pose, which may be
any matrix, and which is then replaced by the closest rotation. `factorise`, the default, writes
w = x + i z; turning by theta multiplies by exp(-i theta), so the poses are a column of complex
numbers times the mean, of rank 1.

They are not the same factorisation. A complex number turns and scales, where a 2 x 2 block may also
shear and reflect. So the real form fits M more closely: of the sum of squares of the 9,665 poses
of subject 13 in the carried motion, and their mirror images, it leaves 0.278, the complex form
0.311. But what it gains is what no turn can do, such as the swing of the arms against the legs,
which may take the place of depth; and it has an ambiguity to settle, which the complex form has
not. Where the poses are turns of one rigid shape both are exact.
"""

from functools import partial, reduce
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Complex, Float

from prior.chunks import Passes, one_thread, over_rows
from prior.normalise import NormalisedPoses, from_rows, turned_back
from prior.skeleton import HUMAN36M, Skeleton

# In the real factorisation, the metric's smaller eigenvalue is taken to be at least this share of
# the larger. Our choice; it matters only for data that are no turns of a shape, whose metric may
# have no square root.
LEAST = 1e-6


class Start(NamedTuple):
    """mean (L, 3): its own mirror image, left along +x, if the skeleton has one. yaw (N,), radians:
    pose_i is about vertical_rotation(yaw_i) applied to the mean; the mirror image of pose_i has yaw
    -yaw_i."""

    mean: Float[np.ndarray, "L 3"]
    yaw: Float[np.ndarray, "N"]


Poses: TypeAlias = Float[np.ndarray, "N D"] | NormalisedPoses


def factorise(poses: Poses, skeleton: Skeleton = HUMAN36M, passes: Passes = over_rows) -> Start:
    """Initial mean and yaws of normalised poses of a skeleton and their mirror images.

    poses: rows; their mirror images are counted in, not made. passes: how passes are made.
    """
    gram = reduce(np.add, passes(_gram, poses))
    if skeleton.mirrors:
        # In a mirror w becomes -conj(w), and left and right landmarks change places.
        gram = gram + gram.conj()[np.ix_(skeleton.mirror, skeleton.mirror)]
    # The leading right singular vector, from the L x L Gram matrix: one pass over the poses.
    with one_thread():
        _, vectors = np.linalg.eigh(gram)
    shape = vectors[:, -1].conj()
    shape = shape * np.exp(-1j * _heading(shape, skeleton))
    parts = list(passes(partial(_turn_to, shape=shape), poses))
    mean = from_rows(sum(total for _, total in parts) / len(poses))
    return Start(_symmetric(mean, skeleton), np.concatenate([yaw for yaw, _ in parts]))


def _heading(shape: Complex[np.ndarray, "L"], skeleton: Skeleton) -> float:
    """The angle, radians, of the direction from right to left of a shape on the ground plane.

    A common turn of all poses changes nothing in equation 1; the one back by this angle makes the
    mean, and with it all that follows, its own mirror image. Without left and right it is the
    direction of the landmark farthest out.
    """
    if not skeleton.mirrors:
        return float(np.angle(shape[np.abs(shape).argmax()]))
    left, right = (shape[side].sum() for side in skeleton.across)
    return float(np.angle(left - right))


def _symmetric(mean: Float[np.ndarray, "L 3"], skeleton: Skeleton) -> Float[np.ndarray, "L 3"]:
    """The mean of the mean and its mirror image, if the skeleton has one."""
    return (mean + skeleton.mirrored(mean)) / 2 if skeleton.mirrors else mean


def _ground(rows: Float[np.ndarray, "n D"]) -> Complex[np.ndarray, "n L"]:
    x, z, _ = np.split(rows, 3, axis=1)
    return x + 1j * z


def _gram(rows: Float[np.ndarray, "n D"]) -> Complex[np.ndarray, "L L"]:
    ground = _ground(rows)
    return ground.conj().T @ ground


def _turn_to(
    rows: Float[np.ndarray, "n D"], shape: Complex[np.ndarray, "L"]
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "D"]]:
    """Yaws (n,) of the rows, and the sum of the rows turned back by them."""
    # The closest rotation to a scaled rotation: its phase alone (the paper's projection of each
    # 2 x 2 block to an orthonormal matrix); pinv of stacked rotations is their transposes over N.
    # A pose with no extent on the ground keeps yaw 0.
    yaw = -np.angle(_ground(rows) @ shape.conj())
    return yaw, turned_back(rows, yaw).sum(axis=0)


def factorise_real(
    poses: Poses, skeleton: Skeleton = HUMAN36M, passes: Passes = over_rows
) -> Start:
    """As `factorise`, by the paper's real factorisation of rank 2.

    M ~ A B is also (A Q)(Q^-1 B) for every invertible 2 x 2 matrix Q. The Q taken makes the blocks
    of A Q as nearly orthonormal as possible (Tomasi and Kanade's metric constraints). This leaves a
    turn and a reflection that all poses have in common. Of A Q and its reflection, the one to which
    rotations fit better is taken; the turn is the one that makes the mean face forward.
    """
    gram = reduce(np.add, passes(_real_gram, poses))
    if skeleton.mirrors:
        # In a mirror x becomes -x, and left and right landmarks change places.
        gram = gram + gram[np.ix_(skeleton.mirror, skeleton.mirror)]
    with one_thread():
        _, vectors = np.linalg.eigh(gram)
    plane = vectors[:, :-3:-1].T
    metric = partial(_metric, plane=plane, skeleton=skeleton)
    normals, rights = zip(*passes(metric, poses), strict=True)
    corrected = _upgrade(reduce(np.add, normals), reduce(np.add, rights)) @ plane
    # The mirror images would fit both alike where the plane has no front and back.
    rotations, reflections = reduce(np.add, passes(partial(_fits, corrected=corrected), poses))
    if reflections > rotations:
        corrected = corrected * [[1], [-1]]
    parts = passes(partial(_rotate_to, corrected=corrected), poses)
    yaws, totals = zip(*parts, strict=True)
    mean = reduce(np.add, totals)[None] / len(poses)
    heading = _heading(_ground(mean)[0], skeleton)
    forward = from_rows(turned_back(mean, np.array([-heading]))[0])
    yaw = np.angle(np.exp(1j * (np.concatenate(yaws) - heading)))
    return Start(_symmetric(forward, skeleton), yaw)


def _with_mirror_images(
    rows: Float[np.ndarray, "n D"], skeleton: Skeleton
) -> Float[np.ndarray, "m D"]:
    """The rows, and then their mirror images, if the skeleton has any."""
    return np.concatenate([rows, skeleton.mirrored_rows(rows)]) if skeleton.mirrors else rows


def _pairs(rows: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n 2 L"]:
    """The x and z rows of each pose."""
    return rows.reshape(len(rows), 3, -1)[:, :2]


def _real_gram(rows: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "L L"]:
    pairs = _pairs(rows)
    stacked = pairs.reshape(-1, pairs.shape[2])
    return stacked.T @ stacked


def _metric(
    rows: Float[np.ndarray, "n D"], plane: Float[np.ndarray, "2 L"], skeleton: Skeleton
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
    """A chunk's normal equations of the metric constraints on S = Q Q^T.

    Of a block with rows p and q: p S p = 1, q S q = 1, p S q = 0, which are linear in (S_00, S_01,
    S_11).
    """
    p, q = (_pairs(_with_mirror_images(rows, skeleton)) @ plane.T).swapaxes(0, 1)

    def row(a: Float[np.ndarray, "n 2"], b: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
        return np.stack(
            [a[:, 0] * b[:, 0], a[:, 0] * b[:, 1] + a[:, 1] * b[:, 0], a[:, 1] * b[:, 1]], axis=1
        )

    system = np.concatenate([row(p, p), row(q, q), row(p, q)])
    return system.T @ system, system[: 2 * len(p)].sum(axis=0)


def _upgrade(
    normal: Float[np.ndarray, "3 3"], right: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "2 2"]:
    """Q^T for the S that solves the normal equations, so that A Q = M (Q^T B)^T."""
    a, b, c = np.linalg.lstsq(normal, right, rcond=None)[0]
    values, vectors = np.linalg.eigh(np.array([[a, b], [b, c]]))
    return (vectors * np.sqrt(np.maximum(values, LEAST * values[1]))).T


def _blocks(
    rows: Float[np.ndarray, "n D"], corrected: Float[np.ndarray, "2 L"]
) -> Float[np.ndarray, "n 2 2"]:
    """The block of A Q of each pose."""
    return _pairs(rows) @ corrected.T


def _fits(
    rows: Float[np.ndarray, "n D"], corrected: Float[np.ndarray, "2 L"]
) -> Float[np.ndarray, "2"]:
    """How well rotations, and reflections, fit a chunk's blocks: the sums of the inner products of
    the blocks with the closest rotations, and with the closest reflections."""
    (a, b), (c, d) = np.moveaxis(_blocks(rows, corrected), 0, -1)
    return np.array([np.hypot(a + d, b - c).sum(), np.hypot(a - d, b + c).sum()])


def _rotate_to(
    rows: Float[np.ndarray, "n D"], corrected: Float[np.ndarray, "2 L"]
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "D"]]:
    """Yaws of a chunk's poses, by the rotations closest to their blocks, and the sum of the poses
    turned back by them."""
    # The mean is pinv(A-bar) M; pinv of N stacked rotations is their transposes over N.
    (a, b), (c, d) = np.moveaxis(_blocks(rows, corrected), 0, -1)
    yaw = np.arctan2(b - c, a + d)
    return yaw, turned_back(rows, yaw).sum(axis=0)
