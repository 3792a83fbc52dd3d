"""Scores of a network on annotated images: what errors.json holds.

What is aligned before 3D poses are compared is in each number's name; without another word it is
the root, a person's hip, over all landmarks, at the prior's typical limb scale: nothing of the
truth is used. Of landmarks other than Human3.6M's what has no meaning is None or not there, and
"left_out" says why. Of people without a 3D pose, as in photographs, there is the 2D part alone.
"""

import dataclasses

import numpy as np

from prior import metrics
from prior.metrics import landmark_error
from prior.skeleton import HUMAN36M, PROTOCOL_14
from python_layers.data import crop
from tools.evaluate import landmarks, scoring
from tools.evaluate.protocols import Alignment, action_of

# The 3D errors that are given, by name: what is aligned, of all landmarks.
ERRORS_3D = {
    "root_aligned": Alignment("root", "typical"),
    "mean_aligned": Alignment("mean", "typical"),
    "mean_aligned_known_scale": Alignment("mean", "known"),
    "procrustes": Alignment("procrustes", "fitted"),
}

# The 2D measures that are given for every stage: the name in errors.json, and in landmarks.errors.
STAGED = (
    ("error_2d_px", "error_px"),
    ("pckh", "pckh_0.5"),
    ("pckh_0.2", "pckh_0.2"),
    ("pck_0.2", "pck_0.2"),
    ("pck_0.2_upright", "pck_0.2_upright"),
)


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


def errors_3d(poses, truth, skeleton):
    """Mean errors of poses (M, L, 3), mm, by the names of ERRORS_3D; of Human3.6M's landmarks also
    those of the 14 that the paper's protocols 2 and 3 have."""
    means = {
        name: float(landmark_error(scoring.aligned(poses, truth, how, skeleton), truth).mean())
        for name, how in ERRORS_3D.items()
    }
    if skeleton == HUMAN36M:
        how = ERRORS_3D["procrustes"]
        errors = scoring.errors_3d(poses, truth, how, PROTOCOL_14)
        means["procrustes_14_landmarks"] = float(errors.mean())
    return means


def by_action(values, actions):
    """Mean of values (M,), NaN where there is none, over each action's images, all its sequences
    ("walk 1", "walk 2") together; of images whose action is known."""
    actions = [None if action is None else action_of(action)[0] for action in actions]
    known = [action for action in actions if action is not None]
    labels = np.array([str(action) for action in actions])
    means = {str(a): metrics.mean(values[labels == a]) for a in np.unique(known)}
    return {action: mean for action, mean in means.items() if np.isfinite(mean)}


def side_distance(points, skeleton):
    """Mean distance, px, between the left and the right of a pair of landmarks (M, L, 2); None
    without a pair. Far below the truth's, the network sees limbs but does not tell the sides
    apart."""
    mirror = skeleton.mirror
    paired = np.flatnonzero(np.arange(len(mirror)) != mirror)
    mean = metrics.mean(landmark_error(points[:, paired], points[:, mirror[paired]]))
    return mean if np.isfinite(mean) else None


def best_single_pose(poses, root):
    """The pose (L, 3), root at the origin, with the least root-aligned MPJPE over `poses`
    (M, L, 3): each landmark's geometric median (Weiszfeld's iteration)."""
    poses = poses - poses[:, [root]]
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
    root = people.skeleton.root
    single = best_single_pose(np.einsum("nab,nlb->nla", views, training.poses_mm), root)
    answer = np.einsum("nba,lb->nla", cameras, single)
    lifted = lifter.lift(people.points, people.rotations, people.intrinsics, people.distortions)
    return {
        "mean_pose_mpjpe_mm": float(metrics.root_aligned(answer, people.poses_mm, root).mean()),
        "true_2d_mpjpe_mm": float(metrics.root_aligned(lifted.pose, people.poses_mm, root).mean()),
    }


def lifted(predictions, t, people, rows, lifter):
    """Poses (M, L, 3), mm, of the landmarks of stage t, NaN but for the people `rows`, lifted with
    all that is known: the lens, and how sure the network is of each landmark."""
    poses = np.full(people.poses_mm.shape, np.nan)
    lens = np.isfinite(people.intrinsics[rows]).all(axis=(1, 2))
    for part in (rows[lens], rows[~lens]):
        if len(part):
            covariance = None if predictions.covariance is None else predictions.covariance[t, part]
            cameras = people.rotations[part], people.intrinsics[part], people.distortions[part]
            same = lifter.lift(predictions.points[t, part], *cameras, covariance=covariance)
            poses[part] = same.pose
    return poses


