import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prior.mocap import MocapError, deepmimic
from prior.skeleton import LANDMARKS, LIMBS

INDEX = {name: i for i, name in enumerate(LANDMARKS)}
needs_pybullet = pytest.mark.skipif(
    importlib.util.find_spec("pybullet_data") is None,
    reason="needs the clips of pybullet_data, which nothing here installs: pip install pybullet",
)


def _row(random, dt=1 / 30, rest=False):
    """A frame: each ball joint a random quaternion, or all at rest."""
    row = [dt, *random.normal(size=3)]
    for _, _, _, kind in deepmimic.SKELETON:
        if kind == "ball":
            quaternion = [1, 0, 0, 0] if rest else random.normal(size=4)
            row += list(np.array(quaternion) / np.linalg.norm(quaternion))
        elif kind == "hinge":
            row.append(0 if rest else random.normal())
    return [float(x) for x in row]


def _write(path, frames):
    path.write_text(json.dumps({"Loop": "none", "Frames": frames}))
    return path


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    return [_row(random) for _ in range(5)]


def _slow_position(row, joint):
    """Rotation and position of a joint by walking up its chain, one joint at a time."""
    columns, column = {}, 4
    for name, _, _, kind in deepmimic.SKELETON:
        columns[name] = column
        column += {"ball": 4, "hinge": 1, "fixed": 0}[kind]
    name, parent, offset, kind = next(entry for entry in deepmimic.SKELETON if entry[0] == joint)
    own = row[columns[name] :]
    if kind == "ball":
        w, x, y, z = own[:4]
        turn = Rotation.from_quat([x, y, z, w])
    else:
        turn = Rotation.from_euler("z", own[0] if kind == "hinge" else 0)
    if parent is None:
        return turn, np.array(row[1:4])
    up_turn, up_position = _slow_position(row, parent)
    return up_turn * turn, up_position + up_turn.apply(np.array(offset) / 4)


def test_forward_kinematics_as_walking_up_the_chain(tmp_path, rows):
    motion = deepmimic.read_motion(_write(tmp_path / "x.txt", rows))
    rotations, positions = deepmimic.forward(motion)
    for frame, row in enumerate(rows):
        for j, joint in enumerate(deepmimic.JOINTS):
            turn, position = _slow_position(row, joint)
            np.testing.assert_allclose(rotations[frame, j], turn.as_matrix(), atol=1e-12)
            np.testing.assert_allclose(positions[frame, j], position, atol=1e-12)


def test_clip_in_mm_with_rate_and_name(tmp_path, rows):
    rows[-1][0] = 0.0  # as the files have it
    (clip,) = deepmimic.read(_write(tmp_path / "humanoid3d_jump.txt", rows))
    assert clip.poses.shape == (5, 17, 3)
    assert clip.rate == pytest.approx(30)
    assert clip.action == "jump"
    for name, joint in (("left wrist", "left wrist"), ("right foot", "right ankle")):
        expected = 1000 * _slow_position(rows[2], joint)[1]
        np.testing.assert_allclose(clip.poses[2, INDEX[name]], expected, atol=1e-6)


def test_at_rest_left_is_left_and_the_head_is_up(tmp_path):
    random = np.random.default_rng(1)
    rows = [_row(random, rest=True) for _ in range(2)]
    pose = deepmimic.read(_write(tmp_path / "x.txt", rows))[0].poses[0]
    up = np.array([0, 1, 0])
    forward = pose[INDEX["nose"]] - pose[INDEX["neck"]]
    left = np.cross(up, forward * [1, 0, 1])
    for part in ("hip", "knee", "foot", "shoulder", "elbow", "wrist"):
        across = pose[INDEX[f"left {part}"]] - pose[INDEX[f"right {part}"]]
        assert across @ left > 0.99 * np.linalg.norm(across) * np.linalg.norm(left)
    order = ["left foot", "left knee", "hip", "spine", "neck", "nose", "head top"]
    assert (np.diff([pose[INDEX[name], 1] for name in order]) > 0).all()


