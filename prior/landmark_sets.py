"""Sets of landmarks other than ours, as datasets and detectors have them, and how they map to ours.

To add one, write its LandmarkSet and name it in LANDMARK_SETS. Sets by names: landmark_names.py.
"""

from collections.abc import Iterator, Mapping
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
        # One of theirs is the middle of itself and itself.
        places = [(i, at[0], at[-1]) for i, at in self._places()]
        i, one, other = np.array(places, dtype=int).reshape(-1, 3).T
        half = one != other
        for k in (0, 1):  # NumPy is slow along axes of two
            coordinate = points[..., k]
            ours[:, i, k] = coordinate[:, one]
            if half.any():
                middle = (coordinate[:, one[half]] + coordinate[:, other[half]]) / 2
                ours[:, i[half], k] = middle
        sure[:, i] = np.minimum(confidence[:, one], confidence[:, other])
        # With NaN or infinity in it a sum is not finite.
        missing = ~(np.isfinite(ours[..., 0] + ours[..., 1]) & (sure > 0))
        if missing.any():
            ours[missing], sure[missing] = np.nan, 0
        return ours, sure

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
    ("right ankle", "right knee", "right hip", "left hip", "left knee", "left ankle")
    + ("pelvis", "thorax", "upper neck", "head top")
    + ("right wrist", "right elbow", "right shoulder")
    + ("left shoulder", "left elbow", "left wrist"),
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
    ("Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip")
    + ("RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar")
    + ("LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel"),
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


# developers.google.com/mediapipe, Pose Landmarker.
MEDIAPIPE = LandmarkSet(
    "MediaPipe 33",
    ("nose", "left eye (inner)", "left eye", "left eye (outer)")
    + ("right eye (inner)", "right eye", "right eye (outer)")
    + (*_sided("ear"), "mouth (left)", "mouth (right)")
    + _sided("shoulder", "elbow", "wrist", "pinky", "index", "thumb")
    + _sided("hip", "knee", "ankle", "heel", "foot index"),
    {
        ours: theirs.replace("_", " ")
        if isinstance(theirs, str)
        else (theirs[0].replace("_", " "), theirs[1].replace("_", " "))
        for ours, theirs in COCO.table.items()
    },
)

# COCO-WholeBody and Halpe add points of the feet, 68 of the face and 21 of each hand, which have no
# counterpart here.
_SIDES = ("left", "right")
_FACE = tuple(f"face-{i}" for i in range(68))
_HAND = ("root", *(f"{f}{i}" for f in "thumb index middle ring pinky".split() for i in range(1, 5)))
_HANDS = tuple(f"{side}_hand_{part}" for side in _SIDES for part in _HAND)
_TOES = tuple(f"{side}_{part}" for side in _SIDES for part in ("big_toe", "small_toe", "heel"))

# github.com/jin-s13/COCO-WholeBody
WHOLEBODY = LandmarkSet("COCO-WholeBody 133", COCO.names + _TOES + _FACE + _HANDS, COCO.table)

# github.com/Fang-Haoshu/Halpe-FullBody: its hip lies between the hips, its neck between the
# shoulders, and its head is the top.
HALPE_26 = LandmarkSet(
    "Halpe 26",
    COCO.names
    + ("head", "neck", "hip")
    + tuple(f"{side}_{part}" for part in ("big_toe", "small_toe", "heel") for side in _SIDES),
    COCO.table | {"hip": "hip", "neck": "neck", "head top": "head"},
)
HALPE_136 = LandmarkSet("Halpe 136", HALPE_26.names + _FACE + _HANDS, HALPE_26.table)

# Sets whose neck is above the shoulders: ours is midway between them, as COCO's is.
_WITH_HEAD_TOP = {k: v for k, v in COCO.table.items() if k != "nose"} | {"head top": "head_top"}
AI_CHALLENGER = LandmarkSet(  # github.com/AIChallenger/AI_Challenger_2017
    "AI Challenger 14",
    tuple(
        f"{side}_{part}"
        for parts in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
        for side in ("right", "left")
        for part in parts
    )
    + ("head_top", "neck"),
    _WITH_HEAD_TOP,
)
CROWDPOSE = LandmarkSet(  # github.com/Jeff-sjtu/CrowdPose
    "CrowdPose 14", COCO.names[5:] + ("top_head", "neck"), _WITH_HEAD_TOP | {"head top": "top_head"}
)
LEEDS = LandmarkSet(  # sam.johnson.io/research/lsp.html
    "Leeds 14",
    tuple(MPII.names[:6]) + tuple(MPII.names[10:]) + ("neck", "head top"),
    MPII.table | {"hip": ("left hip", "right hip"), "neck": ("left shoulder", "right shoulder")},
)
# jhmdb.is.tue.mpg.de; its head is the middle of the face, its belly no joint of ours.
JHMDB = LandmarkSet(
    "JHMDB 15",
    ("neck", "belly", "head")
    + tuple(
        f"{side}_{part}"
        for part in ("shoulder", "hip", "elbow", "knee", "wrist", "ankle")
        for side in ("right", "left")
    ),
    {k: v for k, v in COCO.table.items() if k != "nose"},
)
# posetrack.net: of 2017, MPII's order with a nose; and of 2018, COCO's with the head in place of
# the eyes.
POSETRACK_15 = LandmarkSet(
    "PoseTrack 15",
    tuple(name.replace(" ", "_") for name in LEEDS.names[:12])
    + ("head_bottom", "nose", "head_top"),
    COCO.table | {"head top": "head_top"},
)
POSETRACK_17 = LandmarkSet(
    "PoseTrack 17",
    ("nose", "head_bottom", "head_top") + COCO.names[3:],
    COCO.table | {"head top": "head_top"},
)

LANDMARK_SETS = {
    "human36m": HUMAN36M,
    "coco": COCO,
    "wholebody": WHOLEBODY,
    "halpe26": HALPE_26,
    "halpe136": HALPE_136,
    "mpii": MPII,
    "leeds": LEEDS,
    "body25": BODY_25,
    "openpose-coco": OPENPOSE_COCO,
    "openpose-mpi": OPENPOSE_MPI,
    "cpm": CPM,
    "mediapipe": MEDIAPIPE,
    "aic": AI_CHALLENGER,
    "crowdpose": CROWDPOSE,
    "jhmdb": JHMDB,
    "posetrack15": POSETRACK_15,
    "posetrack17": POSETRACK_17,
}
