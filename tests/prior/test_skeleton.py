import dataclasses
import pickle

import numpy as np
import pytest

from prior.errors import InputError
from prior.normalise import from_rows, to_rows
from prior.skeleton import HUMAN36M, Skeleton
from tests.hands import HAND, random_hands
from tests.poses import random_poses


def small(**changes):
    """A trunk with two arms, of which the root is in the middle."""
    fields = {
        "landmarks": ("hip", "neck", "left hand", "right hand"),
        "parents": (-1, 0, 1, 1),
        "pairs": ((2, 3),),
        "limb_scale_mm": (300.0, 2500.0),
    }
    return Skeleton(**fields | changes)


def test_the_17_landmarks_by_their_names():
    assert len(HUMAN36M) == 17 and HUMAN36M.root == 0
    for i, name in enumerate(HUMAN36M.landmarks):
        swap = {"left": "right", "right": "left"}
        image = " ".join(swap.get(word, word) for word in name.split())
        assert HUMAN36M.landmarks[HUMAN36M.mirror[i]] == image
    left, right = HUMAN36M.across
    assert [HUMAN36M.landmarks[i] for i in left] == ["left hip", "left shoulder"]
    assert [HUMAN36M.landmarks[i] for i in right] == ["right hip", "right shoulder"]
    names = [[HUMAN36M.landmarks[i] for i in limb] for limb in HUMAN36M.limbs]
    assert ["left hip", "left knee"] in names and ["neck", "nose"] in names and len(names) == 16


def test_a_skeleton_is_a_value():
    assert small() == small() and hash(small()) == hash(small()) and small() != HUMAN36M
    assert pickle.loads(pickle.dumps(HAND)) == HAND
    with pytest.raises(dataclasses.FrozenInstanceError):
        small().vertical = False
    assert small().bones == (1, 2, 3)
    assert dataclasses.replace(HAND, vertical=False).bones == HAND.bones


def test_limb_scale_is_that_of_the_bones_that_count():
    poses = random_poses(5)
    for bones in ((), (2, 5)):
        skeleton = dataclasses.replace(HUMAN36M, bones=bones)
        squared = sum(
            np.sum((poses[:, i] - poses[:, HUMAN36M.parents[i]]) ** 2, axis=1)
            for i in (bones or range(1, 17))
        )
        np.testing.assert_allclose(skeleton.limb_scale(poses), np.sqrt(squared))
    hands = random_hands(7)
    np.testing.assert_allclose(HAND.limb_scale(hands), HAND.limb_scale(hands)[0])


def test_the_mirror_image_of_rows_is_that_of_poses():
    poses = random_poses(4)
    rows = HUMAN36M.mirrored_rows(to_rows(poses))
    np.testing.assert_array_equal(from_rows(rows), HUMAN36M.mirrored(poses))


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"parents": (1, 2, 0, 1)}, "a circle: hip -> neck -> left hand -> hip"),
        ({"parents": (-1, -1, 1, 1)}, "expected one root, got 2: hip, neck"),
        ({"parents": (-1, 0, 1)}, "expected 4, one each, got 3"),
        ({"parents": (-1, 0, 1, 9)}, "expected -1 to 3, got 9 for right hand"),
        ({"landmarks": ("hip", "neck", "hip", "tail")}, "hip more than once"),
        ({"pairs": ((2, 3), (3, 1))}, "pairs are mutual"),
        ({"pairs": ((2, 3), (3, 2))}, "each pair once"),
        ({"pairs": ((2, 2),)}, "pairs are mutual"),
        ({"pairs": ((1, 2),)}, "got neck on hip, but left hand on neck"),
        ({"pairs": ((2, 7),)}, "landmarks 0 to 3, got 7"),
        ({"bones": (0, 1)}, "landmarks that have a parent, got hip"),
        ({"bones": (1, 2)}, "left hand without right hand"),
        ({"bones": (1, 1)}, "each once"),
        ({"limb_scale_mm": (500.0, 100.0)}, "0 < low < high"),
    ],
)
def test_what_is_no_skeleton(changes, says):
    with pytest.raises(InputError, match=says):
        small(**changes)
