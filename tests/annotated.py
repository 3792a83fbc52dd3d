"""Annotated frames with 3D truth, and files of predictions for them, in the formats on disk."""

import json

import numpy as np

from prior.camera import look_at, perspective
from prior.skeleton import LANDMARKS, L
from tests.poses import random_poses
from tools.evaluate.protocols import CAMERAS

INTRINSICS = np.array([[1145.0, 0, 500], [0, 1145, 500], [0, 0, 1]])
PLACES = 1000 * np.array([[3, 1.5, 3.5], [-3, 1.4, 3.5], [3, 1.6, -3.5], [-3, 1.5, -3]])
FRAMES = 6  # of each subject, action and camera
ACTIONS = ("punch", "run 1", "run")


def document():
    """Annotations of S9 and S11, each in three sequences before four cameras."""
    views = {c: (look_at(p, [0, 900, 0]), p) for c, p in zip(CAMERAS, PLACES, strict=True)}
    images, people = [], []
    for s, subject in enumerate(("S9", "S11")):
        for a, action in enumerate(ACTIONS):
            poses = random_poses(FRAMES, seed=10 * s + a)
            poses += [0, 900, 0] - poses[:, :1]
            for camera, (rotation, position) in views.items():
                for frame, pose in enumerate(poses):
                    points = perspective(pose, rotation, position, INTRINSICS)
                    low, high = points.min(axis=0), points.max(axis=0)
                    images.append(
                        {
                            "id": len(images),
                            "file_name": f"{len(images)}.jpg",
                            "width": 1000,
                            "height": 1000,
                            "subject": subject,
                            "action": action,
                            "camera": f"{subject}/{camera}",
                            "frame": 64 * frame,
                        }
                    )
                    people.append(
                        {
                            "image_id": images[-1]["id"],
                            "pose_mm": pose.tolist(),
                            "keypoints": np.c_[points, np.full(L, 2)].ravel().tolist(),
                            "bbox": [*low.tolist(), *(high - low).tolist()],
                        }
                    )
    return {
        "categories": [{"keypoints": list(LANDMARKS)}],
        "cameras": {
            f"{subject}/{camera}": {
                "rotation": r.tolist(),
                "position_mm": p.tolist(),
                "intrinsics": INTRINSICS.tolist(),
            }
            for subject in ("S9", "S11")
            for camera, (r, p) in views.items()
        },
        "images": images,
        "annotations": people,
    }


def entries(frames, **more):
    """The arrays of a predictions file for the frames of a Truth."""
    index = frames.index
    return {
        "landmarks": np.array(LANDMARKS),
        "subject": index.subject,
        "action": index.sequence,
        "camera": index.camera,
        "frame": index.frame,
    } | more


def save(path, arrays):
    if path.suffix == ".json":
        lists = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in arrays.items()}
        path.write_text(json.dumps(lists))
    else:
        np.savez(path, **arrays)
    return path
