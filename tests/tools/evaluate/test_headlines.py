"""The numbers at the top of errors.json and of the compare page, on predictions whose errors are
known: which stage they are of, what counts as right, and which way the people are seen."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from prior import metrics
from prior.camera import LEVEL, look_at, perspective, toward
from prior.skeleton import HUMAN36M, LANDMARKS, MIRROR, L
from tests.poses import random_poses
from tools.evaluate import images, landmarks, protocols, scoring, truth
from tools.evaluate.predictions import Predictions

HEAD, NECK = LANDMARKS.index("head top"), LANDMARKS.index("neck")
HEAD_LENGTH = 40.0  # px
# How far off each stage is: the worst first, and the last neither the worst nor the best.
SHIFTS = (12.0, 3.0, 6.0)  # px, of every landmark
BENDS = (80.0, 20.0, 60.0, 40.0)  # mm, of every landmark but the hip
INTRINSICS = np.array([[1145.0, 0, 500], [0, 1145, 500], [0, 0, 1]])


class People(SimpleNamespace):
    """What scoring reads of annotations.Annotations."""

    def __len__(self):
        return len(self.points)

    def has_camera(self, i):
        return True


@pytest.fixture
def annotated():
    """Six people with heads of HEAD_LENGTH px, 10 m before a level camera, in two actions."""
    poses = random_poses(6, seed=2)
    poses -= poses[:, :1]
    points = 500 + 0.1145 * (poses @ LEVEL.T)[..., :2]
    points[:, HEAD] = points[:, NECK] - [0, HEAD_LENGTH]
    return People(
        skeleton=HUMAN36M,
        points=points,
        poses_mm=poses,
        visible=np.full((6, L), 2),
        actions=["walk", "sit", "sit"] * 2,
        boxes=np.tile([400.0, 400, 200, 200], (6, 1)),
        rotations=np.tile(LEVEL, (6, 1, 1)),
        intrinsics=np.tile(INTRINSICS, (6, 1, 1)),
        distortions=np.zeros((6, 14)),
        areas=np.full(6, np.nan),
    )


def bent(poses, by):
    """Poses with all landmarks but the hip moved by mm along x."""
    moved = poses.copy()
    moved[:, 1:, 0] += by
    return moved


@pytest.fixture
def staged(annotated):
    """Predictions of three stages, off by SHIFTS and BENDS; before fusion by a pixel more."""
    points = np.stack([annotated.points + [shift, 0] for shift in SHIFTS])
    shape = points.shape[:3]
    return Predictions(
        points=points,
        poses=np.stack([bent(annotated.poses_mm, by) for by in BENDS]),
        beliefs=points + [1, 0],
        fusion=np.array([0.5, 0.4, 0.3]),
        covariance=np.arange(1, 4)[:, None, None, None, None] * np.tile(np.eye(2), (*shape, 1, 1)),
    )


# errors.json ------------------------------------------------------------------------------------


def test_errors_json_has_the_last_stage_at_its_top(annotated, staged):
    errors = images.score(staged, annotated, lifter=None)
    assert errors["error_2d_px"] == pytest.approx(6)
    assert errors["error_2d_px_by_stage"] == pytest.approx(SHIFTS)
    assert errors["error_2d_px_by_landmark"] == pytest.approx(dict.fromkeys(LANDMARKS, 6))
    assert errors["error_2d_px_by_action"] == pytest.approx({"sit": 6, "walk": 6})
    assert errors["error_2d_px_before_fusion_by_stage"] == pytest.approx([13, 4, 7])
    assert errors["fusion_weight_by_stage"] == [0.5, 0.4, 0.3]
    last = 40 * 16 / 17  # the hip is aligned
    assert errors["mpjpe_mm"] == pytest.approx(last)
    assert errors["errors_3d_mm"]["root_aligned"] == pytest.approx(last)
    assert errors["mpjpe_mm_by_action"] == pytest.approx({"sit": last, "walk": last})
    assert errors["mpjpe_mm_by_stage"] == pytest.approx([by * 16 / 17 for by in BENDS])


def test_the_last_landmarks_are_lifted_again(annotated, staged):
    """The pose of a network that lifts comes first, and its own final one has a number of its own;
    as published, nothing is lifted again."""
    lifter, own = Straight(annotated), len(staged.poses)
    again = images.lifted_again(staged, annotated, lifter)
    np.testing.assert_array_equal(again.poses[:-1], staged.poses)
    np.testing.assert_allclose(again.poses[-1], bent(annotated.poses_mm, SHIFTS[-1]))
    ((points, _, _, _, covariance),) = lifter.calls
    np.testing.assert_array_equal(points, staged.points[-1])
    np.testing.assert_array_equal(covariance, staged.covariance[-1])
    errors = images.score(again, annotated, lifter)
    assert errors["mpjpe_mm"] == pytest.approx(SHIFTS[-1] * 16 / 17)
    assert errors["network_mpjpe_mm"] == pytest.approx(BENDS[-1] * 16 / 17)
    assert len(errors["mpjpe_mm_by_stage"]) == own + 1
    lifter.as_published = True
    assert images.lifted_again(staged, annotated, lifter) is staged
    assert "network_mpjpe_mm" not in images.score(staged, annotated, lifter)
    assert (
        images.lifted_again(dataclasses.replace(staged, poses=None), annotated, lifter).poses
        is None
    )


def test_covariances_are_honest_where_the_errors_are_as_large(annotated):
    rng, leaning = np.random.default_rng(0), np.array([[9.0, 4], [4, 4]])
    for t in range(2):
        off = rng.multivariate_normal([0, 0], leaning, size=(500, *annotated.points.shape[1:2]))
        people = SimpleNamespace(
            points=np.zeros((500, L, 2)), visible=np.ones((500, L)), skeleton=HUMAN36M
        )
        off[:, :2] += 1000  # gross errors
        covariance = np.broadcast_to(leaning / (1, 4)[t], (500, L, 2, 2))
        value = images.calibration(off, covariance, people)
        assert value == pytest.approx((1, 2)[t], rel=0.15)
    people.visible[:, :2] = 0
    assert images.calibration(off, covariance, people) == pytest.approx(2, rel=0.03)


def test_pckh_at_the_top_is_the_last_stages_at_half_a_head(annotated):
    """Off by 0.45 of a head and right, by 0.55 and wrong; by 0.15 of it right at 0.2 too."""
    shares = (0.55, 0.15, 0.45)
    points = np.stack([annotated.points + [HEAD_LENGTH * share, 0] for share in shares])
    points[2, 0, 3, 0] += HEAD_LENGTH  # one landmark of all is lost at the end
    errors = images.score(
        Predictions(points=points, poses=np.stack([annotated.poses_mm])), annotated, lifter=None
    )
    one = 1 / (len(annotated) * L)
    assert errors["pckh"] == pytest.approx(1 - one)
    assert errors["pckh_by_stage"] == pytest.approx([0, 1, 1 - one])
    assert errors["pckh_0.2_by_stage"] == [0, 1, 0]
    edges = np.stack([annotated.points + [HEAD_LENGTH * share, 0] for share in (0.19, 0.21)])
    errors = images.score(
        Predictions(points=edges, poses=np.stack([annotated.poses_mm])), annotated, lifter=None
    )
    assert errors["pckh_0.2_by_stage"] == [1, 0]


def test_hidden_landmarks_count_and_missing_ones_do_not(annotated):
    points = annotated.points + [6.0, 0]
    points[:, 5:7] += [600, 0]
    annotated.visible[:, 5] = 0  # missing
    annotated.visible[:, 6] = 1  # hidden
    errors = landmarks.errors(points, annotated)
    assert errors["error_px"] == pytest.approx(6 + 600 / 16)
    assert errors["pckh_0.5"] == pytest.approx(15 / 16)


class Straight:
    """Stands for a LandmarkLifter: poses off by as much as the landmarks, and what it was asked."""

    def __init__(self, truth):
        self.truth, self.calls = truth, []

    as_published = False

    def lift(self, points, rotations, intrinsics, distortions, *, confidence=None, covariance=None):
        assert distortions.shape == (len(points), 14)
        self.calls.append((points, rotations, intrinsics, confidence, covariance))
        shift = (points - self.truth.points)[0, 0, 0]
        ok = np.ones(len(points), dtype=bool)
        return SimpleNamespace(pose=bent(self.truth.poses_mm, shift), ok=ok)


def test_without_poses_every_stages_landmarks_are_lifted_with_their_cameras(annotated, staged):
    lifter = Straight(annotated)
    errors = images.score(dataclasses.replace(staged, poses=None), annotated, lifter)
    assert errors["mpjpe_mm_by_stage"] == pytest.approx([s * 16 / 17 for s in SHIFTS])
    assert errors["mpjpe_mm"] == pytest.approx(6 * 16 / 17)
    for t, (_, rotations, intrinsics, _, covariance) in enumerate(lifter.calls):
        np.testing.assert_array_equal(covariance, staged.covariance[t])
        np.testing.assert_array_equal(rotations, annotated.rotations)
        np.testing.assert_array_equal(intrinsics, annotated.intrinsics)


def test_the_best_single_pose_is_one_of_the_cameras_axes(annotated):
    """People who all face their cameras, from every side: one pose answers for all of them."""
    pose = annotated.poses_mm[0]
    turns = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    annotated.rotations = np.stack(
        [look_at(5000 * np.array([np.sin(t), 0.3, np.cos(t)]), np.zeros(3)) for t in turns]
    )
    cameras = images.cameras_of(annotated, 128)
    annotated.poses_mm = np.einsum("nba,lb->nla", cameras, pose)
    lifter = Straight(annotated)
    errors = images.baselines(annotated, annotated, lifter, 128)
    assert errors["mean_pose_mpjpe_mm"] < 1e-6
    assert errors["true_2d_mpjpe_mm"] < 1e-6


def test_the_best_single_pose_is_each_landmarks_median(annotated):
    """Of poses along a line the middle one, whatever the hips' places; a mean is drawn away."""
    pose = annotated.poses_mm[0]
    poses = np.stack([bent(pose[None], by)[0] + [by, 7 * by, 0] for by in (0, 1, 2, 3, 900)])
    np.testing.assert_allclose(images.best_single_pose(poses, 0), bent(pose[None], 2)[0], atol=0.6)


