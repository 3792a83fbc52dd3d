"""Motion of landmarks on the rig: against rotations that are known, and by invariants."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prior.camera import vertical_rotation
from prior.mocap import motion
from prior.skeleton import LANDMARKS, LIMBS, MIRROR
from tests.rendered import needs_data
from tools.rendered import retarget
from tools.rendered.retarget import neutral_pitches

pytestmark = needs_data
INDEX = {name: i for i, name in enumerate(LANDMARKS)}
KINDS = ("walk", "sit", "climb", "dance", "drink", "jump")


@pytest.fixture(scope="module")
def body():
    from tools.rendered import plan

    return plan.body("S6")


@pytest.fixture(scope="module")
def clips():
    return {kind: motion.load(kind=kind)[0].poses[::10] for kind in KINDS}


def degrees(a, b):
    """The angles between rotations (F, 3, 3)."""
    return np.degrees(Rotation.from_matrix(np.swapaxes(a, 1, 2) @ b).magnitude())


def landmarks_of(body, rotations):
    """The landmarks (F, 17, 3) of bones at rotations (F, B, 3, 3)."""
    heads = body.joints(rotations, np.tile([0.0, 900, 0], (len(rotations), 1)))
    return body.landmarks(rotations, heads)


def turned(body, turns):
    """Rotations (1, B, 3, 3): each bone turned by its own {bone: rotation} after its parent's."""
    rotations = np.zeros((len(body.bones), 3, 3))
    for b, (bone, parent) in enumerate(zip(body.bones, body.parents, strict=True)):
        above = rotations[parent] if parent >= 0 else np.eye(3)
        rotations[b] = above @ turns.get(bone, np.eye(3))
    return rotations[None]


def test_rest_is_rest(body):
    """The body's own landmarks at rest turn no bone."""
    rest = turned(body, {})
    poses = landmarks_of(body, rest)
    made = retarget.bone_rotations(poses, poses, body, neutral_pitches(poses))
    assert degrees(made[0], rest[0]).max() < 1e-4


def test_a_turned_body_turns_every_bone(body):
    poses = landmarks_of(body, turned(body, {}))
    turn = vertical_rotation(1.1)
    made = retarget.bone_rotations(poses @ turn.T, poses, body, neutral_pitches(poses))
    assert degrees(made[0], np.tile(turn, (len(body.bones), 1, 1))).max() < 1e-4


@pytest.mark.parametrize("seed", range(6))
def test_bent_limbs_have_the_twist_that_they_had(body, seed):
    """Arms and legs turned at random, elbows and knees bent about their hinges."""
    rng = np.random.default_rng(seed)
    rest = landmarks_of(body, turned(body, {}))
    turns = {}
    for side in ("Left", "Right"):
        for upper in ("Arm", "UpLeg"):
            turns[side + upper] = Rotation.from_rotvec(rng.normal(0, 0.6, 3)).as_matrix()
        upper, lower = (
            body.tails[body.bone[side + bone]] - body.heads[body.bone[side + bone]]
            for bone in ("Arm", "ForeArm")
        )
        hinge = np.cross(upper, lower)
        bend = rng.uniform(0.3, 1.5) * hinge / np.linalg.norm(hinge)
        turns[side + "ForeArm"] = Rotation.from_rotvec(bend).as_matrix()
        turns[side + "Leg"] = Rotation.from_rotvec([rng.uniform(0.6, 1.8), 0, 0]).as_matrix()
    expected = turned(body, turns)
    made = retarget.bone_rotations(landmarks_of(body, expected), rest, body, neutral_pitches(rest))
    for bone in ("LeftArm", "RightArm", "LeftForeArm", "RightForeArm"):
        b = body.bone[bone]
        # A collar bone turns with the arm, and moves the shoulder a little.
        assert degrees(made[:, b], expected[:, b]) < 1, bone
    for bone in ("LeftUpLeg", "RightUpLeg", "LeftLeg", "RightLeg"):
        b = body.bone[bone]
        # The rig's knees do not bend exactly about the axis across the body.
        assert degrees(made[:, b], expected[:, b]) < 10, bone


