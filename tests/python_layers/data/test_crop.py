import cv2
import numpy as np
import pytest

from prior import camera as cameras
from prior import skeleton
from prior.errors import InputError
from python_layers.data import crop, images
from python_layers.data.crop import Augmentation

BOX = (300.0, 200.0, 120.0, 240.0)
INTRINSICS = np.array([[1100.0, 0, 500], [0, 1100, 480], [0, 0, 1]])
CASES = [
    Augmentation(),
    Augmentation(flip=True),
    Augmentation(angle=0.6),
    Augmentation(scale=1.2, angle=-0.5, flip=True, shift=(0.05, -0.1)),
    Augmentation(scale=0.7, angle=0.3, flip=True),
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def standing(rng):
    """A person-like cloud of landmarks, mm, world, without symmetry."""
    return rng.normal(scale=[300, 500, 200], size=(skeleton.L, 3))


def test_the_person_has_cpms_size_and_is_in_the_middle():
    view = crop.frame(BOX, 368)
    corners = crop.to_input([[300, 200], [420, 440]], view)
    np.testing.assert_allclose(np.ptp(corners, axis=0)[1], 200 * 41 / 35)
    np.testing.assert_allclose(corners.mean(axis=0), [183.5, 183.5])


def test_a_wide_box_fits_too():
    view = crop.frame((0, 0, 500, 100), 128)
    corners = crop.to_input([[0, 0], [500, 100]], view)
    np.testing.assert_allclose(np.ptp(corners, axis=0)[0], 0.9 * 128)


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (0, 0, 5, -1), (0, np.nan, 5, 5), (1, 2, 3)])
def test_bad_box(box):
    with pytest.raises(ValueError, match="box: expected"):
        crop.frame(box, 368)


@pytest.mark.parametrize("augmentation", CASES)
def test_to_image_inverts_to_input(rng, augmentation):
    view = crop.frame(BOX, 368, augmentation)
    points = rng.uniform(0, 1000, size=(4, 5, 2))
    np.testing.assert_allclose(crop.to_image(crop.to_input(points, view), view), points)


def test_augmentations_stay_in_cpms_ranges_and_repeat():
    draws = [crop.draw(np.random.default_rng(seed)) for seed in range(500)]
    scales = [a.scale for a in draws]
    assert 0.7 <= min(scales) < 0.75 and 1.25 < max(scales) <= 1.3
    degrees = np.rad2deg([a.angle for a in draws])
    assert -40 <= degrees.min() < -35 and 35 < degrees.max() <= 40
    assert not np.any([a.shift for a in draws])
    assert 0.4 < np.mean([a.flip for a in draws]) < 0.6
    assert crop.draw(np.random.default_rng(7)) == draws[7]


def test_augmentations_stay_in_other_ranges():
    ranges = crop.Ranges(scale=(0.9, 1.0), degrees=0, shift=0.01)
    draws = [crop.draw(np.random.default_rng(seed), ranges) for seed in range(200)]
    scales = [a.scale for a in draws]
    assert 0.9 <= min(scales) < 0.91 and 0.99 < max(scales) <= 1
    assert not any(a.angle for a in draws)
    assert 0.008 < np.abs([a.shift for a in draws]).max() <= 0.01


@pytest.mark.parametrize("augmentation", CASES)
@pytest.mark.parametrize("size", [368, 128, 40])
def test_the_picture_goes_where_the_points_go(augmentation, size):
    point = np.array([340.0, 330.0])
    image = np.full((700, 800, 3), crop.GREY, np.uint8)
    cv2.circle(image, point.astype(int).tolist(), 14, (255, 255, 255), -1)
    view = crop.frame(BOX, size, augmentation)
    blob = crop.warp(image, view)[..., 0].astype(float) - crop.GREY
    rows, columns = np.mgrid[:size, :size]
    centre = np.array([(blob * columns).sum(), (blob * rows).sum()]) / blob.sum()
    np.testing.assert_allclose(centre, crop.to_input(point, view), atol=0.15)


def test_a_small_input_averages_over_blocks():
    image = np.zeros((600, 600, 3), np.uint8)
    image[::2] = 200  # stripes of one pixel, which sampling would pick or miss
    image = crop.warp(image, crop.frame((100, 100, 400, 400), 64))
    assert np.abs(image[8:-8, 8:-8].astype(int) - 100).max() <= 10


