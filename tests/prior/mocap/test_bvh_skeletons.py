"""BVH files of known makers: names, prefixes and units; real clips of one of them."""

import re

import numpy as np
import pytest

from prior import mocap
from prior.mocap import MocapError, bvh
from prior.mocap.joint_map import JointMap
from prior.skeleton import LANDMARKS
from tests.prior.mocap.bvh_files import MAKERS, write_bvh
from tests.real_mocap import CLIPS, RIGID, bone_lengths, check_person

CMU = {"Spine1": "Spine", "Spine": "LowerBack", "Neck": "Neck1"}


@pytest.mark.parametrize(
    ("unit", "prefix", "rename"),
    [
        (10.0, "mixamorig:", None),
        (1000.0, "Character 1 ", None),
        (1.0, "", None),
        (25.4, "", None),
        (25.4 / 0.45, "", CMU),
    ],
)
def test_prefixes_names_and_units(tmp_path, unit, prefix, rename):
    write_bvh(tmp_path / "cm.bvh", still=True)
    write_bvh(tmp_path / "x.bvh", still=True, unit=unit, prefix=prefix, rename=rename)
    plain, other = (bvh.read(tmp_path / name)[0].poses for name in ("cm.bvh", "x.bvh"))
    plain, other = plain - plain[:, :1], other - other[:, :1]
    shown = [i for i, name in enumerate(LANDMARKS) if not (rename and name == "nose")]
    np.testing.assert_allclose(plain[:, shown], other[:, shown], atol=1e-9)


@pytest.mark.parametrize("maker", MAKERS)
def test_skeletons_of_other_makers(tmp_path, maker, caplog):
    """The same person in motion under other names: upright, left on the left, bones constant."""
    write_bvh(tmp_path / "plain.bvh", frames=9)
    write_bvh(tmp_path / "x.bvh", frames=9, prefix="DEF-" if maker == "Rigify" else "",
           rename=MAKERS[maker])  # fmt: skip
    plain, other = (mocap.read(tmp_path / f"{n}.bvh", up="y")[0].poses for n in ("plain", "x"))
    body = [i for i, name in enumerate(LANDMARKS) if name not in ("nose", "head top")]
    np.testing.assert_allclose(other[:, body], plain[:, body], atol=1e-6)
    assert np.ptp(bone_lengths(other, [*RIGID, ("nose", "head top")]), axis=0).max() < 1e-6
    write_bvh(tmp_path / "rest.bvh", still=True, rename=MAKERS[maker])
    (clip,) = mocap.read(tmp_path / "rest.bvh")
    pose = clip.poses[:1] - clip.poses[:1, :, 1].min()
    check_person(np.tile(pose, (2, 1, 1)))


def test_a_unit_that_cannot_be_guessed(tmp_path):
    # A dwarf's inches are a giant's lengths in CMU's unit.
    for scale, unit, fits in ((0.54, 25.4, "inch and cmu"), (0.08, 10.0, "none")):
        write_bvh(tmp_path / "x.bvh", still=True, unit=unit, scale=scale)
        with pytest.raises(MocapError, match=f'which fits {fits}; give "unit" in a joint map'):
            bvh.read(tmp_path / "x.bvh")


@pytest.mark.parametrize(("unit", "scale"), [("mm", "107"), ("m", "1.07e+05")])
def test_a_person_of_another_unit_than_the_files_have(unit, scale):
    """Not by the landmarks: nose and head top are mm from the head in any unit."""
    path = CLIPS / "salsa/10.bvh"
    with pytest.raises(MocapError, match=f'300 to 2500 mm, got {re.escape(scale)} mm; .*"unit"'):
        bvh.read(path, JointMap(path, unit=unit))


@pytest.mark.parametrize("name", ["indian/07", "martial/04", "salsa/10"])
def test_real_clips_are_of_a_person(name):
    path = CLIPS / f"{name}.bvh"
    (clip,) = mocap.read(path)
    assert clip.rate == pytest.approx(120, rel=1e-5)
    check_person(clip.poses)
    assert np.ptp(bone_lengths(clip.poses, RIGID), axis=0).max() < 1e-6
    np.testing.assert_allclose(
        bone_lengths(clip.poses, [("left hip", "left knee"), ("neck", "spine")])[0],
        [10 * np.linalg.norm([0, 36.8199, 0.73152]), 10 * np.linalg.norm([22.1894, 2.19456])],
    )
    assert clip.subject == path.parent.name
