"""A few annotated people for the data layer: what its tests share."""

import json

import cv2
import numpy as np

from prior import camera as cameras
from prior.skeleton import LANDMARKS, L

PEOPLE, BATCH = 7, 3
TOPS = ("data", "center_map", "label", "mask", "label_stage1", "mask_stage1", "camera")
FIXED = "param { lr_mult: 0 decay_mult: 0 }"


def write_people(folder):
    """Seven annotated images, each of its own grey with a white square; the file's path."""
    rng = np.random.default_rng(0)
    images, people = [], []
    for i in range(PEOPLE):
        image = np.full((90, 120, 3), 20 + 30 * i, np.uint8)
        cv2.rectangle(image, (50, 30), (60, 40), (255, 255, 255), -1)
        cv2.imwrite(str(folder / f"{i}.jpg"), image)
        points = np.column_stack([rng.uniform([40, 20], [80, 70], size=(L, 2)), np.full(L, 2)])
        points[i] = 0
        images.append({"id": i, "file_name": f"{i}.jpg", "width": 120, "height": 90})
        if i % 2:
            images[-1]["camera"] = "S1/1"
        people.append(
            {"image_id": i, "bbox": [40, 20, 40, 50], "keypoints": points.ravel().tolist()}
        )
    view = {
        "rotation": cameras.look_at([500, 1500, 4000], [0, 900, 0]).tolist(),
        "position_mm": [500, 1500, 4000],
        "intrinsics": [[150, 0, 50], [0, 150, 55], [0, 0, 1]],
    }
    path = folder / "train.json"
    document = {
        "categories": [{"keypoints": LANDMARKS}],
        "cameras": {"S1/1": view},
        "images": images,
        "annotations": people,
    }
    path.write_text(json.dumps(document))
    return str(path)
