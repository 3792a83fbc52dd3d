import json
import re

import numpy as np
import pytest

from prior import mocap
from prior.mocap import MocapError, bvh
from prior.mocap.skeletons import BVH_TABLES
from prior.skeleton import LANDMARKS
from tests.real_mocap import CLIPS, RIGID, bone_lengths, check_person, landmark

# A person who stands with arms out and faces +z, cm: joint, parent, offset.
PERSON = [
    ("Hips", None, (0, 100, 0)),
    ("Spine", "Hips", (0, 10, 0)),
    ("Spine1", "Spine", (0, 12, 0)),
    ("Neck", "Spine1", (0, 26, 0)),
    ("Head", "Neck", (0, 10, 2)),
    ("Head end", "Head", (0, 19, 1)),
] + [
    (side + joint, side + parent if parent not in ("Hips", "Spine1") else parent, offset)
    for side, s in (("Left", 1), ("Right", -1))
    for joint, parent, offset in (
        ("UpLeg", "Hips", (9 * s, -5, 0)),
        ("Leg", "UpLeg", (0, -44, 1)),
        ("Foot", "Leg", (0, -43, -2)),
        ("Foot end", "Foot", (0, -5, 12)),
        ("Shoulder", "Spine1", (4 * s, 20, 0)),
        ("Arm", "Shoulder", (13 * s, 0, 0)),
        ("ForeArm", "Arm", (28 * s, 0, 0)),
        ("Hand", "ForeArm", (25 * s, 0, 0)),
        ("Hand end", "Hand", (9 * s, 0, 0)),
    )
]
AT = {
    "spine": "Spine1",
    "neck": "Neck",
    "head top": "Head end",
    "left hip": "LeftUpLeg",
    "left knee": "LeftLeg",
    "right foot": "RightFoot",
    "left shoulder": "LeftArm",
    "right elbow": "RightForeArm",
    "right wrist": "RightHand",
}


def _write(path, frames=4, seed=0, unit=10.0, prefix="", scale=1.0, still=False, rename=None):
    """PERSON in random motion, channels in a random order, 0 to 6 of them a joint.

    unit: mm, of the file's lengths; scale: of the person. Returns channels: {joint: names}, and
    rows.
    """
    random = np.random.default_rng(seed)
    names = {name: prefix + (rename or {}).get(name, name) for name, *_ in PERSON}
    channels, lines, rest = {}, ["HIERARCHY"], {}

    def node(name, depth):
        _, parent, offset = next(entry for entry in PERSON if entry[0] == name)
        pad, offset = "  " * depth, np.array(offset) * 10 * scale / unit
        end = name.endswith(" end")
        title = "End Site" if end else f"{'JOINT' if parent else 'ROOT'} {names[name]}"
        lines.extend([pad + title, pad + "{", f"{pad}  OFFSET {' '.join(map(str, offset))}"])
        turns = [f"{axis}rotation" for axis in random.permutation(list("XYZ"))]
        moves = [f"{axis}position" for axis in random.permutation(list("XYZ"))]
        kinds = [turns, [*moves, *turns], [*turns, *moves], turns[:2], moves[:1] + turns, []]
        kind = 1 if parent is None else random.integers(len(kinds))
        channels[name] = [] if end else kinds[kind]
        rest[name] = dict(zip("XYZ", offset, strict=True))
        if channels[name]:
            lines.append(f"{pad}  CHANNELS {len(channels[name])} {' '.join(channels[name])}")
        for child, above, _ in PERSON:
            if above == name:
                node(child, depth + 1)
        lines.append(pad + "}")

    node("Hips", 0)
    rows = []
    for _ in range(frames):
        row = []
        for name, listed in channels.items():
            for channel in listed:
                if channel.endswith("position"):
                    far = 500 if name == "Hips" else 0
                    row.append(rest[name][channel[0]] + far * random.normal() / unit)
                else:
                    row.append(0.0 if still else random.uniform(-360, 360))
        rows.append(row)
    lines += ["MOTION", f"Frames:\t{frames}", "Frame Time:\t0.01"]
    lines += [" ".join(f"{x:.17g}" for x in row) + " " for row in rows]
    path.write_text("\r\n".join(lines) + "\r\n\r\n")
    return channels, rows


