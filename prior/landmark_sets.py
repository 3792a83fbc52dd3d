"""Sets of landmarks other than ours, as datasets and detectors have them, and how they map to ours.

To add one, write its LandmarkSet and name it in LANDMARK_SETS.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float

from prior.skeleton import LANDMARKS, L

# Our landmark: theirs, or the two of theirs that it lies midway between.
LandmarkTable: TypeAlias = dict[str, str | tuple[str, str]]


class LandmarkSet(NamedTuple):
    """A set of S landmarks other than ours.

    name: of the set; names: of its landmarks, in order; table: for each of our landmarks the one
    of theirs that it is, or the two that it lies midway between. A landmark of ours that the table
    lacks is missing in this set.
    """

    name: str
    names: tuple[str, ...]
    table: LandmarkTable

    @property
    def direct(self) -> dict[str, str]:
        """The part of the table that needs no midpoint: {our landmark: theirs}."""
        return {ours: theirs for ours, theirs in self.table.items() if isinstance(theirs, str)}

    def to_ours(
        self, points: Float[np.ndarray, "N S 2"], confidence: Float[np.ndarray, "N S"]
    ) -> tuple[Float[np.ndarray, "N 17 2"], Float[np.ndarray, "N 17"]]:
        """Points and confidences of this set as those of our 17 landmarks.

        Missing landmarks are NaN with confidence 0. A midpoint has the lower of its two
        confidences.
        """
        ours = np.full((len(points), L, 2), np.nan)
        sure = np.zeros((len(points), L))
        for i, at in self._places():
            ours[:, i], sure[:, i] = points[:, at].mean(axis=1), confidence[:, at].min(axis=1)
        sure = np.where(np.isfinite(ours).all(axis=2), sure, 0)
        return np.where(sure[..., None] > 0, ours, np.nan), sure

    def covariance_to_ours(
        self, covariance: Float[np.ndarray, "N S 2 2"]
    ) -> Float[np.ndarray, "N 17 2 2"]:
        """The same of covariances, NaN where missing; those of a midpoint are independent."""
        ours = np.full((len(covariance), L, 2, 2), np.nan)
        for i, at in self._places():
            ours[:, i] = covariance[:, at].mean(axis=1) / len(at)
        return ours

    def _places(self) -> Iterator[tuple[int, list[int]]]:
        """Of each of ours that this set has, the index, and those of the one or two of theirs."""
        for name, theirs in self.table.items():
            pair = [theirs] if isinstance(theirs, str) else theirs
            yield LANDMARKS.index(name), [self.names.index(n) for n in pair]


def _two_sided(limbs: Mapping[str, str], trunk: LandmarkTable) -> LandmarkTable:
    """A table: the entries of `trunk`, and those of `limbs` for both sides.

    In a name of `limbs` "{side}" becomes left or right, and "{S}" L or R.
    """
    table = dict(trunk)
    for side in ("left", "right"):
        for part, name in limbs.items():
            table[f"{side} {part}"] = name.format(side=side, S=side[0].upper())
    return table


# The joints of a limb by our names, and as the other sets name them.
_PARTS = ("hip", "knee", "foot", "shoulder", "elbow", "wrist")
_LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")

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

# CPM's landmarks, of its networks for MPII and Leeds (testing/config.m of its release), and those
# of OpenPose's MPI networks. On MPII the neck is the upper neck, which has no counterpart here; the
# chest lies midway between thorax and pelvis, where the spine of a bent person does not.
_CPM_LIMBS = {
    part: "{S}" + limb
    for part, limb in zip(_PARTS, ("hip", "kne", "ank", "sho", "elb", "wri"), strict=True)
}
CPM = LandmarkSet(
    "CPM 14",
    ("head", "neck")
    + ("Rsho", "Relb", "Rwri", "Lsho", "Lelb", "Lwri")
    + ("Rhip", "Rkne", "Rank", "Lhip", "Lkne", "Lank"),
    _two_sided(_CPM_LIMBS, {"hip": ("Lhip", "Rhip"), "neck": ("Lsho", "Rsho"), "head top": "head"}),
)
OPENPOSE_MPI = LandmarkSet(
    "OpenPose MPI 15",
    ("Head", *(name for name in BODY_25.names[1:15] if name != "MidHip"), "Chest"),
    _two_sided(
        _OPENPOSE_LIMBS,
        {"hip": ("LHip", "RHip"), "neck": ("LShoulder", "RShoulder"), "head top": "Head"},
    ),
)


def _sided(*parts: str) -> tuple[str, ...]:
    """Each part on the left and on the right, in this order."""
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
    "openpose-mpi": OPENPOSE_MPI,
    "cpm": CPM,
    "mediapipe": MEDIAPIPE,
}


def find_set(names: Iterable[object]) -> LandmarkSet | None:
    """The LandmarkSet with these names in this order, or None.

    Case and punctuation do not count.
    """
    plain = _plain(names)
    return next((s for s in LANDMARK_SETS.values() if _plain(s.names) == plain), None)


def _plain(names: Iterable[object]) -> list[str]:
    return [re.sub("[^a-z0-9]", "", str(name).lower()) for name in names]
