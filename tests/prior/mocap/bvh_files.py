"""BVH files of a person in random motion, and where the joints then are, computed slowly."""

import numpy as np

# A person who stands with arms out and faces +z, cm: joint, parent, offset.
PERSON = [
    ("Hips", None, (0, 100, 0)),
    ("Spine", "Hips", (0, 10, 0)),
    ("Spine1", "Spine", (0, 12, 0)),
    ("Neck", "Spine1", (0, 26, 0)),
    ("Head", "Neck", (0, 10, 2)),
    ("Head end", "Head", (0, 19, 1)),
] + [
    (side + joint, side + parent if parent not in ("Hips", "Spine1") else parent, offset)
    for side, s in (("Left", 1), ("Right", -1))
    for joint, parent, offset in (
        ("UpLeg", "Hips", (9 * s, -5, 0)),
        ("Leg", "UpLeg", (0, -44, 1)),
        ("Foot", "Leg", (0, -43, -2)),
        ("Foot end", "Foot", (0, -5, 12)),
        ("Shoulder", "Spine1", (4 * s, 20, 0)),
        ("Arm", "Shoulder", (13 * s, 0, 0)),
        ("ForeArm", "Arm", (28 * s, 0, 0)),
        ("Hand", "ForeArm", (25 * s, 0, 0)),
        ("Hand end", "Hand", (9 * s, 0, 0)),
    )
]


def write_bvh(path, frames=4, seed=0, unit=10.0, prefix="", scale=1.0, still=False, rename=None):
    """PERSON in random motion, channels in a random order, 0 to 6 of them a joint.

    unit: mm, of the file's lengths; scale: of the person. Returns channels: {joint: names}, and
    rows.
    """
    random = np.random.default_rng(seed)
    names = {name: prefix + (rename or {}).get(name, name) for name, *_ in PERSON}
    channels, lines, rest = {}, ["HIERARCHY"], {}

    def node(name, depth):
        _, parent, offset = next(entry for entry in PERSON if entry[0] == name)
        pad, offset = "  " * depth, np.array(offset) * 10 * scale / unit
        end = name.endswith(" end")
        title = "End Site" if end else f"{'JOINT' if parent else 'ROOT'} {names[name]}"
        lines.extend([pad + title, pad + "{", f"{pad}  OFFSET {' '.join(map(str, offset))}"])
        turns = [f"{axis}rotation" for axis in random.permutation(list("XYZ"))]
        moves = [f"{axis}position" for axis in random.permutation(list("XYZ"))]
        kinds = [turns, [*moves, *turns], [*turns, *moves], turns[:2], moves[:1] + turns, []]
        kind = 1 if parent is None else random.integers(len(kinds))
        channels[name] = [] if end else kinds[kind]
        rest[name] = dict(zip("XYZ", offset, strict=True))
        if channels[name]:
            lines.append(f"{pad}  CHANNELS {len(channels[name])} {' '.join(channels[name])}")
        for child, above, _ in PERSON:
            if above == name:
                node(child, depth + 1)
        lines.append(pad + "}")

    node("Hips", 0)
    rows = []
    for _ in range(frames):
        row = []
        for name, listed in channels.items():
            for channel in listed:
                if channel.endswith("position"):
                    far = 500 if name == "Hips" else 0
                    row.append(rest[name][channel[0]] + far * random.normal() / unit)
                else:
                    row.append(0.0 if still else random.uniform(-360, 360))
        rows.append(row)
    lines += ["MOTION", f"Frames:\t{frames}", "Frame Time:\t0.01"]
    lines += [" ".join(f"{x:.17g}" for x in row) + " " for row in rows]
    path.write_text("\r\n".join(lines) + "\r\n\r\n")
    return channels, rows


def slow_matrix(channels, row, joint, scale=1.0):
    """4 x 4 world matrix, mm, of a joint of PERSON: one small matrix for each channel."""
    _, parent, offset = next(entry for entry in PERSON if entry[0] == joint)
    numbers = iter(row)
    values = {name: [next(numbers) for _ in listed] for name, listed in channels.items()}
    shift, turn = np.eye(4), np.eye(4)
    shift[:3, 3] = np.array(offset) * 10 * scale
    for channel, value in zip(channels[joint], values[joint], strict=True):
        axis = "XYZ".index(channel[0])
        if channel.endswith("position"):
            shift[axis, 3] = value * 10
        else:
            c, s, one = np.cos(np.deg2rad(value)), np.sin(np.deg2rad(value)), np.eye(4)
            i, j = (axis + 1) % 3, (axis + 2) % 3
            one[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
            turn = turn @ one
    up = np.eye(4) if parent is None else slow_matrix(channels, row, parent, scale)
    return up @ shift @ turn


# PERSON's joints that there are two of.
PARTS = ("UpLeg", "Leg", "Foot", "Shoulder", "Arm", "ForeArm", "Hand")


def _names(limbs, sides="Left Right", **trunk):
    """{joint of PERSON: its other name}: of the trunk's, and of PARTS in their order for both
    sides, whose words stand in place of {}."""
    return trunk | {
        side + part: name.format(word)
        for side, word in zip(("Left", "Right"), sides.split(), strict=True)
        for part, name in zip(PARTS, limbs.split(), strict=True)
    }


# Names of other makers for the joints of PERSON.
MAKERS = {
    "Xsens": _names(
        "{}Hip {}Knee {}Ankle {}Collar {}Shoulder {}Elbow {}Wrist", Spine="Chest", Spine1="Chest2"
    ),
    "MVNX": _names(
        "{}UpperLeg {}LowerLeg {}Foot {}Shoulder {}UpperArm {}ForeArm {}Hand",
        Hips="Pelvis",
        Spine="L5",
        Spine1="L3",
    ),
    "Biovision": _names(
        "{}UpLeg {}LowLeg {}Foot {}Collar {}UpArm {}LowArm {}Hand",
        Spine="LowerBack",
        Spine1="Chest",
    ),
    "Bandai-Namco": _names(
        "UpperLeg_{} LowerLeg_{} Foot_{} Shoulder_{} UpperArm_{} LowerArm_{} Hand_{}",
        "L R",
        Spine1="Chest",
    ),
    "Rigify": _names(
        "thigh.{} shin.{} foot.{} shoulder.{} upper_arm.{} forearm.{} hand.{}",
        "L R",
        Hips="spine",
        Spine="spine.001",
        Spine1="spine.002",
        Neck="spine.004",
        Head="spine.006",
    ),
    "Unreal": _names(
        "thigh_{} calf_{} foot_{} clavicle_{} upperarm_{} lowerarm_{} hand_{}",
        "l r",
        Hips="pelvis",
        Spine="spine_01",
        Spine1="spine_02",
        Neck="neck_01",
        Head="head",
    ),
}
