import re
import shutil
import tracemalloc

import numpy as np
import pytest

from prior import mocap
from prior.mocap import MocapError, acclaim
from prior.skeleton import LANDMARKS
from tests.real_mocap import CLIPS, RIGID, bone_lengths, check_person, landmark

PARENT = {
    "lowerback": "root",
    "upperback": "lowerback",
    "thorax": "upperback",
    "lowerneck": "thorax",
    "upperneck": "lowerneck",
    "head": "upperneck",
} | {
    side + bone: (parent if parent in ("root", "thorax") else side + parent)
    for side in "lr"
    for bone, parent in (
        ("hipjoint", "root"),
        ("femur", "hipjoint"),
        ("tibia", "femur"),
        ("foot", "tibia"),
        ("clavicle", "thorax"),
        ("humerus", "clavicle"),
        ("radius", "humerus"),
        ("wrist", "radius"),
        ("hand", "wrist"),
    )
}
# The bone of CMU's skeletons at whose end a landmark is.
ENDS = {"spine": "lowerback", "neck": "lowerneck", "head top": "head"} | {
    f"{side} {part}": side[0] + bone
    for side in ("left", "right")
    for part, bone in (
        ("hip", "hipjoint"),
        ("knee", "femur"),
        ("foot", "tibia"),
        ("shoulder", "clavicle"),
        ("elbow", "humerus"),
        ("wrist", "wrist"),
    )
}


def _write(folder, frames=3, seed=0, length=0.45, unit="deg"):
    """A person of random bones, axes and motion: 01.asf and 01_02.amc. Returns the .amc."""
    random = np.random.default_rng(seed)
    full = 360 if unit == "deg" else 2 * np.pi
    asf = [
        ":version 1.10",
        ":units",
        f"  length {length}",
        f"  angle {unit}",
        ":root",
        "  order TX TY TZ RX RY RZ",
        "  axis XYZ",
        "  position 0 0 0",
        "  orientation 0 0 0",
        ":bonedata",
    ]
    dofs = {"root": ["tx", "ty", "tz", "rx", "ry", "rz"]}
    names = list(PARENT)
    random.shuffle(names)  # the file may list bones in any order
    for bone in names:
        dofs[bone] = list(random.permutation(["rx", "ry", "rz"])[: random.integers(0, 4)])
        numbers = [" ".join(map(str, random.normal(size=3))), " ".join(map(str, random.random(3)))]
        asf += [
            "  begin",
            f"     name {bone} # a comment",
            f"     direction {numbers[0]}",
            f"     length {random.uniform(2, 8) * length / 0.45}",
            f"     axis {numbers[1]} {'XYZ' if random.random() < 0.5 else 'ZXY'}",
        ]
        if dofs[bone]:
            asf += [f"    dof {' '.join(dofs[bone])}", "    limits (-160.0 20.0)"]
            asf += ["           (-70.0 70.0)"] * (len(dofs[bone]) - 1)
        asf += ["  end"]
    asf += [":hierarchy", "  begin"]
    for parent in ["root", *names]:
        children = [bone for bone in names if PARENT[bone] == parent]
        asf += [f"    {parent} {' '.join(children)}"] if children else []
    (folder / "01.asf").write_text("\r\n".join([*asf, "  end"]))
    amc = ["#!OML:ASF 1.ASF", ":FULLY-SPECIFIED", f":{'DEGREES' if unit == 'deg' else 'RADIANS'}"]
    for frame in range(1, frames + 1):
        amc.append(str(frame))
        for bone, dof in dofs.items():
            if dof:
                values = random.uniform(-full, full, len(dof))
                values[: 3 * (bone == "root")] *= 0.05
                amc.append(f"{bone} {' '.join(f'{x:.17g}' for x in values)}")
    (folder / "01_02.amc").write_text("\r\n".join(amc) + "\r\n")
    return folder / "01_02.amc"


def _rotation(axis, angle):
    """4 x 4, about one axis, written out."""
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.eye(4)
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
    return matrix


