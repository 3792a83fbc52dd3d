"""Where the 17 landmarks are on known skeletons: a table of kinematics.Place for each.

The landmarks lie where the limbs turn, as Human3.6M's do. The hip is midway between the hip joints
(a skeleton's root lies elsewhere: CMU's is 100 mm above them), the neck is the point between the
shoulders, and the spine is about halfway from hip to neck.

No skeleton here has a nose, and few have a top of the head. These are offsets that move with the
head. Our choice, from the proportions of an adult's head: its top is 150 mm above the tip of the
nose and 115 mm above the eyes, and the nose is 100 mm in front of the neck's axis.
"""

from collections.abc import Mapping
from typing import NamedTuple

from prior.mocap.kinematics import OnPerson, Place

# The units that lengths in a file may have, in mm. CMU's are inches times 0.45: its FAQ
# (mocap.cs.cmu.edu/faqs.php) turns lengths into metres by (1 / 0.45) * 2.54 / 100.
INCH_MM = 25.4
UNITS_MM = {
    "mm": 1.0,
    "cm": 10.0,
    "m": 1000.0,
    "inch": INCH_MM,
    "foot": 12 * INCH_MM,
    "cmu": INCH_MM / 0.45,
}


class Length(NamedTuple):
    """A bone whose length a file has lost: if `joint` lies at its parent, the offset of `mended` is
    taken from that of `like`, times `factor`."""

    joint: str
    mended: str
    like: str
    factor: float


class Known(NamedTuple):
    """A skeleton that files have: its name, where the landmarks are on it, the unit of its files
    (guessed where it is None), the lengths that they may have lost, and other joints by which it is
    known from skeletons with the same names."""

    name: str
    table: Mapping[str, Place]
    unit: str | None = None
    lengths: tuple[Length, ...] = ()
    marks: tuple[str, ...] = ()


def _of_side(joint: str, side: str) -> str:
    return joint.format(Side=side.capitalize(), S=side[0].upper(), s=side[0])


# The landmarks with a left and a right one.
LIMBS = ("hip", "knee", "foot", "shoulder", "elbow", "wrist")


def _two_sided(limbs: str, trunk: Mapping[str, Place]) -> dict[str, Place]:
    """A table: the entries of `trunk`, the joints at LIMBS of both sides, and the hip between.

    limbs: the joints' names, a space between them. In a name "{Side}" becomes Left or Right, "{S}"
    L or R, and "{s}" l or r.
    """
    table = dict(trunk)
    for side in ("left", "right"):
        for part, joint in zip(LIMBS, limbs.split(), strict=True):
            table[f"{side} {part}"] = _of_side(joint, side)
    table["hip"] = [_of_side(limbs.split()[0], side) for side in ("left", "right")]
    return table


# The skeletons of CMU's database. A bone stands for the joint where it starts: the left knee is
# where ltibia starts. The wrist is where the hand bends, at the end of the bone "lwrist", which
# turns the forearm about its length. The neck is the end of lowerneck, level with the shoulders.
ACCLAIM = _two_sided(
    "{s}femur {s}tibia {s}foot {s}humerus {s}radius {s}hand",
    {
        "spine": "upperback",
        "neck": "upperneck",
        "nose": OnPerson("head", (0, 0, 100)),
        "head top": "head end",
    },
)

# The names that Mixamo, MotionBuilder, Perception Neuron, LAFAN1 and others use, without a prefix
# such as "mixamorig:". "Head" is the base of the skull.
_HUMANOID = _two_sided(
    "{Side}UpLeg {Side}Leg {Side}Foot {Side}Arm {Side}ForeArm {Side}Hand",
    {
        "spine": "Spine1",
        "neck": "Neck",
        "nose": OnPerson("Head", (0, 40, 100)),
        "head top": "Head end",
    },
)

# CMU's bones under MotionBuilder's names. The neck has two joints, as in ACCLAIM.
_CMU_HUMANOID = _HUMANOID | {
    "spine": "Spine",
    "neck": "Neck1",
    "nose": OnPerson("Head", (0, 0, 100)),
}

# The joints LeftHip, LeftKnee and so on of another conversion of CMU's database. A joint stands for
# the start of the bone of ACCLAIM: "Neck" is that of upperneck, "Chest" that of upperback.
_CMU_HIPS = _two_sided(
    "{Side}Hip {Side}Knee {Side}Ankle {Side}Shoulder {Side}Elbow {Side}Wrist",
    {
        "spine": "Chest",
        "neck": "Neck",
        "nose": OnPerson("Head", (0, 0, 100)),
        "head top": "Head end",
    },
)
# Two of its bones have lost their length: the joints at their ends lie at their starts, and trunk
# and forearms are some 115 and 95 mm too short. In CMU's skeletons "thorax" is as long as
# "upperback", to 1 %, and "wrist", which goes on from "radius" without a bend, half as long as it
# (01.asf and 02.asf).
_CMU_HIPS_LENGTHS = (
    Length("lowerneck", "lowerneck", "Chest2", 1.0),
    Length("LeftCollar", "LeftCollar", "Chest2", 1.0),
    Length("RightCollar", "RightCollar", "Chest2", 1.0),
    Length("lhand", "LeftWrist", "LeftWrist", 1.5),
    Length("rhand", "RightWrist", "RightWrist", 1.5),
)

