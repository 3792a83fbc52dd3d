"""Joint angles, by the names and signs of OpenSim's full-body model (Rajagopal and others, 2016).

Degrees. Segments have the axes x forward, y up along the segment, z to the right, when the person
stands upright; a joint's angles turn the parent's axes into the segment's about z, then x, then y:
flexion, adduction, rotation. Left adductions and rotations have the opposite sign, so that both
sides mean the same. Knees and elbows are hinges, and 0 where they are straight.

What the landmarks say of the axes: the pelvis has z from the left hip to the right and y towards
the spine, the trunk z from the left shoulder to the right and y from the spine to the neck. A thigh
or an upper arm has y along its bone, and its z is the hinge's axis, at right angles to the next
bone too; so its rotation means the less the straighter the knee or the elbow is.
"""

import csv
import warnings

import numpy as np
from scipy.spatial.transform import Rotation

from prior.files import replacing
from prior.files import write as write_whole
from prior.skeleton import LANDMARKS
from tools.lift.lifted import as_cell

# A knee or an elbow that bends less, as the sine, has no axis of its own: 0.03 degrees.
STRAIGHT = 5e-4
_AT = {name: i for i, name in enumerate(LANDMARKS)}
# Per side: coordinates of the limb's upper joint and its hinge; the landmarks; where it hangs; and
# which way the hinge bends, 1 forward.
_LIMBS = {
    "hip": (("hip_flexion", "hip_adduction", "hip_rotation", "knee_angle"), "hip knee foot", -1),
    "arm": (("arm_flex", "arm_add", "arm_rot", "elbow_flex"), "shoulder elbow wrist", 1),
}
COORDINATES = (
    *("pelvis_tilt", "pelvis_list", "pelvis_rotation", "pelvis_tx", "pelvis_ty", "pelvis_tz"),
    *(f"{name}_r" for name in _LIMBS["hip"][0]),
    *(f"{name}_l" for name in _LIMBS["hip"][0]),
    *("lumbar_extension", "lumbar_bending", "lumbar_rotation"),
    *(f"{name}_r" for name in _LIMBS["arm"][0]),
    *(f"{name}_l" for name in _LIMBS["arm"][0]),
)


def of(poses):
    """{name of COORDINATES: (F,)} of poses (F, 17, 3), mm, y up: degrees, and pelvis_t* in m."""
    at = {name: poses[:, i] for name, i in _AT.items()}
    pelvis = _axes(at["spine"] - at["hip"], at["right hip"] - at["left hip"])
    trunk = _axes(at["neck"] - at["spine"], at["right shoulder"] - at["left shoulder"], up=True)
    values = _euler(("pelvis_tilt", "pelvis_list", "pelvis_rotation"), Rotation.from_matrix(pelvis))
    values |= {f"pelvis_t{axis}": at["hip"][:, i] / 1000 for i, axis in enumerate("xyz")}
    names = ("lumbar_extension", "lumbar_bending", "lumbar_rotation")
    values |= _euler(names, _between(pelvis, trunk))
    for key, parent in (("hip", pelvis), ("arm", trunk)):
        names, landmarks, forward = _LIMBS[key]
        for side, sign in (("right", 1), ("left", -1)):
            top, middle, end = (at[f"{side} {part}"] for part in landmarks.split())
            limb, hinge = _limb(top - middle, end - middle, parent, forward)
            named = [f"{name}_{side[0]}" for name in names]
            turned = _euler(named[:3], _between(parent, limb))
            values |= {
                name: turned[name] * (1 if i == 0 else sign) for i, name in enumerate(turned)
            }
            values[named[3]] = np.rad2deg(hinge)
    return {name: values[name] for name in COORDINATES}


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def _axes(y, z, up=False):
    """Matrices (F, 3, 3) of columns x, y, z: z exactly, y as near as can be; up: y exactly."""
    if up:
        y = _unit(y)
        z = _unit(z - np.einsum("fi,fi->f", y, z)[:, None] * y)
    else:
        z = _unit(z)
        y = _unit(y - np.einsum("fi,fi->f", y, z)[:, None] * z)
    return np.stack([np.cross(y, z), y, z], axis=2)


def _limb(up, end, parent, forward):
    """(axes (F, 3, 3), hinge's angle (F,), radians) of a segment: `up` along it (F, 3), and the
    next bone, `end`, which bends forward (1) or backward (-1)."""
    y, end = _unit(up), _unit(end)
    across = end - np.einsum("fi,fi->f", end, y)[:, None] * y
    size = np.linalg.norm(across, axis=1, keepdims=True)
    z = np.cross(forward * across / np.maximum(size, 1e-12), y)
    right = parent[:, :, 2]
    # A straight hinge has the parent's axis, and one that bends beyond straight a negative angle.
    z = np.where(size > STRAIGHT, z, right)
    z *= np.where(np.einsum("fi,fi->f", z, right) < 0, -1, 1)[:, None]
    axes = _axes(y, z, up=True)
    angle = np.arctan2(
        forward * np.einsum("fi,fi->f", end, axes[:, :, 0]), -np.einsum("fi,fi->f", end, y)
    )
    return axes, angle


def _between(parent, child):
    return Rotation.from_matrix(parent.swapaxes(1, 2) @ child)


def _euler(names, rotation):
    """{name: degrees (F,)} about z, x, y, without jumps of a whole turn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gimbal lock: one of the possible triples will do
        angles = np.rad2deg(np.unwrap(rotation.as_euler("ZXY"), axis=0))
    return dict(zip(names, angles.T, strict=True))


def write_mot(path, poses, rate):
    """Write the angles of poses (F, 17, 3), mm, y up, as OpenSim's motion file."""
    columns = {"time": np.arange(len(poses)) / rate, **of(poses)}
    head = [
        path.stem,
        "version=1",
        f"nRows={len(poses)}",
        f"nColumns={len(columns)}",
        "inDegrees=yes",
        "endheader",
        "\t".join(columns),
    ]
    rows = np.stack(list(columns.values()), axis=1)
    lines = ["\t".join(f"{value:.6f}" for value in row) for row in rows.tolist()]
    write_whole(path, "\n".join([*head, *lines]) + "\n")


def write_csv(path, poses, placed):
    """Write the angles of lifted.Poses, at `placed` (N, 17, 3), as a table: a row for each pose."""
    values = {name: np.zeros(len(placed)) for name in COORDINATES}
    for person in np.unique(poses.person):
        rows = poses.person == person
        for name, column in of(placed[rows]).items():
            values[name][rows] = column
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", "name", "person", "plausible", *COORDINATES])
        for i, frame in enumerate(poses.frame.tolist()):
            verdict = "yes" if poses.plausible[i] else "no"
            start = [frame, as_cell(poses.frame_name(frame)), poses.person[i], verdict]
            writer.writerow([*start, *(f"{values[name][i]:.4f}" for name in COORDINATES)])