@pytest.mark.parametrize("kind", KINDS)
def test_limbs_point_as_in_the_clip(body, clips, kind):
    poses = clips[kind]
    posed = retarget.retarget(poses, body, neutral_pitches(poses)).landmarks
    for part in ("knee", "foot", "elbow", "wrist"):
        for side in ("left", "right"):
            i = INDEX[f"{side} {part}"]
            parent = next(a for a, b in LIMBS if b == i)
            one, two = poses[:, i] - poses[:, parent], posed[:, i] - posed[:, parent]
            lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
            cosine = np.einsum("fi,fi->f", one, two) / lengths
            assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.1
    # The hips turn with the clip's, and the head looks where the nose points, but for where the
    # skeletons have neck and nose.
    for a, b, most in (
        ("left hip", "right hip", 1),
        ("head top", "neck", 25),
        ("nose", "neck", 25),
    ):
        one, two = (p[:, INDEX[a]] - p[:, INDEX[b]] for p in (poses, posed))
        cosine = np.einsum("fi,fi->f", one, two)
        cosine = cosine / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
        assert np.median(np.degrees(np.arccos(np.clip(cosine, -1, 1)))) < most, (a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_stands_on_the_ground_and_is_rigid(body, clips, kind):
    poses = clips[kind]
    posed = retarget.retarget(poses, body, neutral_pitches(poses), yaw=1.0)
    lowest = body.lowest(posed.rotations, posed.heads)
    assert lowest.min() > -1
    assert np.percentile(lowest, 20) < 40
    assert np.allclose(np.linalg.det(posed.rotations), 1)
    limbs = posed.landmarks[:, LIMBS[:, 1]] - posed.landmarks[:, LIMBS[:, 0]]
    lengths = np.linalg.norm(limbs, axis=-1)[:, [0, 1, 2, 3, 4, 5, 11, 12, 14, 15]]
    assert np.ptp(lengths, axis=0).max() < 1e-6


def test_feet_are_flat_where_they_stand(body, clips):
    """Of a walk: while an ankle is as low as in standing, its foot is level; otherwise it may not
    be."""
    poses = clips["walk"]
    posed = retarget.retarget(poses, body, neutral_pitches(poses))
    for side in ("Left", "Right"):
        height = poses[:, INDEX[f"{side.lower()} foot"], 1]
        tilt = np.degrees(
            np.arccos(np.minimum(posed.rotations[:, body.bone[f"{side}Foot"], 1, 1], 1))
        )
        low = height < np.percentile(height, 20)
        assert tilt[low].max() < 12
        assert tilt[height > np.percentile(height, 95)].max() > 20


def test_a_turned_clip_turns_the_motion(body, clips):
    poses = clips["dance"]
    turn, neutral = vertical_rotation(0.8), neutral_pitches(poses)
    one = retarget.retarget(poses, body, neutral, yaw=0.8)
    other = retarget.retarget(poses @ turn.T, body, neutral)
    np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-6)
    plain = retarget.retarget(poses, body, neutral)
    assert degrees(turn @ plain.rotations[:, 3], one.rotations[:, 3]).max() < 1e-4


def test_a_mirrored_clip_gives_the_mirrored_motion(body, clips):
    poses = clips["climb"]
    mirror = np.array([-1.0, 1, 1])
    one = retarget.retarget(poses, body, neutral_pitches(poses)).landmarks
    poses = poses[:, MIRROR] * mirror
    other = retarget.retarget(poses, body, neutral_pitches(poses)).landmarks
    assert np.linalg.norm(other[:, MIRROR] * mirror - one, axis=-1).max() < 5


def test_another_place_of_spine_and_nose_is_another_skeleton_not_another_posture(body, clips):
    """What a data set calls spine and nose, moved forward on everybody, bends nobody."""
    poses = clips["walk"]
    one = retarget.retarget(poses, body, neutral_pitches(poses)).landmarks
    moved = poses.copy()
    across = poses[:, INDEX["left hip"]] - poses[:, INDEX["right hip"]]
    forward = np.cross(across, [0, 1, 0])
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    moved[:, INDEX["spine"]] += 60 * forward
    moved[:, INDEX["nose"]] += 40 * forward
    apart = np.linalg.norm(
        retarget.retarget(moved, body, neutral_pitches(moved)).landmarks - one, axis=-1
    )
    careless = np.linalg.norm(
        retarget.retarget(moved, body, neutral_pitches(poses)).landmarks - one, axis=-1
    )
    assert 2 * np.percentile(apart, 95) < np.percentile(careless, 95)
