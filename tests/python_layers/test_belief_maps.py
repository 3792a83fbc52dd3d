import numpy as np
import pytest

from prior.skeleton import L
from python_layers import belief_maps

H, W, SIGMA = 12, 15, 1.3


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def slow_gaussian(centre, height, width, sigma):
    result = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            exponent = ((column - centre[0]) ** 2 + (row - centre[1]) ** 2) / (2 * sigma**2)
            if exponent <= 4.6052:
                result[row, column] = np.exp(-exponent)
    return result


def slow_render(landmarks, height, width, sigma):
    result = []
    for points in landmarks:
        maps = [slow_gaussian(point, height, width, sigma) for point in points]
        result.append(maps + [1 - np.max(maps, axis=0)])
    return np.array(result)


def points_inside(rng, n=3):
    return rng.uniform([1, 1], [W - 2, H - 2], size=(n, L, 2)).astype(np.float32)


def test_a_map_cell_covers_stride_input_pixels():
    # Cell 0 at stride 8 covers input pixels 0 to 7, whose centre is at 3.5.
    np.testing.assert_allclose(belief_maps.to_input([0, 1], 8), [3.5, 11.5])
    np.testing.assert_allclose(
        belief_maps.to_map(belief_maps.to_input([2.25, -1], 4), 4), [2.25, -1]
    )
    np.testing.assert_allclose(belief_maps.to_input([3.0], 1), [3.0])


def test_render_is_the_slow_one(rng):
    landmarks = rng.uniform(-3, 17, size=(3, L, 2)).astype(np.float32)
    maps = belief_maps.render(landmarks, H, W, SIGMA)
    assert maps.shape == (3, L + 1, H, W) and maps.dtype == np.float32
    np.testing.assert_allclose(maps, slow_render(landmarks, H, W, SIGMA), atol=1e-5)


def test_x_is_the_column():
    maps = belief_maps.render([[[5, 2]]], H, W, SIGMA)
    assert maps[0, 0, 2, 5] == 1
    assert maps[0, 1, 2, 5] == 0


def test_a_missing_or_far_landmark_gives_an_empty_map():
    maps = belief_maps.render([[[np.nan, 2], [1e6, 3], [4, 4]]], H, W, SIGMA)
    assert not maps[0, :2].any()
    np.testing.assert_array_equal(maps[0, 3], 1 - maps[0, 2])
    assert belief_maps.render([[[np.nan, np.nan]]], H, W, SIGMA)[0, 1].min() == 1


def test_argmax_is_the_slow_one_and_leaves_out_the_background(rng):
    maps = rng.normal(size=(2, L + 1, H, W)).astype(np.float32)
    maps[:, L] = 9
    points, peak = belief_maps.argmax(maps)
    assert points.shape == (2, L, 2) and peak.shape == (2, L)
    for n in range(2):
        for p in range(L):
            row, column = np.unravel_index(maps[n, p].argmax(), (H, W))
            assert tuple(points[n, p]) == (column, row)
            assert peak[n, p] == maps[n, p].max()
    np.testing.assert_array_equal(belief_maps.argmax(maps[:, :L])[0], points)


@pytest.mark.parametrize("shape", [(2, 5, H, W), (L + 1, H, W)])
def test_argmax_wants_all_landmarks(shape):
    with pytest.raises(ValueError, match="expected .N, 18 or 17, H, W."):
        belief_maps.argmax(np.zeros(shape))


def test_argmax_of_rendered_landmarks_is_the_nearest_cell(rng):
    landmarks = points_inside(rng)
    points, _ = belief_maps.argmax(belief_maps.render(landmarks, H, W, SIGMA))
    np.testing.assert_array_equal(points, np.rint(landmarks))


@pytest.mark.parametrize("sigma", [7 / 8, SIGMA, 3.0])
def test_subpixel_is_exact_for_gaussians(rng, sigma):
    landmarks = points_inside(rng)
    maps = belief_maps.render(landmarks, H, W, sigma)
    points, _ = belief_maps.argmax(0.8 * maps, subpixel=True)
    np.testing.assert_allclose(points, landmarks, atol=1e-3)


def test_subpixel_stays_at_the_border_and_on_empty_maps():
    landmarks = np.full((1, L, 2), [-0.4, 5.3])
    maps = belief_maps.render(landmarks, H, W, SIGMA)
    maps[0, 1] = 0
    points, _ = belief_maps.argmax(maps, subpixel=True)
    np.testing.assert_allclose(points[0, 0], [0, 5.3], atol=1e-3)
    np.testing.assert_array_equal(points[0, 1], [0, 0])


