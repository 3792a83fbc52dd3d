"""Motions as the files of many detectors, in the exact form in which each writes them.

Each writer is write(path, points): points (N, 17, 2), px, of one person, a frame each.
"""

import csv
import json

import numpy as np

from prior.landmark_sets import (
    BODY_25,
    COCO,
    HALPE_26,
    MEDIAPIPE,
    OPENPOSE_COCO,
    OPENPOSE_MPI,
    WHOLEBODY,
)
from prior.skeleton import LANDMARKS
from tests.landmark_files import (
    arrays,
    coco_annotations,
    coco_results,
    in_set,
    mpii,
    openpose,
    table,
)


def _flat(points, chosen):
    return [row.ravel().tolist() for row in in_set(points, chosen)]


def _json(path, document):
    path.write_text(json.dumps(document))
    return path


def openpose_2017(path, points):
    """OpenPose before 1.3: `pose_keypoints`, of its COCO model."""
    path.mkdir()
    for i, flat in enumerate(_flat(points, OPENPOSE_COCO)):
        person = {
            "pose_keypoints": flat,
            "face_keypoints": [],
            "hand_left_keypoints": [],
            "hand_right_keypoints": [],
        }
        _json(path / f"video_{i:012d}_keypoints.json", {"version": 1.0, "people": [person]})
    return path


def openpose_mpi(path, points):
    """OpenPose's MPI model: 15 landmarks."""
    path.mkdir()
    for i, flat in enumerate(_flat(points, OPENPOSE_MPI)):
        people = [{"person_id": [-1], "pose_keypoints_2d": flat, "face_keypoints_2d": []}]
        _json(path / f"video_{i:012d}_keypoints.json", {"version": 1.3, "people": people})
    return path


def controlnet(path, points):
    """A list of frames with the canvas, as ControlNet's and ComfyUI's preprocessors give it."""
    return _json(
        path,
        [
            {
                "people": [{"pose_keypoints_2d": flat, "face_keypoints_2d": None}],
                "canvas_height": 480,
                "canvas_width": 640,
            }
            for flat in _flat(points, OPENPOSE_COCO)
        ],
    )


def controlnet_normalised(path, points):
    """The same as shares of the canvas."""
    rows = in_set(points, OPENPOSE_COCO)
    rows[..., :2] /= [639, 479]
    return _json(
        path,
        [
            {
                "people": [{"pose_keypoints_2d": row.ravel().tolist()}],
                "canvas_height": 480,
                "canvas_width": 640,
            }
            for row in rows
        ],
    )


def without_confidence(path, points):
    """Pairs x, y in OpenPose's form, (0, 0) where missing."""
    rows = in_set(points, BODY_25)[..., :2]
    people = [[{"pose_keypoints_2d": row.ravel().tolist()}] for row in rows]
    return _json(path, [{"people": one} for one in people])


def alphapose(path, points):
    """AlphaPose's own form, of Halpe's 26."""
    return _json(
        path,
        [
            {
                "image_id": f"{i}.jpg",
                "category_id": 1,
                "keypoints": flat,
                "score": 2.9,
                "box": [1.0, 2.0, 3.0, 4.0],
                "idx": [0.0],
            }
            for i, flat in enumerate(_flat(points, HALPE_26))
        ],
    )


def alphapose_cmu(path, points):
    """AlphaPose's form "cmu"."""
    rows = _flat(points, OPENPOSE_COCO)
    images = {
        f"{i}.jpg": {"version": "AlphaPose v0.3", "bodies": [{"joints": flat}]}
        for i, flat in enumerate(rows)
    }
    return _json(path, images)


def alphapose_open(path, points):
    """AlphaPose's form "open"."""
    rows = _flat(points, OPENPOSE_COCO)
    images = {
        f"{i}.jpg": {"version": "AlphaPose v0.3", "people": [{"pose_keypoints_2d": flat}]}
        for i, flat in enumerate(rows)
    }
    return _json(path, images)


