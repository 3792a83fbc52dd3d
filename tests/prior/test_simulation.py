import numpy as np
import pytest

from prior.camera import check_rotation, decompose
from prior.simulation import room, tilted
from tests.poses import random_poses


def test_the_room_is_seen_by_cameras_like_human36ms():
    images = room(random_poses(200), seed=0)
    assert np.abs(images.points - [512, 512]).max() < 400  # wholly in the image
    assert np.abs(images.points.mean(axis=1) - [512, 512]).max() < 30  # turned towards the person
    check_rotation(images.cameras)
    elevation = np.rad2deg(decompose(images.cameras)[1])
    assert 0 < elevation.min() and elevation.max() < 20
    np.testing.assert_allclose(images.truth[..., 1].min(axis=1), 0, atol=1e-9)
    noise = images.noisy_points(10) - images.points
    assert noise.std() == pytest.approx(10, rel=0.05)
    np.testing.assert_array_equal(noise, images.noisy_points(10) - images.points)


def test_a_tilted_camera_looks_down_as_asked():
    images = tilted(random_poses(5), 0.3, seed=0)
    np.testing.assert_allclose(decompose(images.cameras)[1], 0.3)
    assert np.abs(images.points.mean(axis=1) - [512, 512]).max() < 30