def _slow_ends(asf, amc, wanted):
    """Where each bone ends in frame `wanted`, mm, by 4 x 4 matrices, the files read by line."""
    bones, parent, scale, angle_unit = {}, {}, None, None
    for line in asf.read_text().splitlines():
        words = line.split()
        if words[:1] == [":root"]:
            bone = {}
        if words[:1] == ["length"] and scale is None:
            scale = 25.4 / float(words[1])
        elif words[:1] == ["angle"]:
            angle_unit = np.pi / 180 if words[1] == "deg" else 1.0
        elif words[:1] == ["name"]:
            bone = bones.setdefault(words[1], {"dof": []})
        elif words and words[0] in ("direction", "length", "axis", "dof"):
            bone[words[0]] = words[1:]
        elif words and words[0] in (*bones, "root"):
            parent.update({child: words[0] for child in words[1:]})
    values, frame = {}, 0
    for line in amc.read_text().splitlines():
        if line.strip().isdigit():
            frame = int(line)
        elif frame == wanted:
            values[line.split()[0]] = [float(x) for x in line.split()[1:]]
    x, y, z, *angles = values["root"]
    root = np.eye(4)
    root[:3, 3] = np.array([x, y, z]) * scale
    turn = np.eye(4)
    for axis, angle in zip("xyz", angles, strict=True):
        turn = _rotation(axis, angle * angle_unit) @ turn
    world = {"root": root @ turn}

    def end(name):
        if name not in world:
            bone = bones[name]
            c, b, along = np.eye(4), np.eye(4), np.eye(4)
            *axes, order = bone["axis"]
            for axis, angle in zip(order.lower(), axes, strict=True):
                c = _rotation(axis, float(angle) * angle_unit) @ c
            for dof, angle in zip(bone["dof"], values.get(name, []), strict=True):
                b = _rotation(dof[1], angle * angle_unit) @ b
            direction = np.array(bone["direction"], dtype=float)
            length = scale * float(bone["length"][0])
            along[:3, 3] = length * direction / np.linalg.norm(direction)
            world[name] = end(parent[name]) @ c @ b @ np.linalg.inv(c) @ along
        return world[name]

    return {name: end(name)[:3, 3] for name in bones}


@pytest.mark.parametrize(("length", "unit"), [(0.45, "deg"), (2.54, "deg"), (0.45, "rad")])
def test_forward_kinematics_as_with_4_by_4_matrices(tmp_path, length, unit):
    amc = _write(tmp_path, length=length, unit=unit)
    (clip,) = acclaim.read(amc, up="y")
    assert clip[1:4] == (120.0, "01", "01_02") and clip.poses.shape == (3, 17, 3)
    for frame in range(3):
        ends = _slow_ends(tmp_path / "01.asf", amc, frame + 1)
        for name, bone in ENDS.items():
            if name == "head top":  # where the random head points is not always upward
                continue
            landmark = clip.poses[frame, LANDMARKS.index(name)]
            np.testing.assert_allclose(landmark, ends[bone], atol=1e-8, err_msg=name)
        hip = (ends["lhipjoint"] + ends["rhipjoint"]) / 2
        np.testing.assert_allclose(clip.poses[frame, 0], hip, atol=1e-8)
    nose = bone_lengths(clip.poses, [("nose", "head top"), ("nose", "neck")])
    np.testing.assert_allclose(nose[:, 0], nose[0, 0])  # it moves with the head


@pytest.mark.parametrize("name", ["01/01_14", "02/02_01", "02/02_03"])
def test_real_clips_are_of_a_person(name):
    amc = CLIPS / "subjects" / f"{name}.amc"
    (clip,) = mocap.read(amc)
    assert clip.subject == amc.parent.name
    check_person(clip.poses)
    assert np.ptp(bone_lengths(clip.poses, RIGID), axis=0).max() < 1e-6
    ends = _slow_ends(amc.with_name(f"{clip.subject}.asf"), amc, 10)
    for name, bone in ENDS.items():
        np.testing.assert_allclose(
            clip.poses[9, LANDMARKS.index(name)], ends[bone], atol=1e-6, err_msg=name
        )


