"""Acclaim: a skeleton (.asf) and its motions (.amc), as CMU's database has them.

In rest pose a bone points along `direction` (world axes) from where its parent ends. It turns about
its own axes, whose rotation C is `axis`, three angles. With B the rotation of the motion, a bone's
rotation relative to its parent is C B C^-1. Both C and B are rotations about x, y and z in the
order listed, the first innermost (R = Rz Ry Rx). As in ours, the world is y up and the figure at
rest faces +z. Lengths are inches times the `length` of `:units` (CMU: 0.45).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from prior import foreign, limits
from prior.errors import short
from prior.files import FilePath
from prior.mocap import kinematics, placing
from prior.mocap.clip import Clip, MocapError, check_frames
from prior.mocap.joint_map import JointMap
from prior.mocap.kinematics import joints_of
from prior.mocap.skeletons import ACCLAIM, INCH_MM

# An .amc does not say its rate. This is that of CMU's database, except for a few clips of 60 Hz.
# Characters of a name or a number in an .amc; a table of longer ones would fill the memory.
LONGEST_WORD = 200
RATE = 120.0


class Skeleton(NamedTuple):
    """The B joints of an .asf: the root, the start of each bone, and "BONE end" of the last ones.

    parents: indices, -1 for the root; dof: what turns, such as ("rx", "rz"), of each joint;
    offsets_mm: from the parent; axes: the rotations C; degrees: whether angles are in degrees, else
    in radians; unit_mm: of lengths in the .amc.
    """

    names: list[str]
    parents: list[int]
    dof: list[tuple[str, ...]]
    offsets_mm: Float[np.ndarray, "B 3"]
    axes: Float[np.ndarray, "B 3 3"]
    degrees: bool
    unit_mm: float


# The channels of a motion: joint -> (F, a column for each of its dof).
Channels = Mapping[str, Float[np.ndarray, "F _"]]


def recognises(path: FilePath) -> bool:
    """Whether the file's name ends in .amc (its .asf is no motion)."""
    return Path(path).suffix.lower() == ".amc"


def find_skeleton(path: FilePath) -> Path:
    """The .asf of an .amc, in its folder. Raises MocapError when there is none.

    It has the longest of the names with which the motion's begins, or is the only one.
    """
    path = Path(path)
    skeletons = sorted(file for file in path.parent.iterdir() if file.suffix.lower() == ".asf")
    named = [file for file in skeletons if _begins(path.stem, file.stem)]
    if named:
        return max(named, key=lambda file: len(file.stem))
    if len(skeletons) != 1:
        raise MocapError(
            f"{path}: expected its skeleton {path.stem.rpartition('_')[0] or path.stem}.asf, or "
            f"one .asf, in the same folder, got {len(skeletons)} others; put it there"
        )
    return skeletons[0]


def _begins(motion: str, skeleton: str) -> bool:
    """Whether a motion's name is the skeleton's, or goes on from it with something new: 13_01 from
    13 and walk-2 from walk, but not 131_01 from 13."""
    rest = motion[len(skeleton) :]
    return motion.startswith(skeleton) and not (rest[:1].isalnum() and skeleton[-1:].isalnum())


def read_skeleton(path: FilePath) -> Skeleton:
    """The Skeleton in an .asf. Raises MocapError when it is damaged."""
    sections: dict[str, list[list[str]]] = {}
    lines: list[list[str]] = []
    for line in foreign.read_text(path, MocapError, damaged=True).splitlines():
        line = line.split("#")[0].strip()
        if line.startswith(":"):
            key, *value = line[1:].split()
            lines = sections.setdefault(key.lower(), [])
            line = " ".join(value)
        if line:
            lines.append(line.split())
    try:
        units = {words[0]: words[1] for words in sections["units"]}
        unit_mm = INCH_MM / float(units["length"])
        degrees = units["angle"].lower().startswith("deg")
        root = {key.lower(): value for key, *value in sections["root"]}
        if any(float(angle) for angle in root["orientation"]):
            raise ValueError("a root with another orientation than 0 0 0")
        bones: dict[str, dict[str, Sequence[str]]] = {}
        bone: dict[str, Sequence[str]] | None = None
        for key, *value in sections["bonedata"]:
            if key == "begin":
                bone = {"dof": ()}
            elif bone is None:
                raise ValueError(f"{key} outside of a bone")
            elif key == "end":
                bones[bone["name"][0]] = bone
            else:
                bone[key.lower()] = value
        parent_of = {
            child: parent for parent, *children in sections["hierarchy"] for child in children
        }
        return _skeleton(root, bones, parent_of, unit_mm, degrees)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise MocapError(
            f"{path}: expected an Acclaim skeleton with :units, :root, :bonedata and :hierarchy, "
            f"got a damaged one: {error}; copy the file again"
        ) from None


