"""Joint maps, which say where the landmarks are on the skeleton of a BVH file."""

import json
import re

import numpy as np
import pytest

from prior import mocap
from prior.mocap import MocapError
from prior.mocap.skeletons import BVH_TABLES
from prior.skeleton import LANDMARKS
from tests.prior.mocap.bvh_files import PERSON, slow_matrix, write_bvh


def _joint_map(**changes):
    table = dict(BVH_TABLES[-1].table)
    table["nose"] = {"joint": "Head", "offset": [1, 2, 3]}
    return {name: value for name, value in (table | changes).items() if value is not None}


def test_joint_map(tmp_path):
    channels, rows = write_bvh(
        tmp_path / "x.bvh", scale=0.5, prefix="my_", rename={"Hips": "Pelvis"}
    )
    joint_map = _joint_map(unit="cm", hip="Pelvis", neck=["LeftArm", "RightArm"])
    names = json.dumps(joint_map)
    for name in ["Pelvis", *(name for name, *_ in PERSON)]:
        names = names.replace(f'"{name}"', f'"my_{name}"')
    (tmp_path / "map.json").write_text(names)
    (clip,) = mocap.read(tmp_path, joint_map=tmp_path / "map.json")
    row = rows[2]
    arms = [slow_matrix(channels, row, f"{side}Arm", 0.5)[:3, 3] for side in ("Left", "Right")]
    np.testing.assert_allclose(clip.poses[2, LANDMARKS.index("neck")], np.mean(arms, axis=0))
    nose = slow_matrix(channels, row, "Head", 0.5) @ [1, 2, 3, 1]
    np.testing.assert_allclose(clip.poses[2, LANDMARKS.index("nose")], nose[:3])
    np.testing.assert_allclose(clip.poses[2, 0], slow_matrix(channels, row, "Hips", 0.5)[:3, 3])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "map.json: expected JSON, got"),
        ("[]", "expected a joint map, landmark to joint, got []"),
        (_joint_map(hip=None, tail="Tail"), "missing: hip; unknown: tail"),
        (
            _joint_map(unit="furlong"),
            "unit: expected one of mm, cm, m, inch, foot, cmu, got 'furlong'",
        ),
        (_joint_map(neck=7), "neck: expected a joint"),
        (_joint_map(neck=[]), "neck: expected a joint"),
        (_joint_map(neck={"joint": "Neck"}), "neck: expected a joint"),
        (_joint_map(neck={"joint": "Neck", "offset": [1, 2]}), "neck: expected a joint"),
        (_joint_map(neck={"joint": "Neck", "offset": [1, 2, 3], "unit": 1}), "neck: expected"),
        (_joint_map(neck={"joint": "Neck", "offset": [1, 2, 10**400]}), "neck: expected a joint"),
        (_joint_map(neck="Nape"), "expected the joints of the joint map"),
    ],
)
def test_bad_joint_maps(tmp_path, content, says):
    path = tmp_path / "map.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    write_bvh(tmp_path / "x.bvh")
    with pytest.raises(MocapError, match=re.escape(says)) as caught:
        mocap.read(tmp_path, joint_map=path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
