"""The 2D part of errors.json: PCK of the torso, what counts, OKS-AP; on people placed by hand."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from prior import metrics
from prior.skeleton import COCO, HUMAN36M, LANDMARKS, L
from tests.hands import HAND
from tests.poses import random_poses
from tools.evaluate import images, landmarks
from tools.evaluate.__main__ import summary
from tools.evaluate.predictions import Predictions

INDEX = {name: i for i, name in enumerate(LANDMARKS)}
OURS_ALONE = ("hip", "spine", "neck", "head top")  # that COCO lacks


class People(SimpleNamespace):
    """What scoring reads of annotations.Annotations, of people without 3D."""

    def __len__(self):
        return len(self.points)


def people_at(points, **changed):
    count = len(points)
    values = {
        "points": points,
        "visible": np.where(np.isfinite(points).all(axis=2), 2, 0),
        "poses_mm": np.full((count, L, 3), np.nan),
        "actions": [None] * count,
        "areas": np.full(count, np.nan),
        "boxes": np.tile([0.0, 0, 200, 200], (count, 1)),
        "skeleton": HUMAN36M,
        "crowd": SimpleNamespace(image=np.arange(count)),
    }
    return People(**values | changed)


@pytest.fixture
def standing():
    """Eight people of different poses, px of an image, y down."""
    points = random_poses(8, seed=3)[..., :2] * [0.1, -0.1] + 300
    points[:, INDEX["right hip"]] = [280, 350]
    points[:, INDEX["left shoulder"]] = [310, 310]  # a torso of 50 px
    return points


def photographs(points):
    """As of Leeds: without spine and nose, and the hip midway between the hips."""
    points = points.copy()
    points[:, INDEX["hip"]] = points[:, [INDEX["right hip"], INDEX["left hip"]]].mean(axis=1)
    points[:, [INDEX["spine"], INDEX["nose"]]] = np.nan
    return points


def test_pck_counts_what_is_within_a_fifth_of_the_torso(standing):
    people = people_at(standing)
    for shift, expected in ((9.9, 1), (10.1, 0)):
        assert landmarks.errors(standing + [shift, 0], people)["pck_0.2"] == expected
    off = standing.copy()
    off[:2, 3] += 11  # 2 of 8 x 17
    assert landmarks.errors(off, people)["pck_0.2"] == pytest.approx(1 - 2 / (8 * L))
    assert landmarks.by_landmark(off, people)["pck_0.2_by_landmark"]["right foot"] == 0.75


def test_landmarks_that_the_set_lacks_do_not_count(standing):
    """Neither spine and nose, nor a hip that was put midway between the hips."""
    truth = photographs(standing)
    people = people_at(truth)
    off = np.nan_to_num(truth)
    off[:, [INDEX["hip"], INDEX["spine"], INDEX["nose"]]] += 1000
    errors = landmarks.errors(off, people)
    assert errors["pck_0.2"] == 1 and errors["error_px"] == 0 and errors["pckh_0.5"] == 1
    names = set(landmarks.by_landmark(off, people)["pck_0.2_by_landmark"])
    assert names == set(LANDMARKS) - {"hip", "spine", "nose"}
    # One hip of its own, and all hips count.
    truth[0, INDEX["hip"]] += [0.5, 0]
    assert landmarks.errors(off, people_at(truth))["pck_0.2"] == pytest.approx(14 / 15)


def test_people_without_a_torso_or_a_head_are_left_out_of_what_is_measured_by_it(standing):
    truth = standing.copy()
    truth[0, INDEX["right hip"]] = truth[1, INDEX["left shoulder"]] = np.nan
    truth[2, INDEX["head top"]] = np.nan
    off = np.nan_to_num(standing)
    off[[0, 1]] += 1000  # wrong, and not counted by the torso
    errors = landmarks.errors(off, people_at(truth))
    assert errors["pck_0.2"] == 1
    assert errors["pckh_0.5"] == pytest.approx(1 - 2 * 16 / (7 * L - 2))
    assert landmarks.counts(people_at(truth))["pck_0.2_people"] == 6
    nobody = people_at(np.where(np.arange(L)[:, None] == INDEX["neck"], standing, np.nan))
    assert landmarks.errors(off, nobody)["pck_0.2"] is None
    assert landmarks.errors(off, nobody)["pckh_0.5"] is None


@pytest.mark.parametrize(
    ("degrees", "expected"), [(0, True), (29, True), (-29, True), (31, False), (180, False)]
)
def test_upright_is_a_trunk_within_30_degrees_of_the_vertical(degrees, expected):
    angle = np.radians(degrees)
    points = np.full((3, L, 2), np.nan)
    up = 80 * np.array([np.sin(angle), -np.cos(angle)])
    points[0, INDEX["hip"]], points[0, INDEX["neck"]] = [5, 7], [5, 7] + up
    for name, side in (("left", [10, 0]), ("right", [-10, 0])):
        points[1, INDEX[f"{name} hip"]] = np.array([5, 7]) + side
        points[1, INDEX[f"{name} shoulder"]] = [5, 7] + up + side
    # The third person has no trunk.
    assert metrics.upright(points).tolist() == [expected, expected, False]


def test_the_upright_are_scored_by_themselves(standing):
    points = standing.copy()
    points[:, INDEX["hip"]], points[:, INDEX["neck"]] = [300, 350], [300, 300]
    points[:3, INDEX["neck"]] = [350, 350]  # three of eight lie
    off = points.copy()
    off[:3] += 1000
    errors = images.score_2d(Predictions(points=np.stack([off + 1000, off])), people_at(points))
    assert errors["pck_0.2_upright"] == 1 and errors["pck_0.2"] == 5 / 8
    assert errors["pck_0.2_upright_by_stage"] == [0, 1]
    assert errors["pck_0.2_by_stage"] == [0, 5 / 8]
    assert (errors["pck_0.2_people"], errors["pck_0.2_upright_people"]) == (8, 5)
    assert errors["pck_0.2_upright_by_landmark"]["left knee"] == 1


def test_photographs_have_the_2d_part_alone(standing):
    """It is strict JSON, without NaN, and its summary is of what there is."""
    truth = photographs(standing)
    points = np.stack([np.nan_to_num(truth) + 3] * 2)
    predictions = Predictions(points=points, beliefs=points + 1, fusion=np.array([0.5, 0.5]))
    errors = images.score(predictions, people_at(truth), lifter=None)
    json.dumps(errors, allow_nan=False)
    assert not [name for name in errors if "mpjpe" in name or "3d" in name]
    assert errors["error_2d_px_by_action"] == {}
    assert errors["pck_0.2_before_fusion_by_stage"] == [1, 1]
    assert "PCK@0.2 of the torso 100.0 %" in summary(errors) and "3D" not in summary(errors)


class Same:
    """Stands for a LandmarkLifter that is asked for `poses`."""

    def __init__(self, poses):
        self.poses = poses

    def lift(self, points, rotations, intrinsics, distortions, covariance):
        assert len(points) == len(rotations) == len(intrinsics) == len(self.poses)
        return SimpleNamespace(pose=self.poses)


def test_3d_errors_are_of_those_with_a_3d_pose(standing):
    """Rendered people and photographs in one file."""
    poses = random_poses(8, seed=3)
    poses_mm = poses.copy()
    poses_mm[::2] = np.nan
    people = people_at(
        standing,
        poses_mm=poses_mm,
        actions=[None, "walk"] * 4,
        rotations=np.tile(np.eye(3), (8, 1, 1)),
        intrinsics=np.full((8, 3, 3), np.nan),
        distortions=np.zeros((8, 14)),
    )
    bent = poses.copy()
    bent[:, 1:, 0] += 17
    staged = Predictions(points=standing[None], poses=bent[None])
    errors = images.score(staged, people, lifter=None)
    assert errors["images"] == 8 and errors["images_3d"] == 4
    assert errors["mpjpe_mm"] == pytest.approx(16)
    assert errors["mpjpe_mm_by_action"] == pytest.approx({"walk": 16})
    lifted = images.score(Predictions(points=standing[None]), people, Same(bent[1::2]))
    assert lifted["mpjpe_mm"] == pytest.approx(16)


# OKS-AP -----------------------------------------------------------------------------------------


def oks(points, truth, area):
    """The object keypoint similarity of one person, as cocodataset.org defines it."""
    sigma = {"nose": 0.026, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062}
    sigma |= {"hip": 0.107, "knee": 0.087, "foot": 0.089}
    values = []
    for i, name in enumerate(LANDMARKS):
        if name not in OURS_ALONE and np.isfinite(truth[i]).all():
            d = np.linalg.norm(points[i] - truth[i])
            values.append(np.exp(-(d**2) / (2 * area * (2 * sigma[name.split()[-1]]) ** 2)))
    return np.mean(values)


def average_precision(similarity, score):
    """AP over the thresholds, one answer for each person, 101 points of recall: the slow way."""
    order = np.argsort(-score, kind="stable")
    means = []
    for threshold in np.arange(0.5, 0.96, 0.05):
        right = similarity[order] >= threshold
        precision = np.cumsum(right) / np.arange(1, len(right) + 1)
        recall = np.cumsum(right) / len(right)
        best = [
            max(precision[recall >= level - 1e-12], default=0) for level in np.linspace(0, 1, 101)
        ]
        means.append(np.mean(best))
    return np.mean(means)


def test_oks_ap_is_the_slow_ones(standing):
    rng = np.random.default_rng(0)
    truth = standing.copy()
    truth[1, INDEX["left knee"]] = np.nan
    areas = rng.uniform(2000, 6000, 8)
    noise = np.linspace(0, 14, 8)[:, None, None]
    points = standing + noise * rng.normal(size=standing.shape)
    points[:, [INDEX[name] for name in OURS_ALONE]] += 1000  # COCO has none of them
    peaks = rng.uniform(0.2, 1, (8, L))
    thirteen = [i for i, name in enumerate(LANDMARKS) if name not in OURS_ALONE]
    similarity = np.array([oks(p, t, a) for p, t, a in zip(points, truth, areas, strict=True)])
    expected = average_precision(similarity, peaks[:, thirteen].mean(axis=1))
    assert 0.2 < expected < 0.9
    people = people_at(truth, areas=areas)
    assert landmarks.oks_ap(points, peaks, people) == pytest.approx(expected, abs=1e-9)


def test_oks_ap_needs_the_areas_of_all(standing):
    areas = np.full(8, 4000.0)
    peaks = np.ones((8, L))
    assert landmarks.oks_ap(standing, peaks, people_at(standing, areas=areas)) == pytest.approx(1)
    areas[3] = np.nan
    assert landmarks.oks_ap(standing, peaks, people_at(standing, areas=areas)) is None


def test_of_cocos_keypoints_what_needs_a_head_is_left_out(standing):
    """The torso's ends have the same names; a head top there is none. OKS is of all 17."""
    points = np.full((8, len(COCO), 2), np.nan)
    for i, name in enumerate(COCO.landmarks):
        ours = name.replace("_", " ").replace("ankle", "foot")
        points[:, i] = standing[:, INDEX[ours]] if ours in INDEX else standing[:, INDEX["nose"]]
    people = people_at(
        points,
        skeleton=COCO,
        poses_mm=np.full((8, 17, 3), np.nan),
        areas=np.full(8, 1e4),
    )
    near = landmarks.errors(points + [9.9, 0], people)
    far = landmarks.errors(points + [10.1, 0], people)
    assert near["pck_0.2"] == near["pck_0.2_upright"] == 1 and far["pck_0.2"] == 0
    assert near["error_px"] == pytest.approx(9.9) and near["pckh_0.5"] is None
    # Shifted by d a keypoint's similarity is exp(-d^2 / (2 area (2 sigma)^2)) with COCO's sigmas.
    sigmas = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89])
    oks = np.exp(-(5.0**2) / (2 * 1e4 * (2e-3 * sigmas) ** 2)).mean()
    reached = np.mean(np.arange(0.5, 0.96, 0.05) <= oks)
    assert 0.2 < reached < 0.9
    answer = landmarks.oks_ap(points + [5.0, 0], np.ones((8, 17)), people)
    assert answer == pytest.approx(reached, abs=0.02)
    reasons = landmarks.left_out(COCO)
    assert set(reasons) == {"pckh", "pckh_0.2", "procrustes_14_landmarks", "protocols"}
    assert reasons["pckh"] == "there is no neck and no head top" and not landmarks.left_out(
        HUMAN36M
    )


def test_of_a_hand_there_are_distances_alone():
    random = np.random.default_rng(1)
    points = random.uniform(0, 90, (5, 21, 2))
    people = people_at(points, skeleton=HAND, poses_mm=random.normal(0, 50, (5, 21, 3)))
    people.rotations = np.tile(np.eye(3), (5, 1, 1))
    moved = people.poses_mm + [5.0, 0, 0] + np.linspace(0, 3, 21)[:, None]
    predictions = Predictions(points=(points + [3.0, 4])[None], poses=moved[None])
    errors = images.score(predictions, people, None)
    assert errors["error_2d_px"] == pytest.approx(5)
    assert list(errors["error_2d_px_by_landmark"]) == list(HAND.landmarks)
    root = HAND.root
    away = moved - moved[:, [root]] - (people.poses_mm - people.poses_mm[:, [root]])
    assert errors["mpjpe_mm"] == pytest.approx(np.linalg.norm(away, axis=2).mean())
    assert "procrustes_14_landmarks" not in errors["errors_3d_mm"]
    missing = ("pckh", "pck_0.2", "oks_ap", "side_distance_px")
    assert all(errors[name] is None and name in errors["left_out"] for name in missing)
