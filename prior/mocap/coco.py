"""COCO's 17 keypoints of motion capture that has Human3.6M's landmarks: eyes and ears are placed on
the head, whose axes nose, head top and neck say. So a prior of COCO's keypoints can be learned from
any motion that the project reads, and COCO's detections are lifted as they come.
"""

import numpy as np
from jaxtyping import Float

from prior.errors import InputError
from prior.skeleton import COCO, HUMAN36M

# mm from the nose, in the head's axes: to the left, up, and forward. Our choice, an adult's head:
# the pupils are 63 mm apart (Dodgson 2004, "Variation and extrema of human interpupillary
# distance"), the ears 145 mm; the eyes lie above and behind the tip of the nose, and the ears at
# its height, in the middle of the head.
ON_HEAD_MM = {
    "left_eye": (31.5, 35.0, -30.0),
    "right_eye": (-31.5, 35.0, -30.0),
    "left_ear": (72.5, 5.0, -110.0),
    "right_ear": (-72.5, 5.0, -110.0),
}

# Our names of COCO's joints that are landmarks of ours.
_OURS = {"ankle": "foot"}

# A nose must be so far, mm, from the line from neck to head top for the face to have a direction;
# in the skeletons that the project reads it is 40 or more.
LEAST_NOSE_MM = 15.0


def from_human36m(poses: Float[np.ndarray, "F L 3"]) -> Float[np.ndarray, "F M 3"]:
    """COCO's keypoints of poses (F, 17, 3), mm, of skeleton.HUMAN36M.

    Raises InputError where the nose does not say which way the face looks.
    """
    at = {name: poses[:, i] for i, name in enumerate(HUMAN36M.landmarks)}
    nose, axes = at["nose"], _head_axes(at["neck"], at["nose"], at["head top"])
    placed = {
        name: nose + np.einsum("a,fab->fb", np.array(offset), axes)
        for name, offset in ON_HEAD_MM.items()
    } | {"nose": nose}
    for name in COCO.landmarks:
        if name not in placed:
            side, joint = name.split("_")
            placed[name] = at[f"{side} {_OURS.get(joint, joint)}"]
    return np.stack([placed[name] for name in COCO.landmarks], axis=1)


def _head_axes(
    neck: Float[np.ndarray, "F 3"], nose: Float[np.ndarray, "F 3"], top: Float[np.ndarray, "F 3"]
) -> Float[np.ndarray, "F 3 3"]:
    """Of each head the directions left, up and forward, as rows."""
    up = top - neck
    with np.errstate(invalid="ignore", divide="ignore"):
        up = up / np.linalg.norm(up, axis=1, keepdims=True)
        forward = nose - neck
        forward = forward - np.sum(forward * up, axis=1, keepdims=True) * up
        length = np.linalg.norm(forward, axis=1, keepdims=True)
        forward = forward / length
    unclear = ~(length[:, 0] >= LEAST_NOSE_MM)
    if unclear.any():
        raise InputError(
            f"frame {np.argmax(unclear)}: expected a nose {LEAST_NOSE_MM:.0f} mm or more from the "
            f"line from neck to head top, got {length[np.argmax(unclear), 0]:.3g}; without it "
            "nobody knows where eyes and ears are"
        )
    return np.stack([np.cross(up, forward), up, forward], axis=1)
