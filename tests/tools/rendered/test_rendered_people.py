"""The rendered dataset's people, their motion, and which of it is for testing."""

from collections import Counter

import numpy as np
import pytest

from prior.mocap import motion
from prior.skeleton import LANDMARKS
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
    @pytest.mark.slow
    def test_bodies_differ(self):
        from tools.rendered import plan, subjects

        bodies = [plan.body(subject) for subject in subjects.SUBJECTS]
        tall = [np.ptp(body.vertices[:13380, 1]) for body in bodies]
        assert 1450 < min(tall) < max(tall) < 2000
        assert np.diff(np.sort([body.leg_length for body in bodies])).min() > 1
        arms = [np.linalg.norm(body.tails - body.heads, axis=1) for body in bodies]
        assert np.std(arms, axis=0).max() > 15

    def test_skin_moves_with_its_landmarks(self):
        from tools.rendered import body as bodies
        from tools.rendered import plan

        body = plan.body("S1")
        job = next(j for j in plan.assign() if (j["subject"], j["kind"]) == ("S1", "climb"))
        posed, _ = plan.motion({"seed": 0}, job)
        points = list(bodies.LANDMARK_VERTICES.values())
        skin = body.skin(
            posed.rotations[20], posed.heads[20], body.vertices[points], body.weights[points]
        )
        names = [INDEX[name] for name in bodies.LANDMARK_VERTICES]
        np.testing.assert_allclose(skin, posed.landmarks[20, names], atol=0.1)


def test_who_is_tested_does_what_nobody_in_training_was_recorded_doing():
    """By the split that the carried motion has, of subjects; every recording is used once."""
    from tools.rendered import plan, recordings

    jobs = plan.assign()
    assert sorted(job["recording"] for job in jobs) == [*range(len(recordings.load()))]
    names = [(job["subject"], job["action"]) for job in jobs]
    assert len(set(names)) == len(names)
    poses = {split: {c.poses.shape for c in motion.load(split)} for split in ("training", "test")}
    for job in jobs:
        recording = recordings.load()[job["recording"]]
        test = job["subject"] in subjects.TEST_SUBJECTS
        assert job["split"] == recording.split == ("test" if test else "train")
        frames = (len(recording.poses) - 1) * recordings.STEP + 1
        split = "test" if test else "training"
        assert any(0 <= count - frames < recordings.STEP for count, *_ in poses[split])


def test_every_kind_is_shared_among_the_people():
    from tools.rendered import plan

    people = {"train": len(subjects.TRAIN_SUBJECTS), "test": len(subjects.TEST_SUBJECTS)}
    done = Counter((job["split"], job["kind"], job["subject"]) for job in plan.assign())
    for split, kind in {key[:2] for key in done}:
        counts = [n for key, n in done.items() if key[:2] == (split, kind)]
        assert max(counts) - min(counts) <= 1
        assert len(counts) == min(sum(counts), people[split])