def test_an_image_smaller_than_a_block_still_warps():
    image = np.full((3, 5, 3), 77, np.uint8)
    assert crop.warp(image, crop.frame((0, 0, 4000, 4000), 32)).shape == (32, 32, 3)


def test_beyond_the_border_is_grey_which_is_zero_for_the_network():
    image = np.full((100, 100, 3), 255, np.uint8)
    blob = crop.input_blob(crop.warp(image, crop.frame((0, 0, 10, 100), 64)))
    assert blob.shape == (3, 64, 64) and blob.dtype == np.float32
    assert not blob[:, 0].any()
    np.testing.assert_allclose(blob[:, 32, 32], 127 / 256)


def test_input_blob_keeps_bgr():
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 0] = 128 + 64
    np.testing.assert_allclose(crop.input_blob(image)[:, 3, 3], [0.25, -0.5, -0.5])


def test_a_flip_swaps_left_and_right(rng):
    points = rng.uniform(200, 500, size=(skeleton.L, 2))
    plain = crop.landmarks(points, crop.frame(BOX, 368))
    flipped = crop.landmarks(points, crop.frame(BOX, 368, Augmentation(flip=True)))
    left, right = (skeleton.LANDMARKS.index(f"{side} wrist") for side in ("left", "right"))
    np.testing.assert_allclose(flipped[left], [367 - plain[right][0], plain[right][1]])


def similarity_residual(points, target):
    """Root mean squared distance of s points + t, s > 0 and t the best, from the target."""
    points, target = points - points.mean(axis=0), target - target.mean(axis=0)
    scale = (points * target).sum() / (points * points).sum()
    assert scale > 0
    return np.sqrt(np.mean(np.sum((scale * points - target) ** 2, axis=-1)))


@pytest.mark.parametrize("augmentation", CASES)
@pytest.mark.parametrize("distance, tolerance", [(4e6, 0.02), (8e3, 4.0)])
def test_the_corrected_camera_sees_the_transformed_landmarks(
    rng, augmentation, distance, tolerance
):
    """Exactly, in the limit, for a far camera; up to perspective for one in the room (px)."""
    pose = standing(rng)
    position = np.array([0.3, 0.25, 0.9]) / np.linalg.norm([0.3, 0.25, 0.9]) * distance
    # The person is left of and above the picture's centre.
    rotation = cameras.look_at(position, [900.0, -300.0, 0])
    intrinsics = INTRINSICS * [[distance / 5000], [distance / 5000], [1]]
    intrinsics[:2, 2] = [500, 480]
    points = cameras.perspective(pose, rotation, position, intrinsics)
    box = (*points.min(axis=0), *np.ptp(points, axis=0))
    view = crop.frame(box, 368, augmentation)
    camera = cameras.check_rotation(crop.camera(rotation, view, intrinsics))
    weak = (crop.pose(pose, view) @ camera.T)[:, :2]
    assert similarity_residual(weak, crop.landmarks(points, view)) < tolerance
    # Without the correction it is further off: this test can fail.
    if augmentation.flip or augmentation.angle:
        weak = (crop.pose(pose, view) @ rotation.T)[:, :2]
        assert similarity_residual(weak, crop.landmarks(points, view)) > tolerance


def test_turning_toward_the_person_helps_off_the_axis(rng):
    pose, position = standing(rng), np.array([0, 0, 9000.0])
    rotation = cameras.look_at(position, [3500.0, 0, 0])
    points = cameras.perspective(pose, rotation, position, INTRINSICS)
    view = crop.frame((*points.min(axis=0), *np.ptp(points, axis=0)), 368)
    with_, without = (
        similarity_residual(
            (pose @ crop.camera(rotation, view, k).T)[:, :2], crop.landmarks(points, view)
        )
        for k in (INTRINSICS, None)
    )
    assert with_ < 0.6 * without


def test_centre_map_is_at_the_person():
    view = crop.frame(BOX, 368, Augmentation(angle=0.3, shift=(0.1, -0.05)))
    centre = crop.centre_map(view)
    assert centre.shape == (368, 368) and centre.dtype == np.float32
    row, column = np.unravel_index(centre.argmax(), centre.shape)
    np.testing.assert_allclose([column, row], [183.5 + 36.8, 183.5 - 18.4], atol=0.51)
    # One standard deviation, 21 px, to the side.
    ratio = centre[row, column + 21] / centre[row, column]
    np.testing.assert_allclose(ratio, np.exp(-0.5), atol=0.02)