def test_subpixel_moves_less_than_half_a_cell(rng):
    maps = rng.normal(size=(5, L, H, W))
    shift = belief_maps.argmax(maps, subpixel=True)[0] - belief_maps.argmax(maps)[0]
    assert shift.any() and np.abs(shift).max() <= 0.5


def bells(centre, covariance, height, width, sigma):
    """The mean label of landmarks that are normally distributed, in closed form."""
    wide = covariance + sigma**2 * np.eye(2)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    off = np.stack([x, y], axis=-1) - centre
    top = sigma**2 / np.sqrt(np.linalg.det(wide))
    return top * np.exp(-0.5 * np.einsum("hwi,ij,hwj->hw", off, np.linalg.inv(wide), off))


LEANING = np.array([[4.0, 1.5], [1.5, 1.0]])


@pytest.mark.parametrize("sigma", [7 / 8, 10 / 8])
@pytest.mark.parametrize("subpixel", [False, True])
def test_covariance_is_that_of_normally_distributed_landmarks(rng, sigma, subpixel):
    """And of how far the point that is taken is from their middle."""
    centres = rng.uniform(12, 34, size=(L, 2))
    maps = np.stack([bells(centre, LEANING, 46, 50, sigma) for centre in centres])[None]
    points, _ = belief_maps.argmax(maps, subpixel)
    covariance = belief_maps.covariance(maps, points, sigma)[0]
    off = points[0] - centres
    expected = LEANING + off[:, :, None] * off[:, None]
    np.testing.assert_allclose(covariance, expected, rtol=0.06, atol=0.06)


def test_covariance_of_drawn_landmarks_is_their_mean_squared_distance(rng):
    """By and large, for it is no Gaussian: some of them are in another place."""
    landmarks = rng.multivariate_normal([20, 22], [[2, -1], [-1, 3]], size=2000)
    landmarks[:600, 0] += 12
    maps = belief_maps.gaussians(landmarks, 46, 46, SIGMA).mean(axis=0)[None, None]
    points, _ = belief_maps.argmax(maps, subpixel=True, landmarks=1)
    off = landmarks - points[0, 0]
    expected = off.T @ off / len(off)
    covariance = belief_maps.covariance(maps, points, SIGMA)[0, 0]
    np.testing.assert_allclose(covariance, expected, rtol=0.25, atol=0.5)
    alone = belief_maps.gaussians(landmarks[600:], 46, 46, SIGMA).mean(axis=0)[None, None]
    assert belief_maps.covariance(alone, points, SIGMA)[0, 0, 0, 0] < covariance[0, 0] / 5


def test_covariance_of_a_label_is_the_least_one(rng):
    landmarks = rng.uniform(5, 9, size=(2, L, 2)).astype(np.float32)
    maps = belief_maps.render(landmarks, H, W, 7 / 8)
    points, _ = belief_maps.argmax(maps, subpixel=True)
    covariance = belief_maps.covariance(maps, points, 7 / 8)
    assert covariance.shape == (2, L, 2, 2)
    values = np.linalg.eigvalsh(covariance)
    # CPM's label is 7 px of the input, and a landmark at best within a quarter of that.
    np.testing.assert_allclose(np.median(values, axis=(0, 1)), (7 / 8 / 4) ** 2, rtol=0.2)
    assert values.min() >= 0.999 * (7 / 8 / 4) ** 2 and values.max() < (7 / 8 / 2) ** 2


def test_covariance_grows_where_a_map_sinks_and_noise_far_away_adds_nothing(rng):
    centre = np.array([20.0, 20])
    map_ = bells(centre, np.eye(2), 46, 46, SIGMA)
    noisy = map_ + 0.09 * map_.max() * rng.random((46, 46)) * (map_ < 1e-4)
    low = np.stack([map_, 0.5 * map_, 0.1 * map_, 0 * map_, noisy])[None]
    points = np.tile(centre, (1, 5, 1))
    values = belief_maps.covariance(low, points, SIGMA)[0]
    assert (np.diff(values[:4, 0, 0]) > 1).all() and np.isfinite(values).all()
    np.testing.assert_allclose(values[4], values[0], atol=1e-9)
    # Half the label's sum is taken for moments, the label's too, twice as large.
    expected = 2 * (np.eye(2) + SIGMA**2 * np.eye(2)) - SIGMA**2 * np.eye(2)
    np.testing.assert_allclose(values[1], expected, rtol=0.03, atol=0.03)


