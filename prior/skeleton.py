"""The 17 landmarks of Human3.6M: names, tree of limbs, mirrored pairs; other sets of landmarks.

Everything in the project that has a landmark axis uses this order.
"""

import re
from typing import NamedTuple

import numpy as np

LANDMARKS = (
    "hip",
    "right hip",
    "right knee",
    "right foot",
    "left hip",
    "left knee",
    "left foot",
    "spine",
    "neck",
    "nose",
    "head top",
    "left shoulder",
    "left elbow",
    "left wrist",
    "right shoulder",
    "right elbow",
    "right wrist",
)
L = len(LANDMARKS)

# Parent of each landmark, -1 for the root. The limbs are (parent, child) pairs.
PARENTS = np.array([-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15])
LIMBS = np.array([(parent, child) for child, parent in enumerate(PARENTS) if parent >= 0])


def _mirror():
    swap = {"left": "right", "right": "left"}
    index = {name: i for i, name in enumerate(LANDMARKS)}
    names = [" ".join(swap.get(word, word) for word in name.split()) for name in LANDMARKS]
    return np.array([index[name] for name in names])


# MIRROR[i] is the landmark on the other side of the body from landmark i.
MIRROR = _mirror()

# The 14 landmarks of protocols 2 and 3: all but hip, spine and nose.
PROTOCOL_14 = np.array([i for i in range(L) if i not in (0, 7, 9)])


def limb_scale(poses):
    """Square root of the sum of squared limb lengths.

    poses: (..., 17, 3). Returns (...), in the unit of the poses. Dividing a pose by it gives the
    paper's normalisation (section 4): the sum of squared limb lengths is 1.
    """
    limbs = poses[..., LIMBS[:, 1], :] - poses[..., LIMBS[:, 0], :]
    return np.sqrt(np.sum(limbs * limbs, axis=(-2, -1)))


def mirrored(poses):
    """Poses seen in a mirror: x negated, left and right landmarks swapped. (..., 17, 3)."""
    return poses[..., MIRROR, :] * np.array([-1, 1, 1], dtype=np.asarray(poses).dtype)


class LandmarkSet(NamedTuple):
    """Another set of landmarks: its name, its landmarks in order, and a table: our landmark to
    theirs, or to the two that it is midway between. What is not in the table is missing."""

    name: str
    names: tuple
    table: dict

    @property
    def direct(self):
        """The part of the table that needs no midpoint: {our landmark: their name}."""
        return {ours: theirs for ours, theirs in self.table.items() if isinstance(theirs, str)}

    def to_ours(self, points, confidence):
        """Points (N, S, 2) and confidences (N, S) of this set as our 17: (N, 17, 2), (N, 17).

        Missing landmarks are NaN with confidence 0; one between two is as sure as the less sure.
        """
        ours = np.full((len(points), L, 2), np.nan)
        sure = np.zeros((len(points), L))
        for name, theirs in self.table.items():
            at = [self.names.index(n) for n in ([theirs] if isinstance(theirs, str) else theirs)]
            i = LANDMARKS.index(name)
            ours[:, i], sure[:, i] = points[:, at].mean(axis=1), confidence[:, at].min(axis=1)
        sure = np.where(np.isfinite(ours).all(axis=2), sure, 0)
        return np.where(sure[..., None] > 0, ours, np.nan), sure


def _two_sided(limbs, trunk):
    """A table: trunk's entries, and those of limbs for both sides ("{side}_hip", "{S}Hip")."""
    table = dict(trunk)
    for side in ("left", "right"):
        for part, name in limbs.items():
            table[f"{side} {part}"] = name.format(side=side, S=side[0].upper())
    return table


_LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
_PARTS = ("hip", "knee", "foot", "shoulder", "elbow", "wrist")

HUMAN36M = LandmarkSet("Human3.6M 17", LANDMARKS, {name: name for name in LANDMARKS})

