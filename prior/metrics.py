"""Errors of 3D poses and 2D landmarks. Pure functions, named after what is aligned.

3D: poses and truth are (N, L, 3), mm. Aligning and measuring are separate steps. `at_root`,
`at_mean` and `procrustes` move each pose to its truth; `with_scale_of` and `with_best_scale` scale
it first; `landmark_error` measures (N, L) distances, of which any mean can be taken: per pose, per
landmark, or with `grouped` per action or camera. The usual means per pose are `root_aligned`
(MPJPE), `mean_aligned` and `procrustes_aligned` (PA-MPJPE).

To measure a subset of the landmarks, pass both arrays with that subset alone: the alignment is then
fitted to what is measured. 2D: points and truth are (N, L, 2), px of the original image.
"""

import numpy as np
from jaxtyping import Bool, Float, Real
from numpy.typing import ArrayLike

from prior.normalise import centred
from prior.skeleton import HUMAN36M, LANDMARKS, Skeleton

ROOT = HUMAN36M.root
_HEAD = [LANDMARKS.index(name) for name in ("neck", "head top")]

# PCKh (Andriluka et al. 2014): a landmark is right within this share of the head's length.
PCKH_SHARE = 0.5
# PCK@0.2 (Yang and Ramanan 2013), as on Leeds: within this share of the torso's diagonal.
PCK_SHARE = 0.2
# Our choice: people who stand or sit, rather than lie, bend down or hang.
UPRIGHT_DEGREES = 30
# Lower and upper end of the trunk: the landmark, and the pair that it lies between.
_TRUNK = [
    (LANDMARKS.index(end), [LANDMARKS.index(f"{side} {pair}") for side in ("left", "right")])
    for end, pair in (("hip", "hip"), ("neck", "shoulder"))
]


def landmark_error(
    poses: Real[np.ndarray, "*batch L D"], truth: Real[np.ndarray, "*batch L D"]
) -> Float[np.ndarray, "*batch L"]:
    """The distance of each landmark from its truth, in the unit of the coordinates."""
    return np.linalg.norm(poses - truth, axis=-1)


# Alignment ---------------------------------------------------------------------------------------


def at_root(
    poses: Real[np.ndarray, "N L 3"],
    truth: Real[np.ndarray, "N L 3"],
    root: int = ROOT,
) -> Real[np.ndarray, "N L 3"]:
    """The poses, each moved so that its root, by default the hip, is its truth's."""
    return poses - poses[:, [root]] + truth[:, [root]]


def at_mean(
    poses: Real[np.ndarray, "N L 3"], truth: Real[np.ndarray, "N L 3"]
) -> Float[np.ndarray, "N L 3"]:
    """The poses, each moved so that its mean landmark is its truth's."""
    return centred(poses) + truth.mean(axis=1, keepdims=True)


def with_scale_of(
    poses: Real[np.ndarray, "N L 3"],
    truth: Real[np.ndarray, "N L 3"],
    skeleton: Skeleton = HUMAN36M,
) -> Float[np.ndarray, "N L 3"]:
    """The poses, each scaled to the limb scale of its truth ("known scale")."""
    return poses * (skeleton.limb_scale(truth) / skeleton.limb_scale(poses))[:, None, None]


def with_best_scale(
    poses: Real[np.ndarray, "N L 3"], truth: Real[np.ndarray, "N L 3"]
) -> Float[np.ndarray, "N L 3"]:
    """The poses, each scaled about its mean landmark to fit its truth best in least squares.

    No method can know this scale. With `at_mean` it makes the N-MPJPE of later papers.
    """
    a, b = centred(poses), centred(truth)
    return poses * (np.sum(a * b, axis=(1, 2)) / np.sum(a * a, axis=(1, 2)))[:, None, None]


def procrustes(
    poses: Real[np.ndarray, "N L 3"], truth: Real[np.ndarray, "N L 3"], scaling: bool = True
) -> Float[np.ndarray, "N L 3"]:
    """The poses, each moved by the similarity that fits its truth best in least squares.

    Without `scaling` it is a rigid motion. It is never a reflection (Umeyama 1991).
    """
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