def slow_argmax_vjp(landmarks, gradient, height, width, sigma):
    n, count = landmarks.shape[:2]
    result = np.zeros((n, count + 1, height, width))
    for i, p in np.ndindex(n, count):
        x, y = np.rint(landmarks[i, p])
        wanted = -gradient[i, p]
        gaussian = slow_gaussian((x, y), height, width, sigma)
        for row, column in np.ndindex(height, width):
            along = (column - x) * np.sign(wanted[0]), (row - y) * np.sign(wanted[1])
            if min(along) >= 0:
                for axis in range(2):
                    if along[axis] > 0:
                        result[i, p, row, column] -= abs(wanted[axis]) * gaussian[row, column]
        result[i, p, int(y), int(x)] = np.abs(wanted).sum()
    return result


def test_argmax_vjp_is_the_slow_one(rng):
    landmarks = points_inside(rng)
    gradient = rng.normal(size=landmarks.shape)
    gradient[0, 0], gradient[0, 1] = [1, 0], [0, 0]
    fast = belief_maps.argmax_vjp(landmarks, gradient, H, W, SIGMA)
    assert fast.dtype == np.float32
    np.testing.assert_allclose(fast, slow_argmax_vjp(landmarks, gradient, H, W, SIGMA), atol=1e-5)
    assert not fast[:, L].any() and not fast[0, 1].any()


@pytest.mark.parametrize("move", [(4, 0), (0, -4), (3, 3), (-4, 2)])
def test_descent_through_argmax_moves_the_maximum_to_the_target(move):
    start = np.array([7.0, 6.0])
    target = np.clip(start + move, 0, [W - 1, H - 1])
    maps = belief_maps.render(np.tile(start, (1, L, 1)), H, W, SIGMA)
    distances = []
    for _ in range(60):
        points, _ = belief_maps.argmax(maps)
        error = points - target  # gradient of half the squared distance
        distances.append(np.linalg.norm(error[0, 0]))
        maps -= 0.1 * belief_maps.argmax_vjp(points, error, H, W, SIGMA)
    assert distances[-1] == 0
    assert distances[1] < distances[0]


def slow_render_vjp(landmarks, gradient, sigma):
    n, count = landmarks.shape[:2]
    height, width = gradient.shape[2:]
    result = np.zeros((n, count, 2))
    for i in range(n):
        maps = np.array([slow_gaussian(point, height, width, sigma) for point in landmarks[i]])
        for p, axis in np.ndindex(count, 2):
            step = np.eye(2)[axis]
            difference = slow_gaussian(landmarks[i, p] + step, height, width, sigma)
            difference -= slow_gaussian(landmarks[i, p] - step, height, width, sigma)
            for row, column in np.ndindex(height, width):
                wanted = gradient[i, p, row, column]
                if maps[:, row, column].argmax() == p:
                    wanted -= gradient[i, count, row, column]
                result[i, p, axis] += wanted * difference[row, column] / 2
    return result


def test_render_vjp_is_the_slow_one(rng):
    landmarks = points_inside(rng, n=2)
    gradient = rng.normal(size=(2, L + 1, H, W)).astype(np.float32)
    fast = belief_maps.render_vjp(landmarks, gradient, SIGMA)
    assert fast.dtype == np.float32
    np.testing.assert_allclose(fast, slow_render_vjp(landmarks, gradient, SIGMA), atol=1e-4)


def test_render_vjp_is_near_the_true_derivative_for_wide_gaussians(rng):
    landmarks = np.array([[[7.3, 5.6]]])
    gradient = rng.normal(size=(1, 2, H, W))
    sigma, step = 30.0, 1e-2  # so wide that nothing is cut, and that a pixel is a small step
    expected = [
        (
            (slow_render(landmarks + d, H, W, sigma) - slow_render(landmarks - d, H, W, sigma))
            * gradient
        ).sum()
        / (2 * step)
        for d in step * np.eye(2)
    ]
    got = belief_maps.render_vjp(landmarks, gradient, sigma)[0, 0]
    np.testing.assert_allclose(got, expected, rtol=1e-2, atol=1e-4)


@pytest.mark.slow
def test_descent_through_render_moves_the_landmark_to_the_target():
    target = belief_maps.render(np.tile([8.0, 5.0], (1, L, 1)), H, W, SIGMA)
    landmarks = np.tile(np.float32([6.5, 6.0]), (1, L, 1))
    for _ in range(300):
        difference = belief_maps.render(landmarks, H, W, SIGMA) - target
        landmarks = landmarks - 0.05 * belief_maps.render_vjp(landmarks, difference, SIGMA)
    np.testing.assert_allclose(landmarks[0, 0], [8, 5], atol=0.05)


def test_render_vjp_of_a_missing_landmark_is_zero(rng):
    landmarks = points_inside(rng)
    landmarks[0, 0] = np.nan
    gradient = belief_maps.render_vjp(landmarks, np.ones((3, L + 1, H, W)), SIGMA)
    assert np.isfinite(gradient).all() and not gradient[0, 0].any()