def test_cameras_are_turned_toward_the_people(annotated):
    """To the middle of each box, where the intrinsics are known; else they are as they stand."""
    annotated.boxes[:] = [800, 100, 100, 300]
    expected = toward(LEVEL, INTRINSICS, [850, 250])
    assert np.abs(expected - LEVEL).max() > 0.2
    np.testing.assert_allclose(images.cameras_of(annotated, 128)[0], expected)
    annotated.has_camera = lambda i: i > 0
    np.testing.assert_allclose(images.cameras_of(annotated, 128)[0], LEVEL)


def test_side_distance_is_of_left_and_right(annotated):
    pairs = [(i, j) for i, j in enumerate(MIRROR) if i != j]
    assert len(pairs) == 12
    expected = np.mean([np.linalg.norm(p[i] - p[j]) for p in annotated.points for i, j in pairs])
    assert images.side_distance(annotated.points, annotated.skeleton) == pytest.approx(expected)
    # The last stage has the sides half as far apart, the first one in one place.
    middle = (annotated.points + annotated.points[:, MIRROR]) / 2
    points = np.stack([middle, annotated.points, (middle + annotated.points) / 2])
    staged = Predictions(points=points, poses=annotated.poses_mm[None])
    errors = images.score(staged, annotated, lifter=None)
    assert errors["true_side_distance_px"] == pytest.approx(expected)
    assert errors["side_distance_px"] == pytest.approx(expected / 2)


