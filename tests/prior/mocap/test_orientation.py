"""Which axis is up, and where nose and head top are, whatever axes a maker gave world and joints.

One person moves; what differs between the files are the world's axes, the joints' own axes and the
End Site of the head.
"""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prior import mocap
from prior.__main__ import main
from prior.camera import turned
from prior.mocap import MocapError, acclaim
from prior.mocap.orientation import UP, find_up
from prior.normalise import centred
from prior.skeleton import LANDMARKS
from prior.skeleton import PARENTS as PARENTS_17
from tests.poses import OFFSETS, random_poses
from tests.prior.mocap.bvh_files import PERSON
from tests.real_mocap import landmark

FRAMES = 12
NAMES = [name for name, *_ in PERSON]
PARENTS = [NAMES.index(parent) if parent else -1 for _, parent, _ in PERSON]
HEAD = {"nose", "head top"}
BODY = [i for i, name in enumerate(LANDMARKS) if name not in HEAD]
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def _write(path, world=None, axes=None, *, walks=0.0, lies=False, end=None, seed=0):
    """A person, cm, in slight motion. world: 3 x 3, from y up to the file's world; axes: (B, 3, 3),
    each joint's own axes in those of a person at rest; walks: cm; end: of the head, cm."""
    world = np.eye(3) if world is None else world
    axes = np.tile(np.eye(3), (len(NAMES), 1, 1)) if axes is None else axes
    random = np.random.default_rng(seed)
    turns = Rotation.from_rotvec(random.normal(size=(FRAMES, len(NAMES), 3)).reshape(-1, 3) * 0.12)
    turns = turns.as_matrix().reshape(FRAMES, len(NAMES), 3, 3)
    if lies:
        turns[:, 0] = Rotation.from_euler("x", 90, degrees=True).as_matrix() @ turns[:, 0]
    offsets = {name: np.array(offset, dtype=float) for name, _, offset in PERSON}
    if end is not None:
        offsets["Head end"] = np.array(end, dtype=float)
    lines, columns = ["HIERARCHY"], []

    def node(j, depth):
        own = axes[PARENTS[j]].T @ offsets[NAMES[j]] if PARENTS[j] >= 0 else world @ offsets["Hips"]
        pad, is_end = "  " * depth, NAMES[j].endswith(" end")
        title = "End Site" if is_end else f"{'JOINT' if depth else 'ROOT'} {NAMES[j]}"
        lines.extend([pad + title, pad + "{", f"{pad}  OFFSET {' '.join(map(str, own))}"])
        if not is_end:
            moves = "" if depth else "Xposition Yposition Zposition "
            lines.append(
                f"{pad}  CHANNELS {3 if depth else 6} {moves}Zrotation Xrotation Yrotation"
            )
            if not depth:
                place = [[0, 95, walks * f / (FRAMES - 1)] for f in range(FRAMES)]
                columns.append(np.array(place) @ world.T)
            above = axes[PARENTS[j]].T if depth else world
            local = above @ turns[:, j] @ axes[j]
            columns.append(Rotation.from_matrix(local).as_euler("ZXY", degrees=True))
        for child in range(len(NAMES)):
            if PARENTS[child] == j:
                node(child, depth + 1)
        lines.append(pad + "}")

    node(0, 0)
    lines += ["MOTION", f"Frames: {FRAMES}", "Frame Time: 0.04"]
    lines += [" ".join(f"{x:.12f}" for x in row) for row in np.concatenate(columns, axis=1)]
    path.write_text("\n".join(lines) + "\n")
    return path


def _read(path, **options):
    return mocap.read(path, **options)[0].poses


@pytest.fixture
def plain(tmp_path):
    poses = _read(_write(tmp_path / "plain.bvh"))
    assert (landmark(poses, "head top") - landmark(poses, "foot"))[:, 1].min() > 1300
    return poses


@pytest.mark.parametrize("axis", UP)
def test_every_axis_may_be_up(tmp_path, plain, axis, caplog):
    world = UP[axis].T
    axes = np.tile(world.T, (len(NAMES), 1, 1))
    np.testing.assert_allclose(_read(_write(tmp_path / "x.bvh", world, axes)), plain, atol=1e-6)
    assert (f"{axis} points up in this file" in caplog.text) == (axis != "y")


def test_a_clip_can_tell_where_no_rest_pose_stands(tmp_path, plain):
    axes = Rotation.random(len(NAMES), random_state=0).as_matrix()
    poses = _read(_write(tmp_path / "x.bvh", axes=axes))
    np.testing.assert_allclose(poses[:, BODY], plain[:, BODY], atol=1e-6)
    # Nose and top are where the head is, on the average, as the trunk is.
    assert np.linalg.norm(poses - plain, axis=-1).max() < 40
    middle = (landmark(poses, "head top") + landmark(poses, "neck")) / 2
    assert ((landmark(poses, "nose") - middle)[:, 2] > 50).all()


def test_who_walks_stands_and_who_does_not_is_asked_about(tmp_path, plain):
    path = _write(tmp_path / "x.bvh", Z_UP, walks=300)
    walked = _read(_write(tmp_path / "y.bvh", walks=300))
    np.testing.assert_allclose(_read(path), walked, atol=1e-6)
    still = _write(tmp_path / "still.bvh", Z_UP)
    with pytest.raises(MocapError, match="which axis points up; .* along y in 0%.*--up=z, or"):
        mocap.read(still)
    np.testing.assert_allclose(_read(still, up="z"), plain, atol=1e-6)