@needs_pybullet
def test_skeleton_is_the_urdf():
    folder = Path(importlib.util.find_spec("pybullet_data").submodule_search_locations[0])
    text = (folder / "humanoid" / "humanoid.urdf").read_text().rstrip("\0")
    for name, parent, offset, kind in deepmimic.SKELETON[1:]:
        urdf = name.replace(" ", "_")
        joint = re.search(rf'<joint name="{urdf}".*?</joint>', text, re.DOTALL)[0]
        assert re.search(r'parent link *= *"(\w+)"', joint)[1] == parent.replace(" ", "_")
        numbers = re.search(r'<origin[^>]*xyz *= *"([^"]*)"', joint)[1]
        np.testing.assert_allclose([float(x) for x in numbers.split()], offset)
        urdf_kind = re.search(r'type="(\w+)"', joint)[1]
        assert urdf_kind == {"ball": "spherical", "hinge": "revolute", "fixed": "fixed"}[kind]


@needs_pybullet
def test_installed_clips():
    files = deepmimic.find_clips()
    assert len(files) == 20
    lengths = []
    for file in files:
        assert deepmimic.recognises(file)
        (clip,) = deepmimic.read(file)
        limbs = np.linalg.norm(clip.poses[:, LIMBS[:, 1]] - clip.poses[:, LIMBS[:, 0]], axis=-1)
        assert np.ptp(limbs[:, [0, 1, 2, 7, 11, 12]], axis=0).max() < 1e-6  # rigid limbs
        lengths.append(limbs[0])
        ankle = clip.poses[:, [INDEX["left foot"], INDEX["right foot"]], 1]
        assert -20 < np.percentile(ankle, 5) < 120, file  # mm above the ground
        assert 15 < clip.rate < 61
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], np.shape(lengths)), atol=1e-6)


@needs_pybullet
def test_walking_goes_forward_and_knees_bend_back():
    (walk,) = [f for f in deepmimic.find_clips() if f.name == "humanoid3d_walk.txt"]
    poses = deepmimic.read(walk)[0].poses
    path = (poses[-1] - poses[0])[0] * [1, 0, 1]
    assert (((poses[:, INDEX["nose"]] - poses[:, INDEX["neck"]]) @ path) > 0).all()
    thigh = poses[:, INDEX["left knee"]] - poses[:, INDEX["left hip"]]
    shank = poses[:, INDEX["left foot"]] - poses[:, INDEX["left knee"]]
    across = poses[:, INDEX["right hip"]] - poses[:, INDEX["left hip"]]
    # A bent knee turns the shank about the right-pointing axis, towards the back.
    turn = np.einsum("fi,fi->f", np.cross(thigh, shank), across)
    assert turn[np.abs(turn).argmax()] < 0
    assert (np.cross(path, [0, 1, 0]) @ across.mean(axis=0)) > 0


def _without(rows, frame, change):
    changed = [list(row) for row in rows]
    change(changed[frame])
    return changed


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        (lambda rows: [], "at least 2 frames, got 0"),
        (lambda rows: rows[:1], "at least 2 frames, got 1"),
        (lambda rows: "none", "at least 2 frames, got str"),
        (lambda rows: _without(rows, 3, lambda row: row.pop()), "frame 3: expected 44"),
        (
            lambda rows: _without(rows, 1, lambda row: row.__setitem__(9, np.nan)),
            "frame 1: expected finite",
        ),
        (
            lambda rows: _without(rows, 2, lambda row: row.__setitem__(slice(4, 8), [0] * 4)),
            "frame 2: expected unit quaternions",
        ),
        (lambda rows: _without(rows, 0, lambda row: row.__setitem__(5, "a")), "expected numbers"),
        (lambda rows: [[0.0, *row[1:]] for row in rows], "positive frame time"),
    ],
)
def test_damaged_clips(tmp_path, rows, frames, says):
    path = _write(tmp_path / "bad.txt", frames(rows))
    with pytest.raises(MocapError, match=re.escape(says)) as caught:
        deepmimic.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ['{"Frames": [', "[1, 2]", '{"Frame": []}', ""])
def test_not_a_clip(tmp_path, text):
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(MocapError, match="expected (DeepMimic )?JSON"):
        deepmimic.read(path)


def test_recognises(tmp_path, rows):
    assert deepmimic.recognises(_write(tmp_path / "clip.txt", rows))
    for name, content in (("a.txt", b"Frames"), ("b.txt", b"\xff\xfe{"), ("c.json", b"{}")):
        (tmp_path / name).write_bytes(content)
        assert not deepmimic.recognises(tmp_path / name)
