"""The 17 landmarks of Human3.6M: their names, the tree of limbs between them, and their mirror.

Every array of the project that has a landmark axis has them in this order. Other sets of landmarks
are in landmark_sets.py.
"""

import numpy as np
from jaxtyping import Float, Int, Real

LANDMARKS = (
    "hip",
    "right hip",
    "right knee",
    "right foot",
    "left hip",
    "left knee",
    "left foot",
    "spine",
    "neck",
    "nose",
    "head top",
    "left shoulder",
    "left elbow",
    "left wrist",
    "right shoulder",
    "right elbow",
    "right wrist",
)
L = len(LANDMARKS)

# The parent of each landmark, -1 for the root; and the limbs, as (parent, child) pairs.
PARENTS = np.array([-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15])
LIMBS = np.array([(parent, child) for child, parent in enumerate(PARENTS) if parent >= 0])


def _mirror() -> Int[np.ndarray, "17"]:
    swap = {"left": "right", "right": "left"}
    index = {name: i for i, name in enumerate(LANDMARKS)}
    names = [" ".join(swap.get(word, word) for word in name.split()) for name in LANDMARKS]
    return np.array([index[name] for name in names])


# MIRROR[i] is the landmark on the other side of the body from landmark i.
MIRROR = _mirror()

# The 14 landmarks that the paper's protocols 2 and 3 measure: all but hip, spine and nose.
PROTOCOL_14 = np.array([i for i in range(L) if i not in (0, 7, 9)])


def limb_scale(poses: Real[np.ndarray, "*batch 17 3"]) -> Float[np.ndarray, "*batch"]:
    """The square root of the sum of squared limb lengths, in the unit of the poses.

    A pose divided by it is normalised as in section 4 of the paper: its squared limb lengths add
    up to 1.
    """
    limbs = poses[..., LIMBS[:, 1], :] - poses[..., LIMBS[:, 0], :]
    return np.asarray(np.sqrt(np.sum(limbs * limbs, axis=(-2, -1))))


def mirrored(poses: Real[np.ndarray, "*batch 17 3"]) -> Real[np.ndarray, "*batch 17 3"]:
    """The mirror images of poses: x negated, left and right landmarks swapped."""
    return poses[..., MIRROR, :] * np.array([-1, 1, 1], dtype=poses.dtype)