def _skeleton(
    root: Mapping[str, Sequence[str]],
    bones: Mapping[str, Mapping[str, Sequence[str]]],
    parent_of: Mapping[str, str],
    unit_mm: float,
    degrees: bool,
) -> Skeleton:
    """The Skeleton of the sections of an .asf: key -> words, for the root and for each bone."""
    names, parents, dof = ["root"], [-1], [tuple(part.lower() for part in root["order"])]
    offsets, ends = [np.zeros(3)], {"root": np.zeros(3)}
    orders, angles = [""], [np.zeros((1, 0))]
    if sorted(dof[0]) != ["rx", "ry", "rz", "tx", "ty", "tz"]:
        raise ValueError(f"root order {' '.join(root['order'])}")
    for name, bone in bones.items():
        direction = np.array(bone["direction"], dtype=float)
        length = float(bone["length"][0])
        ends[name] = unit_mm * length * direction / np.linalg.norm(direction)
    waiting = list(bones)
    while waiting:
        # Parents first: the file may list the bones in any order.
        ready = [name for name in waiting if parent_of[name] in names]
        if not ready:
            raise ValueError(f"bones that hang on no other: {', '.join(waiting)}")
        for name in ready:
            *axis, order = bones[name]["axis"]
            bone_dof = tuple(part.lower() for part in bones[name]["dof"])
            if not set(bone_dof) <= {"rx", "ry", "rz"}:
                raise ValueError(f"bone {name}: dof {' '.join(bone_dof)}")
            names.append(name)
            parents.append(names.index(parent_of[name]))
            dof.append(bone_dof)
            offsets.append(ends[parent_of[name]])
            orders.append(order.lower())
            angles.append(np.array([axis], dtype=float))
        waiting = [name for name in waiting if name not in ready]
    for name in [name for name in bones if name not in parent_of.values()]:
        names.append(f"{name} end")
        parents.append(names.index(name))
        dof.append(())
        offsets.append(ends[name])
        orders.append("")
        angles.append(np.zeros((1, 0)))
    axes = kinematics.turns(orders, angles, degrees)[0]
    return Skeleton(names, parents, dof, np.array(offsets), axes, degrees, unit_mm)


