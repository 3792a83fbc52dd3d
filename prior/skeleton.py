"""Skeletons: landmarks, the tree of bones between them, and which are each other's mirror images.

A `Skeleton` is a value; a model carries its own. `HUMAN36M`, the paper's 17 landmarks, is what the
project has where nothing else is said. Sets of landmarks that detectors have are in
landmark_sets.py; skeletons in files are read by skeleton_file.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int, Real

from prior.errors import InputError


@dataclass(frozen=True)
class Skeleton:
    """L landmarks in the order of every array's landmark axis. Raises InputError.

    landmarks: their names. parents: of each landmark, -1 for the one root. pairs: (left, right)
    landmarks that change places in a mirror, left along +x of whoever faces +z; the others lie on
    the middle. A skeleton without pairs has no mirror image, and a fit adds none. bones: the
    landmarks whose bones to their parents count for the limb scale, by default all. limb_scale_mm:
    what the limb scale is between, from the smallest to the largest that there is; poses outside it
    are in another unit. vertical: whether the skeleton stands in the world, so that poses are
    learned and lifted up to turns about the vertical; else up to all turns.
    """

    landmarks: tuple[str, ...]
    parents: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    limb_scale_mm: tuple[float, float]
    bones: tuple[int, ...] = ()
    vertical: bool = True

    def __post_init__(self) -> None:
        _check_tree(self.landmarks, self.parents)
        if not self.bones:
            bones = tuple(i for i, parent in enumerate(self.parents) if parent >= 0)
            object.__setattr__(self, "bones", bones)
        _check_pairs(self)
        _check_bones(self)
        low, high = self.limb_scale_mm
        if not 0 < low < high < np.inf:
            raise InputError(f"limb_scale_mm: expected 0 < low < high, mm, got {low} and {high}")

    def __len__(self) -> int:
        return len(self.landmarks)

    @property
    def root(self) -> int:
        """The landmark that has no parent."""
        return self.parents.index(-1)

    @cached_property
    def limbs(self) -> Int[np.ndarray, "B 2"]:
        """All bones, as (parent, child) pairs."""
        return np.array([(parent, i) for i, parent in enumerate(self.parents) if parent >= 0])

    @property
    def mirrors(self) -> bool:
        """Whether there is a mirror image."""
        return bool(self.pairs)

    @cached_property
    def mirror(self) -> Int[np.ndarray, "L"]:
        """Of each landmark, the one on the other side of the body."""
        mirror = np.arange(len(self))
        for left, right in self.pairs:
            mirror[[left, right]] = right, left
        return mirror

    @cached_property
    def across(self) -> Int[np.ndarray, "2 P"]:
        """The left and the right landmarks of the pairs that hang on the middle, such as hips and
        shoulders; where none does, of all pairs. They say which way a body faces."""
        middle = [
            pair
            for pair in self.pairs
            if self.mirror[self.parents[pair[0]]] == self.parents[pair[0]]
        ]
        return np.array(middle or self.pairs).reshape(-1, 2).T

    def limb_scale(self, poses: Real[np.ndarray, "*batch L 3"]) -> Float[np.ndarray, "*batch"]:
        """The square root of the sum of squared limb lengths, in the unit of the poses.

        A pose divided by it is normalised as in section 4 of the paper: its squared limb lengths
        add up to 1.
        """
        bones = list(self.bones)
        limbs = poses[..., bones, :] - poses[..., [self.parents[i] for i in bones], :]
        return np.asarray(np.sqrt(np.sum(limbs * limbs, axis=(-2, -1))))

    def mirrored(self, poses: Real[np.ndarray, "*batch L 3"]) -> Real[np.ndarray, "*batch L 3"]:
        """The mirror images of poses: x negated, left and right landmarks swapped."""
        return poses[..., self.mirror, :] * np.array([-1, 1, 1], dtype=poses.dtype)

    def mirrored_rows(self, rows: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n D"]:
        """The mirror images of rows (normalise.to_rows)."""
        order, sign = self.row_mirror
        return rows[:, order] * sign

    @cached_property
    def row_mirror(self) -> tuple[Int[np.ndarray, "D"], Float[np.ndarray, "D"]]:
        """Order and sign: the mirror image of a row is row[..., order] * sign."""
        count = len(self)
        order = np.concatenate([self.mirror, count + self.mirror, 2 * count + self.mirror])
        return order, np.repeat([-1.0, 1.0, 1.0], count)


def _check_tree(landmarks: Sequence[str], parents: Sequence[int]) -> None:
    """Raise InputError unless the landmarks are a tree with one root."""
    twice = sorted({name for name in landmarks if list(landmarks).count(name) > 1})
    if twice or len(landmarks) < 3:
        raise InputError(
            f"landmarks: expected 3 or more, each once, got {len(landmarks)}"
            + (f", {', '.join(twice)} more than once" if twice else "")
        )
    if len(parents) != len(landmarks):
        raise InputError(f"parents: expected {len(landmarks)}, one each, got {len(parents)}")
    wrong = [i for i, parent in enumerate(parents) if not -1 <= parent < len(landmarks)]
    if wrong:
        raise InputError(
            f"parents: expected -1 to {len(landmarks) - 1}, got {parents[wrong[0]]} "
            f"for {landmarks[wrong[0]]}"
        )
    roots = [landmarks[i] for i, parent in enumerate(parents) if parent == -1]
    for i in range(len(parents)):
        path = [i]
        while parents[path[-1]] >= 0:
            path.append(parents[path[-1]])
            if path[-1] in path[:-1]:
                circle = [landmarks[j] for j in path[path.index(path[-1]) :]]
                raise InputError(
                    f"parents: expected a tree, got a circle: {' -> '.join(circle)}; "
                    "one landmark, the root, has no parent"
                )
    if len(roots) != 1:
        raise InputError(
            f"parents: expected one root, got {len(roots)}: {', '.join(roots)}; "
            "give all but one of them a parent"
        )


def _check_pairs(skeleton: Skeleton) -> None:
    """Raise InputError unless the mirror image of every bone is a bone."""
    names, partner = skeleton.landmarks, dict[int, int]()
    for left, right in skeleton.pairs:
        for one, other in ((left, right), (right, left)):
            if not 0 <= one < len(names):
                raise InputError(f"pairs: expected landmarks 0 to {len(names) - 1}, got {one}")
            if one == other or partner.get(one, other) != other:
                raise InputError(
                    f"pairs: expected each landmark with one other, got {names[one]} with "
                    f"{names[other]} and with {names[partner.get(one, one)]}; pairs are mutual"
                )
            partner[one] = other
    if len(partner) != 2 * len(skeleton.pairs):
        raise InputError("pairs: expected each pair once, got one twice")
    for i, parent in enumerate(skeleton.parents):
        if skeleton.pairs and parent >= 0:
            image = skeleton.parents[skeleton.mirror[i]]
            if image != skeleton.mirror[parent]:
                raise InputError(
                    f"pairs: expected bones that are each other's mirror images, got {names[i]} on "
                    f"{names[parent]}, but {names[skeleton.mirror[i]]} on "
                    f"{names[image] if image >= 0 else 'nothing'}"
                )


def _check_bones(skeleton: Skeleton) -> None:
    """Raise InputError unless the bones of the limb scale are bones, on both sides alike."""
    bones, names = set(skeleton.bones), skeleton.landmarks
    if len(bones) != len(skeleton.bones):
        raise InputError("bones: expected each once, got one twice")
    for i in skeleton.bones:
        if not 0 <= i < len(names) or skeleton.parents[i] < 0:
            name = names[i] if 0 <= i < len(names) else i
            raise InputError(f"bones: expected landmarks that have a parent, got {name}")
        if int(skeleton.mirror[i]) not in bones:
            raise InputError(
                f"bones: expected those of both sides, got {names[i]} without "
                f"{names[skeleton.mirror[i]]}"
            )


# The 17 landmarks of Human3.6M, which the paper has.
HUMAN36M = Skeleton(
    landmarks=(
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
    ),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
    pairs=((4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)),
    # That of an adult is near 1000 mm; children and giants are well inside, whatever definition of
    # the landmarks is in use.
    limb_scale_mm=(300.0, 2500.0),
)

# COCO's keypoints, by their names. The root has to be in the middle, where COCO has the nose alone.
# Only the bones of the limbs count for the limb scale, since they keep their lengths.
COCO = Skeleton(
    landmarks=(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    parents=(-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
    pairs=tuple((i, i + 1) for i in range(1, 17, 2)),
    bones=(7, 8, 9, 10, 13, 14, 15, 16),
    limb_scale_mm=(300.0, 2500.0),
)

LANDMARKS = HUMAN36M.landmarks
L = len(HUMAN36M)
PARENTS = np.array(HUMAN36M.parents)
LIMBS = HUMAN36M.limbs
MIRROR = HUMAN36M.mirror
limb_scale = HUMAN36M.limb_scale
mirrored = HUMAN36M.mirrored

# The 14 landmarks that the paper's protocols 2 and 3 measure: all but hip, spine and nose.
PROTOCOL_14 = np.array([i for i in range(L) if i not in (0, 7, 9)])