def _slow(channels, row, joint, scale=1.0):
    """4 x 4 world matrix, mm, of a joint of PERSON: one small matrix for each channel."""
    _, parent, offset = next(entry for entry in PERSON if entry[0] == joint)
    numbers = iter(row)
    values = {name: [next(numbers) for _ in listed] for name, listed in channels.items()}
    shift, turn = np.eye(4), np.eye(4)
    shift[:3, 3] = np.array(offset) * 10 * scale
    for channel, value in zip(channels[joint], values[joint], strict=True):
        axis = "XYZ".index(channel[0])
        if channel.endswith("position"):
            shift[axis, 3] = value * 10
        else:
            c, s, one = np.cos(np.deg2rad(value)), np.sin(np.deg2rad(value)), np.eye(4)
            i, j = (axis + 1) % 3, (axis + 2) % 3
            one[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
            turn = turn @ one
    up = np.eye(4) if parent is None else _slow(channels, row, parent, scale)
    return up @ shift @ turn


@pytest.mark.parametrize("seed", range(3))
def test_forward_kinematics_as_with_4_by_4_matrices(tmp_path, seed):
    path = tmp_path / "S9" / "wave.bvh"
    path.parent.mkdir()
    channels, rows = _write(path, seed=seed)
    (clip,) = bvh.read(path, up="y")
    assert clip[1:4] == (pytest.approx(100), "S9", "wave") and clip.poses.shape == (4, 17, 3)
    for frame, row in enumerate(rows):
        for name, joint in AT.items():
            expected = _slow(channels, row, joint)[:3, 3]
            landmark = clip.poses[frame, LANDMARKS.index(name)]
            np.testing.assert_allclose(landmark, expected, atol=1e-7, err_msg=name)
        nose = _slow(channels, row, "Head") @ [0, 40, 100, 1]
        np.testing.assert_allclose(clip.poses[frame, 9], nose[:3], atol=1e-7)


def test_at_rest_left_is_plus_x_and_up_is_y(tmp_path):
    _write(tmp_path / "rest.bvh", still=True)
    (clip,) = mocap.read(tmp_path / "rest.bvh")
    pose = clip.poses[:1] - clip.poses[:1, :, 1].min()
    check_person(np.tile(pose, (2, 1, 1)))
    across = landmark(pose, "left wrist") - landmark(pose, "right wrist")
    np.testing.assert_allclose(across, [[1400, 0, 0]], atol=1e-9)
    assert landmark(pose, "nose")[0, 2] > landmark(pose, "neck")[0, 2] + 50


def test_a_t_pose_at_the_start_is_left_out(tmp_path):
    path = tmp_path / "x.bvh"
    channels, rows = _write(path)
    # The root's channels are the first of a row.
    first = [
        0.0 if i < 6 and channels["Hips"][i].endswith("rotation") else value
        for i, value in enumerate(rows[0])
    ]
    text = path.read_text().splitlines()
    whole = bvh.read(path, up="y")[0].poses
    start = next(i for i, line in enumerate(text) if line.startswith("Frame Time")) + 1
    text[start] = " ".join(map(str, first))
    path.write_text("\n".join(text))
    np.testing.assert_allclose(bvh.read(path, up="y")[0].poses, whole[1:], atol=1e-6)
    # Somebody who does not turn at all is nobody's T-pose.
    text[start + 1] = text[start]
    path.write_text("\n".join(text))
    assert len(bvh.read(path, up="y")[0].poses) == len(rows)


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
    _write(tmp_path / "cm.bvh", still=True)
    _write(tmp_path / "x.bvh", still=True, unit=unit, prefix=prefix, rename=rename)
    plain, other = (bvh.read(tmp_path / name)[0].poses for name in ("cm.bvh", "x.bvh"))
    plain, other = plain - plain[:, :1], other - other[:, :1]
    shown = [i for i, name in enumerate(LANDMARKS) if not (rename and name == "nose")]
    np.testing.assert_allclose(plain[:, shown], other[:, shown], atol=1e-9)


def _sides(left, right, **parts):
    """PERSON's limbs under other names: parts, such as Leg="{side}Knee"."""
    return {
        side + part: name.format(side=short)
        for side, short in (("Left", left), ("Right", right))
        for part, name in parts.items()
    }


OTHERS = {
    "Xsens": {"Spine": "Chest", "Spine1": "Chest2"}
    | _sides(
        "Left",
        "Right",
        UpLeg="{side}Hip",
        Leg="{side}Knee",
        Foot="{side}Ankle",
        Shoulder="{side}Collar",
        Arm="{side}Shoulder",
        ForeArm="{side}Elbow",
        Hand="{side}Wrist",
    ),
    "MVNX": {"Hips": "Pelvis", "Spine": "L5", "Spine1": "L3"}
    | _sides("Left", "Right", UpLeg="{side}UpperLeg", Leg="{side}LowerLeg", Arm="{side}UpperArm"),
    "Biovision": {"Spine": "LowerBack", "Spine1": "Chest"}
    | _sides(
        "Left",
        "Right",
        Leg="{side}LowLeg",
        Shoulder="{side}Collar",
        Arm="{side}UpArm",
        ForeArm="{side}LowArm",
    ),
    "Bandai-Namco": {"Spine1": "Chest"}
    | _sides(
        "L",
        "R",
        UpLeg="UpperLeg_{side}",
        Leg="LowerLeg_{side}",
        Foot="Foot_{side}",
        Shoulder="Shoulder_{side}",
        Arm="UpperArm_{side}",
        ForeArm="LowerArm_{side}",
        Hand="Hand_{side}",
    ),
    "Rigify": {
        "Hips": "spine",
        "Spine": "spine.001",
        "Spine1": "spine.002",
        "Neck": "spine.004",
        "Head": "spine.006",
    }
    | _sides(
        "L",
        "R",
        UpLeg="thigh.{side}",
        Leg="shin.{side}",
        Foot="foot.{side}",
        Shoulder="shoulder.{side}",
        Arm="upper_arm.{side}",
        ForeArm="forearm.{side}",
        Hand="hand.{side}",
    ),
    "Unreal": {
        "Hips": "pelvis",
        "Spine": "spine_01",
        "Spine1": "spine_02",
        "Neck": "neck_01",
        "Head": "head",
    }
    | _sides(
        "l",
        "r",
        UpLeg="thigh_{side}",
        Leg="calf_{side}",
        Foot="foot_{side}",
        Shoulder="clavicle_{side}",
        Arm="upperarm_{side}",
        ForeArm="lowerarm_{side}",
        Hand="hand_{side}",
    ),
}


@pytest.mark.parametrize("maker", OTHERS)
def test_skeletons_of_other_makers(tmp_path, maker, caplog):
    """The same person in motion under other names: upright, left on the left, bones constant."""
    _write(tmp_path / "plain.bvh", frames=9)
    _write(tmp_path / "x.bvh", frames=9, prefix="DEF-" if maker == "Rigify" else "",
           rename=OTHERS[maker])  # fmt: skip
    plain, other = (mocap.read(tmp_path / f"{n}.bvh", up="y")[0].poses for n in ("plain", "x"))
    body = [i for i, name in enumerate(LANDMARKS) if name not in ("nose", "head top")]
    np.testing.assert_allclose(other[:, body], plain[:, body], atol=1e-6)
    assert np.ptp(bone_lengths(other, [*RIGID, ("nose", "head top")]), axis=0).max() < 1e-6
    _write(tmp_path / "rest.bvh", still=True, rename=OTHERS[maker])
    (clip,) = mocap.read(tmp_path / "rest.bvh")
    pose = clip.poses[:1] - clip.poses[:1, :, 1].min()
    check_person(np.tile(pose, (2, 1, 1)))


def test_a_unit_that_cannot_be_guessed(tmp_path):
    # A dwarf's inches are a giant's lengths in CMU's unit.
    for scale, unit, fits in ((0.54, 25.4, "inch and cmu"), (0.08, 10.0, "none")):
        _write(tmp_path / "x.bvh", still=True, unit=unit, scale=scale)
        with pytest.raises(MocapError, match=f'which fits {fits}; give "unit" in a joint map'):
            bvh.read(tmp_path / "x.bvh")


def _joint_map(**changes):
    table = dict(BVH_TABLES[-1].table)
    table["nose"] = {"joint": "Head", "offset": [1, 2, 3]}
    return {name: value for name, value in (table | changes).items() if value is not None}


def test_joint_map(tmp_path):
    channels, rows = _write(tmp_path / "x.bvh", scale=0.5, prefix="my_", rename={"Hips": "Pelvis"})
    joint_map = _joint_map(unit="cm", hip="Pelvis", neck=["LeftArm", "RightArm"])
    names = json.dumps(joint_map)
    for name in ["Pelvis", *(name for name, *_ in PERSON)]:
        names = names.replace(f'"{name}"', f'"my_{name}"')
    (tmp_path / "map.json").write_text(names)
    (clip,) = mocap.read(tmp_path, joint_map=tmp_path / "map.json")
    row = rows[2]
    arms = [_slow(channels, row, f"{side}Arm", 0.5)[:3, 3] for side in ("Left", "Right")]
    np.testing.assert_allclose(clip.poses[2, LANDMARKS.index("neck")], np.mean(arms, axis=0))
    nose = _slow(channels, row, "Head", 0.5) @ [1, 2, 3, 1]
    np.testing.assert_allclose(clip.poses[2, LANDMARKS.index("nose")], nose[:3])
    np.testing.assert_allclose(clip.poses[2, 0], _slow(channels, row, "Hips", 0.5)[:3, 3])


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
        (_joint_map(neck="Nape"), "expected the joints of the joint map"),
    ],
)
def test_bad_joint_maps(tmp_path, content, says):
    path = tmp_path / "map.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    _write(tmp_path / "x.bvh")
    with pytest.raises(MocapError, match=re.escape(says)) as caught:
        mocap.read(tmp_path, joint_map=path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


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


def test_real_arm_as_with_4_by_4_matrices():
    """The chain to a wrist, with offsets and columns picked by hand from the file's text."""
    path = CLIPS / "salsa/10.bvh"
    hierarchy, rows, _ = bvh.read_motion(path)
    (clip,) = bvh.read(path)
    text = path.read_text().split("MOTION")[0]
    chain = ["hip", "abdomen", "chest", "lCollar", "lShldr", "lForeArm", "lHand"]
    joints = re.findall(r"(?:ROOT|JOINT) (\w+)", text)
    assert len(clip.poses) == len(rows) - 1, "the T-pose at the start is left out"
    for frame in (1, 9):
        matrix = np.eye(4)
        for joint in chain:
            match = re.search(
                rf"(?:ROOT|JOINT) {joint}\s+{{\s+OFFSET (.*)\s+CHANNELS \d (.*)", text
            )
            # All joints have three channels, and the root three more.
            column = 3 * joints.index(joint) + 3
            step = np.eye(4)
            step[:3, 3] = rows[frame, :3] if joint == "hip" else np.fromstring(match[1], sep=" ")
            matrix = matrix @ step
            for k, channel in enumerate(match[2].split()[-3:]):
                angle, axis = np.deg2rad(rows[frame, column + k]), "XYZ".index(channel[0])
                one, i, j = np.eye(4), (axis + 1) % 3, (axis + 2) % 3
                one[i, i] = one[j, j] = np.cos(angle)
                one[j, i], one[i, j] = np.sin(angle), -np.sin(angle)
                matrix = matrix @ one
        np.testing.assert_allclose(
            clip.poses[frame - 1, LANDMARKS.index("left wrist")], 10 * matrix[:3, 3], atol=1e-7
        )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("HIERARCHY", "TREE", "expected HIERARCHY, got 'TREE'"),
        ("ROOT Hips", "Hips", "damaged one"),
        ("OFFSET", "OFSET", "unexpected 'OFSET'"),
        (r"OFFSET \S+", "OFFSET far", "damaged one"),
        (r"OFFSET .*", "", "no OFFSET"),
        (r"}\s+MOTION", "MOTION", "Hips is not closed"),
        (r"\wrotation", "twist", "unexpected channels"),
        ("MOTION", "MOVES", "with MOTION"),
        ("Frames:.4", "Frames: 6", "expected 6 frames of"),
        (r"Time:\s+\S+", "Time: 0", "positive Frame Time"),
        (r"(\S+) \r?\n\r?\n$", "far\n", "expected a positive Frame Time and numbers"),
        (r"(\S+) \r?\n\r?\n$", "nan\n", "frame 3: expected finite"),
        (r"(\S+) \r?\n\r?\n$", "\n", "the file is cut off"),
        ("JOINT LeftUpLeg", "JOINT LeftThigh", "missing: LeftUpLeg; the file has Hips, Spine"),
    ],
)
def test_damaged_files(tmp_path, old, new, says):
    path = tmp_path / "x.bvh"
    _write(path)
    text = path.read_text()
    assert re.search(old, text)
    path.write_text(re.sub(old, new, text, count=1))
    with pytest.raises(MocapError, match=re.escape(says)) as caught:
        bvh.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: re.sub(r"\b([XYZ])position", r"\1Position", text),
        lambda text: re.sub(r"\b([XYZ])rotation", r"\1ROTATION", text),
        lambda text: text.replace("Frames:\t4", "Frames:\t5"),
        lambda text: text.replace("Frames:\t4", "Frames:\t3"),
    ],
)
def test_what_exporters_write_otherwise(tmp_path, change):
    path = tmp_path / "x.bvh"
    _write(path)
    (expected,) = bvh.read(path, up="y")
    path.write_text(change(path.read_text()))
    (clip,) = bvh.read(path, up="y")
    assert np.array_equal(clip.poses, expected.poses)