def test_who_lies_in_every_frame_is_asked_about(tmp_path):
    path = _write(tmp_path / "x.bvh", lies=True)
    with pytest.raises(MocapError, match="if the person lies all the time, say --up y"):
        mocap.read(path)
    poses = _read(path, up="y")
    assert np.ptp(poses[..., 1]) < 800
    (tmp_path / "map.json").write_text(json.dumps({"up": "y", "rate": 50}))
    clip = mocap.read(path, tmp_path / "map.json")[0]
    assert clip.rate == 50 and np.array_equal(clip.poses, poses)


@pytest.mark.parametrize(
    ("end", "above"), [((0, 0, 0), False), ((0, 2, 18), False), ((0, 17, 2), True)]
)
def test_an_end_site_that_is_no_top_of_the_head(tmp_path, plain, end, above, caplog):
    poses = _read(_write(tmp_path / "x.bvh", end=end))
    rise = landmark(poses, "head top") - landmark(poses, "nose")
    assert (rise[:, 1] > 80).all()
    assert ("Head end is no top of the head" in caplog.text) != above


def test_npz_files_that_are_not_y_up(tmp_path):
    poses = centred(random_poses(30))
    np.savez(tmp_path / "x.npz", poses_mm=poses @ UP["z"], rate=30)
    with pytest.raises(MocapError, match="x.npz: expected a person who stands.*--up=z"):
        mocap.read(tmp_path / "x.npz")
    np.testing.assert_allclose(_read(tmp_path / "x.npz", up="z"), poses, atol=1e-9)


def _bent(frames=40):
    """A person whose knees are bent backward, and who turns."""
    poses = np.tile(centred(_standing()), (frames, 1, 1))
    for side in ("left", "right"):
        back = np.linspace(200, 300, frames)
        poses[:, LANDMARKS.index(f"{side} foot")] += np.stack(
            [0 * back, 0.24 * back, -back], axis=1
        )
    return turned(poses, np.linspace(0, 3, frames))


def _standing():
    rest = np.zeros((1, 17, 3))
    for i, parent in enumerate(PARENTS_17):
        rest[:, i] = (rest[:, parent] if parent >= 0 else 0) + OFFSETS[i]
    return rest


def test_left_and_right_exchanged_are_refused(tmp_path):
    good = _bent()
    np.savez(tmp_path / "good.npz", poses_mm=good, rate=30)
    assert len(_read(tmp_path / "good.npz")) == 40
    np.savez(tmp_path / "x.npz", poses_mm=good * [-1, 1, 1], rate=30)
    with pytest.raises(MocapError, match="x.npz: expected knees that bend backward, got 100% that"):
        mocap.read(tmp_path / "x.npz")


def test_a_nose_behind_the_head_is_said(tmp_path, caplog):
    poses = _bent()
    nose, neck = LANDMARKS.index("nose"), LANDMARKS.index("neck")
    poses[:, nose] = 2 * poses[:, neck] + [0, 200, 0] - poses[:, nose]
    np.savez(tmp_path / "x.npz", poses_mm=poses, rate=30)
    mocap.read(tmp_path / "x.npz")
    assert "x.npz: the nose is behind the head" in caplog.text


def test_axes_that_are_said_are_taken():
    assert find_up("a file", random_poses(9), None, "-x") == "-x"
    for turn in UP.values():
        np.testing.assert_array_equal(turn @ turn.T, np.eye(3))
        assert np.linalg.det(turn) == 1
    assert all(
        UP[axis][1] @ np.eye(3)["xyz".index(axis[-1])] == (-1) ** len(axis[1:]) for axis in UP
    )


def test_fit_takes_the_axis(tmp_path, capsys):
    poses = centred(random_poses(40))
    np.savez(tmp_path / "x.npz", poses_mm=-poses * [-1, 1, 1], rate=30)
    out = tmp_path / "model.npz"
    fit = ["fit", str(tmp_path / "x.npz"), "--out", str(out), "--components", "1", "--basis", "2"]
    assert main([*fit, "--solver", "closed-form"]) == 1
    assert "--up=-y" in capsys.readouterr().err
    assert main([*fit, "--solver", "closed-form", "--up=-y"]) == 0


@pytest.mark.parametrize(
    ("motion", "skeleton"),
    [
        ("AB_tall_walkLeft_001_120", "AB_tall"),
        ("AB_small_2", "AB_small"),
        ("AB_walk", "AB"),
        ("AB", "AB"),
        ("ABC_1", None),
    ],
)
def test_the_skeleton_with_the_longest_name_that_fits(tmp_path, motion, skeleton):
    for name in ("AB", "AB_tall", "AB_small", "AB_tall_walkRight"):
        (tmp_path / f"{name}.asf").touch()
    path = tmp_path / f"{motion}.amc"
    if skeleton is None:
        with pytest.raises(MocapError, match="got 4 others"):
            acclaim.find_skeleton(path)
    else:
        assert acclaim.find_skeleton(path).stem == skeleton