def alphapose_folder(path, points):
    """AlphaPose's sep-json: a file for each image."""
    path.mkdir()
    for i, flat in enumerate(_flat(points, OPENPOSE_COCO)):
        _json(path / f"{i}.json", {"version": "AlphaPose v0.3", "bodies": [{"joints": flat}]})
    return path


def _instances(row):
    return [
        {
            "keypoints": row[:, :2].tolist(),
            "keypoint_scores": row[:, 2].tolist(),
            "bbox": [[1.0, 2.0, 3.0, 4.0]],
            "bbox_score": 0.9,
        }
    ]


def mmpose(path, points):
    """What MMPose's demo saves of a video: `meta_info` names the landmarks."""
    meta = {
        "dataset_name": "coco_wholebody",
        "num_keypoints": len(WHOLEBODY.names),
        "keypoint_id2name": {str(i): name for i, name in enumerate(WHOLEBODY.names)},
    }
    frames = [
        {"frame_id": i, "instances": _instances(row)}
        for i, row in enumerate(in_set(points, WHOLEBODY))
    ]
    return _json(path, {"meta_info": meta, "instance_info": frames})


def mmpose_list(path, points):
    """What MMPose's inferencer saves of a video."""
    rows = in_set(points, COCO)
    return _json(path, [{"frame_id": i, "instances": _instances(r)} for i, r in enumerate(rows)])


def mmpose_images(path, points):
    """What MMPose's inferencer saves of a folder of images."""
    path.mkdir()
    for i, row in enumerate(in_set(points, COCO)):
        _json(path / f"{i:06d}.json", _instances(row))
    return path


