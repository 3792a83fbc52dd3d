import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prior import metrics
from prior.skeleton import limb_scale, mirrored
from tests.poses import random_poses


@pytest.fixture
def pair():
    truth = random_poses(30, seed=1)
    return truth + np.random.default_rng(0).normal(size=truth.shape) * 40 + 100, truth


def test_against_loops(pair):
    poses, truth = pair
    for n, (a, b) in enumerate(zip(poses, truth, strict=True)):
        root = np.mean([np.linalg.norm((a[i] - a[0]) - (b[i] - b[0])) for i in range(17)])
        mean = np.mean(
            [np.linalg.norm((a[i] - sum(a) / 17) - (b[i] - sum(b) / 17)) for i in range(17)]
        )
        assert metrics.root_aligned(poses, truth)[n] == pytest.approx(root)
        assert metrics.mean_aligned(poses, truth)[n] == pytest.approx(mean)


def test_known_answers():
    truth = random_poses(2)
    moved = truth + [10, 20, 30]
    assert metrics.root_aligned(moved, truth).max() < 1e-9
    one = truth.copy()
    one[:, 5] += [0, 17, 0]
    np.testing.assert_allclose(metrics.root_aligned(one, truth), 1)
    scaled = metrics.with_scale_of(3 * truth, truth)
    np.testing.assert_allclose(limb_scale(scaled), limb_scale(truth))


def test_procrustes_recovers_a_planted_similarity(pair):
    _, truth = pair
    turn = Rotation.random(len(truth), random_state=0).as_matrix()
    planted = 0.7 * truth @ turn + [100, -50, 3]
    np.testing.assert_allclose(metrics.procrustes(planted, truth), truth, atol=1e-6)
    assert metrics.procrustes_aligned(planted, truth, scaling=False).min() > 1


def test_procrustes_uses_no_reflection(pair):
    _, truth = pair
    reflected = truth * [-1, 1, 1]
    assert metrics.procrustes_aligned(reflected, truth).min() > 1
    assert metrics.procrustes_aligned(mirrored(truth), truth).mean() > 1


def test_procrustes_is_the_least_squares_optimum(pair):
    poses, truth = pair
    best = np.sum((metrics.procrustes(poses, truth) - truth) ** 2, axis=(1, 2))
    random = np.random.default_rng(3)
    for size in (1e-3, 1e-1):
        turn = Rotation.from_rotvec(random.normal(size=(len(truth), 3)) * size).as_matrix()
        other = metrics.procrustes(poses, truth)
        centre = truth.mean(axis=1, keepdims=True)
        other = (other - centre) @ turn * (1 + random.normal() * size) + centre
        assert (np.sum((other - truth) ** 2, axis=(1, 2)) >= best).all()


def _fit(a, b, scaling=True):
    """A slow twin of procrustes: the rotation by Horn's quaternion, an eigenvector that can be no
    reflection; the scale by least squares."""
    a, centre = a - a.mean(axis=0), b.mean(axis=0)
    b = b - centre
    cross = sum(np.outer(p, q) for p, q in zip(a, b, strict=True))
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = cross
    table = np.array(
        [
            [xx + yy + zz, yz - zy, zx - xz, xy - yx],
            [yz - zy, xx - yy - zz, xy + yx, zx + xz],
            [zx - xz, xy + yx, -xx + yy - zz, yz + zy],
            [xy - yx, zx + xz, yz + zy, -xx - yy + zz],
        ]
    )
    w, x, y, z = np.linalg.eigh(table)[1][:, -1]
    moved = Rotation.from_quat([x, y, z, w]).apply(a)
    scale = np.sum(moved * b) / np.sum(a * a) if scaling else 1
    return scale * moved + centre


