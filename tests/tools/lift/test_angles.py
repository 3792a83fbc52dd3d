"""Joint angles: signs by poses that everybody knows, and positions rebuilt from the files."""

import csv

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tests.poses import OFFSETS, random_poses
from tools.lift import __main__ as tool
from tools.lift import angles, lifted

AT = LANDMARKS.index


def standing():
    """(17, 3): facing +z, arms and legs straight down, left at +x."""
    pose = np.zeros((17, 3))
    straight = np.array(OFFSETS, float)
    straight[[2, 3, 5, 6, 12, 13, 15, 16]] *= [0, 1, 0]
    for i, parent in enumerate([-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15]):
        pose[i] = straight[i] + (pose[parent] if parent >= 0 else 0)
    return pose


def turned(pose, about, moved, rotvec):
    """A pose with landmarks `moved` turned about a landmark, degrees."""
    pose, centre = pose.copy(), pose[AT(about)].copy()
    rows = [AT(name) for name in moved]
    pose[rows] = centre + Rotation.from_rotvec(rotvec, degrees=True).apply(pose[rows] - centre)
    return pose


def of(pose):
    return {name: float(values[0]) for name, values in angles.of(pose[None]).items()}


def test_standing_is_zero():
    values = of(standing())
    # Facing +z: a quarter turn from OpenSim's +x.
    assert values.pop("pelvis_rotation") == pytest.approx(-90)
    assert all(abs(value) < 1e-6 for value in values.values()), values


@pytest.mark.parametrize("side", ["left", "right"])
def test_signs_are_those_of_the_anatomy(side):
    pose, s, inward = standing(), side[0], 1 if side == "right" else -1
    leg, shank = [f"{side} knee", f"{side} foot"], [f"{side} foot"]
    arm, forearm = [f"{side} elbow", f"{side} wrist"], [f"{side} wrist"]
    # Turning about x, which points to the left: what hangs goes backward; forward is -x.
    lifted_leg = turned(pose, f"{side} hip", leg, [-40, 0, 0])
    assert of(lifted_leg)[f"hip_flexion_{s}"] == pytest.approx(40)
    bent = turned(lifted_leg, f"{side} knee", shank, [70, 0, 0])
    assert of(bent)[f"knee_angle_{s}"] == pytest.approx(70)
    assert of(bent)[f"hip_flexion_{s}"] == pytest.approx(40)
    assert of(bent)[f"hip_rotation_{s}"] == pytest.approx(0, abs=1e-6)
    # Toward the other leg.
    crossed = turned(pose, f"{side} hip", leg, [0, 0, 15 * inward])
    assert of(crossed)[f"hip_adduction_{s}"] == pytest.approx(15)
    # The knee bent, and the shank swung outward: the thigh turns inward.
    seated = turned(
        turned(pose, f"{side} hip", leg, [-90, 0, 0]), f"{side} knee", shank, [90, 0, 0]
    )
    swung = turned(seated, f"{side} knee", shank, [0, 0, -20 * inward])
    assert of(swung)[f"hip_rotation_{s}"] == pytest.approx(20)
    assert of(swung)[f"knee_angle_{s}"] == pytest.approx(90)
    raised = turned(pose, f"{side} shoulder", arm, [-60, 0, 0])
    assert of(raised)[f"arm_flex_{s}"] == pytest.approx(60)
    curled = turned(raised, f"{side} elbow", forearm, [-50, 0, 0])
    assert of(curled)[f"elbow_flex_{s}"] == pytest.approx(50)
    aside = turned(pose, f"{side} shoulder", arm, [0, 0, -30 * inward])
    assert of(aside)[f"arm_add_{s}"] == pytest.approx(-30)


def test_the_trunk_bends():
    upper = [n for n in LANDMARKS if n.startswith(("neck", "nose", "head")) or "shoulder" in n]
    upper += [n for n in LANDMARKS if "elbow" in n or "wrist" in n]
    forward = turned(standing(), "spine", upper, [25, 0, 0])
    values = of(forward)
    assert values["lumbar_extension"] == pytest.approx(-25)
    assert values["arm_flex_r"] == pytest.approx(0, abs=1e-6)
    # To the right, which is -x: about +z.
    assert of(turned(standing(), "spine", upper, [0, 0, 20]))["lumbar_bending"] == pytest.approx(20)
    left = turned(standing(), "hip", LANDMARKS, [0, 35, 0])
    assert of(left)["pelvis_rotation"] == pytest.approx(-55)


