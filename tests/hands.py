"""A hand of 21 joints and its synthetic motion, for tests of skeletons other than ours."""

import numpy as np
from scipy.spatial.transform import Rotation

from prior.skeleton import Skeleton

FINGERS = ("thumb", "index", "middle", "ring", "little")

HAND = Skeleton(
    landmarks=("wrist", *(f"{finger} {k}" for finger in FINGERS for k in (1, 2, 3, 4))),
    parents=(-1, *(0 if k == 0 else 4 * f + k for f in range(5) for k in range(4))),
    pairs=(),
    limb_scale_mm=(80.0, 500.0),
)

# mm: from the wrist to the first joint of each finger, and the lengths of the bones after it. The
# right hand, palm forward, fingers up: the thumb on the left of whoever looks at the palm.
KNUCKLES = np.array(
    [[-30, 25, 15], [-25, 90, 0], [0, 95, 0], [20, 88, 0], [38, 76, 0]], dtype=float
)
BONES = np.array(
    [[42, 32, 26], [42, 26, 21], [46, 30, 23], [42, 28, 22], [33, 21, 19]], dtype=float
)
# How far the fingers point to the side at rest, radians.
SPREAD = np.array([0.9, 0.15, 0, -0.12, -0.3])


def random_hands(count, seed=0, turns="vertical"):
    """(count, 21, 3), mm: hands that open and close.

    Five things vary: how far the hand, the index and the thumb are bent, the spread of the fingers,
    and how much more the outer fingers are bent. turns: "none", "vertical", or "all", evenly.
    """
    random = np.random.default_rng(seed)
    grasp, index, thumb = random.uniform(0.05, 1.2, (3, count))
    spread, outer = random.uniform(0.7, 1.4, count), random.uniform(-0.25, 0.25, count)
    hands = np.zeros((count, 21, 3))
    for f in range(5):
        bend = (thumb * 0.7, index, grasp, grasp + outer, grasp + 2 * outer)[f]
        side = Rotation.from_rotvec(np.outer(SPREAD[f] * spread, [0, 0, 1]))
        hands[:, 1 + 4 * f] = KNUCKLES[f]
        for k in range(3):
            curl = Rotation.from_rotvec(np.outer(bend * (k + 1) * 0.8, [1, 0, 0]))
            hands[:, 2 + 4 * f + k] = hands[:, 1 + 4 * f + k] + (side * curl).apply(
                [0, BONES[f, k], 0]
            )
    if turns == "vertical":
        turn = Rotation.from_rotvec(np.outer(random.uniform(-np.pi, np.pi, count), [0, 1, 0]))
    else:
        turn = Rotation.random(count, random) if turns == "all" else Rotation.identity(count)
    return np.einsum("nab,nlb->nla", turn.as_matrix(), hands)
