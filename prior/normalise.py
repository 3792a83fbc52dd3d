"""Poses in millimetres to the model's space (section 4): centre, scale, mirror.

A model is fitted to "rows". A row is an unwrapped pose, 51 numbers: all x, then all z, then all y,
so that what turns about the vertical lies together.
"""

import numpy as np
from jaxtyping import Float, Int, Real
from numpy.typing import ArrayLike

from prior.chunks import each_chunk
from prior.errors import InputError
from prior.skeleton import MIRROR, L, limb_scale

# A person's limb scale (skeleton.limb_scale). That of an adult is near 1000 mm; children and giants
# are well inside this range, whatever definition of the landmarks is in use.
LIMB_SCALE_RANGE_MM = (300.0, 2500.0)

_ROW_ORDER = [0, 2, 1]


class PoseError(InputError):
    """Poses that cannot be used."""


def check_poses(
    poses_mm: ArrayLike,
) -> tuple[Real[np.ndarray, "N 17 3"], Float[np.ndarray, "N"]]:
    """Check poses (N, 17, 3), mm. Returns them as an array, and their limb scales, mm.

    An array is not copied, nor is a memory map. Raises PoseError.
    """
    poses = np.asanyarray(poses_mm)
    if poses.ndim != 3 or poses.shape[1:] != (L, 3) or not len(poses):
        raise PoseError(f"poses: expected shape (N, {L}, 3) with N > 0, got {poses.shape}")
    if poses.dtype.kind not in "fiu":
        raise PoseError(f"poses: expected numbers, got {poses.dtype}")
    with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, which is refused below
        scale = np.concatenate(
            list(each_chunk(lambda where: limb_scale(poses[where].astype(float)), len(poses)))
        )
    # Every landmark is part of a limb, so the scale is finite where all of the pose is.
    finite = np.isfinite(scale)
    if not finite.all():
        raise PoseError(
            f"poses: {np.count_nonzero(~finite)} of {len(poses)} have NaN or infinite coordinates, "
            f"the first is number {np.flatnonzero(~finite)[0]}; leave these frames out"
        )
    typical = float(np.median(scale))
    low, high = LIMB_SCALE_RANGE_MM
    if not low <= typical <= high:
        guesses = {"metres": 1000.0, "centimetres": 10.0, "inches": 25.4, "micrometres": 1e-3}
        guess = [unit for unit, factor in guesses.items() if low <= typical * factor <= high]
        hint = f"; are they in {' or '.join(guess)}?" if guess else ""
        raise PoseError(
            f"poses: expected millimetres, that is a limb scale of {low:.0f} to {high:.0f}, "
            f"got {typical:.4g}{hint}"
        )
    return poses, scale


def centred(poses: Real[np.ndarray, "*batch L D"]) -> Float[np.ndarray, "*batch L D"]:
    """Poses less their mean landmark."""
    return poses - poses.mean(axis=-2, keepdims=True)


def to_rows(poses: ArrayLike) -> Real[np.ndarray, "*batch 51"]:
    """Poses (..., 17, 3) unwrapped: all x, all z, all y."""
    poses = np.asarray(poses)[..., _ROW_ORDER].swapaxes(-1, -2)
    return poses.reshape(*poses.shape[:-2], 3 * L)


def from_rows(rows: ArrayLike) -> Real[np.ndarray, "*batch 17 3"]:
    """Rows (..., 51) as poses: the inverse of to_rows."""
    rows = np.asarray(rows)
    return rows.reshape(*rows.shape[:-1], 3, L)[..., _ROW_ORDER, :].swapaxes(-1, -2)


# The mirror image (skeleton.mirrored) of a row is row[..., ROW_MIRROR] * ROW_SIGN.
ROW_MIRROR = np.concatenate([MIRROR, L + MIRROR, 2 * L + MIRROR])
ROW_SIGN = np.repeat([-1.0, 1.0, 1.0], L)


def turned_back(
    rows: Float[np.ndarray, "n 51"], yaw: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n 51"]:
    """Rows of poses of these yaws, radians, turned about the vertical to yaw 0."""
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    x, z = rows[:, :L], rows[:, L : 2 * L]
    return np.concatenate([cos * x - sin * z, cos * z + sin * x, rows[:, 2 * L :]], axis=1)


class NormalisedPoses:
    """Poses centred on their mean landmark and divided by their limb scale (section 4).

    poses_mm: (N, 17, 3), an array or a memory map; nothing of its size is allocated. `len` is N.
    Indexing with a slice, or with an array of indices, gives rows, float64. scale_mm (N,): the limb
    scales. Raises PoseError.
    """

    def __init__(self, poses_mm: ArrayLike) -> None:
        self._poses, self.scale_mm = check_poses(poses_mm)
        if not self.scale_mm.min() > 0:
            raise PoseError(
                "poses: expected limbs with a length, got a pose with all landmarks equal"
            )

    def __len__(self) -> int:
        return len(self._poses)

    def __getitem__(self, where: slice | Int[np.ndarray, "n"]) -> Float[np.ndarray, "n 51"]:
        rows = to_rows(self._poses[where]).reshape(-1, 3, L)
        rows = rows - rows.mean(axis=2, keepdims=True, dtype=float)
        rows /= self.scale_mm[where, None, None]
        return rows.reshape(-1, 3 * L)


class AlignedPoses:
    """NormalisedPoses turned back by their yaws, each followed by its mirror image.

    `len` is 2 N. Indexing with a slice without step, or with an array of indices, gives rows.
    """

    def __init__(self, poses: NormalisedPoses, yaw: Float[np.ndarray, "N"]) -> None:
        self._poses, self._yaw = poses, yaw

    def __len__(self) -> int:
        return 2 * len(self._poses)

    def __getitem__(self, where: slice | Int[np.ndarray, "n"]) -> Float[np.ndarray, "n 51"]:
        if isinstance(where, slice):
            # A slice of pairs is made, which is faster than indices, and cut to what was asked for.
            start, stop, _ = where.indices(len(self))
            pairs = slice(start // 2, (stop + 1) // 2)
            rows = turned_back(self._poses[pairs], self._yaw[pairs])
            rows = np.stack([rows, rows[:, ROW_MIRROR] * ROW_SIGN], axis=1).reshape(-1, 3 * L)
            return rows[start - 2 * pairs.start :][: max(stop - start, 0)]
        rows = turned_back(self._poses[where // 2], self._yaw[where // 2])
        image = (where % 2 == 1)[:, None]
        return np.where(image, rows[:, ROW_MIRROR] * ROW_SIGN, rows)