def read_mot(path):
    lines = path.read_text().splitlines()
    end = lines.index("endheader")
    header = dict(line.split("=") for line in lines[1:end] if "=" in line)
    names = lines[end + 1].split("\t")
    rows = np.array([line.split("\t") for line in lines[end + 2 :]], dtype=float)
    assert rows.shape == (int(header["nRows"]), int(header["nColumns"]))
    assert header["inDegrees"] == "yes"
    return dict(zip(names, rows.T, strict=True))


def rebuilt(values, poses):
    """Knees, feet, elbows and wrists from the angles, with the bones and joints of the poses."""

    def turn(names, signs=(1, 1, 1)):
        columns = [sign * values[name] for name, sign in zip(names, signs, strict=True)]
        return Rotation.from_euler("ZXY", np.stack(columns, axis=1), degrees=True)

    pelvis = turn(("pelvis_tilt", "pelvis_list", "pelvis_rotation"))
    trunk = pelvis * turn(("lumbar_extension", "lumbar_bending", "lumbar_rotation"))
    result = poses.copy()
    for side, sign in (("right", 1), ("left", -1)):
        for parent, names, hinge, bends, parts in (
            (pelvis, ("hip_flexion", "hip_adduction", "hip_rotation"), "knee_angle", -1,
             ("hip", "knee", "foot")),
            (trunk, ("arm_flex", "arm_add", "arm_rot"), "elbow_flex", 1,
             ("shoulder", "elbow", "wrist")),
        ):  # fmt: skip
            limb = parent * turn([f"{n}_{side[0]}" for n in names], (1, sign, sign))
            angle = np.deg2rad(bends * values[f"{hinge}_{side[0]}"])
            down = np.stack([np.sin(angle), -np.cos(angle), np.zeros_like(angle)], axis=1)
            a, b, c = (AT(f"{side} {part}") for part in parts)
            upper = np.linalg.norm(poses[:, b] - poses[:, a], axis=1)[:, None]
            lower = np.linalg.norm(poses[:, c] - poses[:, b], axis=1)[:, None]
            result[:, b] = result[:, a] + upper * limb.apply([0, -1, 0])
            result[:, c] = result[:, b] + lower * limb.apply(down)
    return result


def test_positions_come_back_from_the_files(tmp_path):
    points = files.image_points(files.walk(20, seed=1))
    both = np.concatenate([points, points[4:12] + [300, 0]])
    source = files.arrays(
        tmp_path / "a.npz", both, frame=[*range(20), *range(4, 12)],
        person=[0] * 20 + [2] * 8, rate=29.97,
    )  # fmt: skip
    outs = [tmp_path / name for name in ("out.npz", "out.mot", "out.angles.csv")]
    assert tool.main([str(a) for a in (source, "--elevation", 10, "--out", *outs)]) == 0
    poses = lifted.read(outs[0])
    placed = lifted.on_ground(poses)
    with open(outs[2], newline="") as file:
        table = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in table] == poses.frame.tolist()
    for person, frames in ((0, range(20)), (2, range(4, 12))):
        one, frames = placed[poses.person == person], np.array(frames)
        values = read_mot(tmp_path / f"out-{person}.mot")
        np.testing.assert_allclose(values["time"], np.arange(20) / 29.97, atol=1e-3)
        there = {name: column[frames] for name, column in values.items()}
        np.testing.assert_allclose(rebuilt(there, one), one, atol=1)
        hip = np.stack([there[f"pelvis_t{axis}"] for axis in "xyz"], axis=1)
        np.testing.assert_allclose(1000 * hip, one[:, 0], atol=1)
        rows = [row for row in table if int(row["person"]) == person]
        columns = {n: np.array([float(r[n]) for r in rows]) for n in angles.COORDINATES}
        np.testing.assert_allclose(rebuilt(columns, one), one, atol=1)


def test_any_pose_is_rebuilt():
    poses = random_poses(300, seed=2)
    np.testing.assert_allclose(rebuilt(angles.of(poses), poses), poses, atol=1e-3)