# The compare page -------------------------------------------------------------------------------


@pytest.fixture
def frames():
    """A Truth of S9 and S11 before two cameras, 4 m away and to the side of their axes."""
    subjects, cameras = ("S9", "S11"), ("60457274", "55011271")
    rows = [(s, "Walking 1", c, f) for s in subjects for c in cameras for f in range(0, 320, 64)]
    index = protocols.index(*zip(*rows, strict=True))
    poses = random_poses(len(rows), seed=5)
    poses += [1200, 900, 0] - poses[:, :1]
    place = np.array([0, 1500.0, 4000])
    rotation = look_at(place, [0, 900, 0])
    return truth.Truth(
        "made for a test",
        False,
        index,
        perspective(poses, rotation, place, INTRINSICS),
        poses,
        np.tile(rotation, (len(rows), 1, 1)),
        np.tile(INTRINSICS, (len(rows), 1, 1)),
        np.zeros((len(rows), 14)),
    )


def predicted(frames, points=None, poses=None, **more):
    rows = {key: i for i, key in enumerate(frames.index.keys())}
    return Predictions(points=points, poses=poses, rows=rows, **more)


def test_the_compare_page_has_the_last_stage_and_shows_the_others(frames):
    points = np.stack([frames.points + [shift, 0] for shift in SHIFTS])
    poses = np.stack([bent(frames.poses_mm, by) for by in BENDS])
    method = scoring.Method("staged", predicted(frames, points, poses))
    results, withheld = scoring.score_all([method], frames, lifter=None)
    assert not withheld
    (pixels,) = [r for r in results if r.what == "2D error, px"]
    assert pixels.mean == pytest.approx(6) and pixels.by_stage == pytest.approx(list(SHIFTS))
    assert pixels.by_subject == pytest.approx({"S9": 6, "S11": 6})
    assert pixels.by_landmark == pytest.approx(dict.fromkeys(LANDMARKS, 6))
    (root,) = [r for r in results if (r.protocol, r.aligned, r.scale) == ("1", "root", "typical")]
    assert root.mean == pytest.approx(40 * 16 / 17)
    assert root.mean_of_actions == pytest.approx(40 * 16 / 17)
    assert root.by_action == pytest.approx({"Walking": 40 * 16 / 17})
    assert root.by_camera == pytest.approx(dict.fromkeys(["60457274", "55011271"], 40 * 16 / 17))
    assert root.by_stage == pytest.approx([by * 16 / 17 for by in BENDS])