def read_motion(path: FilePath, skeleton: Skeleton) -> Channels:
    """The Channels of an .amc, angles in the file's unit. Raises MocapError."""
    parts = foreign.read_text(path, MocapError, damaged=True).split("\n1", 1)
    if len(parts) != 2:
        raise MocapError(f"{path}: expected frames, numbered from 1, got none; copy the file again")
    if (":RADIANS" in parts[0].upper()) == skeleton.degrees:
        raise MocapError(
            f"{path}: expected the angles in the unit of the .asf, got degrees in one and radians "
            "in the other; is this the motion's skeleton?"
        )
    words = ("1" + parts[1]).split()
    if len(longest := max(words, key=len)) > LONGEST_WORD:
        raise MocapError(f"{path}: expected names and numbers, got {short(longest)}; copy it again")
    # The first frame shows the layout; all others have to be alike.
    names: dict[str, range] = {}
    at = 1
    while at < len(words) and words[at] != "2":
        name = words[at]
        if name not in skeleton.names or name in names:
            raise MocapError(
                f"{path}: frame 1: expected a bone of the .asf, each once, got {name!r}; "
                "is this the motion's skeleton?"
            )
        count = len(skeleton.dof[skeleton.names.index(name)])
        names[name] = range(at + 1, at + 1 + count)
        at += 1 + count
    wanted = [name for name, dof in zip(skeleton.names, skeleton.dof, strict=True) if dof]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise MocapError(
            f"{path}: frame 1: expected all bones that move, missing: {', '.join(missing)}; "
            "is this the motion's skeleton?"
        )
    frames = len(words) // at
    limits.check(path, "frames", frames, MocapError)
    table = np.array(words[: frames * at]).reshape(frames, at)
    labels = [0] + [columns.start - 1 for columns in names.values()]
    expected = np.tile(table[0, labels], (frames, 1))
    expected[:, 0] = np.arange(1, frames + 1)
    alike = (table[:, labels] == expected).all(axis=1)
    if len(words) != frames * at or not alike.all():
        bad = frames if alike.all() else int(np.argmin(alike))
        raise MocapError(
            f"{path}: frame {bad + 1}: expected {at} words like frame 1, got others; "
            "the file is cut off or was edited"
        )
    try:
        channels = {name: table[:, columns].astype(float) for name, columns in names.items()}
    except ValueError as error:
        raise MocapError(f"{path}: expected numbers, got {error}; copy the file again") from None
    finite = [np.isfinite(values).all(axis=1) for values in channels.values()]
    check_frames(path, np.all(finite, axis=0), "finite numbers", np.full(frames, np.nan), 1)
    return channels


def forward(
    skeleton: Skeleton, channels: Channels
) -> tuple[Float[np.ndarray, "F B 3 3"], Float[np.ndarray, "F B 3"]]:
    """World rotations and positions, mm, of the joints."""
    orders, angles = [], []
    still = np.zeros((len(channels["root"]), 0))
    for name, dof in zip(skeleton.names, skeleton.dof, strict=True):
        turns = [i for i, part in enumerate(dof) if part[0] == "r"]
        orders.append("".join(dof[i][1] for i in turns))
        angles.append(channels[name][:, turns] if turns else still)
    motion = kinematics.turns(orders, angles, skeleton.degrees)
    local = skeleton.axes @ motion @ skeleton.axes.swapaxes(1, 2)
    shifts = [skeleton.dof[0].index(part) for part in ("tx", "ty", "tz")]
    root_mm = skeleton.unit_mm * channels["root"][:, shifts]
    return kinematics.forward(skeleton.parents, skeleton.offsets_mm, local, root_mm)


def read(path: FilePath, said: JointMap | None = None, up: str | None = None) -> list[Clip]:
    """The .amc's clip, in a list; the subject is the .asf's name, the action the .amc's.

    said: what a joint map says of rate and up; its landmarks are not for these files. up: the axis
    that points up; without it, it is told from how the person stands. Raises MocapError when a file
    is damaged, there is no skeleton like CMU's, or the axis cannot be told.
    """
    path = Path(path)
    said = said or JointMap(path)
    asf = find_skeleton(path)
    skeleton = read_skeleton(asf)
    channels = read_motion(path, skeleton)
    missing = [joint for joint in joints_of(ACCLAIM) if joint not in skeleton.names]
    if missing:
        raise MocapError(
            f"{asf}: expected the bones of CMU's skeletons, missing: "
            f"{', '.join(missing)}; convert the clip to BVH"
        )
    still = np.tile(np.eye(3), (1, len(skeleton.names), 1, 1))
    rest_mm = kinematics.forward(skeleton.parents, skeleton.offsets_mm, still, np.zeros((1, 3)))[1]
    joints = placing.Joints(skeleton.names, *forward(skeleton, channels))
    poses = placing.landmarks(path, ACCLAIM, joints, rest_mm[0], up or said.up)
    rate = said.rate or RATE
    return [Clip(poses, rate, asf.stem, path.stem, placed_on="CMU's Acclaim skeleton")]