def lifted_again(predictions, people, lifter):
    """Predictions of a network that lifts, with one more pose of each person, now the final one:
    that of `lifted`. Those of another as they are, and all where the lifter is as published, or
    there is none."""
    if predictions.poses is None or lifter is None or lifter.as_published:
        return predictions
    final = lifted(predictions, -1, people, np.arange(len(people)), lifter)
    return dataclasses.replace(predictions, poses=np.concatenate([predictions.poses, final[None]]))


def calibration(points, covariance, people):
    """How far landmarks (M, L, 2) are off, over how far their covariances (M, L, 2, 2) say: 1 if
    these are honest. By the median, which a few gross errors do not move: the squared distances of
    two normal numbers have it at 2 ln 2."""
    visible = landmarks.annotated(people)
    off = (points - people.points)[visible]
    squared = np.einsum("na,nab,nb->n", off, np.linalg.inv(covariance[visible]), off)
    return float(np.sqrt(np.median(squared) / (2 * np.log(2))))


def score(predictions, people, lifter):
    """Everything that errors.json holds of a network. lifter: a LandmarkLifter; it is needed where
    people have a 3D pose and the predictions have none."""
    result = score_2d(predictions, people)
    rows = np.flatnonzero(has_3d(people))
    if len(rows):
        result |= score_3d(predictions, people, rows, lifter)
    if predictions.fusion is not None:
        result["fusion_weight_by_stage"] = predictions.fusion.tolist()
    return result | {"left_out": landmarks.left_out(people.skeleton)}


def has_3d(people):
    """Which people (M,) have a 3D pose."""
    return np.isfinite(people.poses_mm).all(axis=(1, 2))


def score_2d(predictions, people):
    """The 2D part of errors.json: tools.evaluate.landmarks, of every stage."""
    stages = [landmarks.errors(points, people) for points in predictions.points]
    final = predictions.points[-1]
    distance = landmark_error(final, people.points)
    distance = np.where(landmarks.annotated(people), distance, np.nan)
    of_person = np.array([metrics.mean(row) for row in distance])
    result = {
        "images": len(people),
        "error_2d_px": stages[-1]["error_px"],
        "pckh": stages[-1]["pckh_0.5"],
        "pck_0.2": stages[-1]["pck_0.2"],
        "pck_0.2_upright": stages[-1]["pck_0.2_upright"],
        "oks_ap": None,
        **landmarks.counts(people),
        **{f"{name}_by_stage": [stage[measure] for stage in stages] for name, measure in STAGED},
        **landmarks.by_landmark(final, people),
        "error_2d_px_by_action": by_action(of_person, people.actions),
        "side_distance_px": side_distance(final, people.skeleton),
        "true_side_distance_px": side_distance(people.points, people.skeleton),
    }
    if predictions.peaks is not None:
        result["oks_ap"] = landmarks.oks_ap(final, predictions.peaks, people)
    if predictions.covariance is not None:
        result["error_over_covariance_by_stage"] = [
            calibration(points, covariance, people)
            for points, covariance in zip(predictions.points, predictions.covariance, strict=True)
        ]
    if predictions.fusion is not None:
        before = [landmarks.errors(points, people) for points in predictions.beliefs]
        for name, measure in STAGED:
            result[f"{name}_before_fusion_by_stage"] = [stage[measure] for stage in before]
    return result


def score_3d(predictions, people, rows, lifter):
    """The 3D part of errors.json, over the people `rows`, which have a 3D pose."""
    truth, poses = people.poses_mm[rows], predictions.poses
    if poses is None:  # the baseline's landmarks, lifted afterwards
        poses = [
            lifted(predictions, t, people, rows, lifter) for t in range(len(predictions.points))
        ]
    skeleton = people.skeleton
    errors = [errors_3d(pose[rows], truth, skeleton) for pose in poses]
    final = metrics.root_aligned(poses[-1][rows], truth, skeleton.root)
    actions = [people.actions[i] for i in rows]
    own = {}
    if predictions.poses is not None and len(poses) > len(predictions.points) + 1:
        own["network_mpjpe_mm"] = errors[-2]["root_aligned"]  # of its own final lifting
    return {
        "images_3d": len(rows),
        "mpjpe_mm": errors[-1]["root_aligned"],
        "mpjpe_mm_by_stage": [error["root_aligned"] for error in errors],
        "mpjpe_mm_by_action": by_action(final, actions),
        "errors_3d_mm": errors[-1],
    } | own
