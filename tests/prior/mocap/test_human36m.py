import os
import re
import zipfile

import cdflib
import numpy as np
import pytest
from cdflib.cdfwrite import CDF as CDFWriter
from scipy.spatial.transform import Rotation

from prior import mocap
from prior.mocap import MocapError, human36m
from prior.skeleton import LANDMARKS
from tests.poses import random_poses

# The joints' numbers among Human3.6M's 32.
JOINT = {
    "hip": 0,
    "right hip": 1,
    "right knee": 2,
    "right foot": 3,
    "left hip": 6,
    "left knee": 7,
    "left foot": 8,
    "spine": 12,
    "neck": 13,
    "nose": 14,
    "head top": 15,
    "left shoulder": 17,
    "left elbow": 18,
    "left wrist": 19,
    "right shoulder": 25,
    "right elbow": 26,
    "right wrist": 27,
}


def _as_released(poses):
    """(F, 32, 3), mm, z up: our poses turned up from y to z; joints we do not use are noise."""
    joints = np.random.default_rng(0).normal(size=(len(poses), 32, 3)) * 1000
    turned = Rotation.from_euler("x", 90, degrees=True).apply(poses.reshape(-1, 3))
    for i, name in enumerate(LANDMARKS):
        joints[:, JOINT[name]] = turned.reshape(poses.shape)[:, i]
    return joints.astype(np.float32)


def _write_cdf(path, pose, variable="Pose"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with CDFWriter(path) as file:
        spec = {
            "Variable": variable,
            "Data_Type": 44,
            "Num_Elements": 1,
            "Rec_Vary": True,
            "Dim_Sizes": list(pose.shape[1:]),
        }
        file.write_var(spec, var_data=pose)


@pytest.fixture
def dataset(tmp_path):
    """The dataset's folders, and the poses (mm, y up) in them."""
    poses = {}
    for seed, (subject, action) in enumerate(
        [("S1", "WalkTogether"), ("S1", "Walking 1"), ("S11", "Walking 1")]
    ):
        poses[subject, action] = random_poses(6, seed=seed)
        flat = _as_released(poses[subject, action]).reshape(1, 6, 96)
        features = tmp_path / subject / "MyPoseFeatures"
        _write_cdf(features / "D3_Positions" / f"{action}.cdf", flat)
        camera = f"{action}.54138969.cdf"
        _write_cdf(features / "D3_Positions_mono" / camera, flat)
        _write_cdf(features / "D3_Positions_mono_universal" / camera, flat)
        _write_cdf(features / "D2_Positions" / camera, flat[..., :64])
    return tmp_path, poses


def test_world_positions_are_read_and_cameras_are_left_alone(dataset):
    folder, poses = dataset
    clips = mocap.read(folder)
    assert [(clip.subject, clip.action) for clip in clips] == list(poses)
    for clip in clips:
        assert clip.rate == 50
        np.testing.assert_allclose(clip.poses, poses[clip.subject, clip.action], atol=1e-3)
    with pytest.raises(MocapError, match="not D3_Positions_mono"):
        mocap.read(folder / "S1" / "MyPoseFeatures" / "D3_Positions_mono")


def test_from_z_up_to_y_up_is_a_rotation():
    turn = human36m.Y_UP
    assert np.linalg.det(turn) == 1 and (turn @ turn.T == np.eye(3)).all()
    assert (turn @ [0, 0, 1] == [0, 1, 0]).all()


def _write_npz(path, content):
    np.savez_compressed(path, positions_3d=np.array(content, dtype=object))
    return path


def test_videopose3d_file(dataset, tmp_path):
    folder, poses = dataset
    content = {}
    for (subject, action), clip in poses.items():
        content.setdefault(subject, {})[action] = _as_released(clip) / np.float32(1000)
    path = _write_npz(tmp_path / "data_3d_h36m.npz", content)
    for clip, (key, expected) in zip(mocap.read(path), poses.items(), strict=True):
        assert (clip.subject, clip.action) == key and clip.rate == 50
        np.testing.assert_allclose(clip.poses, expected, atol=1e-2)


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("made by a pickle",)


def test_a_pickle_cannot_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = _write_npz(tmp_path / "x.npz", {"S1": {"Walking": _Evil()}})
    with pytest.raises(MocapError, match=r"got posix.mkdir, which is not data"):
        mocap.read(path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "got no clip"),
        ([1, 2], "got an array of several"),
        ({"S1": [1]}, "S1: expected a dict of names, got list"),
        ({"S1": {"Walking": "far"}}, "S1, Walking: expected subject -> action -> (F, 32, 3)"),
        ({"S1": {"Walking": np.zeros((4, 17, 3))}}, "got (4, 17, 3)"),
        ({"S1": {"Walking": np.zeros((4, 32, 3), dtype=int)}}, "S1, Walking: expected"),
        ({1: {"Walking": np.zeros((4, 32, 3))}}, "subjects: expected a dict of names"),
    ],
)
def test_npz_of_another_layout(tmp_path, content, says):
    path = _write_npz(tmp_path / "x.npz", content)
    with pytest.raises(MocapError, match=re.escape(says)) as caught:
        human36m.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_truncated_pickle(tmp_path):
    path = _write_npz(tmp_path / "x.npz", {"S1": {"Walking": np.zeros((4, 32, 3))}})
    with zipfile.ZipFile(path) as archive:
        whole = archive.read("positions_3d.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("positions_3d.npy", whole[:-500])
    with pytest.raises(MocapError, match="expected positions_3d as a pickled dict"):
        human36m.read(path)


def test_damaged_cdf(tmp_path):
    good = np.zeros((1, 4, 96), dtype=np.float32)
    folder = tmp_path / "S1" / "MyPoseFeatures" / "D3_Positions"
    for pose, variable, says in (
        (good[..., :51], "Pose", "expected Pose as (1, F, 96) numbers, got (1, 4, 51)"),
        (good, "Poses", "with the variable Pose"),
    ):
        _write_cdf(folder / "x.cdf", pose, variable)
        with pytest.raises(MocapError, match=re.escape(says)):
            human36m.read(folder / "x.cdf")
        (folder / "x.cdf").unlink()
    (folder / "x.cdf").write_bytes(b"no CDF")
    with pytest.raises(MocapError, match="expected a CDF file") as caught:
        human36m.read(folder / "x.cdf")
    assert str(folder / "x.cdf") in str(caught.value) and "\n" not in str(caught.value)
    _write_cdf(tmp_path / "D3_Positions" / "x.cdf", good)
    with pytest.raises(MocapError, match="a subject's folder"):
        human36m.read(tmp_path / "D3_Positions" / "x.cdf")


def test_cdf_has_the_layout_of_the_dataset(dataset):
    folder, _ = dataset
    file = cdflib.CDF(folder / "S1" / "MyPoseFeatures" / "D3_Positions" / "Walking 1.cdf")
    assert file.varget("Pose").shape == (1, 6, 96)
    assert file.varget("Pose").dtype == np.float32
