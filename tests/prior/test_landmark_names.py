"""Landmarks by their names: spellings, and the sets that have them."""

import pytest

from prior.landmark_names import by_names, canonical
from prior.landmark_sets import LANDMARK_SETS


@pytest.mark.parametrize(
    ("names", "plain"),
    [
        ("LKnee l_knee knee_l Left-Knee leftKnee LEFT_KNEE knee.left lknee Lkne", "left knee"),
        ("RAnkle right_foot R_Ankle Rank rankle", "right ankle"),
        ("hip pelvis root MidHip hip_center", "pelvis"),
        ("right_hip RHip hip_right R.Hip", "right hip"),
        ("head_top HeadTop top_head", "head top"),
        ("Lsho LShoulder left_shoulder shoulder_l", "left shoulder"),
    ],
)
def test_spellings_of_a_name(names, plain):
    assert {canonical(name) for name in names.split()} == {plain}


@pytest.mark.parametrize("name", LANDMARK_SETS)
def test_the_published_names_of_a_set_are_its_own(name):
    chosen = LANDMARK_SETS[name]
    assert by_names([text.upper() for text in chosen.names]) in LANDMARK_SETS.values()
    backwards = by_names(chosen.names[::-1])
    assert backwards is not None and backwards.table == chosen.table
