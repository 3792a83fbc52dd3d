"""prototxt/named.py: skeletons as names of networks, without Caffe."""

from dataclasses import replace

import pytest

from prior.errors import InputError
from prior.skeleton import COCO, HUMAN36M
from prototxt.named import check_same, name_of, skeleton_of
from tests.hands import HAND


@pytest.mark.parametrize("skeleton", [HUMAN36M, COCO, HAND, replace(HAND, vertical=False)])
def test_a_name_says_the_skeleton(skeleton):
    assert skeleton_of(name_of(skeleton), "net.prototxt") == skeleton


@pytest.mark.parametrize("name", ["", "VGG_ILSVRC_19_layers", "lite {cpm}"])
def test_other_names_say_nothing_of_landmarks(name):
    assert skeleton_of(name, "net.prototxt") == HUMAN36M


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ('{"landmarks": ["a", "b"', "net.prototxt: name: expected JSON"),
        ('{"joints": []}', "net.prototxt: name: expected the keys .* got unknown: joints"),
        (name_of(HAND).replace('"thumb 1": "wrist"', '"thumb 1": "thumb 2"'), "circle"),
    ],
)
def test_a_name_that_is_no_skeleton_is_refused(name, wanted):
    with pytest.raises(InputError, match=wanted):
        skeleton_of(name, "net.prototxt")


def test_what_does_not_belong_together_is_refused():
    check_same(COCO, COCO, "deploy.prototxt", "coco.npz")
    wanted = "hand.npz: expected the skeleton of deploy.prototxt, nose, left_eye, right_eye, ..."
    with pytest.raises(InputError, match=wanted):
        check_same(COCO, HAND, "deploy.prototxt", "hand.npz")
