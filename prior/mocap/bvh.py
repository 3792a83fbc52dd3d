"""BVH (Biovision hierarchy): a tree of joints with offsets and channels, then rows of numbers.

Each joint turns by its rotation channels, degrees, in the order in which they are listed, the first
outermost (R = R1 R2 R3). Position channels stand in place of the joint's OFFSET, as exporters write
them. As in ours, the world is right-handed, y up, and the figure at rest faces +z. Names and units
are the exporter's: a table per known skeleton, or a joint map, says where the landmarks are.
"""

import json
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from prior.files import FilePath
from prior.mocap import kinematics
from prior.mocap.clip import Clip, MocapError, check_frames
from prior.mocap.skeletons import BVH_TABLES, UNITS_MM, Known
from prior.skeleton import LANDMARKS, limb_scale

# The limb scale, mm, by which the unit of a file is guessed if no table knows it: of the units, the
# one in which the person has a limb scale in this range, which is a height of 1.0 to 2.4 m. With a
# wider range inches could be mistaken for centimetres.
GUESS_RANGE_MM = (600.0, 1400.0)
# What a joint may list, in any order.
CHANNELS = ("Xposition", "Yposition", "Zposition", "Xrotation", "Yrotation", "Zrotation")


class Hierarchy(NamedTuple):
    """The tree of B joints; an End Site is a joint without channels, named "PARENT end".

    parents: indices, -1 for the root; offsets: in the file's unit; channels: of each joint, names.
    """

    names: list[str]
    parents: list[int]
    offsets: Float[np.ndarray, "B 3"]
    channels: list[tuple[str, ...]]


def recognises(path: FilePath) -> bool:
    """Whether the file's name ends in .bvh."""
    return Path(path).suffix.lower() == ".bvh"


def read_hierarchy(path: FilePath, text: str) -> Hierarchy:
    """The Hierarchy in the part of a file before MOTION. Raises MocapError."""
    words = text.split()
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    stack: list[int] = []  # the joints that are open, the innermost last
    new, at = "", 1
    try:
        if words[0] != "HIERARCHY":
            raise ValueError(f"expected HIERARCHY, got {words[0]!r}")
        while at < len(words):
            word = words[at]
            at += 1
            if word in ("ROOT", "JOINT", "End"):
                # Names may have spaces ("Bip01 L Thigh").
                brace = words.index("{", at)
                new = " ".join(words[at:brace])
                at = brace
                if word == "ROOT" and names:
                    raise ValueError(f"expected one ROOT, got another: {new}")
                if word == "End":
                    new = f"{names[stack[-1]]} end"
            elif word == "{":
                parents.append(stack[-1] if stack else -1)
                stack.append(len(names))
                names.append(new)
                offsets.append([])
                channels.append(())
            elif word == "}":
                stack.pop()
            elif word == "OFFSET":
                offsets[stack[-1]] = [float(x) for x in words[at : at + 3]]
                at += 3
            elif word == "CHANNELS":
                count = int(words[at])
                channels[stack[-1]] = tuple(words[at + 1 : at + 1 + count])
                at += 1 + count
            else:
                raise ValueError(f"unexpected {word!r} after {' '.join(words[at - 4 : at - 1])!r}")
        if stack:
            raise ValueError(f"{names[stack[-1]]} is not closed")
        for name, offset, listed in zip(names, offsets, channels, strict=True):
            turns = [channel[0] for channel in listed if channel.endswith("rotation")]
            repeated = any(a == b for a, b in zip(turns, turns[1:], strict=False))
            if not set(listed) <= set(CHANNELS) or repeated or len(turns) > 3:
                raise ValueError(f"joint {name}: unexpected channels {' '.join(listed)}")
            if len(offset) != 3:
                raise ValueError(f"joint {name} has no OFFSET of three numbers")
        return Hierarchy(names, parents, np.array(offsets), channels)
    except (IndexError, ValueError) as error:
        raise MocapError(
            f"{path}: expected a BVH hierarchy, got a damaged one: {error}; export the file again"
        ) from None


