"""Run a trained network on annotated images, and score what it says.

    python -m tools.evaluate DEPLOY CAFFEMODEL --data test.json --prior prior.npz --out FOLDER

Writes predictions.npz (landmarks in px of the images and poses in mm, of every stage, and which
frames they are of: tools.evaluate.predictions reads it) and errors.json into FOLDER. What is
aligned before 3D poses are compared is in each number's name; without another word it is the hip
(root-aligned), over all 17 landmarks, at the prior's typical limb scale: nothing of the truth is
used.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import prior
from prior import metrics
from prior.files import replacing, write
from prior.program import one_line_errors
from prior.skeleton import LANDMARKS, MIRROR, PROTOCOL_14
from python_layers.data import annotations, crop
from tools import measured
from tools.caffe_io.files import CaffeFileError
from tools.caffe_io.process import CaffeError
from tools.infer.estimator import Estimator, Network, Person, add_options


class EvaluationError(Exception):
    """Files that do not fit together: what was expected, what came, what to try."""


class Predictions(NamedTuple):
    """What a network of T stages says of M images, in the order of the annotations.

    points (T, M, 17, 2) px, of the maps that leave each stage; beliefs (T, M, 17, 2) px, of the
    CNN's maps before fusion; poses (T + 1, M, 17, 3) mm, world axes, of each stage and the final
    lifting, or None without lifting; fusion (T,), w_t, or None.
    """

    points: np.ndarray
    beliefs: np.ndarray
    poses: np.ndarray | None
    fusion: np.ndarray | None


def crops_of(people, size):
    """The test-time Crop of each annotated person, and the camera that sees it (M, 3, 3)."""
    crops = [crop.frame(box, size) for box in people.boxes]
    cameras = np.stack(
        [
            crop.camera(
                people.rotations[i],
                crops[i],
                people.intrinsics[i] if people.has_camera(i) else None,
            )
            for i in range(len(people))
        ]
    )
    return crops, cameras


def predict(network, people, **options):
    """Run a Network on every annotated person, cropped by its box: Predictions.

    options: of inference.Estimator.
    """
    estimator = Estimator(network, **options)
    asked = (
        Person(
            people.image(i),
            people.boxes[i],
            people.rotations[i],
            people.intrinsics[i] if people.has_camera(i) else None,
        )
        for i in range(len(people))
    )
    interval = 1 if sys.stderr.isatty() else 10
    bar = tqdm(
        estimator.estimates(asked), "evaluate", len(people), unit="image", mininterval=interval
    )
    points, beliefs, poses, _ = zip(*bar, strict=True)
    return Predictions(
        np.stack(points, axis=1).astype(float),
        np.stack(beliefs, axis=1).astype(float),
        np.stack(poses, axis=1).astype(float) if network.lifts else None,
        np.array(network.fusion) if network.lifts else None,
    )


def errors_2d(points, people):
    """Errors of landmarks (M, 17, 2): mean distance in px of the image, and PCKh."""
    seen = people.visible > 0
    distance = metrics.landmark_error(points, people.points)
    return {
        "error_px": float(distance[seen].mean()),
        "pckh_0.5": float(metrics.pckh(points, people.points)[seen].mean()),
        "pckh_0.2": float(metrics.pckh(points, people.points, 0.2)[seen].mean()),
    }


def errors_3d(poses, truth):
    """Errors of poses (M, 17, 3) in mm; the alignment is in each name."""
    subset = poses[:, PROTOCOL_14], truth[:, PROTOCOL_14]
    known = metrics.with_scale_of(poses, truth)
    errors = {
        "root_aligned": metrics.root_aligned(poses, truth),
        "mean_aligned": metrics.mean_aligned(poses, truth),
        "mean_aligned_known_scale": metrics.mean_aligned(known, truth),
        "procrustes": metrics.procrustes_aligned(poses, truth),
        "procrustes_14_landmarks": metrics.procrustes_aligned(*subset),
    }
    return {name: float(error.mean()) for name, error in errors.items()}


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


def baselines(people, training, model, size):
    """3D errors that no network is needed for: always the best single pose of the training set
    (in the camera's axes), and lifting of the true landmarks."""
    cameras = crops_of(people, size)[1]
    views = crops_of(training, size)[1]
    single = best_single_pose(np.einsum("nab,nlb->nla", views, training.poses_mm))
    answer = np.einsum("nba,lb->nla", cameras, single)
    lifted = prior.lift(people.points, model, camera=cameras)
    return {
        "mean_pose_mpjpe_mm": float(metrics.root_aligned(answer, people.poses_mm).mean()),
        "true_2d_mpjpe_mm": errors_3d(lifted.pose, people.poses_mm)["root_aligned"],
    }


def score(predictions, people, model, size):
    """Everything that errors.json holds of a network."""
    stages = [errors_2d(points, people) for points in predictions.points]
    final = metrics.landmark_error(predictions.points[-1], people.points)
    poses = predictions.poses
    if poses is None:  # the baseline's landmarks, lifted afterwards
        cameras = crops_of(people, size)[1]
        poses = [prior.lift(points, model, camera=cameras).pose for points in predictions.points]
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


def frames_of(people):
    """Which frame each record is, for tools.evaluate.predictions; {} where the data is silent."""
    columns = {
        "subject": people.subjects,
        "action": people.actions,
        "camera": people.camera_names,
        "frame": people.frames,
    }
    if any(None in column for column in columns.values()):
        return {}
    named = {name: np.array(column) for name, column in columns.items()}
    return named | {"landmarks": np.array(LANDMARKS), "offset": people.offsets}


def evaluate(options):
    """Run the network on the data and write predictions.npz and errors.json; see the module."""
    people = annotations.load(options.data)
    if not np.isfinite(people.poses_mm).all():
        raise EvaluationError(f"{options.data}: expected a 3D pose with every annotation")
    model = prior.load(options.prior)
    network = Network(options.deploy, options.weights)
    predictions = predict(
        network,
        people,
        scales=options.scales,
        flip=options.flip,
        subpixel=options.subpixel,
        model=model,
    )
    size = network.size
    errors = score(predictions, people, model, size)
    errors |= {
        "measured": measured.stamp(),
        "network": str(options.deploy),
        "weights": str(options.weights),
        "data": str(options.data),
        "subpixel": options.subpixel,
        "scales": options.scales,
        "flip": options.flip,
    }
    if options.training_data:
        training = annotations.load(options.training_data, check_images=False)
        errors |= baselines(people, training, model, size)
    arrays = {name: a for name, a in predictions._asdict().items() if a is not None}
    arrays |= frames_of(people)
    with replacing(options.out / "predictions.npz") as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    write(options.out / "errors.json", json.dumps(errors, indent=1) + "\n")
    print(
        f"{errors['images']} images: 2D {errors['error_2d_px']:.2f} px, PCKh@0.5 "
        f"{100 * errors['pckh']:.1f} %, 3D {errors['mpjpe_mm']:.1f} mm root-aligned; "
        f"wrote {options.out}"
    )


@one_line_errors(EvaluationError, CaffeError, CaffeFileError, ValueError, OSError)
def main(arguments=None):
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser("python -m tools.evaluate", description=__doc__.split("\n")[0])
    parser.add_argument("deploy", type=Path, help="deploy.prototxt of the network")
    parser.add_argument("weights", type=Path, help="trained .caffemodel")
    parser.add_argument("--data", type=Path, required=True, help="annotations with 3D truth")
    parser.add_argument(
        "--training-data", type=Path, help="annotations the best single pose is taken from"
    )
    parser.add_argument("--prior", type=Path, required=True, help="pose model (.npz)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    add_options(parser)
    options = parser.parse_args(arguments)
    evaluate(options)


if __name__ == "__main__":
    sys.exit(main())
