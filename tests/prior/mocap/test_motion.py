"""The motion that the project carries, and its file."""

import re

import numpy as np
import pytest

from prior import mocap
from prior.errors import InputError
from prior.mocap import MocapError, motion
from prior.mocap.clip import Clip, check
from prior.skeleton import PARENTS, L
from tests.poses import random_poses
from tests.real_mocap import RIGID, bone_lengths, check_person

CARD = motion.PATH.with_name("CLIPS.md")
# Typed in a second time from the card's README.
TESTING = "05 08 11 13 16 39 55 113 136 143".split()
KINDS = "walk run jump climb sit bend reach drink gesture exercise fight ball dance".split()


def _clip(count=9, seed=0, **changes):
    clip = Clip(np.round(random_poses(count, seed)), 30.0, "5", "wave", "5_01", "gesture")
    return clip._replace(**changes)


def test_a_file_gives_back_the_clips(tmp_path):
    clips = [_clip(), _clip(4, 1, subject="6", action="walk", name="6_02", kind="walk")]
    motion.write(tmp_path / "a.npz", clips)
    assert motion.recognises(tmp_path / "a.npz")
    for got, clip in zip(motion.read(tmp_path / "a.npz"), clips, strict=True):
        assert got[1:] == clip[1:]
        assert np.array_equal(got.poses, clip.poses)
    assert [clip.name for clip in mocap.read(tmp_path / "a.npz")] == ["5_01", "6_02"]


def test_steps_as_in_a_loop(tmp_path):
    clip = _clip(5)
    motion.write(tmp_path / "a.npz", [clip])
    steps = np.load(tmp_path / "a.npz")["steps"]
    before = np.zeros((L, 3))
    for frame, pose in enumerate(clip.poses):
        relative = [pose[i] - (pose[p] if p >= 0 else 0) for i, p in enumerate(PARENTS)]
        assert np.array_equal(steps[:, frame].reshape(L, 3), relative - before)
        before = np.array(relative)


def test_whole_millimetres(tmp_path):
    poses = random_poses(30)
    motion.write(tmp_path / "a.npz", [_clip(poses=poses)])
    (clip,) = motion.read(tmp_path / "a.npz")
    assert 0 < abs(clip.poses - poses).max() <= 0.5


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="clips of one rate"):
        motion.write(tmp_path / "a.npz", [_clip(), _clip(rate=60.0)])
    with pytest.raises(InputError, match="below 32,768 mm"):
        motion.write(tmp_path / "a.npz", [_clip(poses=_clip().poses + 40_000)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"steps": np.zeros((50, 9), np.int16)},
        {"steps": np.zeros((51, 8), np.int16)},
        {"steps": np.zeros((51, 9), np.int32)},
        {"frames": np.array([10, -1])},
        {"subject": np.array(["a", "b"])},
        {"rate": np.array([30.0, 30.0])},
        {"kind": np.array([3])},
    ],
)
def test_damaged_files(tmp_path, change):
    motion.write(tmp_path / "a.npz", [_clip()])
    arrays = dict(np.load(tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", **(arrays | change))
    with pytest.raises(MocapError, match=r"b.npz: expected steps as \(51, F\) int16"):
        motion.read(tmp_path / "b.npz")


@pytest.fixture(scope="module")
def carried():
    return motion.load()


def test_the_file_is_small_and_its_clips_are_of_people(carried):
    assert motion.PATH.stat().st_size < 4e6
    for clip in carried:
        check(clip, clip.name)
        assert clip.kind in KINDS and clip.rate == 30 and clip.name.startswith(clip.subject)
    for kind in ("walk", "sit", "drink"):
        poses = np.concatenate([c.poses for c in carried if c.kind == kind])
        check_person(poses) if kind != "sit" else None


def test_limbs_keep_their_lengths(carried):
    for clip in carried:
        lengths = bone_lengths(clip.poses, RIGID)
        # Rounding to whole millimetres moves each end by 0.9 mm at most.
        assert (np.ptp(lengths, axis=0) < 4).all(), clip.name


def test_nobody_stands_in_the_t_pose_that_conversions_put_first(carried):
    for clip in carried:
        steps = np.linalg.norm(np.diff(clip.poses - clip.poses[:, :1], axis=0), axis=-1).max(axis=1)
        assert steps[0] * clip.rate < 12_000, clip.name


def test_the_split_is_by_subject_and_for_ever():
    assert list(motion.TEST_SUBJECTS) == TESTING
    test, training = motion.load("test"), motion.load("training")
    assert {clip.subject for clip in test} == set(TESTING)
    assert not {clip.subject for clip in training} & set(TESTING)
    assert len(test) + len(training) == len(motion.load())
    assert len({clip.subject for clip in training}) == 27


def test_clips_by_subject_action_and_kind():
    assert {clip.subject for clip in motion.load(subject="13")} == {"13"}
    drinks = motion.load(action="drink soda")
    assert {clip.name for clip in drinks} == {"13_07", "13_08", "13_09", "14_04", "14_05", "14_37"}
    assert {clip.action for clip in motion.load("test", kind="sit")} == {
        "sit on high stool, stand up"
    }
    with pytest.raises(InputError, match=r"no clip of \{'kind': 'fly'\}.*kinds: ball, bend"):
        motion.load(kind="fly")
    with pytest.raises(InputError, match="split: expected training or test, got 'train'"):
        motion.load("train")


def test_what_a_caller_changes_stays_with_it():
    first = motion.load(subject="11")[0]
    first.poses[:] = 0
    assert motion.load(subject="11")[0].poses.any()


def test_the_card_lists_every_clip(carried):
    rows = [re.split(r" *\| *", line.strip("| ")) for line in CARD.read_text().splitlines()]
    listed = {row[0]: row[1:5] for row in rows if len(row) > 4}
    assert listed.keys() - {"clip", "----------"} >= {clip.name for clip in carried}
    for clip in carried:
        split = "test" if clip.subject in TESTING else "training"
        assert listed[clip.name] == [split, clip.kind, clip.action, f"{len(clip.poses):,}"]