def read_motion(path: FilePath) -> tuple[Hierarchy, Float[np.ndarray, "F C"], float]:
    """The hierarchy, the rows of numbers and the rate of a file. Raises MocapError.

    The columns of the rows are the channels of all joints in the hierarchy's order.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise MocapError(f"{path}: cannot be read: {error}") from None
    head = re.search(r"\bMOTION\s+Frames:\s*(\d+)\s+Frame\s+Time:\s*(\S+)", text)
    if head is None:
        raise MocapError(
            f"{path}: expected a BVH file with MOTION, Frames: and Frame Time:, got none; "
            "export the file again"
        )
    hierarchy = read_hierarchy(path, text[: head.start()])
    frames, step = int(head[1]), head[2]
    width = sum(len(listed) for listed in hierarchy.channels)
    words = text[head.end() :].split()
    if len(words) != frames * width or not width:
        raise MocapError(
            f"{path}: expected {frames} frames of {width} numbers, got {len(words)} numbers, that "
            f"is {len(words) / max(width, 1):.6g} frames; the file is cut off or was edited"
        )
    try:
        rate = 1 / float(step)
        rows = np.array(words, dtype=float).reshape(frames, width)
    except (ValueError, ZeroDivisionError) as error:
        raise MocapError(
            f"{path}: expected a positive Frame Time and numbers, got {error}; copy the file again"
        ) from None
    check_frames(path, np.isfinite(rows).all(axis=1), "finite numbers", rows.sum(axis=1))
    return hierarchy, rows, rate


def forward(
    hierarchy: Hierarchy, rows: Float[np.ndarray, "F C"]
) -> tuple[Float[np.ndarray, "F B 3 3"], Float[np.ndarray, "F B 3"]]:
    """World rotations and positions, in the file's unit, of the joints; rows: the channels."""
    count = len(rows)
    local = np.tile(np.eye(3), (count, len(hierarchy.names), 1, 1))
    offsets = np.tile(hierarchy.offsets, (count, 1, 1))
    column = 0
    for j, channels in enumerate(hierarchy.channels):
        turns = []
        for channel in channels:
            if channel.endswith("position"):
                offsets[:, j, "XYZ".index(channel[0])] = rows[:, column]
            else:
                turns.append(column)
            column += 1
        if turns:
            axes = "".join(channel[0] for channel in channels if channel.endswith("rotation"))
            local[:, j] = Rotation.from_euler(axes, rows[:, turns], degrees=True).as_matrix()
    return kinematics.forward(hierarchy.parents, offsets, local, offsets[:, 0])


