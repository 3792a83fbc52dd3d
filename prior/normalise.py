"""Poses in millimetres to the model's space (section 4): centre, scale, mirror.

A model is fitted to "rows". A row is an unwrapped pose, D = 3L numbers: all x, then all z, then all
y, so that what turns about the vertical lies together.
"""

from copy import copy
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Real
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from prior.chunks import Passes, over_rows, part_of
from prior.errors import InputError
from prior.partitions import PartitionedPoses
from prior.skeleton import HUMAN36M, Skeleton

# Units that poses may be in by mistake, in mm.
UNITS_MM = {
    "metres": 1000.0,
    "feet": 304.8,
    "inches": 25.4,
    "centimetres": 10.0,
    "tenths of a millimetre": 0.1,
    "micrometres": 1e-3,
}

_ROW_ORDER = [0, 2, 1]


class PoseError(InputError):
    """Poses that cannot be used."""


def check_poses(
    poses_mm: ArrayLike | PartitionedPoses,
    skeleton: Skeleton = HUMAN36M,
    passes: Passes = over_rows,
) -> tuple[Real[np.ndarray, "N L 3"] | PartitionedPoses, Float[np.ndarray, "N"]]:
    """Check poses (N, L, 3), mm, of a skeleton, in a pass. Returns them as an array, and their limb
    scales, mm.

    An array is not copied, nor are a memory map and PartitionedPoses. Raises PoseError.
    """
    poses: Any = poses_mm if isinstance(poses_mm, PartitionedPoses) else np.asanyarray(poses_mm)
    if poses.ndim != 3 or poses.shape[1:] != (len(skeleton), 3) or not len(poses):
        raise PoseError(
            f"poses: expected shape (N, {len(skeleton)}, 3) with N > 0, got {poses.shape}"
        )
    if poses.dtype.kind not in "fiu":
        raise PoseError(f"poses: expected numbers, got {poses.dtype}")
    with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, which is refused below
        scale = np.concatenate(list(passes(partial(_finite_scale, skeleton=skeleton), poses)))
    finite = np.isfinite(scale)
    if not finite.all():
        raise PoseError(
            f"poses: {np.count_nonzero(~finite)} of {len(poses)} have NaN or infinite coordinates, "
            f"the first is number {np.flatnonzero(~finite)[0]}; leave these frames out"
        )
    typical = float(np.median(scale))
    low, high = skeleton.limb_scale_mm
    middle = np.sqrt(low * high)
    if not low <= typical <= high:
        # The likeliest unit is the one that brings them nearest to the middle of the range.
        share = max(typical, np.finfo(float).tiny) / middle
        unit = min(UNITS_MM, key=lambda unit: abs(np.log(UNITS_MM[unit] * share)))
        hint = f"; are they in {unit}?" if low <= typical * UNITS_MM[unit] <= high else ""
        raise PoseError(
            f"poses: expected millimetres, that is a limb scale of {low:.0f} to {high:.0f}, "
            f"got {typical:.4g}{hint}"
        )
    return poses, scale


def _finite_scale(poses: Real[np.ndarray, "n L 3"], skeleton: Skeleton) -> Float[np.ndarray, "n"]:
    """The limb scales, NaN where any coordinate is not finite."""
    poses = poses.astype(float)
    finite = np.isfinite(poses).all(axis=(1, 2))
    return np.where(finite, skeleton.limb_scale(poses), np.nan)


def centred(poses: Real[np.ndarray, "*batch L D"]) -> Float[np.ndarray, "*batch L D"]:
    """Poses less their mean landmark."""
    return poses - poses.mean(axis=-2, keepdims=True)


def to_rows(poses: ArrayLike) -> Real[np.ndarray, "*batch D"]:
    """Poses (..., L, 3) unwrapped: all x, all z, all y."""
    poses = np.asarray(poses)[..., _ROW_ORDER].swapaxes(-1, -2)
    return poses.reshape(*poses.shape[:-2], 3 * poses.shape[-1])