def test_the_compare_page_lifts_the_last_stage_with_its_cameras_and_confidence(frames):
    points = np.stack([frames.points + [shift, 0] for shift in SHIFTS])
    confidence = np.random.default_rng(0).uniform(size=(len(frames), L))
    lifter = Straight(frames)
    covariance = np.arange(1, 4)[:, None, None, None, None] * np.ones((*points.shape[:3], 2, 2))
    more = {"confidence": confidence, "covariance": covariance}
    method = scoring.Method("points", predicted(frames, points, **more))
    results, withheld = scoring.score(method, protocols.PROTOCOLS[0], frames, lifter)
    assert not withheld
    (root,) = [r for r in results if (r.aligned, r.scale) == ("root", "typical")]
    assert root.mean == pytest.approx(6 * 16 / 17)
    ((lifted, rotations, intrinsics, weights, covariances),) = lifter.calls
    one = frames.select(protocols.PROTOCOLS[0])
    np.testing.assert_array_equal(lifted, one.points + [6, 0])
    np.testing.assert_array_equal(rotations, one.rotations)
    np.testing.assert_array_equal(intrinsics, one.intrinsics)
    assert weights.shape == (len(one), L) and np.isin(weights, confidence).all()
    np.testing.assert_array_equal(covariances, np.full((len(one), L, 2, 2), 3))


def test_pckh_on_the_compare_page_is_at_half_a_head(frames):
    head = np.linalg.norm(frames.points[:, NECK] - frames.points[:, HEAD], axis=-1)
    for share, expected in ((0.49, 1), (0.51, 0)):
        points = frames.points + share * head[:, None, None] * [1, 0]
        method = scoring.Method("off", predicted(frames, points[None], frames.poses_mm[None]))
        results, _ = scoring.score(method, protocols.PROTOCOLS[0], frames, None)
        (pckh,) = [r for r in results if r.what == "PCKh@0.5"]
        assert pckh.mean == expected


def test_head_length_is_from_neck_to_head_top():
    truth_2d = np.zeros((1, L, 2))
    truth_2d[0, HEAD] = [0, -100]
    truth_2d[0, LANDMARKS.index("nose")] = [0, -60]
    assert metrics.pckh(truth_2d + [49, 0], truth_2d).all()
    assert not metrics.pckh(truth_2d + [51, 0], truth_2d).any()