def _pifpaf(flat):
    return [{"keypoints": flat, "bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.8, "category_id": 1}]


def openpifpaf(path, points):
    """OpenPifPaf's files of images."""
    path.mkdir()
    for i, flat in enumerate(_flat(points, COCO)):
        _json(path / f"{i:04d}.jpg.predictions.json", _pifpaf(flat))
    return path


def openpifpaf_video(path, points):
    """OpenPifPaf's file of a video: a document in each line."""
    rows = enumerate(_flat(points, COCO))
    lines = [json.dumps({"frame": i, "predictions": _pifpaf(flat)}) for i, flat in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def detectron(path, points):
    """VideoPose3D's inference/infer_video_d2.py: the lists of each class."""
    boxes, keypoints = [], []
    for row in in_set(points, COCO).astype(np.float32):
        four = np.stack([row[:, 0], row[:, 1], np.zeros(17, np.float32), row[:, 2]])
        boxes.append([[], np.array([[1, 2, 3, 4, 0.9]], np.float32)])
        keypoints.append([[], four[None]])
    np.savez_compressed(
        path,
        boxes=np.array(boxes, dtype=object),
        segments=np.array([None] * len(boxes), dtype=object),
        keypoints=np.array(keypoints, dtype=object),
        metadata={"w": 640, "h": 480},
    )
    return path


def videopose3d(path, points):
    """VideoPose3D's data/prepare_data_2d_custom.py."""
    rows = in_set(points, COCO)[..., :2].astype("float32")
    metadata = {
        "layout_name": "coco",
        "num_joints": 17,
        "keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
        "video_metadata": {"clip.mp4": {"w": 640, "h": 480}},
    }
    np.savez_compressed(path, positions_2d={"clip.mp4": {"custom": [rows]}}, metadata=metadata)
    return path


def _rows(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def deeplabcut(path, points, individuals=()):
    """DeepLabCut's analyze_videos as CSV: three or, of several individuals, four header rows."""
    rows, names, people = in_set(points, COCO), COCO.names, individuals or ("",)
    header = [["scorer", *["DLC_resnet50"] * (3 * len(names) * len(people))]]
    if individuals:
        header.append(["individuals", *(one for one in people for _ in range(3 * len(names)))])
    header.append(["bodyparts", *(name for _ in people for name in names for _ in range(3))])
    header.append(["coords", *["x", "y", "likelihood"] * (len(names) * len(people))])
    rest = [""] * (3 * len(names) * (len(people) - 1))  # only the first is there
    return _rows(path, [*header, *([i, *r.ravel(), *rest] for i, r in enumerate(rows))])


def deeplabcut_several(path, points):
    """The same of two individuals, of which one is there."""
    return deeplabcut(path, points, ("ann", "ben"))


def sleap(path, points):
    """SLEAP's analysis CSV."""
    header = ["track", "frame_idx", "instance.score"]
    header += [f"{name}.{axis}" for name in COCO.names for axis in ("x", "y", "score")]
    rows = enumerate(in_set(points, COCO))
    return _rows(path, [header, *(["track_0", i, 0.9, *row.ravel()] for i, row in rows)])


def free_columns(path, points):
    """CSV with the columns in another order and spelling, semicolons, and -1 for missing."""
    order = np.random.default_rng(0).permutation(17)
    header = [f"{axis}_{LANDMARKS[i].upper().replace(' ', '_')}" for i in order for axis in "yx"]
    rows = np.where(np.isfinite(points), points, -1)[:, order][..., ::-1]
    lines = [";".join([*header, "Frame"])]
    lines += [";".join(map(str, [*row.ravel(), i])) for i, row in enumerate(rows)]
    path.write_text("\n".join(lines))
    return path


def detected(path, points):
    """What tools.infer.detect writes: MediaPipe's 33."""
    rows = in_set(points, MEDIAPIPE)
    document = {
        "points": rows[..., :2].tolist(),
        "confidence": rows[..., 2].tolist(),
        "frame": list(range(len(rows))),
        "frames": [f"clip.mp4 {i:06d}" for i in range(len(rows))],
        "rate": 25.0,
    }
    return _json(path, document)


def predicted(path, points):
    """What tools.infer.predict writes."""
    document = {"landmark_names": list(LANDMARKS)}
    for i, row in enumerate(points):
        there = [p.tolist() if np.isfinite(p).all() else None for p in row]
        document[f"clip.mp4 {i:06d}"] = {"landmarks": there, "confidence": [0.5] * 17}
    return _json(path, document)


# By a file's name, or a folder's: who writes it, and which of ours it lacks.
FORMATS = {
    "openpose": (openpose, {"spine", "head top"}),
    "openpose-2017": (openpose_2017, {"spine", "head top"}),
    "openpose-mpi": (openpose_mpi, {"spine", "nose"}),
    "controlnet.json": (controlnet, {"spine", "head top"}),
    "controlnet-normalised.json": (controlnet_normalised, {"spine", "head top"}),
    "pairs.json": (without_confidence, {"spine", "head top"}),
    "alphapose-results.json": (alphapose, {"spine"}),
    "alphapose-cmu.json": (alphapose_cmu, {"spine", "head top"}),
    "alphapose-open.json": (alphapose_open, {"spine", "head top"}),
    "sep-json": (alphapose_folder, {"spine", "head top"}),
    "mmpose.json": (mmpose, {"spine", "head top"}),
    "mmpose-list.json": (mmpose_list, {"spine", "head top"}),
    "mmpose-images": (mmpose_images, {"spine", "head top"}),
    "openpifpaf": (openpifpaf, {"spine", "head top"}),
    "openpifpaf.json": (openpifpaf_video, {"spine", "head top"}),
    "coco-results.json": (coco_results, {"spine", "head top"}),
    "coco-annotations.json": (coco_annotations, {"spine", "head top"}),
    "mpii.json": (mpii, {"spine", "nose"}),
    "detectron.npz": (detectron, {"spine", "head top"}),
    "videopose3d.npz": (videopose3d, {"spine", "head top"}),
    "deeplabcut.csv": (deeplabcut, {"spine", "head top"}),
    "deeplabcut-several.csv": (deeplabcut_several, {"spine", "head top"}),
    "sleap.csv": (sleap, {"spine", "head top"}),
    "free-columns.csv": (free_columns, set()),
    "table.csv": (table, set()),
    "arrays.npz": (arrays, set()),
    "detected.json": (detected, {"spine", "head top"}),
    "predicted.json": (predicted, set()),
}
# Formats that keep single precision.
ROUNDED = {"detectron.npz", "videopose3d.npz"}
