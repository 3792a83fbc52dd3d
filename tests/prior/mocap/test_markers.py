"""Marker files in the exact layouts of C3D and TRC, written here."""

import json

import ezc3d
import numpy as np
import pytest

from prior import mocap
from prior.mocap import markers
from prior.mocap.clip import MocapError
from prior.skeleton import LANDMARKS
from tests.hands import HAND, random_hands
from tests.poses import random_poses

RATE = 100.0
# Ours to a world that is z up.
Z_UP = markers.UP["z"]


def walk(frames=40):
    """A person's landmarks, mm, y up, that moves smoothly."""
    start, end = random_poses(1, seed=3), random_poses(1, seed=3)
    end = end + [200.0, 0, 500]
    part = np.linspace(0, 1, frames)[:, None, None]
    return (1 - part) * start + part * end


def two_markers(poses):
    """Markers on both sides of each landmark, named after it: {name: (F, 3)}."""
    side = np.array([20.0, -8, 30])
    result = {}
    for i, name in enumerate(LANDMARKS):
        result[f"{name} A"], result[f"{name} B"] = poses[:, i] + side, poses[:, i] - side
    return result


def write_map(path, **changes):
    table = {name: [f"{name} A", f"{name} B"] for name in LANDMARKS} | {"up": "z"}
    path.write_text(json.dumps({k: v for k, v in (table | changes).items() if v is not None}))
    return path


def write_c3d(path, named, unit="mm", rate=RATE):
    file = ezc3d.c3d()
    factor = {"mm": 1, "m": 1000, "cm": 10}[unit]
    names = list(named)
    points = np.ones((4, len(names), len(named[names[0]])))
    for i, name in enumerate(names):
        points[:3, i] = (named[name] @ Z_UP).T / factor
    group = file["parameters"]["POINT"]
    group["UNITS"]["value"], group["RATE"]["value"] = [unit], [rate]
    group["LABELS"]["value"] = [f"Subject1:{name}" for name in names]
    file["data"]["points"] = points
    file.write(str(path))


def write_trc(path, named, unit="mm", rate=RATE):
    factor = {"mm": 1, "m": 1000, "cm": 10}[unit]
    names, frames = list(named), len(next(iter(named.values())))
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\t"
        "OrigNumFrames",
        f"{rate:.2f}\t{rate:.2f}\t{frames}\t{len(names)}\t{unit}\t{rate:.2f}\t1\t{frames}",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
        "\t\t" + "\t".join(f"X{i}\tY{i}\tZ{i}" for i in range(1, len(names) + 1)),
        "",
    ]
    for f in range(frames):
        cells = [str(f + 1), f"{f / rate:.5f}"]
        for name in names:
            place = named[name][f] @ Z_UP / factor
            cells += [f"{x:.6f}" if np.isfinite(x) else "" for x in place]
        lines.append("\t".join(cells))
    path.write_text("\n".join(lines) + "\n")


WRITERS = {".c3d": write_c3d, ".trc": write_trc}


@pytest.mark.parametrize("unit", ["mm", "cm", "m"])
@pytest.mark.parametrize("suffix", WRITERS)
def test_landmarks_are_in_the_middle_of_their_markers(tmp_path, suffix, unit):
    (tmp_path / "S1").mkdir()
    file = tmp_path / "S1" / f"walk{suffix}"
    WRITERS[suffix](file, two_markers(walk()), unit)
    (clip,) = mocap.read(file, marker_map=write_map(tmp_path / "map.json"))
    np.testing.assert_allclose(clip.poses, walk(), atol=0.01)
    assert clip[1:4] == (RATE, "S1", "walk")


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_hidden_marker_is_interpolated_and_a_long_gap_cuts_the_clip(tmp_path, suffix):
    named = two_markers(walk())
    named["neck A"] = named["neck A"].copy()
    named["neck A"][5:9] = np.nan  # 40 ms
    named["left knee B"] = named["left knee B"].copy()
    named["left knee B"][20:35] = np.nan  # 150 ms
    file = tmp_path / f"walk{suffix}"
    WRITERS[suffix](file, named)
    first, second = mocap.read(file, marker_map=write_map(tmp_path / "map.json"))
    np.testing.assert_allclose(first.poses, walk()[:20], atol=0.01)
    np.testing.assert_allclose(second.poses, walk()[35:], atol=0.01)


