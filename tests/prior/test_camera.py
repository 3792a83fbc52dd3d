import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prior import camera

INTRINSICS = np.array([[1145.0, 0, 512], [0, 1143, 508], [0, 0, 1]])


def test_vertical_rotation_is_scipys():
    angle = np.linspace(-4, 4, 9)
    expected = Rotation.from_rotvec(angle[:, None] * [[0, 1, 0]]).as_matrix()
    np.testing.assert_allclose(camera.vertical_rotation(angle), expected, atol=1e-12)


def test_look_at_puts_the_target_in_the_middle_and_up_on_top():
    position, target = np.array([3000.0, 1800, -2000]), np.array([10.0, 900, 50])
    rotation = camera.check_rotation(camera.look_at(position, target))
    points = np.array([target, target + [0, 100, 0]])
    image = camera.perspective(points, rotation, position, INTRINSICS)
    np.testing.assert_allclose(image[0], [512, 508], atol=1e-9)
    assert image[1, 1] < image[0, 1], "what is higher in the world is higher in the image"


def test_level_camera_sees_the_right_hand_of_who_faces_it_on_the_left():
    # A person at the origin facing +z, right hand at -x, seen by a camera at +z looking along -z.
    image = camera.perspective(
        np.array([-500.0, 1000, 0]), camera.LEVEL, np.array([0.0, 1000, 5000]), INTRINSICS
    )
    assert image[0] < 512


def test_decompose_gives_the_camera_back():
    cameras = Rotation.random(200, random_state=0).as_matrix()
    roll, elevation, yaw = camera.decompose(cameras)
    np.testing.assert_allclose(camera.compose(roll, elevation, yaw), cameras, atol=1e-9)
    turn = Rotation.from_rotvec(roll[:, None] * [[0, 0, 1]]).as_matrix()
    level = camera.level_camera(elevation) @ camera.vertical_rotation(yaw)
    np.testing.assert_allclose(turn @ level, cameras, atol=1e-9)


def test_decompose_of_a_camera_that_looks_down_a_little():
    rotation = camera.look_at([0.0, 2000, 4000], [0.0, 1000, 0])
    roll, elevation, yaw = camera.decompose(rotation)
    np.testing.assert_allclose([roll, elevation, yaw], [0, np.arctan2(1000, 4000), 0], atol=1e-12)


def test_toward_moves_the_pixel_to_the_axis():
    rotation = camera.look_at([3000.0, 1800, -2000], [0.0, 900, 0])
    ray = rotation.T @ np.linalg.solve(INTRINSICS, [800, 300, 1])
    turned = camera.check_rotation(camera.toward(rotation, INTRINSICS, [800, 300]))
    np.testing.assert_allclose(turned @ ray / np.linalg.norm(ray), [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize("bad", [np.eye(2), np.diag([1, 1, -1.0]), 2 * np.eye(3)])
def test_what_is_no_rotation_is_refused(bad):
    with pytest.raises(ValueError, match="camera: expected"):
        camera.check_rotation(bad)


def test_a_vertical_line_of_sight_is_refused():
    with pytest.raises(ValueError, match="vertical"):
        camera.look_at([0.0, 3000, 0], [0.0, 0, 0])


def test_a_field_of_view_is_along_the_longer_side():
    """Rays at half the angle meet the borders of the image, half a px beyond its outer centres."""
    for width, height in ((640, 360), (360, 640)):
        matrix = camera.intrinsics_of_view(70, width, height)
        edge = np.tan(np.deg2rad(35))
        ray = [edge, 0, 1] if width > height else [0, edge, 1]
        x, y = (matrix @ ray)[:2]
        assert max(x, y) == pytest.approx(639.5)
        np.testing.assert_allclose((matrix @ [0, 0, 1])[:2], [(width - 1) / 2, (height - 1) / 2])
        assert matrix[0, 0] == matrix[1, 1]
    for degrees in (0, 180, -20, np.nan):
        with pytest.raises(ValueError, match="field of view: expected above 0 and below 180"):
            camera.intrinsics_of_view(degrees, 640, 360)