def read_joint_map(path: FilePath) -> Known:
    """The skeleton in a joint map, a JSON file that a user wrote. Raises MocapError.

    {"hip": ["LThigh", "RThigh"], "nose": {"joint": "Head", "offset": [0, 40, 100]}, "neck": "Neck",
    ..., "unit": "cm"}: for each of the 17 landmarks a joint, the joints that it is in the middle
    of, or a joint and an offset in its frame, mm. An End Site is "PARENT end". The unit of the
    .bvh files is a key of UNITS_MM; without it, it is guessed.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MocapError(f"{path}: expected a joint map as JSON, got {error}") from None
    if not isinstance(document, dict):
        raise MocapError(f"{path}: expected a joint map, landmark to joint, got {document!r:.40}")
    unit = document.pop("unit", None)
    if unit is not None and unit not in UNITS_MM:
        raise MocapError(f"{path}: unit: expected one of {', '.join(UNITS_MM)}, got {unit!r:.40}")
    missing = [landmark for landmark in LANDMARKS if landmark not in document]
    unknown = [key for key in document if key not in LANDMARKS]
    if missing or unknown:
        raise MocapError(
            f"{path}: expected the 17 landmarks {', '.join(LANDMARKS)}; "
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
        )
    table = {}
    for landmark, value in document.items():
        try:
            table[landmark] = _place(value)
        except (KeyError, TypeError, ValueError):
            raise MocapError(
                f"{path}: {landmark}: expected a joint, a list of joints, or "
                '{"joint": ..., "offset": [x, y, z]} in mm; write it so'
            ) from None
    return Known(f"the joint map {path}", table, unit)


def _place(value: Any) -> kinematics.Place:
    """A value of a joint map as a Place. Raises KeyError, TypeError, ValueError."""
    if isinstance(value, dict):
        if set(value) != {"joint", "offset"} or not isinstance(value["joint"], str):
            raise ValueError
        offset = np.array(value["offset"], dtype=float)
        if offset.shape != (3,) or not np.isfinite(offset).all():
            raise ValueError
        return value["joint"], tuple(offset.tolist())
    joints = [value] if isinstance(value, str) else value
    if not isinstance(joints, list) or not joints:
        raise ValueError
    if not all(isinstance(joint, str) for joint in joints):
        raise ValueError
    return value


def find_table(
    path: FilePath, names: Sequence[str], joint_map: Known | None = None
) -> tuple[Known, list[str]]:
    """The skeleton for a file's joints, and the joints' names as it has them.

    Without a joint_map a prefix that all names share, such as "mixamorig:", is left out. Raises
    MocapError, which names the missing joints.
    """
    prefix = 0
    if joint_map is None and len(names) > 1:
        prefix = len(os.path.commonprefix(list(names)))
    names = [name[prefix:] for name in names]
    tables = [joint_map] if joint_map else BVH_TABLES
    best = min(tables, key=lambda each: len(_missing(each, names)))
    missing = _missing(best, names)
    if missing:
        raise MocapError(
            f"{path}: expected the joints of {best.name}, missing: {', '.join(missing)}; "
            f"the file has {', '.join(names)}; give their names in a joint map (--joint-map)"
        )
    return best, names


def _missing(skeleton: Known, names: Sequence[str]) -> list[str]:
    """The joints of the skeleton that are not among the names."""
    places = map(kinematics.joints_and_offset, skeleton.table.values())
    wanted = dict.fromkeys(joint for joints, _ in places for joint in joints)
    return [joint for joint in wanted if joint not in names]


def find_unit(path: FilePath, poses: Float[np.ndarray, "F 17 3"]) -> str:
    """The unit, a key of UNITS_MM, in which the poses are of a person's size.

    Raises MocapError when it is none, or not one alone.
    """
    scale = float(np.median(limb_scale(poses)))
    low, high = GUESS_RANGE_MM
    units = [unit for unit, factor in UNITS_MM.items() if low <= factor * scale <= high]
    if len(units) != 1:
        raise MocapError(
            f"{path}: expected a limb scale of {low:.0f} to {high:.0f} mm in one unit of "
            f"{', '.join(UNITS_MM)}, got {scale:.4g}, which fits {' and '.join(units) or 'none'}; "
            'give "unit" in a joint map (--joint-map)'
        )
    return units[0]


def _with_lengths(
    path: Path, hierarchy: Hierarchy, names: Sequence[str], skeleton: Known
) -> Hierarchy:
    """The hierarchy with the lengths that the skeleton's files have lost; says so."""
    offsets, lost = hierarchy.offsets.copy(), []
    for length in skeleton.lengths:
        if {length.joint, length.mended, length.like} <= set(names):
            joint, mended, like = (names.index(name) for name in length[:3])
            if not hierarchy.offsets[joint].any():
                offsets[mended] = length.factor * hierarchy.offsets[like]
                lost.append(length.joint)
    if lost:
        logging.getLogger(__name__).info(
            "%s: %s lie at their parents; these bones' lengths are taken from others",
            path,
            ", ".join(lost),
        )
    return hierarchy._replace(offsets=offsets)


def read(path: FilePath, joint_map: Known | None = None) -> list[Clip]:
    """The file's clip, in a list; the subject is the folder's name, the action the file's.

    joint_map: for skeletons that no table knows. Raises MocapError when the file is damaged, a
    joint is missing, or the unit cannot be guessed.
    """
    path = Path(path)
    hierarchy, rows, rate = read_motion(path)
    skeleton, names = find_table(path, hierarchy.names, joint_map)
    hierarchy = _with_lengths(path, hierarchy, names, skeleton)
    rotations, positions = forward(hierarchy, rows)
    unturned = (rotations[:2, 0] == np.eye(3)).all(axis=(1, 2))
    if unturned.tolist() == [True, False]:
        # CMU's clips as BVH begin with a T-pose that nobody took: its root is not turned at all.
        rotations, positions = rotations[1:], positions[1:]
    unit = skeleton.unit
    if unit is None:
        # Without the offsets, which are in mm.
        joints = {
            landmark: kinematics.joints_and_offset(place)[0]
            for landmark, place in skeleton.table.items()
        }
        unit = find_unit(path, kinematics.place(joints, names, rotations, positions))
    poses = kinematics.place(skeleton.table, names, rotations, UNITS_MM[unit] * positions)
    return [Clip(poses, rate, path.resolve().parent.name, path.stem)]
