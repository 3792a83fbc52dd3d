"""The 17 landmarks of Human3.6M: names, tree of limbs, mirrored pairs.

Everything in the project that has a landmark axis uses this order.
"""

import numpy as np

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

# Parent of each landmark, -1 for the root. The limbs are (parent, child) pairs.
PARENTS = np.array([-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15])
LIMBS = np.array([(parent, child) for child, parent in enumerate(PARENTS) if parent >= 0])


def _mirror():
    swap = {"left": "right", "right": "left"}
    index = {name: i for i, name in enumerate(LANDMARKS)}
    names = [" ".join(swap.get(word, word) for word in name.split()) for name in LANDMARKS]
    return np.array([index[name] for name in names])


# MIRROR[i] is the landmark on the other side of the body from landmark i.
MIRROR = _mirror()

# The 14 landmarks of protocols 2 and 3: all but hip, spine and nose.
PROTOCOL_14 = np.array([i for i in range(L) if i not in (0, 7, 9)])


def limb_scale(poses):
    """Square root of the sum of squared limb lengths.

    poses: (..., 17, 3). Returns (...), in the unit of the poses. Dividing a pose by it gives the
    paper's normalisation (section 4): the sum of squared limb lengths is 1.
    """
    limbs = poses[..., LIMBS[:, 1], :] - poses[..., LIMBS[:, 0], :]
    return np.sqrt(np.sum(limbs * limbs, axis=(-2, -1)))


def mirrored(poses):
    """Poses seen in a mirror: x negated, left and right landmarks swapped. (..., 17, 3)."""
    return poses[..., MIRROR, :] * np.array([-1, 1, 1], dtype=np.asarray(poses).dtype)
