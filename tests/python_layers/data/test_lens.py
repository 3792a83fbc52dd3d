"""The distortion of a lens, taken off landmarks."""

import numpy as np
import pytest

from prior.camera import perspective
from python_layers.data import lens
from tests import human36m
from tests.poses import random_poses
from tools.convert import h36m_cameras

MATRIX = np.array([[1100.0, 0, 640], [0, 1120, 360], [0, 0, 1]])


def bent(rays, distortion):
    """Where a lens puts rays (..., 2): written out from OpenCV's documentation."""
    k1, k2, p1, p2, k3, k4, k5, k6 = np.append(distortion, np.zeros(8 - len(distortion)))
    x, y = np.moveaxis(rays, -1, 0)
    r2 = x * x + y * y
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return np.stack([1100 * u + 640, 1120 * v + 360], axis=-1)


@pytest.mark.parametrize(
    "distortion",
    [(-0.2, 0.05, 0.001, -0.002), (-0.2, 0.2, 0.0, 0.0, -0.05), (0.3, 0.1, 0, 0, 0, 0.5, 0.1, 0.1)],
)
def test_rays_are_those_that_the_lens_bent(distortion):
    rays = np.random.default_rng(0).uniform(-0.6, 0.6, (5, 7, 2))
    rays[2, 3] = np.nan
    met = lens.rays(bent(rays, distortion), MATRIX, np.array(distortion))
    np.testing.assert_allclose(met, rays, atol=1e-6)


def test_each_camera_has_its_own_lens_and_some_have_none():
    rays = np.random.default_rng(0).uniform(-0.4, 0.4, (4, 3, 2))
    one, other = (-0.2, 0.05, 0.001, -0.002), (0.1, 0, 0, 0)
    matrices = np.array([MATRIX, MATRIX, MATRIX, np.full((3, 3), np.nan)])
    distortions = np.zeros((4, 14))
    distortions[0, :4], distortions[1, :4], distortions[3, :4] = one, other, one
    pinhole = bent(rays, (0, 0, 0, 0))
    points = np.stack([bent(rays[0], one), bent(rays[1], other), pinhole[2], pinhole[3]])
    straight = lens.undistorted(points, matrices, distortions)
    np.testing.assert_allclose(straight, pinhole, atol=1e-3)
    np.testing.assert_array_equal(straight[2:], points[2:])


def test_a_point_that_no_ray_comes_to_is_missing():
    # The image's edge is 1.1 from the axis; by this lens no ray comes beyond 0.61.
    distortion = np.array([-0.9, 0, 0, 0])
    points = np.array([[640.0, 360], [1800, 360], [np.nan, 0]])
    met = lens.rays(points, MATRIX, distortion)
    np.testing.assert_allclose(met[0], 0, atol=1e-9)
    assert np.isnan(met[1:]).all()


def test_of_human36ms_lens_opencvs_model_leaves_a_third_of_a_pixel():
    rotation, position = human36m.camera("54138969")
    matrix = np.array([[1145.0, 0, 512], [0, 1145, 512], [0, 0, 1]])
    k, p = np.array(human36m.LENS[:3]), np.array(human36m.LENS[3:])
    camera = h36m_cameras.Camera(rotation, position, matrix, k, p)
    poses = random_poses(200) + np.random.default_rng(0).uniform(-1500, 1500, (200, 1, 3))
    points = camera.project(poses)
    pinhole = perspective(poses, rotation, position, matrix)
    distortions = np.tile(np.append(camera.distortion, np.zeros(9)), (200, 1))
    left = lens.undistorted(points, np.tile(matrix, (200, 1, 1)), distortions) - pinhole
    inside = ((points > 0) & (points < 1024)).all(axis=2)
    assert np.linalg.norm(points - pinhole, axis=2)[inside].max() > 10
    assert np.linalg.norm(left, axis=2)[inside].max() < 0.3