def test_a_marker_that_is_missing_half_of_the_time_is_one_line(tmp_path):
    named = two_markers(walk())
    named["neck A"] = named["neck A"].copy()
    named["neck A"][::2] = named["neck A"][1::4] = np.nan
    write_c3d(tmp_path / "walk.c3d", named)
    with pytest.raises(MocapError, match="neck A missing in 75% of the frames"):
        mocap.read(tmp_path / "walk.c3d", marker_map=write_map(tmp_path / "map.json"))


def test_markers_of_another_skeleton(tmp_path):
    hands = np.tile(random_hands(1), (30, 1, 1)) + np.arange(30)[:, None, None]
    named = {f"M{i}": hands[:, i] for i in range(21)}
    write_trc(tmp_path / "hand.trc", named)
    (tmp_path / "map.json").write_text(
        json.dumps({name: f"M{i}" for i, name in enumerate(HAND.landmarks)} | {"up": "z"})
    )
    (clip,) = mocap.read(tmp_path / "hand.trc", skeleton=HAND, marker_map=tmp_path / "map.json")
    np.testing.assert_allclose(clip.poses, hands, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"up": None}, "missing: up"),
        ({"up": "w"}, "up: expected one of y, z, x"),
        ({"neck": None}, "missing: neck"),
        ({"tail": "T"}, "unknown: tail"),
        ({"neck": []}, "neck: expected a list of at least 1"),
        ({"neck": [3]}, r"neck\[0\]: expected text"),
        ({"neck": ["C7"]}, "missing: C7"),
    ],
)
def test_a_map_that_does_not_fit_is_one_line(tmp_path, changes, says):
    write_trc(tmp_path / "walk.trc", two_markers(walk()))
    with pytest.raises(MocapError, match=says):
        mocap.read(tmp_path / "walk.trc", marker_map=write_map(tmp_path / "map.json", **changes))


def test_markers_without_a_map_are_one_line(tmp_path):
    write_trc(tmp_path / "walk.trc", two_markers(walk()))
    with pytest.raises(MocapError, match="expected a marker map"):
        mocap.read(tmp_path / "walk.trc")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda b: b[: len(b) // 2], "cut off"),
        (lambda b: b[:300], "expected a C3D file"),
        (lambda b: b"no" + b[2:], "expected a C3D file"),
    ],
)
def test_a_damaged_c3d_is_one_line(tmp_path, damage, says):
    file = tmp_path / "walk.c3d"
    write_c3d(file, two_markers(walk(400)))
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(MocapError, match=says):
        mocap.read(file, marker_map=write_map(tmp_path / "map.json"))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("PathFileType", "Path", "expected a TRC file"),
        ("\tmm\t", "\tfurlong\t", "Units, one of mm, cm, m, in, ft"),
        ("100.00\t100.00\t40", "100.00\t100.00\t41", "expected 41 frames of 34 markers, got 40"),
        ("40\t34\t", "40\t35\t", "got 40 frames and 34 names"),
        ("0.05000\t", "0.05000\tx", "line 11: expected numbers"),
    ],
)
def test_a_damaged_trc_is_one_line(tmp_path, old, new, says):
    file = tmp_path / "walk.trc"
    write_trc(file, two_markers(walk()))
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(MocapError, match=says):
        mocap.read(file, marker_map=write_map(tmp_path / "map.json"))


@pytest.mark.parametrize("size", [1.7e-3, 17.0])
def test_people_of_another_size_are_one_line(tmp_path, size):
    write_c3d(tmp_path / "walk.c3d", two_markers(size * walk()))
    with pytest.raises(MocapError, match="expected millimetres"):
        mocap.read(tmp_path / "walk.c3d", marker_map=write_map(tmp_path / "map.json"))
