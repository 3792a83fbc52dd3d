"""BVH (Biovision hierarchy): a tree of joints with offsets and channels, then rows of numbers.

Each joint turns by its rotation channels in the order in which they are listed, the first outermost
(R = R1 R2 R3), degrees; position channels stand in place of the joint's OFFSET, as exporters write
them. The world is right-handed, y up, and at rest the figure faces +z, as ours. Names and units are
the exporter's: a table per known skeleton, or a joint map, says where the landmarks are.
"""

import json
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from prior.mocap import kinematics
from prior.mocap.clip import Clip, MocapError, check_frames
from prior.mocap.skeletons import BVH_TABLES, UNITS_MM
from prior.skeleton import LANDMARKS, limb_scale

# A file does not name its unit. If no table does either, it is guessed: the one in which the person
# has this limb scale, mm. That is a height of 1.0 to 2.4 m; a wider range would mistake inches for
# centimetres.
GUESS_RANGE_MM = (600.0, 1400.0)
CHANNELS = ("Xposition", "Yposition", "Zposition", "Xrotation", "Yrotation", "Zrotation")


class Hierarchy(NamedTuple):
    """The tree of B joints; an End Site is a joint without channels, named "PARENT end".

    names, parents (-1 for the root), channels: B each, channels as tuples of names; offsets:
    (B, 3), file's unit.
    """

    names: list
    parents: list
    offsets: np.ndarray
    channels: list


class JointMap(NamedTuple):
    """Where the landmarks are: kinematics.place's table, and the unit of the file or None."""

    name: str
    table: dict
    unit: str | None = None


TABLES = tuple(JointMap(*entry) for entry in BVH_TABLES)


def recognises(path):
    """Whether the file's name ends in .bvh."""
    return Path(path).suffix.lower() == ".bvh"


def read_hierarchy(path, text):
    """The Hierarchy in the part of a file before MOTION. Raises MocapError."""
    words = text.split()
    names, parents, offsets, channels = [], [], [], []
    stack, new, at = [], None, 1
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
                offsets.append(None)
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
            if offset is None or len(offset) != 3:
                raise ValueError(f"joint {name} has no OFFSET of three numbers")
        return Hierarchy(names, parents, np.array(offsets), channels)
    except (IndexError, ValueError) as error:
        raise MocapError(
            f"{path}: expected a BVH hierarchy, got a damaged one: {error}; export the file again"
        ) from None


def read_motion(path):
    """(hierarchy, rows (F, C), rate) of a file. Raises MocapError when it is damaged.

    The columns of the rows are the channels of all joints in the hierarchy's order.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise MocapError(f"{path}: cannot be read: {error}") from None
    head = re.search(r"\bMOTION\s+Frames:\s*(\d+)\s+Frame\s+Time:\s*(\S+)", text)
    if head is None:
        raise MocapError(
            f"{path}: expected a BVH file with MOTION, Frames: and Frame Time:, found none; "
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


def forward(hierarchy, rows):
    """World rotations (F, B, 3, 3) and positions (F, B, 3), file's unit, of the joints.

    rows: (F, C), the channels.
    """
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


def read_joint_map(path):
    """The JointMap in a JSON file that a user wrote. Raises MocapError.

    {"hip": ["LThigh", "RThigh"], "nose": {"joint": "Head", "offset": [0, 40, 100]}, "neck": "Neck",
    ..., "unit": "cm"}: for each of the 17 landmarks a joint, joints in whose middle it is, or a
    joint and an offset in its frame, mm. An End Site is "PARENT end". The unit, a key of UNITS_MM,
    is that of the file; it is guessed if it is left out.
    """
    try:
        given = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MocapError(f"{path}: expected a joint map as JSON, got {error}") from None
    if not isinstance(given, dict):
        raise MocapError(f"{path}: expected a joint map, landmark to joint, got {given!r:.40}")
    unit = given.pop("unit", None)
    if unit is not None and unit not in UNITS_MM:
        raise MocapError(f"{path}: unit: expected one of {', '.join(UNITS_MM)}, got {unit!r:.40}")
    missing = [landmark for landmark in LANDMARKS if landmark not in given]
    unknown = [key for key in given if key not in LANDMARKS]
    if missing or unknown:
        raise MocapError(
            f"{path}: expected the 17 landmarks {', '.join(LANDMARKS)}; "
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
        )
    table = {}
    for landmark, entry in given.items():
        try:
            if isinstance(entry, dict):
                entry = (entry.pop("joint"), tuple(entry.pop("offset")), *entry)
            joints, offset = kinematics.joints_and_offset(entry)
            if not joints or not all(isinstance(joint, str) for joint in joints):
                raise ValueError
            if offset.shape != (3,) or not np.isfinite(offset).all():
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise MocapError(
                f"{path}: {landmark}: expected a joint, a list of joints, or "
                '{"joint": ..., "offset": [x, y, z]} in mm; write it so'
            ) from None
        table[landmark] = entry
    return JointMap(f"the joint map {path}", table, unit)


def find_table(path, names, joint_map=None):
    """The JointMap for a file's joints, and their names as it has them.

    A prefix that all names share, such as "mixamorig:", is left out if there is no joint_map.
    Raises MocapError, which names the missing joints.
    """
    if joint_map is None:
        prefix = len(os.path.commonprefix(names)) if len(names) > 1 else 0
        names = [name[prefix:] for name in names]

    def missing(candidate):
        entries = map(kinematics.joints_and_offset, candidate.table.values())
        wanted = dict.fromkeys(joint for joints, _ in entries for joint in joints)
        return [joint for joint in wanted if joint not in names]

    best = min([joint_map] if joint_map else TABLES, key=lambda each: len(missing(each)))
    if missing(best):
        raise MocapError(
            f"{path}: expected the joints of {best.name}, missing: {', '.join(missing(best))}; "
            f"the file has {', '.join(names)}; give their names in a joint map (--joint-map)"
        )
    return best, names


def find_unit(path, poses):
    """The unit, a key of UNITS_MM, in which poses (F, 17, 3) are a person. Raises MocapError."""
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


def read(path, joint_map=None):
    """The file's clip, in a list; subject is the folder's name, action the file's.

    joint_map: a JointMap, for skeletons that no table knows. Raises MocapError: a damaged file, a
    joint that is missing, a unit that cannot be guessed.
    """
    path = Path(path)
    hierarchy, rows, rate = read_motion(path)
    found, names = find_table(path, hierarchy.names, joint_map)
    rotations, positions = forward(hierarchy, rows)
    unturned = (rotations[:2, 0] == np.eye(3)).all(axis=(1, 2))
    if unturned.tolist() == [True, False]:
        # CMU's clips as BVH begin with a T-pose, the root not turned at all, that nobody took.
        rotations, positions = rotations[1:], positions[1:]
    unit = found.unit
    if unit is None:
        joints = {mark: kinematics.joints_and_offset(e)[0] for mark, e in found.table.items()}
        unit = find_unit(path, kinematics.place(joints, names, rotations, positions))
    poses = kinematics.place(found.table, names, rotations, UNITS_MM[unit] * positions)
    return [Clip(poses, rate, path.resolve().parent.name, path.stem)]