def test_a_rest_pose_with_a_turned_root_is_left_out_and_said(tmp_path, caplog):
    path = tmp_path / "x.bvh"
    channels, rows = _write(path)
    (whole,) = bvh.read(path, up="y")
    # Two frames in which only the root turns, a little.
    listed = [channel for names in channels.values() for channel in names]
    start = [
        (3.0 if i < 6 else 0.0) if channel.endswith("rotation") else value
        for i, (channel, value) in enumerate(zip(listed, rows[0], strict=True))
    ]
    text = path.read_text().splitlines()
    at = next(i for i, line in enumerate(text) if line.startswith("Frame Time"))
    text[at - 1] = "Frames: 6"
    text[at + 1 : at + 1] = [" ".join(map(str, start))] * 2
    path.write_text("\n".join(text))
    (clip,) = bvh.read(path, up="y")
    assert np.array_equal(clip.poses, whole.poses)
    assert "the first 2 frames are a rest pose; left out" in caplog.text


@pytest.mark.parametrize("count", [-2, 7, 10**9, 10**30])
def test_a_wrong_number_of_channels_is_refused_at_once(tmp_path, count):
    path = _write(tmp_path / "x.bvh")
    path = tmp_path / "x.bvh"
    text = path.read_text()
    at = text.index("CHANNELS 6")
    path.write_text(text[:at] + f"CHANNELS {count}" + text[at + len("CHANNELS 6") :])
    with pytest.raises(MocapError, match="CHANNELS"):
        bvh.read(path)


def test_a_billion_frames_are_refused_before_memory_is_allocated(tmp_path):
    _write(tmp_path / "x.bvh")
    text = re.sub(r"Frames:\s*\d+", "Frames: 1000000000", (tmp_path / "x.bvh").read_text())
    (tmp_path / "x.bvh").write_text(text)
    with pytest.raises(MocapError, match="at most 1,000,000 frames, got 1,000,000,000"):
        bvh.read(tmp_path / "x.bvh")