# The names of DAZ, in the conversion of CMU's database for its figures. The offsets follow from its
# eyes, which are 80 mm above the joint of the head and in front of it.
_DAZ = _two_sided(
    "{s}Thigh {s}Shin {s}Foot {s}Shldr {s}ForeArm {s}Hand",
    {
        "spine": "chest",
        "neck": "neck",
        "nose": OnPerson("head", (2, 45, 105)),
        "head top": OnPerson("head", (2, 195, 0)),
    },
)

# Xsens' MVN, as BVH: the chest is in four parts, of which the second starts at the lowest rib.
_XSENS = _CMU_HIPS | {"spine": "Chest2", "nose": OnPerson("Head", (0, 40, 100))}
# The segments of MVN's own files (.mvnx), where BVH files have joints of these names.
_MVNX = _two_sided(
    "{Side}UpperLeg {Side}LowerLeg {Side}Foot {Side}UpperArm {Side}ForeArm {Side}Hand",
    {
        "spine": "L3",
        "neck": "Neck",
        "nose": OnPerson("Head", (0, 40, 100)),
        "head top": "Head end",
    },
)
# Biovision's own skeleton, of the first BVH files; its trunk bends at the chest alone.
_BIOVISION = _two_sided(
    "{Side}UpLeg {Side}LowLeg {Side}Foot {Side}UpArm {Side}LowArm {Side}Hand",
    {
        "spine": "Chest",
        "neck": "Neck",
        "nose": OnPerson("Head", (0, 40, 100)),
        "head top": "Head end",
    },
)
# Bandai-Namco's research motion datasets.
_BANDAI_NAMCO = _two_sided(
    "UpperLeg_{S} LowerLeg_{S} Foot_{S} UpperArm_{S} LowerArm_{S} Hand_{S}",
    {
        "spine": "Chest",
        "neck": "Neck",
        "nose": OnPerson("Head", (0, 40, 100)),
        "head top": "Head end",
    },
)
# Blender's Rigify; "spine" is the pelvis, .004 and .005 are the neck, .006 the head.
_RIGIFY = _two_sided(
    "thigh.{S} shin.{S} foot.{S} upper_arm.{S} forearm.{S} hand.{S}",
    {
        "spine": "spine.002",
        "neck": "spine.004",
        "nose": OnPerson("spine.006", (0, 40, 100)),
        "head top": "spine.006 end",
    },
)
# Unreal Engine's mannequin, whose head has no end.
_UNREAL = _two_sided(
    "thigh_{s} calf_{s} foot_{s} upperarm_{s} lowerarm_{s} hand_{s}",
    {
        "spine": "spine_02",
        "neck": "neck_01",
        "nose": OnPerson("head", (0, 40, 100)),
        "head top": OnPerson("head", (0, 190, 0)),
    },
)

# The BVH files that tools.lift writes: their joints are the landmarks.
LANDMARK_SKELETON = _two_sided(
    "{Side}UpLeg {Side}Leg {Side}Foot {Side}Arm {Side}ForeArm {Side}Hand",
    {"spine": "Spine", "neck": "Neck", "nose": "Nose", "head top": "HeadTop"},
) | {"hip": "Hips"}

# In the order in which they are tried.
BVH_TABLES = (
    Known("the landmarks' skeleton", LANDMARK_SKELETON, "cm"),
    Known("the DAZ skeleton", _DAZ, "cm"),
    Known("CMU's MotionBuilder skeleton", _CMU_HUMANOID),
    Known(
        "CMU's skeleton with LeftHip, LeftKnee and so on",
        _CMU_HIPS,
        "cmu",
        _CMU_HIPS_LENGTHS,
        ("LHipJoint", "lowerneck"),
    ),
    Known("the Mixamo skeleton", _HUMANOID | {"head top": "HeadTop_End"}),
    Known("Xsens' skeleton", _XSENS),
    Known("Xsens' segments", _MVNX),
    Known("Biovision's skeleton", _BIOVISION),
    Known("Bandai-Namco's skeleton", _BANDAI_NAMCO),
    Known("Rigify's skeleton", _RIGIFY),
    Known("Unreal's skeleton", _UNREAL),
    Known("a skeleton with Hips, LeftUpLeg and so on", _HUMANOID),
)
