"""The rendered dataset's people, their motion, and which of it is for testing."""

import numpy as np

from prior.mocap import deepmimic
from prior.skeleton import LANDMARKS, LIMBS, limb_scale
from tests.rendered import needs_data
from tools.rendered import subjects

INDEX = {name: i for i, name in enumerate(LANDMARKS)}


def test_a_look_changes_skin_hair_and_clothes_but_not_the_cut():
    own = subjects.STYLES["S5"]
    assert subjects.styled("S5", 0, np.random.default_rng(0)) is own
    looks = [subjects.styled("S5", i, np.random.default_rng(i)) for i in range(1, 40)]
    for style in looks:
        assert (style.neckline, style.hem, style.skirt) == (own.neckline, own.hem, own.skirt)
        for colour in (style.skin, style.hair, style.top.colour):
            assert ((colour >= 0) & (colour <= 1)).all()
    for part in ("skin", "hair"):
        assert np.ptp([getattr(style, part) for style in looks], axis=0).min() > 0.3
    for part in ("top", "bottom", "shoes"):
        assert np.ptp([getattr(style, part).colour for style in looks], axis=0).min() > 0.3
    assert {style.bald for style in looks} == {style.long_hair for style in looks} == {True, False}


@needs_data
class TestPeople:
    def test_bodies_differ(self):
        from tools.rendered import plan, subjects

        bodies = [plan.body(subject) for subject in subjects.SUBJECTS]
        tall = [np.ptp(body.vertices[:13380, 1]) for body in bodies]
        assert 1450 < min(tall) < max(tall) < 2000
        assert np.diff(np.sort([body.leg_length for body in bodies])).min() > 1
        arms = [np.linalg.norm(body.tails - body.heads, axis=1) for body in bodies]
        assert np.std(arms, axis=0).max() > 15

    def test_limbs_point_as_in_the_clip(self):
        from tools.rendered import plan
        from tools.rendered.retarget import retarget

        for path in deepmimic.find_clips()[::4]:
            clip = deepmimic.read(path)[0].poses
            posed = retarget(deepmimic.read_motion(path), plan.body("S6")).landmarks
            for part in ("knee", "foot", "elbow", "wrist"):
                for side in ("left", "right"):
                    i = INDEX[f"{side} {part}"]
                    parent = next(a for a, b in LIMBS if b == i)
                    one, two = clip[:, i] - clip[:, parent], posed[:, i] - posed[:, parent]
                    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
                    cosine = np.einsum("fi,fi->f", one, two) / lengths
                    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 2
            # The whole figure, scaled: trunk, shoulders and head differ somewhat.
            one, two = ((p - p[:, :1]) / limb_scale(p)[:, None, None] for p in (clip, posed))
            assert np.linalg.norm(one - two, axis=-1).mean() < 0.05

    def test_stands_on_the_ground_and_is_rigid(self):
        from tools.rendered import plan
        from tools.rendered.retarget import retarget

        body = plan.body("S8")
        for path in deepmimic.find_clips()[::5]:
            posed = retarget(deepmimic.read_motion(path), body, yaw=1.0)
            lowest = body.lowest(posed.rotations, posed.heads)
            assert lowest.min() > -1
            assert np.percentile(lowest, 20) < 40
            limbs = posed.landmarks[:, LIMBS[:, 1]] - posed.landmarks[:, LIMBS[:, 0]]
            lengths = np.linalg.norm(limbs, axis=-1)[:, [0, 1, 2, 3, 4, 5, 11, 12, 14, 15]]
            assert np.ptp(lengths, axis=0).max() < 1e-6

    def test_skin_moves_with_its_landmarks(self):
        from tools.rendered import body as bodies
        from tools.rendered import plan
        from tools.rendered.retarget import retarget

        body = plan.body("S1")
        posed = retarget(deepmimic.read_motion(deepmimic.find_clips()[5]), body)
        points = list(bodies.LANDMARK_VERTICES.values())
        skin = body.skin(
            posed.rotations[20], posed.heads[20], body.vertices[points], body.weights[points]
        )
        names = [INDEX[name] for name in bodies.LANDMARK_VERTICES]
        np.testing.assert_allclose(skin, posed.landmarks[20, names], atol=0.1)


@needs_data
def test_split_is_disjoint_and_complete():
    from tools.rendered import subjects

    train = {name for s in subjects.TRAIN_SUBJECTS for name, _ in subjects.clips(s)}
    test = {name for s in subjects.TEST_SUBJECTS for name, _ in subjects.clips(s)}
    assert not train & test
    assert not set(subjects.TRAIN_SUBJECTS) & set(subjects.TEST_SUBJECTS)
    assert train | test == {deepmimic.action(path) for path in deepmimic.find_clips()}
    assert test == set(subjects.TEST_ACTIONS)


@needs_data
def test_no_test_clip_has_a_twin_in_training():
    """Half the frames of a test clip are over 100 mm per landmark from any in training."""
    from tools.rendered import subjects

    clips = {name: path for s in ("S1", "S9") for name, path in subjects.clips(s)}

    def turned(path):  # centred on the hips, which are turned to one direction
        poses = deepmimic.read(path)[0].poses[::3]
        poses = poses - poses[:, :1]
        across = poses[:, INDEX["left hip"]] - poses[:, INDEX["right hip"]]
        unit = np.exp(-1j * np.angle(across[:, 0] + 1j * across[:, 2]))[:, None]
        flat = (poses[..., 0] + 1j * poses[..., 2]) * unit
        return np.stack([flat.real, poses[..., 1], flat.imag], axis=-1)

    poses = {name: turned(path) for name, path in clips.items()}
    for test in subjects.TEST_ACTIONS:
        for train in set(clips) - set(subjects.TEST_ACTIONS):
            apart = np.linalg.norm(poses[test][:, None] - poses[train][None], axis=-1).mean(-1)
            assert np.median(apart.min(axis=1)) > 100, (test, train)
