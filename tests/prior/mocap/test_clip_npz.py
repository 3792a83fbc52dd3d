import re

import numpy as np
import pytest

from prior import mocap
from prior.mocap import Clip, MocapError, clip_npz
from prior.skeleton import LANDMARKS
from tests.poses import random_poses

# The names that Human3.6M's users write, in an order of their own.
SHORT = ["Head", "Neck/Nose", "Thorax", "Spine", "Hip"] + [
    side + part for part in ("Hip", "Knee", "Foot", "Shoulder", "Elbow", "Wrist") for side in "LR"
]


def _ours(name):
    special = {"Head": "head top", "Neck/Nose": "nose", "Thorax": "neck"}
    if name in special:
        return special[name]
    return (
        name.lower()
        if name in ("Hip", "Spine")
        else ({"L": "left ", "R": "right "}[name[0]] + name[1:].lower())
    )


def test_recognises(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"not an archive")
    np.savez(tmp_path / "other.npz", mean=np.zeros(3))
    (tmp_path / "a.txt").write_text("text")
    for name in ("a.npz", "other.npz", "a.txt"):
        assert not clip_npz.recognises(tmp_path / name)


def test_npz_round_trip(tmp_path):
    poses = random_poses(7)
    path = tmp_path / "S1" / "walk.npz"
    clip_npz.write(path, Clip(poses, 50.0, "S1", "walk"))
    assert [p.name for p in path.parent.iterdir()] == ["walk.npz"]
    assert clip_npz.recognises(path)
    (clip,) = clip_npz.read(path)
    assert clip[1:4] == (50.0, "S1", "walk")
    np.testing.assert_array_equal(clip.poses, poses.astype(np.float32))
    (again,) = mocap.read(tmp_path)
    np.testing.assert_array_equal(again.poses, clip.poses)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rate": None}, "expected poses_mm and rate, got poses_mm, subject, action"),
        ({"poses_mm": np.zeros((4, 16, 3))}, "(F, 17, 3)"),
        ({"poses_mm": np.zeros((4, 17, 3), dtype=int)}, "floats"),
        ({"rate": "fast"}, "rate as one positive number"),
        ({"poses_mm": np.array([None])}, "expected an array of numbers or text"),
        ({"clip": np.array(["a", "b"])}, "expected clip as 4 names, one per frame, got (2,)"),
        ({"landmarks": np.array(["hip"] * 17)}, "landmarks: expected hip, right hip"),
        ({"landmarks": np.array([*LANDMARKS[:-1], "tail"])}, "missing: right wrist; unknown: tail"),
    ],
)
def test_damaged_npz(tmp_path, change, says):
    arrays = {"poses_mm": np.zeros((4, 17, 3)), "rate": 50.0, "subject": "S1", "action": "walk"}
    path = tmp_path / "bad.npz"
    np.savez(path, **{k: v for k, v in (arrays | change).items() if v is not None})
    with pytest.raises(MocapError, match=re.escape(says)) as caught:
        clip_npz.read(path)
    assert str(path) in str(caught.value)


def test_a_clip_without_poses_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", poses_mm=np.zeros((0, 17, 3)), rate=30.0)
    with pytest.raises(MocapError, match="a.npz: poses_mm: expected poses, got none"):
        clip_npz.read(tmp_path / "a.npz")


def test_truncated_npz(tmp_path):
    path = tmp_path / "bad.npz"
    clip_npz.write(path, Clip(np.zeros((9, 17, 3)), 50.0, "S1", "walk"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MocapError, match="write it again"):
        clip_npz.read(path)


def test_several_clips_with_landmarks_in_another_order(tmp_path):
    poses = random_poses(9)
    reordered = poses[:, [LANDMARKS.index(_ours(name)) for name in SHORT]]
    names = ["walk"] * 4 + ["run"] * 3 + ["walk"] * 2
    np.savez(
        tmp_path / "cmu.npz",
        poses_mm=reordered.astype(np.float32),
        fps=12,
        clip=names,
        landmarks=SHORT,
    )
    clips = mocap.read(tmp_path / "cmu.npz")
    assert [(len(c.poses), *c[1:4]) for c in clips] == [
        (4, 12.0, "cmu", "walk"),
        (3, 12.0, "cmu", "run"),
        (2, 12.0, "cmu", "walk"),
    ]
    np.testing.assert_allclose(np.concatenate([c.poses for c in clips]), poses, atol=1e-3)