def from_rows(rows: ArrayLike) -> Real[np.ndarray, "*batch L 3"]:
    """Rows (..., D) as poses: the inverse of to_rows."""
    rows = np.asarray(rows)
    poses = rows.reshape(*rows.shape[:-1], 3, rows.shape[-1] // 3)
    return poses[..., _ROW_ORDER, :].swapaxes(-1, -2)


def turned_back(
    rows: Float[np.ndarray, "n D"], yaw: Float[np.ndarray, "n *turn"]
) -> Float[np.ndarray, "n D"]:
    """Rows of poses of these yaws, radians, turned about the vertical to yaw 0; or turned back by
    rotations (n, 4), quaternions (w, x, y, z)."""
    if yaw.ndim == 2:
        return to_rows(from_rows(rows) @ Rotation.from_quat(yaw, scalar_first=True).as_matrix())
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    x, z, y = np.split(rows, 3, axis=1)
    return np.concatenate([cos * x - sin * z, cos * z + sin * x, y], axis=1)


class NormalisedPoses:
    """Poses centred on their mean landmark and divided by their limb scale (section 4).

    poses_mm: (N, L, 3) of a skeleton, an array or a memory map; nothing of its size is allocated.
    `len` is N. Indexing with a slice, or with an array of indices, gives rows, float64. scale_mm
    (N,): the limb scales. Raises PoseError.
    """

    def __init__(
        self,
        poses_mm: ArrayLike | PartitionedPoses,
        skeleton: Skeleton = HUMAN36M,
        passes: Passes = over_rows,
    ) -> None:
        self.skeleton = skeleton
        self._poses, self.scale_mm = check_poses(poses_mm, skeleton, passes)
        if not self.scale_mm.min() > 0:
            raise PoseError(
                "poses: expected limbs with a length, got a pose with all landmarks equal"
            )

    def __len__(self) -> int:
        return len(self._poses)

    def __getitem__(self, where: slice | Int[np.ndarray, "n"]) -> Float[np.ndarray, "n D"]:
        rows = to_rows(self._poses[where]).reshape(-1, 3, len(self.skeleton))
        rows = rows - rows.mean(axis=2, keepdims=True, dtype=float)
        rows /= self.scale_mm[where, None, None]
        return rows.reshape(len(rows), 3 * len(self.skeleton))

    def part(self, where: slice) -> "NormalisedPoses":
        """The poses of a slice, with what they need and no more, for another process."""
        part = copy(self)
        part._poses, part.scale_mm = part_of(self._poses, where), self.scale_mm[where]
        return part


class AlignedPoses:
    """NormalisedPoses turned back by their yaws (or rotations), each followed by its mirror image
    if there is one.

    `len` is 2 N, or N without mirror images. Indexing with a slice without step, or with an array
    of indices, gives rows.
    """

    def __init__(self, poses: NormalisedPoses, yaw: Float[np.ndarray, "N *turn"]) -> None:
        self._poses, self._yaw = poses, yaw

    @property
    def skeleton(self) -> Skeleton:
        """The poses'."""
        return self._poses.skeleton

    def __len__(self) -> int:
        return len(self._poses) * (2 if self.skeleton.mirrors else 1)

    def __getitem__(self, where: slice | Int[np.ndarray, "n"]) -> Float[np.ndarray, "n D"]:
        if not self.skeleton.mirrors:
            return turned_back(self._poses[where], self._yaw[where])
        mirrored = self.skeleton.mirrored_rows
        if isinstance(where, slice):
            # A slice of pairs is made, which is faster than indices, and cut to what was asked for.
            start, stop, _ = where.indices(len(self))
            pairs = slice(start // 2, (stop + 1) // 2)
            rows = turned_back(self._poses[pairs], self._yaw[pairs])
            rows = np.stack([rows, mirrored(rows)], axis=1).reshape(-1, rows.shape[1])
            return rows[start - 2 * pairs.start :][: max(stop - start, 0)]
        rows = turned_back(self._poses[where // 2], self._yaw[where // 2])
        image = (where % 2 == 1)[:, None]
        return np.where(image, mirrored(rows), rows)

    def part(self, where: slice) -> "AlignedPoses":
        """As NormalisedPoses.part; with mirror images the slice begins at an even number."""
        start, stop, _ = where.indices(len(self))
        each = 2 if self.skeleton.mirrors else 1
        poses = slice(start // each, -(-stop // each))
        return AlignedPoses(self._poses.part(poses), self._yaw[poses])
