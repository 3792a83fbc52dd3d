"""Motions as the files of many detectors, in the exact form in which each writes them.

Each writer is write(path, points, count): points (F count, 17, 2), px, of `count` people in each
frame; those without `count` have one person.
"""

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
    in_frames,
    in_set,
    mpii,
    openpose,
    table,
)
from tests.landmark_tables import (
    deeplabcut,
    deeplabcut_several,
    free_columns,
    long_columns,
    sleap,
)


def _flat(people):
    """Each person's numbers in one list."""
    return [person.ravel().tolist() for person in people]


def _json(path, document):
    path.write_text(json.dumps(document))
    return path


def openpose_2017(path, points, count=1):
    """OpenPose before 1.3: `pose_keypoints`, of its COCO model."""
    path.mkdir()
    rest = {"face_keypoints": [], "hand_left_keypoints": [], "hand_right_keypoints": []}
    for i, people in enumerate(in_frames(points, OPENPOSE_COCO, count)):
        listed = [{"pose_keypoints": flat, **rest} for flat in _flat(people)]
        _json(path / f"video_{i:012d}_keypoints.json", {"version": 1.0, "people": listed})
    return path


def openpose_mpi(path, points, count=1):
    """OpenPose's MPI model: 15 landmarks."""
    path.mkdir()
    for i, people in enumerate(in_frames(points, OPENPOSE_MPI, count)):
        listed = [{"person_id": [-1], "pose_keypoints_2d": flat} for flat in _flat(people)]
        _json(path / f"video_{i:012d}_keypoints.json", {"version": 1.3, "people": listed})
    return path


def controlnet(path, points, count=1, size=(1.0, 1.0)):
    """A list of frames with the canvas, as ControlNet's and ComfyUI's preprocessors give it."""
    frames = in_frames(points, OPENPOSE_COCO, count) / [*size, 1]
    return _json(
        path,
        [
            {
                "people": [
                    {"pose_keypoints_2d": flat, "face_keypoints_2d": None} for flat in _flat(people)
                ],
                "canvas_height": 480,
                "canvas_width": 640,
            }
            for people in frames
        ],
    )


def controlnet_normalised(path, points, count=1):
    """The same as shares of the canvas."""
    return controlnet(path, points, count, (640, 480))


def without_confidence(path, points, count=1):
    """Pairs x, y in OpenPose's form, (0, 0) where missing."""
    frames = in_frames(points, BODY_25, count)[..., :2]
    return _json(
        path,
        [{"people": [{"pose_keypoints_2d": flat} for flat in _flat(p)]} for p in frames],
    )


def alphapose(path, points, count=1):
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
                "idx": [float(k)],
            }
            for i, people in enumerate(in_frames(points, HALPE_26, count))
            for k, flat in enumerate(_flat(people))
        ],
    )


def _by_image(path, points, count, people_key, landmarks_key):
    """An object for each image, by its name."""
    document = {
        f"{i}.jpg": {
            "version": "AlphaPose v0.3",
            people_key: [{landmarks_key: flat} for flat in _flat(people)],
        }
        for i, people in enumerate(in_frames(points, OPENPOSE_COCO, count))
    }
    return _json(path, document)


def alphapose_cmu(path, points, count=1):
    """AlphaPose's form "cmu"."""
    return _by_image(path, points, count, "bodies", "joints")


def alphapose_open(path, points, count=1):
    """AlphaPose's form "open"."""
    return _by_image(path, points, count, "people", "pose_keypoints_2d")


def alphapose_folder(path, points, count=1):
    """AlphaPose's sep-json: a file for each image."""
    path.mkdir()
    for i, people in enumerate(in_frames(points, OPENPOSE_COCO, count)):
        bodies = [{"joints": flat} for flat in _flat(people)]
        _json(path / f"{i}.json", {"version": "AlphaPose v0.3", "bodies": bodies})
    return path


def _instances(people):
    return [
        {
            "keypoints": row[:, :2].tolist(),
            "keypoint_scores": row[:, 2].tolist(),
            "bbox": [[1.0, 2.0, 3.0, 4.0]],
            "bbox_score": 0.9,
        }
        for row in people
    ]


def mmpose(path, points, count=1):
    """What MMPose's demo saves of a video: `meta_info` names the landmarks."""
    meta = {
        "dataset_name": "coco_wholebody",
        "num_keypoints": len(WHOLEBODY.names),
        "keypoint_id2name": {str(i): name for i, name in enumerate(WHOLEBODY.names)},
    }
    frames = [
        {"frame_id": i, "instances": _instances(people)}
        for i, people in enumerate(in_frames(points, WHOLEBODY, count))
    ]
    return _json(path, {"meta_info": meta, "instance_info": frames})


def mmpose_list(path, points, count=1):
    """What MMPose's inferencer saves of a video."""
    frames = enumerate(in_frames(points, COCO, count))
    return _json(path, [{"frame_id": i, "instances": _instances(people)} for i, people in frames])


def mmpose_images(path, points, count=1):
    """What MMPose's inferencer saves of a folder of images."""
    path.mkdir()
    for i, people in enumerate(in_frames(points, COCO, count)):
        _json(path / f"{i:06d}.json", _instances(people))
    return path


