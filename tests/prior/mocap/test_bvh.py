"""Reading BVH files: forward kinematics, what exporters write otherwise, damaged files."""

import re

import numpy as np
import pytest

from prior import mocap
from prior.mocap import MocapError, bvh
from prior.skeleton import LANDMARKS
from tests.prior.mocap.bvh_files import slow_matrix, write_bvh
from tests.real_mocap import CLIPS, check_person, landmark

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


@pytest.mark.parametrize("seed", range(3))
def test_forward_kinematics_as_with_4_by_4_matrices(tmp_path, seed):
    path = tmp_path / "S9" / "wave.bvh"
    path.parent.mkdir()
    channels, rows = write_bvh(path, seed=seed)
    (clip,) = bvh.read(path, up="y")
    assert clip[1:4] == (pytest.approx(100), "S9", "wave") and clip.poses.shape == (4, 17, 3)
    for frame, row in enumerate(rows):
        for name, joint in AT.items():
            expected = slow_matrix(channels, row, joint)[:3, 3]
            landmark = clip.poses[frame, LANDMARKS.index(name)]
            np.testing.assert_allclose(landmark, expected, atol=1e-7, err_msg=name)
        nose = slow_matrix(channels, row, "Head") @ [0, 40, 100, 1]
        np.testing.assert_allclose(clip.poses[frame, 9], nose[:3], atol=1e-7)


def test_at_rest_left_is_plus_x_and_up_is_y(tmp_path):
    write_bvh(tmp_path / "rest.bvh", still=True)
    (clip,) = mocap.read(tmp_path / "rest.bvh")
    pose = clip.poses[:1] - clip.poses[:1, :, 1].min()
    check_person(np.tile(pose, (2, 1, 1)))
    across = landmark(pose, "left wrist") - landmark(pose, "right wrist")
    np.testing.assert_allclose(across, [[1400, 0, 0]], atol=1e-9)
    assert landmark(pose, "nose")[0, 2] > landmark(pose, "neck")[0, 2] + 50


def test_a_t_pose_at_the_start_is_left_out(tmp_path):
    path = tmp_path / "x.bvh"
    channels, rows = write_bvh(path)
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
    write_bvh(path)
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
    write_bvh(path)
    (expected,) = bvh.read(path, up="y")
    path.write_text(change(path.read_text()))
    (clip,) = bvh.read(path, up="y")
    assert np.array_equal(clip.poses, expected.poses)


def test_a_rest_pose_with_a_turned_root_is_left_out_and_said(tmp_path, caplog):
    path = tmp_path / "x.bvh"
    channels, rows = write_bvh(path)
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
    path = write_bvh(tmp_path / "x.bvh")
    path = tmp_path / "x.bvh"
    text = path.read_text()
    at = text.index("CHANNELS 6")
    path.write_text(text[:at] + f"CHANNELS {count}" + text[at + len("CHANNELS 6") :])
    with pytest.raises(MocapError, match="CHANNELS"):
        bvh.read(path)


def test_a_billion_frames_are_refused_before_memory_is_allocated(tmp_path):
    write_bvh(tmp_path / "x.bvh")
    text = re.sub(r"Frames:\s*\d+", "Frames: 1000000000", (tmp_path / "x.bvh").read_text())
    (tmp_path / "x.bvh").write_text(text)
    with pytest.raises(MocapError, match="at most 1,000,000 frames, got 1,000,000,000"):
        bvh.read(tmp_path / "x.bvh")
