"""Motion as BVH, for Blender and others: a skeleton of constant bone lengths, and rotations.

The joints are the 17 landmarks (prior.mocap.skeletons.LANDMARK_SKELETON, so prior.mocap.bvh reads
the file back), in cm, y up; at rest the figure stands with its arms out and faces +z. Several bones
leave the hips and the neck, and move against each other: each begins with a joint of its own there,
at offset 0, as CMU's hip joints do. Hips and neck take the rotation that fits their bones best
(least squares); every other joint turns by the shortest arc from its parent's frame, so that a
bone's twist means nothing.
"""

import io
import warnings

import numpy as np
from scipy.spatial.transform import Rotation

from prior.files import replacing
from prior.mocap.skeletons import LANDMARK_SKELETON
from prior.skeleton import LANDMARKS, PARENTS, L

CM = 10.0  # mm
_CHANNELS = "Zrotation Xrotation Yrotation"
# Length, mm, of the end sites, which give programs something to draw for the last bones.
_END = 50.0


def _rest():
    """Direction (L, 3) of each landmark from its parent, at rest."""
    one = np.zeros((L, 3))
    for i, name in enumerate(LANDMARKS):
        side = 1.0 if name.startswith("left") else -1.0
        if name.endswith(("knee", "foot")):
            one[i] = [0, -1, 0]
        elif name.startswith(("left", "right")):
            one[i] = [side, 0, 0]
        else:
            one[i] = {"nose": [0, 0.8, 0.6], "head top": [0, 0.9, -0.436]}.get(name, [0, 1, 0])
    return one / np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-12)


REST = _rest()
CHILDREN = [np.flatnonzero(PARENTS == i) for i in range(L)]
# Bones (by their child) that start with a joint of their own at the parent, and its name.
_BRANCH = {
    "right hip": "RHipJoint",
    "left hip": "LHipJoint",
    "spine": "LowerBack",
    "nose": "Head",
    "left shoulder": "LeftShoulder",
    "right shoulder": "RightShoulder",
}
BRANCH = {LANDMARKS.index(name): joint for name, joint in _BRANCH.items()}


def fit(poses):
    """Bone lengths (L,), mm (0 for the root), and rotations of poses (F, L, 3), mm.

    Returns lengths; turns: {landmark: Rotation of F, relative to the parent joint} of landmarks and
    {-landmark: ...} of the joints in BRANCH.
    """
    bones = poses - poses[:, PARENTS]
    size = np.linalg.norm(bones, axis=2)
    lengths = np.median(size, axis=0)
    lengths[0] = 0
    direction = bones / np.maximum(size, 1e-9)[..., None]
    world, turns = {}, {}

    def along(parent, i):
        """The shortest arc from the parent's frame that turns bone i into its direction."""
        local = _shortest_arc(REST[i], parent.inv().apply(direction[:, i]))
        return local, parent * local

    for i in range(L):
        # The frame in which landmark i's own joint starts.
        parent = world[-i] if i in BRANCH else world.get(PARENTS[i])
        if len(CHILDREN[i]) > 1:
            total = _best_fit(REST[CHILDREN[i]], direction[:, CHILDREN[i]], lengths[CHILDREN[i]])
            turns[i] = total if parent is None else parent.inv() * total
            world[i] = total
            for child in CHILDREN[i]:
                turns[-child], world[-child] = along(total, child)
        elif len(CHILDREN[i]):
            turns[i], world[i] = along(parent, CHILDREN[i][0])
        else:
            turns[i], world[i] = Rotation.identity(len(poses)), parent
    return lengths, turns


def _shortest_arc(start, end):
    """Rotation of F from the direction (3,) to the directions (F, 3)."""
    axis = np.cross(start, end)
    # Opposite directions: half a turn about any axis at right angles.
    other = np.cross(start, [1.0, 0, 0] if abs(start[0]) < 0.9 else [0, 1.0, 0])
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.arctan2(sine[:, 0], end @ start)
    axis = np.where(sine > 1e-9, axis / np.maximum(sine, 1e-12), other / np.linalg.norm(other))
    return Rotation.from_rotvec(axis * angle[:, None])


def _best_fit(start, end, weight):
    """Rotation of F from directions (n, 3) to (F, n, 3), weighted least squares (Kabsch)."""
    u, _, v = np.linalg.svd(np.einsum("n,fni,nj->fij", weight, end, start))
    u[..., 2] *= np.sign(np.linalg.det(u @ v))[:, None]
    return Rotation.from_matrix(u @ v)


def _euler(rotation):
    """Degrees (F, 3) of the channels, without jumps of a whole turn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gimbal lock: one of the possible triples will do
        return np.rad2deg(np.unwrap(rotation.as_euler("ZXY"), axis=0))


def _joints(lengths):
    """(lines of the hierarchy, landmarks or -landmarks in the order of the channels)."""
    lines, order = [], []

    def joint(key, offset, depth):
        i, tab = abs(key), "  " * depth
        branch = key < 0
        name = BRANCH[i] if branch else LANDMARK_SKELETON[LANDMARKS[i]]
        order.append(key)
        lines.append(f"{tab}{'JOINT' if depth else 'ROOT'} {name}")
        lines.append(f"{tab}{{")
        lines.append(f"{tab}  OFFSET " + " ".join(f"{v:.5f}" for v in offset / CM))
        position = "" if depth else "Xposition Yposition Zposition "
        lines.append(f"{tab}  CHANNELS {3 if depth else 6} {position}{_CHANNELS}")
        if branch:
            joint(i, lengths[i] * REST[i], depth + 1)
        for child in () if branch else CHILDREN[i]:
            if child in BRANCH:
                joint(-child, np.zeros(3), depth + 1)
            else:
                joint(child, lengths[child] * REST[child], depth + 1)
        if not branch and not len(CHILDREN[i]):
            end = " ".join(f"{v:.5f}" for v in _END * REST[i] / CM)
            lines.extend([f"{tab}  End Site", f"{tab}  {{", f"{tab}    OFFSET {end}", f"{tab}  }}"])
        lines.append(f"{tab}}}")

    joint(0, np.zeros(3), 0)
    return lines, order


def write(path, poses, rate):
    """Write poses (F, 17, 3), mm, y up, at `rate` frames a second.

    Each bone gets its median length. A pose whose bones have these lengths comes back within
    0.01 mm; in another each bone keeps its direction, and landmarks move by the difference.
    """
    lengths, turns = fit(poses)
    lines, order = _joints(lengths)
    rows = np.concatenate([poses[:, 0] / CM, *(_euler(turns[key]) for key in order)], axis=1)
    text = io.StringIO()
    np.savetxt(text, rows, fmt="%.5f")
    with replacing(path) as temporary:
        temporary.write_text(
            "\n".join(
                [
                    "HIERARCHY",
                    *lines,
                    "MOTION",
                    f"Frames: {len(rows)}",
                    f"Frame Time: {1 / rate:.8f}",
                    text.getvalue(),
                ]
            )
        )