def test_walking_goes_forward_on_feet_that_stand_still():
    (clip,) = acclaim.read(CLIPS / "subjects/02/02_01.amc")
    clip = clip._replace(rate=10)  # every 12th frame was kept
    hip, path = landmark(clip.poses, "hip"), (clip.poses[-1, 0] - clip.poses[0, 0]) * [1, 0, 1]
    assert np.linalg.norm(path) > 2000
    path /= np.linalg.norm(path)
    face = landmark(clip.poses, "nose") - landmark(clip.poses, "neck")
    across = landmark(clip.poses, "left hip") - landmark(clip.poses, "right hip")
    assert (face @ path > 0).all() and (across @ np.cross([0, 1, 0], path) > 0).all()
    # At any time one foot stands, which is true of no wrong order of rotations.
    feet = [landmark(clip.poses, f"{side} foot") for side in ("left", "right")]
    speeds = [np.linalg.norm(np.diff(foot, axis=0), axis=1) * clip.rate for foot in feet]
    assert (
        np.median(np.min(speeds, axis=0))
        < 250
        < 900
        < np.median(np.linalg.norm(np.diff(hip, axis=0), axis=1) * clip.rate)
    )


def test_the_skeleton_is_found_or_asked_for(tmp_path):
    amc = _write(tmp_path)
    (tmp_path / "02.asf").write_text("of another subject")
    assert acclaim.find_skeleton(amc) == tmp_path / "01.asf"
    alone = amc.rename(tmp_path / "walk.amc")
    with pytest.raises(MocapError, match=r"expected its skeleton walk.asf, .* got 2 others"):
        acclaim.read(alone)
    (tmp_path / "02.asf").unlink()
    assert acclaim.read(alone)[0][2:4] == ("01", "walk")
    (tmp_path / "01.asf").unlink()
    with pytest.raises(MocapError, match="got 0 others"):
        acclaim.read(alone)


def _edit(path, old, new, count=1):
    text = path.read_text()
    assert re.search(old, text)
    path.write_text(re.sub(old, new, text, count=count))


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("01_02.amc", r"\n3\n[\s\S]*", "\n3\nroot 1 2", "frame 3: expected"),
        ("01_02.amc", r"\n2\n(\w+)", "\n2\ntail", "frame 2: expected"),
        ("01_02.amc", r"\n1\n[\s\S]*", "\n", "numbered from 1, got none"),
        ("01_02.amc", r"\n1\nroot", "\n1\ntail", "expected a bone of the .asf, each once, got"),
        ("01_02.amc", r"\n(\w+ \S+)\n", "\n", "is this the motion's skeleton"),
        ("01_02.amc", r"\nroot \S+", "\nroot nan", "frame 1: expected finite"),
        ("01_02.amc", r"\nroot \S+", "\nroot fast", "expected numbers"),
        ("01_02.amc", ":DEGREES", ":RADIANS", "degrees in one and radians"),
        ("01.asf", ":hierarchy", ":tree", "damaged one: 'hierarchy'"),
        ("01.asf", "length 0.45", "length 0", "damaged one"),
        ("01.asf", "(direction \\S+) \\S+", r"\1", "damaged one"),
        ("01.asf", "orientation 0", "orientation 9", "another orientation"),
        ("01.asf", r"upperneck head", "upperneck", "damaged one: 'head'"),
        ("01.asf", "lfoot", "lpaw", "missing: lfoot; convert"),
    ],
)
def test_damaged_files(tmp_path, file, old, new, says):
    amc = _write(tmp_path)
    for path in (tmp_path / "01.asf", amc):
        path.write_text(path.read_text().replace("\r", ""))
    if new == "lpaw":
        _edit(amc, old, new, count=0)
    _edit(tmp_path / file, old, new, count=0 if new == "lpaw" else 1)
    with pytest.raises(MocapError, match=re.escape(says)) as caught:
        acclaim.read(amc)
    assert str(tmp_path / file) in str(caught.value) and "\n" not in str(caught.value)


def test_one_long_word_does_not_fill_the_memory(tmp_path):
    folder = tmp_path / "01"
    shutil.copytree("tests/data/cmu/subjects/01", folder)
    path = folder / "01_14.amc"
    path.write_text(path.read_text() + "A" * 400_000)
    tracemalloc.start()
    with pytest.raises(MocapError, match="expected names and numbers, got AAAA.*AAA\\.\\.\\."):
        acclaim.read(path)
    assert tracemalloc.get_traced_memory()[1] < 5e7
    tracemalloc.stop()