def root_aligned(
    poses: Real[np.ndarray, "N L 3"],
    truth: Real[np.ndarray, "N L 3"],
    root: int = ROOT,
) -> Float[np.ndarray, "N"]:
    """MPJPE: the mean distance of the landmarks, with both roots (hips) at the same place."""
    return landmark_error(at_root(poses, truth, root), truth).mean(axis=1)


def mean_aligned(
    poses: Real[np.ndarray, "N L 3"], truth: Real[np.ndarray, "N L 3"]
) -> Float[np.ndarray, "N"]:
    """The mean distance of the landmarks, with both mean landmarks at the same place."""
    return landmark_error(at_mean(poses, truth), truth).mean(axis=1)


def procrustes_aligned(
    poses: Real[np.ndarray, "N L 3"], truth: Real[np.ndarray, "N L 3"], scaling: bool = True
) -> Float[np.ndarray, "N"]:
    """PA-MPJPE: the mean distance of the landmarks after Procrustes alignment of each pose."""
    return landmark_error(procrustes(poses, truth, scaling), truth).mean(axis=1)


# 2D ----------------------------------------------------------------------------------------------


def pck(
    points: Real[np.ndarray, "N L 2"], truth: Real[np.ndarray, "N L 2"], radius: ArrayLike
) -> Bool[np.ndarray, "N L"]:
    """PCK: whether each landmark is within `radius` of its truth.

    radius: px, for all poses () or for each (N,). The result is False where the truth is missing
    (NaN): leave these landmarks out of a mean.
    """
    return landmark_error(points, truth) <= np.broadcast_to(radius, len(truth))[:, None]


def pckh(
    points: Real[np.ndarray, "N L 2"],
    truth: Real[np.ndarray, "N L 2"],
    share: float = PCKH_SHARE,
) -> Bool[np.ndarray, "N L"]:
    """PCKh: whether each landmark is within `share` of the length of its person's head.

    The head is measured in the image, from neck to head top. Our neck is lower than MPII's upper
    neck, so our head is longer, and the measure less strict than MPII's at the same share.
    """
    return pck(points, truth, share * landmark_error(truth[:, _HEAD[0]], truth[:, _HEAD[1]]))


def torso_diagonal(points: Real[np.ndarray, "N 17 2"]) -> Float[np.ndarray, "N"]:
    """The distance from right hip to left shoulder, px; NaN where one of them is missing."""
    hip, shoulder = (LANDMARKS.index(name) for name in ("right hip", "left shoulder"))
    return landmark_error(points[:, hip], points[:, shoulder])


def upright(points: Real[np.ndarray, "N 17 2"]) -> Bool[np.ndarray, "N"]:
    """Whether each person's trunk is within UPRIGHT_DEGREES of the vertical in the image.

    The trunk goes from the hip up to the neck; where one of these is missing, the middle of the two
    hips or shoulders stands for it. False where neither is known.
    """
    low, high = (
        np.where(np.isfinite(points[:, [middle]]), points[:, [middle]], points[:, pair])
        for middle, pair in _TRUNK
    )
    x, y = np.moveaxis(high.mean(axis=1) - low.mean(axis=1), -1, 0)
    return np.degrees(np.arctan2(np.abs(x), -y)) <= UPRIGHT_DEGREES


# Groups ------------------------------------------------------------------------------------------


def grouped(errors: Float[np.ndarray, "N *L"], labels: ArrayLike) -> dict[str, float]:
    """{label: the mean of the errors of its poses}, sorted by label.

    labels: (N,). NaN is left out of the means; the mean of NaN alone is NaN.
    """
    labels = np.asarray(labels)
    return {str(label): mean(errors[labels == label]) for label in np.unique(labels)}


def mean(errors: Float[np.ndarray, "..."]) -> float:
    """The mean of all the numbers that are not NaN; NaN where there are none."""
    known = ~np.isnan(errors)
    return float(errors[known].mean()) if known.any() else float("nan")
