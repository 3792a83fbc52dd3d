import numpy as np
import pytest

from prior import mocap
from prior.mocap import smpl
from prior.mocap.clip import MocapError
from prior.skeleton import LANDMARKS

# SMPL's rest pose, m, y up, facing +z: rounded positions of its mean body's joints, pelvis first,
# written down here for tests. The left is +x.
REST = np.array([
    [0.00, 0.00, 0.00], [0.06, -0.09, -0.01], [-0.06, -0.09, -0.01], [0.00, 0.11, -0.03],
    [0.10, -0.47, -0.01], [-0.10, -0.47, -0.01], [0.00, 0.24, -0.02], [0.09, -0.87, -0.05],
    [-0.09, -0.87, -0.05], [0.00, 0.30, 0.00], [0.11, -0.93, 0.07], [-0.11, -0.93, 0.07],
    [0.00, 0.51, -0.03], [0.08, 0.42, -0.02], [-0.08, 0.42, -0.02], [0.00, 0.59, 0.02],
    [0.19, 0.45, -0.03], [-0.19, 0.45, -0.03], [0.45, 0.44, -0.06], [-0.45, 0.44, -0.06],
    [0.70, 0.45, -0.06], [-0.70, 0.45, -0.06], [0.78, 0.44, -0.07], [-0.78, 0.44, -0.07],
])  # fmt: skip


def write(path, joints, **more):
    np.savez(path, **({"joints": joints, "mocap_frame_rate": 120.0} | more))
    return path


def test_a_standing_person_stands_and_faces_forward(tmp_path):
    joints = np.tile(REST + [0, 0.98, 0], (10, 1, 1))
    (clip,) = mocap.read(write(tmp_path / "stand.npz", joints, up="y"))
    pose = dict(zip(LANDMARKS, clip.poses[0], strict=True))
    assert clip.rate == 120 and clip.action == "stand"
    np.testing.assert_allclose(pose["left knee"], [100, 510, -10], atol=1e-9)
    np.testing.assert_allclose(pose["hip"], [0, 980, 0], atol=1e-9)
    assert pose["head top"][1] > pose["nose"][1] > pose["neck"][1]
    assert pose["nose"][2] > 60 and abs(pose["nose"][0]) < 1e-9
    assert 1650 < pose["head top"][1] < 1800
    for part in ("hip", "shoulder", "wrist"):
        assert pose[f"left {part}"][0] > 0 > pose[f"right {part}"][0]


def test_amass_has_z_up(tmp_path):
    joints = np.tile(REST, (10, 1, 1))
    (ours,) = mocap.read(write(tmp_path / "a.npz", joints, up="y"))
    (amass,) = mocap.read(write(tmp_path / "b.npz", joints @ smpl.Z_UP, fps=60))
    np.testing.assert_allclose(ours.poses, amass.poses, atol=1e-9)


def test_the_first_22_joints_of_smplx_are_the_same(tmp_path):
    joints = np.concatenate([REST[:22], np.zeros((33, 3))])
    (clip,) = mocap.read(write(tmp_path / "x.npz", np.tile(joints, (4, 1, 1)), up="y"))
    (smpls,) = mocap.read(write(tmp_path / "s.npz", np.tile(REST, (4, 1, 1)), up="y"))
    np.testing.assert_array_equal(clip.poses, smpls.poses)


@pytest.mark.parametrize(
    ("joints", "more", "says"),
    [
        (np.zeros((4, 17, 3)), {}, "expected joints"),
        (np.zeros((4, 72)), {}, "expected joints"),
        (np.full((4, 24, 3), np.nan), {}, "finite"),
        (np.tile(REST, (4, 1, 1)), {"up": "x"}, "up y or z"),
        (np.tile(REST, (4, 1, 1)), {"mocap_frame_rate": np.ones(2)}, "a rate, one number"),
        (np.tile(1000 * REST, (4, 1, 1)), {}, "expected millimetres"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, joints, more, says):
    with pytest.raises(MocapError, match=says):
        mocap.read(write(tmp_path / "a.npz", joints, **more))