@pytest.mark.parametrize("scaling", [True, False])
@pytest.mark.parametrize("subset", [range(17), [i for i in range(17) if i not in (0, 7, 9)]])
def test_procrustes_against_quaternions(pair, scaling, subset):
    """Of a subset the transform is fitted to that subset; of a mirrored pose too."""
    poses, truth = (a[:, subset] for a in pair)
    poses = np.concatenate([poses, poses * [-1, 1, 1]])
    truth = np.concatenate([truth, truth])
    twin = np.stack([_fit(a, b, scaling) for a, b in zip(poses, truth, strict=True)])
    np.testing.assert_allclose(metrics.procrustes(poses, truth, scaling), twin, atol=1e-6)
    error = np.linalg.norm(twin - truth, axis=-1).mean(axis=1)
    np.testing.assert_allclose(metrics.procrustes_aligned(poses, truth, scaling), error)


def test_procrustes_is_never_worse_than_the_mean_aligned_pose_of_the_best_scale(pair):
    """In what both minimise, the sum of squares; and the best scale never worse than any other."""
    poses, truth = pair
    poses = np.concatenate([poses, poses * [-1, 1, 1], 5 * poses[:, ::-1]])
    truth = np.concatenate([truth] * 3)

    def squares(moved):
        return np.square(moved - truth).sum(axis=(1, 2))

    scaled = metrics.at_mean(metrics.with_best_scale(poses, truth), truth)
    assert (squares(metrics.procrustes(poses, truth)) <= squares(scaled) * (1 + 1e-9)).all()
    for factor in (0.9, 1.1):
        other = metrics.with_best_scale(poses, truth) * factor
        assert (squares(metrics.at_mean(other, truth)) > squares(scaled)).all()


def test_best_scale_recovers_a_planted_one():
    truth = random_poses(5)
    scaled = metrics.with_best_scale(0.3 * truth + 50, truth)
    assert metrics.mean_aligned(scaled, truth).max() < 1e-9


def test_alignments_move_poses_and_do_not_turn_them(pair):
    poses, truth = pair
    for align, place in (
        (metrics.at_root, lambda p: p[:, 0]),
        (metrics.at_mean, lambda p: p.mean(axis=1)),
    ):
        moved = align(poses, truth)
        np.testing.assert_allclose(place(moved), place(truth), atol=1e-9)
        np.testing.assert_allclose(np.diff(moved, axis=1), np.diff(poses, axis=1), atol=1e-9)


def test_landmark_error_against_loops(pair):
    poses, truth = pair
    error = metrics.landmark_error(poses, truth)
    for n, landmark in ((0, 0), (3, 16), (29, 8)):
        difference = poses[n, landmark] - truth[n, landmark]
        assert error[n, landmark] == pytest.approx(sum(d * d for d in difference) ** 0.5)
    np.testing.assert_allclose(metrics.landmark_error(truth[..., :2] + [3, 4], truth[..., :2]), 5)


def test_grouped_leaves_out_what_is_missing():
    errors = np.array([[1.0, 3.0], [np.nan, 5.0], [np.nan, np.nan], [7.0, 7.0]])
    groups = metrics.grouped(errors, ["b", "b", "c", "a"])
    assert list(groups) == ["a", "b", "c"]
    assert groups["a"] == 7 and groups["b"] == 3 and np.isnan(groups["c"])


def test_pck_takes_a_radius_for_all_or_for_each():
    truth = np.zeros((2, 17, 2))
    points = truth + [3.0, 4.0]
    assert metrics.pck(points, truth, 5).all() and not metrics.pck(points, truth, 4.9).any()
    assert metrics.pck(points, truth, [5, 4])[:, 0].tolist() == [True, False]
    truth[0, 2] = np.nan
    assert not metrics.pck(points, truth, 5)[0, 2]


def test_pckh_counts_in_head_lengths():
    truth = np.zeros((1, 17, 2))
    truth[0, 10] = [0, -100]
    points = truth + [49, 0]
    points[0, 3] += [2, 0]
    assert metrics.pckh(points, truth).sum() == 16
    assert metrics.pckh(points, truth, share=0.4).sum() == 0
