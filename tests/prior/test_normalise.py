import numpy as np
import pytest

from prior import chunks
from prior.camera import turned
from prior.normalise import (
    AlignedPoses,
    NormalisedPoses,
    PoseError,
    check_poses,
    from_rows,
    to_rows,
    turned_back,
)
from prior.skeleton import LIMBS, MIRROR, limb_scale, mirrored
from tests.hands import HAND, random_hands
from tests.poses import random_poses


def test_limb_scale_is_one_and_the_mean_landmark_the_origin():
    poses_mm = random_poses(20)
    poses = from_rows(NormalisedPoses(poses_mm)[:])
    assert poses.shape == (20, 17, 3)
    for pose in poses:
        total = sum(np.sum((pose[a] - pose[b]) ** 2) for a, b in LIMBS)
        assert total == pytest.approx(1)
    np.testing.assert_allclose(poses.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(NormalisedPoses(poses_mm).scale_mm, limb_scale(poses_mm))


def test_rows_are_all_x_all_z_all_y():
    pose = np.arange(51).reshape(17, 3)
    row = to_rows(pose)
    assert row[0] == 0 and row[17] == 2 and row[34] == 1 and row[1] == 3
    np.testing.assert_array_equal(from_rows(row), pose)


def test_slices_and_indices_and_types_of_array_agree(tmp_path):
    poses_mm = random_poses(30).astype(np.float32)
    np.save(tmp_path / "poses.npy", poses_mm)
    mapped = NormalisedPoses(np.load(tmp_path / "poses.npy", mmap_mode="r"))
    poses = NormalisedPoses(poses_mm)
    np.testing.assert_array_equal(mapped[:], poses[:])
    np.testing.assert_array_equal(poses[5:9], poses[:][5:9])
    np.testing.assert_array_equal(poses[np.array([7, 2])], poses[:][[7, 2]])


def test_aligned_poses_are_followed_by_their_mirror_images():
    poses_mm = random_poses(9)
    poses = NormalisedPoses(poses_mm)
    yaw = np.linspace(-3, 3, 9)
    aligned = AlignedPoses(poses, yaw)
    assert len(aligned) == 18
    back = turned(from_rows(poses[:]), -yaw)
    np.testing.assert_allclose(from_rows(aligned[:])[::2], back, atol=1e-12)
    np.testing.assert_allclose(from_rows(aligned[:])[1::2], mirrored(back), atol=1e-12)
    np.testing.assert_array_equal(aligned[3:8], aligned[:][3:8])
    np.testing.assert_array_equal(aligned[np.array([17, 0, 5])], aligned[:][[17, 0, 5]])
    assert len(aligned[18:]) == 0
    np.testing.assert_allclose(turned_back(poses[:], yaw), aligned[:][::2], atol=1e-12)
    np.testing.assert_array_equal(mirrored(mirrored(poses_mm)), poses_mm)
    assert (MIRROR[MIRROR] == np.arange(17)).all()


def test_arguments_are_left_alone():
    poses_mm = random_poses(3)
    before = poses_mm.copy()
    AlignedPoses(NormalisedPoses(poses_mm), np.ones(3))[:]
    np.testing.assert_array_equal(poses_mm, before)


def test_a_pose_without_extent_is_refused():
    poses_mm = random_poses(3)
    poses_mm[1] = 5.0
    with pytest.raises(PoseError, match="expected limbs with a length"):
        NormalisedPoses(poses_mm)


def test_nan_in_any_chunk_is_found(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 4)
    poses_mm = random_poses(10)
    poses_mm[9, 16, 2] = np.inf
    with pytest.raises(PoseError, match="1 of 10 have NaN or infinite .*number 9"):
        check_poses(poses_mm)


@pytest.mark.parametrize(
    ("factor", "unit"), [(1e-3, "metres"), (0.1, "centimetres"), (1 / 25.4, "inches")]
)
def test_a_wrong_unit_is_named(factor, unit):
    with pytest.raises(PoseError, match=f"are they in .*{unit}"):
        check_poses(random_poses(3) * factor)


def test_nan_is_counted():
    poses = random_poses(4)
    poses[2, 5, 1] = np.nan
    with pytest.raises(PoseError, match="1 of 4 have NaN.*number 2"):
        check_poses(poses)


@pytest.mark.parametrize("shape", [(0, 17, 3), (3, 16, 3), (17, 3)])
def test_a_wrong_shape_is_named(shape):
    with pytest.raises(PoseError, match=r"expected shape \(N, 17, 3\)"):
        check_poses(np.ones(shape))


def test_limb_scale_of_one_pose():
    assert limb_scale(random_poses(1)[0]).shape == ()


@pytest.mark.parametrize(
    ("unit", "in_mm"),
    [
        ("metres", 1000),
        ("feet", 304.8),
        ("inches", 25.4),
        ("centimetres", 10),
        ("tenths of a millimetre", 0.1),
        ("micrometres", 1e-3),
    ],
)
def test_poses_in_another_unit_are_refused_with_a_guess(unit, in_mm):
    with pytest.raises(PoseError, match=f"are they in {unit}"):
        check_poses(random_poses(20) / in_mm)


def test_the_size_of_a_hand_is_not_that_of_a_person():
    hands = random_hands(20)
    check_poses(hands, HAND)
    with pytest.raises(PoseError, match="a limb scale of 80 to 500, got .* are they in metres"):
        check_poses(hands / 1000, HAND)
    with pytest.raises(PoseError, match=r"expected shape \(N, 21, 3\)"):
        check_poses(random_poses(3), HAND)
