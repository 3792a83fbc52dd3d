"""BVH (Biovision hierarchy): a tree of joints with offsets and channels, then rows of numbers.

Each joint turns by its rotation channels, degrees, in the order in which they are listed, the first
outermost (R = R1 R2 R3). Position channels stand in place of the joint's OFFSET, as exporters write
them. As in ours, the world is right-handed, y up, and the figure at rest faces +z. Names and units
are the exporter's: a table per known skeleton, or a joint map, says where the landmarks are.
"""

import logging
import os
import re
from collections.abc import Collection, Sequence
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
from prior.mocap.skeletons import BVH_TABLES, UNITS_MM, Known
from prior.skeleton import limb_scale

log = logging.getLogger(__name__)

# The limb scale, mm, by which the unit of a file is guessed if no table knows it: of the units, the
# one in which the person has a limb scale in this range, which is a height of 1.0 to 2.4 m. With a
# wider range inches could be mistaken for centimetres.
GUESS_RANGE_MM = (600.0, 1400.0)
# The largest turn of a joint, radians, that is none. Our choice: 3 degrees.
STILL = np.radians(3)
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
                if not 0 <= count <= len(CHANNELS):
                    raise ValueError(f"CHANNELS {short(words[at])}")
                # "ZPosition" is written, too.
                channels[stack[-1]] = tuple(map(str.capitalize, words[at + 1 : at + 1 + count]))
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
    text = foreign.read_text(path, MocapError, damaged=True)
    head = re.search(r"\bMOTION\s+Frames:\s*(\d+)\s+Frame\s+Time:\s*(\S+)", text)
    if head is None:
        raise MocapError(
            f"{path}: expected a BVH file with MOTION, Frames: and Frame Time:, got none; "
            "export the file again"
        )
    hierarchy = read_hierarchy(path, text[: head.start()])
    limits.check(path, "joints", len(hierarchy.names), MocapError)
    limits.check(path, "frames", float(head[1]), MocapError)
    frames, step = int(head[1]), head[2]
    width = sum(len(listed) for listed in hierarchy.channels)
    words = text[head.end() :].split()
    counted = len(words) // max(width, 1)
    if width and len(words) == counted * width and abs(counted - frames) == 1:
        # Some exporters count from 0, or a rest pose that they do not write.
        log.warning("%s: Frames: %d, but there are %d; read all", path, frames, counted)
        frames = counted
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


def local(
    hierarchy: Hierarchy, rows: Float[np.ndarray, "F C"]
) -> tuple[Float[np.ndarray, "F B 3 3"], Float[np.ndarray, "F B 3"]]:
    """Rotations and positions, in the file's unit, of the joints relative to their parents; rows:
    the channels."""
    offsets = np.tile(hierarchy.offsets, (len(rows), 1, 1))
    orders, angles, column = [], [], 0
    for j, channels in enumerate(hierarchy.channels):
        columns = range(column, column + len(channels))
        column = columns.stop
        turns = [i for i, name in zip(columns, channels, strict=True) if name.endswith("rotation")]
        for i, name in zip(columns, channels, strict=True):
            if i not in turns:
                offsets[:, j, "XYZ".index(name[0])] = rows[:, i]
        orders.append("".join(channels[i - columns.start][0] for i in turns))
        angles.append(rows[:, turns])
    return kinematics.turns(orders, angles, degrees=True), offsets


def rest(hierarchy: Hierarchy) -> Float[np.ndarray, "B 3"]:
    """Positions of the joints, in the file's unit, if no joint is turned."""
    unturned = np.tile(np.eye(3), (1, len(hierarchy.names), 1, 1))
    at_origin = np.zeros((1, 3))
    return kinematics.forward(hierarchy.parents, hierarchy.offsets, unturned, at_origin)[1][0]


def rest_frames(path: FilePath, turns: Float[np.ndarray, "F B 3 3"]) -> int:
    """How many frames at the start are a T-pose, or another rest pose, that a conversion put first
    and nobody took: in them no joint but the root turns, if others follow. Says so.

    turns: the joints' rotations relative to their parents.
    """
    # The trace of a turn by an angle is 1 + 2 cos(angle).
    smallest = np.einsum("fbii->fb", turns[:, 1:]).min(axis=1, initial=3)
    moves = np.flatnonzero(smallest < 1 + 2 * np.cos(STILL))
    first = int(moves[0]) if len(moves) else 0
    root = (turns[:2, 0] == np.eye(3)).all(axis=(1, 2)).tolist()
    if not first and root == [True, False]:
        first = 1  # of CMU's: the arms may hang a little, but the root is not turned at all
    if first:
        log.warning("%s: the first %d frames are a rest pose; left out", path, first)
    return first


def find_table(
    path: FilePath, names: Sequence[str], joint_map: JointMap | None = None
) -> tuple[Known, list[str]]:
    """The skeleton for a file's joints, and the joints' names as it has them.

    Without a joint_map a prefix that all names share, such as "mixamorig:", is left out. Raises
    MocapError, which names the missing joints.
    """
    tables: Sequence[Known] = BVH_TABLES
    if joint_map is not None and joint_map.table is not None:
        tables = (Known(f"the joint map {joint_map.path}", joint_map.table),)
    elif len(names) > 1:
        prefix = len(os.path.commonprefix(list(names)))
        names = [name[prefix:] for name in names]
    there = set(names)
    best = min(tables, key=lambda each: len(_missing(each, there)))
    missing = _missing(best, there)
    if missing:
        raise MocapError(
            f"{path}: expected the joints of {best.name}, missing: {', '.join(missing)}; "
            f"the file has {', '.join(names)}; give their names in a joint map (--joint-map)"
        )
    return best, list(names)


def _missing(skeleton: Known, names: Collection[str]) -> list[str]:
    """The joints of the skeleton that are not among the names."""
    wanted = [*skeleton.marks, *kinematics.joints_of(skeleton.table)]
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
        log.warning(
            "%s: %s lie at their parents; these bones' lengths are taken from others",
            path,
            ", ".join(lost),
        )
    return hierarchy._replace(offsets=offsets)


def read(path: FilePath, joint_map: JointMap | None = None, up: str | None = None) -> list[Clip]:
    """The file's clip, in a list; the subject is the folder's name, the action the file's.

    joint_map: for skeletons that no table knows, and for what the file does not say. up: the axis
    that points up; without it, that of the joint map, or it is told from how the person stands.
    Raises MocapError when the file is damaged, a joint is missing, or unit or axis cannot be told.
    """
    path = Path(path)
    said = joint_map or JointMap(path)
    hierarchy, rows, rate = read_motion(path)
    skeleton, names = find_table(path, hierarchy.names, joint_map)
    hierarchy = _with_lengths(path, hierarchy, names, skeleton)._replace(names=names)
    turns, offsets = local(hierarchy, rows)
    first = rest_frames(path, turns)
    turns, offsets = turns[first:], offsets[first:]
    rotations, positions = kinematics.forward(hierarchy.parents, offsets, turns, offsets[:, 0])
    unit = said.unit or skeleton.unit
    if unit is None:
        body = placing.body(skeleton.table, names, rotations, positions)
        unit = find_unit(path, body)
    poses = placing.landmarks(
        path,
        skeleton.table,
        placing.Joints(names, rotations, UNITS_MM[unit] * positions),
        UNITS_MM[unit] * rest(hierarchy),
        up or said.up,
    )
    subject = path.resolve().parent.name
    return [Clip(poses, said.rate or rate, subject, path.stem, placed_on=skeleton.name)]
