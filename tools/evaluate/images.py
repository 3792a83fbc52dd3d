"""Scores of a network on annotated images: what errors.json holds.

What is aligned before 3D poses are compared is in each number's name; without another word it is
the hip (root-aligned), over all 17 landmarks, at the prior's typical limb scale: nothing of the
truth is used.
"""

import numpy as np

from prior import metrics
from prior.skeleton import LANDMARKS, MIRROR, PROTOCOL_14, L
from python_layers.data import crop
from tools.evaluate import scoring
from tools.evaluate.protocols import Alignment

ALL = tuple(range(L))

# The 3D errors that are given, by name: what is aligned, and over which landmarks.
ERRORS_3D = {
    "root_aligned": (Alignment("root", "typical"), ALL),
    "mean_aligned": (Alignment("mean", "typical"), ALL),
    "mean_aligned_known_scale": (Alignment("mean", "known"), ALL),
    "procrustes": (Alignment("procrustes", "fitted"), ALL),
    "procrustes_14_landmarks": (Alignment("procrustes", "fitted"), tuple(PROTOCOL_14)),
}


def cameras_of(people, size):
    """The cameras (M, 3, 3) that see the test-time crops of annotated people, of `size` px."""
    return np.stack(
        [
            crop.camera(
                people.rotations[i],
                crop.frame(people.boxes[i], size),
                people.intrinsics[i] if people.has_camera(i) else None,
            )
            for i in range(len(people))
        ]
    )


def errors_2d(points, people):
    """Errors of landmarks (M, 17, 2): mean distance in px of the image, and PCKh."""
    visible = people.visible > 0
    distance = metrics.landmark_error(points, people.points)
    return {
        "error_px": float(distance[visible].mean()),
        "pckh_0.5": float(metrics.pckh(points, people.points)[visible].mean()),
        "pckh_0.2": float(metrics.pckh(points, people.points, 0.2)[visible].mean()),
    }


def errors_3d(poses, truth):
    """Mean errors of poses (M, 17, 3), mm, by the names of ERRORS_3D."""
    return {
        name: float(scoring.errors_3d(poses, truth, alignment, landmarks).mean())
        for name, (alignment, landmarks) in ERRORS_3D.items()
    }


def by_action(values, people):
    """Mean of values (M,) over each action's images."""
    actions = np.array(people.actions)
    return {str(a): float(values[actions == a].mean()) for a in np.unique(actions)}


def side_distance(points):
    """Mean distance, px, between the left and the right of a pair of landmarks (M, 17, 2). Far
    below the truth's, the network sees limbs but does not tell the sides apart."""
    paired = np.flatnonzero(np.arange(len(MIRROR)) != MIRROR)
    return float(np.nanmean(metrics.landmark_error(points[:, paired], points[:, MIRROR[paired]])))


def best_single_pose(poses):
    """The pose (17, 3), hip at the origin, with the least root-aligned MPJPE over `poses`
    (M, 17, 3): each landmark's geometric median (Weiszfeld's iteration)."""
    poses = poses - poses[:, [metrics.ROOT]]
    best = poses.mean(axis=0)
    for _ in range(100):
        weight = 1 / np.maximum(np.linalg.norm(poses - best, axis=-1, keepdims=True), 1.0)
        best = (weight * poses).sum(axis=0) / weight.sum(axis=0)
    return best


def baselines(people, training, lifter, size):
    """3D errors that no network is needed for: always the best single pose of the training set
    (in the camera's axes), and lifting of the true landmarks."""
    cameras = cameras_of(people, size)
    views = cameras_of(training, size)
    single = best_single_pose(np.einsum("nab,nlb->nla", views, training.poses_mm))
    answer = np.einsum("nba,lb->nla", cameras, single)
    lifted = lifter.lift(people.points, people.rotations, people.intrinsics)
    return {
        "mean_pose_mpjpe_mm": float(metrics.root_aligned(answer, people.poses_mm).mean()),
        "true_2d_mpjpe_mm": errors_3d(lifted.pose, people.poses_mm)["root_aligned"],
    }


def score(predictions, people, lifter):
    """Everything that errors.json holds of a network. lifter: a LandmarkLifter."""
    stages = [errors_2d(points, people) for points in predictions.points]
    final = metrics.landmark_error(predictions.points[-1], people.points)
    poses = predictions.poses
    if poses is None:  # the baseline's landmarks, lifted afterwards
        poses = [
            lifter.lift(points, people.rotations, people.intrinsics).pose
            for points in predictions.points
        ]
    errors = [errors_3d(pose, people.poses_mm) for pose in poses]
    result = {
        "images": len(people),
        "error_2d_px": stages[-1]["error_px"],
        "error_2d_px_by_stage": [stage["error_px"] for stage in stages],
        "pckh": stages[-1]["pckh_0.5"],
        "pckh_by_stage": [stage["pckh_0.5"] for stage in stages],
        "pckh_0.2_by_stage": [stage["pckh_0.2"] for stage in stages],
        "side_distance_px": side_distance(predictions.points[-1]),
        "true_side_distance_px": side_distance(people.points),
        "error_2d_px_by_landmark": dict(zip(LANDMARKS, np.nanmean(final, axis=0), strict=True)),
        "error_2d_px_by_action": by_action(np.nanmean(final, axis=1), people),
        "mpjpe_mm": errors[-1]["root_aligned"],
        "mpjpe_mm_by_stage": [error["root_aligned"] for error in errors],
        "mpjpe_mm_by_action": by_action(metrics.root_aligned(poses[-1], people.poses_mm), people),
        "errors_3d_mm": errors[-1],
    }
    if predictions.fusion is not None:
        before = [errors_2d(points, people) for points in predictions.beliefs]
        result["error_2d_px_before_fusion_by_stage"] = [e["error_px"] for e in before]
        result["pckh_before_fusion_by_stage"] = [e["pckh_0.5"] for e in before]
        result["fusion_weight_by_stage"] = predictions.fusion.tolist()
    return result