# Hip and neck are midway between hips and shoulders, as OpenPose defines its MidHip and Neck.
COCO = LandmarkSet(
    "COCO 17",
    ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    + tuple(
        f"{side}_{part}"
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
    _two_sided(
        {part: "{side}_" + limb for part, limb in zip(_PARTS, _LIMBS, strict=True)},
        {
            "hip": ("left_hip", "right_hip"),
            "neck": ("left_shoulder", "right_shoulder"),
            "nose": "nose",
        },
    ),
)

# The neck is the thorax, which lies between the shoulders; the upper neck has no counterpart.
MPII = LandmarkSet(
    "MPII 16",
    (
        "right ankle",
        "right knee",
        "right hip",
        "left hip",
        "left knee",
        "left ankle",
        "pelvis",
        "thorax",
        "upper neck",
        "head top",
        "right wrist",
        "right elbow",
        "right shoulder",
        "left shoulder",
        "left elbow",
        "left wrist",
    ),
    _two_sided(
        {part: "{side} " + limb for part, limb in zip(_PARTS, _LIMBS, strict=True)},
        {"hip": "pelvis", "neck": "thorax", "head top": "head top"},
    ),
)

_OPENPOSE_LIMBS = {
    part: "{S}" + limb.capitalize() for part, limb in zip(_PARTS, _LIMBS, strict=True)
}
BODY_25 = LandmarkSet(
    "OpenPose BODY_25",
    (
        "Nose",
        "Neck",
        "RShoulder",
        "RElbow",
        "RWrist",
        "LShoulder",
        "LElbow",
        "LWrist",
        "MidHip",
        "RHip",
        "RKnee",
        "RAnkle",
        "LHip",
        "LKnee",
        "LAnkle",
        "REye",
        "LEye",
        "REar",
        "LEar",
        "LBigToe",
        "LSmallToe",
        "LHeel",
        "RBigToe",
        "RSmallToe",
        "RHeel",
    ),
    _two_sided(_OPENPOSE_LIMBS, {"hip": "MidHip", "neck": "Neck", "nose": "Nose"}),
)
OPENPOSE_COCO = LandmarkSet(
    "OpenPose COCO 18",
    tuple(name for name in BODY_25.names[:19] if name != "MidHip"),
    _two_sided(_OPENPOSE_LIMBS, {"hip": ("LHip", "RHip"), "neck": "Neck", "nose": "Nose"}),
)


def _sided(*parts):
    return tuple(f"{side} {part}" for part in parts for side in ("left", "right"))


MEDIAPIPE = LandmarkSet(
    "MediaPipe 33",
    (
        "nose",
        "left eye (inner)",
        "left eye",
        "left eye (outer)",
        "right eye (inner)",
        "right eye",
        "right eye (outer)",
    )
    + _sided("ear")
    + ("mouth (left)", "mouth (right)")
    + _sided(
        "shoulder",
        "elbow",
        "wrist",
        "pinky",
        "index",
        "thumb",
        "hip",
        "knee",
        "ankle",
        "heel",
        "foot index",
    ),
    _two_sided(
        {part: "{side} " + limb for part, limb in zip(_PARTS, _LIMBS, strict=True)},
        {
            "hip": ("left hip", "right hip"),
            "neck": ("left shoulder", "right shoulder"),
            "nose": "nose",
        },
    ),
)

LANDMARK_SETS = {
    "human36m": HUMAN36M,
    "coco": COCO,
    "mpii": MPII,
    "body25": BODY_25,
    "openpose-coco": OPENPOSE_COCO,
    "mediapipe": MEDIAPIPE,
}


def find_set(names):
    """The LandmarkSet with these names in this order, whatever their case and punctuation, or
    None."""

    def plain(words):
        return [re.sub("[^a-z0-9]", "", str(word).lower()) for word in words]

    names = plain(names)
    return next((s for s in LANDMARK_SETS.values() if plain(s.names) == names), None)
