import numpy as np
import pytest

from prior.normalise import PoseError, check_poses, normalise
from prior.skeleton import LIMBS, MIRROR, limb_scale, mirrored
from tests.poses import random_poses


def test_limb_scale_is_one_and_the_mean_landmark_the_origin():
    poses, scale = normalise(random_poses(20))
    assert poses.shape == (40, 17, 3) and scale.shape == (20,)
    for pose in poses:
        total = sum(np.sum((pose[a] - pose[b]) ** 2) for a, b in LIMBS)
        assert total == pytest.approx(1)
    np.testing.assert_allclose(poses.mean(axis=1), 0, atol=1e-12)


def test_second_half_is_the_mirror_of_the_first():
    poses, _ = normalise(random_poses(5))
    np.testing.assert_array_equal(poses[5:], mirrored(poses[:5]))
    np.testing.assert_array_equal(mirrored(mirrored(poses)), poses)
    assert (MIRROR[MIRROR] == np.arange(17)).all()


def test_arguments_are_left_alone():
    poses = random_poses(3)
    before = poses.copy()
    normalise(poses)
    np.testing.assert_array_equal(poses, before)


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
