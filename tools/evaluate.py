"""Run a trained network on annotated images, and score what it says.

    python -m tools.evaluate DEPLOY CAFFEMODEL --data test.json --prior prior.npz --out FOLDER

Writes predictions.npz (landmarks in px of the images and poses in mm, of every stage, and which
frames they are of: tools.predictions reads it) and errors.json into FOLDER. What is aligned before
3D poses are compared is in each number's name; without another word it is the hip (root-aligned),
over all 17 landmarks, at the prior's typical limb scale: nothing of the truth is used.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import prior
from prior import metrics
from prior.skeleton import LANDMARKS, MIRROR, PROTOCOL_14
from python_layers import annotations, belief_maps, crop
from tools import caffe_process
from tools.caffe_files import CaffeFileError, read_text, read_weights
from tools.caffe_process import CaffeError

BATCH = 8


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
    cameras = np.stack([
        crop.camera(people.rotations[i], crops[i],
                    people.intrinsics[i] if people.has_camera(i) else None)
        for i in range(len(people))
    ])  # fmt: skip
    return crops, cameras


def check_weights(deploy, weights):
    """That the weights are for this network. Raises CaffeError, CaffeFileError, EvaluationError."""
    shapes = caffe_process.dry_run(deploy)
    found = {name: [list(b.shape) for b in blobs] for name, blobs in read_weights(weights).items()}
    for name, expected in shapes.items():
        expected = [list(shape) for shape in expected]
        if found.get(name) != expected:
            raise EvaluationError(
                f"{weights}: layer {name}: expected blobs {expected} for {deploy}, "
                f"found {found.get(name, 'no such layer')}"
            )


def predict(deploy, weights, people, subpixel=True):
    """Run the network on every annotated person, cropped by its box, at one scale: Predictions.

    subpixel: landmarks from the maps at a fraction of a cell, for every network alike; False is
    the paper's most confident cell.
    """
    check_weights(deploy, weights)
    import caffe  # aborts on what check_weights refuses, so it comes after

    caffe.set_mode_cpu()
    net = caffe.Net(str(deploy), str(weights), caffe.TEST)
    size = net.blobs["data"].shape[2]
    # Caffe adds blobs of its own, with longer names, where one is read twice.
    stages = sum(re.fullmatch(r"beliefs_stage\d+", name) is not None for name in net.blobs)
    lifts = "pose" in net.blobs
    stride = size // net.blobs["beliefs_stage1"].shape[2]
    crops, cameras = crops_of(people, size)
    points, beliefs = (np.empty((stages, len(people), len(LANDMARKS), 2)) for _ in range(2))
    poses = np.empty((stages + 1, len(people), len(LANDMARKS), 3)) if lifts else None

    def landmarks(blob, rows):
        found, _ = belief_maps.argmax(net.blobs[blob].data[: len(rows)], subpixel)
        found = belief_maps.to_input(found, stride)
        return np.stack([crop.to_image(p, crops[i]) for p, i in zip(found, rows, strict=True)])

    for name in ("data", "center_map", "camera")[: 3 if lifts else 2]:
        net.blobs[name].reshape(BATCH, *net.blobs[name].shape[1:])
    net.reshape()
    interval = 1 if sys.stderr.isatty() else 10
    for start in tqdm(range(0, len(people), BATCH), "evaluate", unit="batch", mininterval=interval):
        rows = range(start, min(start + BATCH, len(people)))
        for place, i in enumerate(rows):
            image = crop.read(people.files[i], people.image_sizes[i])
            net.blobs["data"].data[place] = crop.input_blob(crop.warp(image, crops[i]))
            net.blobs["center_map"].data[place] = crop.centre_map(crops[i])
            if lifts:
                net.blobs["camera"].data[place] = cameras[i]
        net.forward()
        for t in range(stages):
            fused = f"fused_stage{t + 1}"
            beliefs[t, rows] = landmarks(f"beliefs_stage{t + 1}", rows)
            points[t, rows] = landmarks(fused, rows) if fused in net.blobs else beliefs[t, rows]
            # A stage without lifting of its own (an option of the generator) has the next one's.
            pose = next((p for p in (f"pose_stage{t + 1}", "pose") if p in net.blobs), None)
            if lifts:
                poses[t, rows] = net.blobs[pose].data[: len(rows)]
        if lifts:
            poses[stages, rows] = net.blobs["pose"].data[: len(rows)]
    fusion = [net.params[f"fusion_stage{t + 1}"][0].data.mean() for t in range(stages)
              if f"fusion_stage{t + 1}" in net.params]  # fmt: skip
    return Predictions(points, beliefs, poses, np.array(fusion) if lifts else None)


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
    """Which frame each record is, as tools.predictions reads it; {} where the data does not say."""
    columns = {"subject": people.subjects, "action": people.actions,
               "camera": people.camera_names, "frame": people.frames}  # fmt: skip
    if any(None in column for column in columns.values()):
        return {}
    return {"landmarks": np.array(LANDMARKS)} | {k: np.array(v) for k, v in columns.items()}


def write(path, content):
    """Write bytes or text: all, or nothing."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.replace(temporary, path)


def evaluate(options):
    people = annotations.load(options.data)
    if not np.isfinite(people.poses_mm).all():
        raise EvaluationError(f"{options.data}: expected a 3D pose with every annotation")
    model = prior.load(options.prior)
    predictions = predict(options.deploy, options.weights, people, options.subpixel)
    size = _input_size(options.deploy)
    errors = score(predictions, people, model, size)
    errors |= {"network": str(options.deploy), "weights": str(options.weights),
               "data": str(options.data), "subpixel": options.subpixel}  # fmt: skip
    if options.training_data:
        training = annotations.load(options.training_data, check_images=False)
        errors |= baselines(people, training, model, size)
    options.out.mkdir(parents=True, exist_ok=True)
    arrays = {name: a for name, a in predictions._asdict().items() if a is not None}
    arrays |= frames_of(people)
    temporary = options.out / ".predictions.npz.tmp"
    with open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(temporary, options.out / "predictions.npz")
    write(options.out / "errors.json", json.dumps(errors, indent=1) + "\n")
    print(f"{errors['images']} images: 2D {errors['error_2d_px']:.2f} px, PCKh@0.5 "
          f"{100 * errors['pckh']:.1f} %, 3D {errors['mpjpe_mm']:.1f} mm root-aligned; "
          f"wrote {options.out}")  # fmt: skip


def _input_size(deploy):
    from caffe.proto import caffe_pb2

    net = read_text(deploy, caffe_pb2.NetParameter())
    return next(la for la in net.layer if la.name == "data").input_param.shape[0].dim[2]


def main(arguments=None):
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser("python -m tools.evaluate", description=__doc__.split("\n")[0])
    parser.add_argument("deploy", type=Path, help="deploy.prototxt of the network")
    parser.add_argument("weights", type=Path, help="trained .caffemodel")
    parser.add_argument("--data", type=Path, required=True, help="annotations with 3D truth")
    parser.add_argument("--training-data", type=Path,
                        help="annotations the best single pose is taken from")  # fmt: skip
    parser.add_argument("--prior", type=Path, required=True, help="pose model (.npz)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--subpixel", action=argparse.BooleanOptionalAction, default=True,
                        help="landmarks at fractions of a cell; the paper: no (default: yes)")
    options = parser.parse_args(arguments)
    try:
        evaluate(options)
    except (EvaluationError, CaffeError, CaffeFileError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