def ultralytics(path, points, count=1):
    """Ultralytics' results, `to_json` of each frame, as a list."""
    return _json(
        path,
        [
            [
                {
                    "name": "person",
                    "class": 0,
                    "confidence": 0.9,
                    "box": {"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0},
                    "keypoints": dict(zip(("x", "y", "visible"), row.T.tolist(), strict=True)),
                }
                for row in people
            ]
            for people in in_frames(points, COCO, count)
        ],
    )


def posenet(path, points, count=1):
    """What TensorFlow.js' detectors (PoseNet, MoveNet) give for each frame, as a list."""
    return _json(
        path,
        [
            [
                {
                    "score": 0.9,
                    "keypoints": [
                        {"x": x, "y": y, "score": score, "name": name}
                        for name, (x, y, score) in zip(COCO.names, row.tolist(), strict=True)
                    ],
                }
                for row in people
            ]
            for people in in_frames(points, COCO, count)
        ],
    )


def _pifpaf(people):
    return [
        {"keypoints": flat, "bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.8, "category_id": 1}
        for flat in _flat(people)
    ]


def openpifpaf(path, points, count=1):
    """OpenPifPaf's files of images."""
    path.mkdir()
    for i, people in enumerate(in_frames(points, COCO, count)):
        _json(path / f"{i:04d}.jpg.predictions.json", _pifpaf(people))
    return path


def openpifpaf_video(path, points, count=1):
    """OpenPifPaf's file of a video: a document in each line."""
    frames = enumerate(in_frames(points, COCO, count))
    lines = [json.dumps({"frame": i, "predictions": _pifpaf(people)}) for i, people in frames]
    path.write_text("\n".join(lines) + "\n")
    return path


def detectron(path, points, count=1):
    """VideoPose3D's inference/infer_video_d2.py: the lists of each class."""
    boxes, keypoints = [], []
    for people in in_frames(points, COCO, count).astype(np.float32):
        x, y, score = people.transpose(2, 0, 1)
        boxes.append([[], np.array([[1, 2, 3, 4, 0.9]] * count, np.float32)])
        keypoints.append([[], np.stack([x, y, np.zeros_like(x), score], axis=1)])
    np.savez_compressed(
        path,
        boxes=np.array(boxes, dtype=object),
        segments=np.array([None] * len(boxes), dtype=object),
        keypoints=np.array(keypoints, dtype=object),
        metadata={"w": 640, "h": 480},
    )
    return path


def videopose3d(path, points):
    """VideoPose3D's data/prepare_data_2d_custom.py, which keeps one person."""
    rows = in_set(points, COCO)[..., :2].astype("float32")
    metadata = {
        "layout_name": "coco",
        "num_joints": 17,
        "keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
        "video_metadata": {"clip.mp4": {"w": 640, "h": 480}},
    }
    np.savez_compressed(path, positions_2d={"clip.mp4": {"custom": [rows]}}, metadata=metadata)
    return path


def detected(path, points, count=1):
    """What tools.infer.detect writes: MediaPipe's 33."""
    rows = in_set(points, MEDIAPIPE)
    frames = len(rows) // count
    document = {
        "points": rows[..., :2].tolist(),
        "confidence": rows[..., 2].tolist(),
        "frame": [i // count for i in range(len(rows))],
        "frames": [f"clip.mp4 {i:06d}" for i in range(frames)],
        "rate": 25.0,
    }
    return _json(path, document)


def predicted(path, points):
    """What tools.infer.predict writes, of one person."""
    document = {"landmark_names": list(LANDMARKS)}
    for i, row in enumerate(points):
        there = [p.tolist() if np.isfinite(p).all() else None for p in row]
        document[f"clip.mp4 {i:06d}"] = {"landmarks": there, "confidence": [0.5] * 17}
    return _json(path, document)


def yolo(path, points, count=1, tail=(), width=3, size=(640, 480)):
    """Ultralytics' save_txt of images: a line for each person, no file where nobody is. tail: what
    save_conf and tracking add."""
    path.mkdir()
    for i, people in enumerate(in_frames(points, COCO, count)):
        lines = []
        for row in people:
            there = row[row[:, 2] > 0, :2]
            box = np.concatenate([there.mean(axis=0), np.ptp(there, axis=0) + 20]) / [*size, *size]
            box[:2] = (there.min(axis=0) + there.max(axis=0)) / 2 / size
            row = row / [*size, 1]
            lines.append([0, *box, *row[:, :width].ravel(), *tail])
        # Its own has six significant digits.
        text = "".join("%g " * len(line) % tuple(line) + "\n" for line in lines)
        (path / f"clip_{i}.txt").write_text(text.replace(" \n", "\n"))
    return path


def array_alone(path, points):
    """A single array, NaN where missing."""
    np.save(path, points)
    return path


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
    "ultralytics.json": (ultralytics, {"spine", "head top"}),
    "posenet.json": (posenet, {"spine", "head top"}),
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
    "long.csv": (long_columns, {"spine", "head top"}),
    "yolo": (yolo, {"spine", "head top"}),
    "arrays.npz": (arrays, set()),
    "array.npy": (array_alone, set()),
    "detected.json": (detected, {"spine", "head top"}),
    "predicted.json": (predicted, set()),
}
# Formats that keep single precision, or six digits.
ROUNDED = {"detectron.npz", "videopose3d.npz", "yolo"}
# Formats of one person.
SINGLE = {"videopose3d.npz", "deeplabcut.csv", "predicted.json", "array.npy"}
# The size of the images of all, px, which some formats do not say, and need.
SIZE = (640, 480)