def test_read_takes_a_whole_image_of_the_right_size(tmp_path, rng):
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), rng.integers(0, 255, (60, 80, 3), dtype=np.uint8))
    assert images.read(path, (80, 60)).shape == (60, 80, 3)
    with pytest.raises(images.ImageError, match="expected 60 x 80 px, got 80 x 60"):
        images.read(path, (60, 80))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(images.ImageError, match="cut short"):
        images.read(path)
    path.write_bytes(b"not an image")
    with pytest.raises(images.ImageError, match="expected an image"):
        images.read(path)
    path.write_bytes(b"")
    with pytest.raises(images.ImageError, match="expected an image"):
        images.read(path)
    with pytest.raises(images.ImageError, match="No such file"):
        images.read(tmp_path / "b.jpg")


def test_covariances_go_to_the_image_as_points_do():
    view = crop.frame([30, 40, 50, 90], 128, crop.Augmentation(scale=1.2, angle=0.3, flip=True))
    rng = np.random.default_rng(0)
    covariance = np.array([[4.0, 1.5], [1.5, 2.0]])
    points = rng.multivariate_normal([60, 70], covariance, size=20000)
    moved = crop.covariance_to_image(covariance[None], view)[0]
    expected = np.cov(crop.to_image(points, view).T)
    np.testing.assert_allclose(moved, expected, rtol=0.05)


def test_colours_change_and_a_rectangle_is_grey(rng):
    image = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    image[0, 0], image[3, 39] = 255, 0  # beyond white, and not so dark
    plain = crop.input_blob(image)
    augmentation = Augmentation(
        gains=(1.1, 0.9, 1.0), brightness=0.05, hidden=(0.25, 0.5, 0.2, 0.1)
    )
    blob = crop.input_blob(image, augmentation)
    # Twin, pixel by pixel: x' = g (x - 128) + 128 + 256 b, cut to what an image can hold.
    for channel, gain in enumerate((1.1, 0.9, 1.0)):
        for i, j in ((0, 0), (3, 39), (30, 12), (19, 10)):
            value = gain * (float(image[i, j, channel]) - 128) + 128 + 256 * 0.05
            expected = (min(max(value, 0), 255) - 128) / 256
            assert blob[channel, i, j] == pytest.approx(expected, abs=1e-6)
    assert (blob[:, 20:24, 10:18] == 0).all()
    outside = np.ones((40, 40), bool)
    outside[20:24, 10:18] = False
    assert (blob != plain)[:, outside].mean() > 0.9


def test_drawn_colours_and_rectangles_are_within_their_ranges(rng):
    within = crop.Ranges(colour=0.2, occlusion=0.3)
    drawn = [crop.draw(rng, within) for _ in range(2000)]
    gains = np.array([a.gains for a in drawn])
    assert gains.min() >= 0.8 * 0.9 and gains.max() <= 1.2 * 1.1 and gains.std() > 0.1
    brightness = np.array([a.brightness for a in drawn])
    assert np.abs(brightness).max() <= 0.1 and brightness.std() > 0.05
    hidden = [a.hidden for a in drawn if a.hidden is not None]
    assert len(hidden) / len(drawn) == pytest.approx(0.3, abs=0.04)
    left, top, width, height = np.array(hidden).T
    assert (left >= 0).all() and (top >= 0).all()
    assert (left + width <= 1).all() and (top + height <= 1).all()
    plain = crop.draw(rng, crop.Ranges())
    assert (plain.gains, plain.brightness, plain.hidden) == ((1, 1, 1), 0, None)


def test_new_draws_come_last():
    """Or each training with colours would have other scales and turns than the one without."""
    with_colours = crop.draw(np.random.default_rng(5), crop.Ranges(colour=0.2, occlusion=0.3))
    without = crop.draw(np.random.default_rng(5), crop.Ranges())
    assert with_colours[:4] == without[:4]


@pytest.mark.parametrize("wrong", [{"colour": 1}, {"colour": -0.1}, {"occlusion": 1.1}])
def test_wrong_colours_are_refused(wrong):
    with pytest.raises(InputError, match="augment: expected"):
        crop.ranges(wrong)
