import numpy as np
import pytest

from prior import landmark_sets, mocap
from prior.errors import InputError
from prior.mocap import clip_npz, coco
from prior.mocap.clip import Clip, MocapError
from prior.skeleton import COCO, HUMAN36M
from tests.hands import HAND, random_hands
from tests.poses import random_poses


def of(poses, skeleton, name):
    return poses[:, skeleton.landmarks.index(name)]


def test_names_and_order_are_those_of_cocos_detections():
    assert COCO.landmarks == landmark_sets.COCO.names


def test_keypoints_that_both_have_are_the_same_and_the_face_is_a_face():
    ours = random_poses(50)
    keypoints = coco.from_human36m(ours)
    for name, theirs in landmark_sets.COCO.direct.items():
        np.testing.assert_array_equal(of(keypoints, COCO, theirs), of(ours, HUMAN36M, name))

    def apart(a, b):
        return np.linalg.norm(of(keypoints, COCO, a) - of(keypoints, COCO, b), axis=1)

    # Millimetres, typed in a second time.
    np.testing.assert_allclose(apart("left_eye", "right_eye"), 63)
    np.testing.assert_allclose(apart("left_ear", "right_ear"), 145)
    up = of(ours, HUMAN36M, "head top") - of(ours, HUMAN36M, "neck")
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    middle = {
        part: (of(keypoints, COCO, f"left_{part}") + of(keypoints, COCO, f"right_{part}")) / 2
        for part in ("eye", "ear")
    }
    # The eyes are above the ears, and the nose before both.
    assert (np.sum((middle["eye"] - middle["ear"]) * up, axis=1) > 20).all()
    forward = of(keypoints, COCO, "nose") - middle["ear"]
    assert (np.linalg.norm(forward, axis=1) > 100).all()
    # Left is left of whoever looks forward.
    across = of(keypoints, COCO, "left_ear") - of(keypoints, COCO, "right_ear")
    assert (np.einsum("fa,fa->f", np.cross(up, forward), across) > 0).all()


def test_the_mirror_image_of_a_person_is_that_of_the_keypoints():
    ours = random_poses(20)
    image = coco.from_human36m(HUMAN36M.mirrored(ours))
    np.testing.assert_allclose(image, COCO.mirrored(coco.from_human36m(ours)), atol=1e-9)


def test_turning_the_person_turns_the_keypoints():
    ours = random_poses(20)
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    np.testing.assert_allclose(
        coco.from_human36m(ours @ turn), coco.from_human36m(ours) @ turn, atol=1e-9
    )


def test_a_face_without_direction_is_refused():
    ours = random_poses(5)
    neck, top, nose = (HUMAN36M.landmarks.index(name) for name in ("neck", "head top", "nose"))
    ours[3, nose] = (ours[3, neck] + ours[3, top]) / 2
    with pytest.raises(InputError, match="frame 3: expected a nose 15 mm or more"):
        coco.from_human36m(ours)


def test_motion_is_read_as_the_skeleton_that_is_asked_for(tmp_path):
    poses = random_poses(30).astype(np.float32)
    clip_npz.write(tmp_path / "walk.npz", Clip(poses.astype(float), 50.0, "S1", "walk"))
    (clip,) = mocap.read(tmp_path / "walk.npz", skeleton=COCO)
    np.testing.assert_allclose(clip.poses, coco.from_human36m(poses.astype(float)))
    assert clip.skeleton == COCO
    # A file of COCO's keypoints is read by their names.
    clip_npz.write(tmp_path / "coco.npz", clip)
    (again,) = mocap.read(tmp_path / "coco.npz", skeleton=COCO)
    np.testing.assert_allclose(again.poses, clip.poses, atol=1e-3)
    with pytest.raises(MocapError, match="walk.npz: landmarks: expected those of the skeleton"):
        mocap.read(tmp_path / "walk.npz", skeleton=HAND)


def test_a_folder_with_two_kinds_of_skeleton_is_one_line(tmp_path):
    hands = Clip(random_hands(20), 50.0, "S1", "wave", skeleton=HAND)
    clip_npz.write(tmp_path / "a.npz", hands)
    (clip,) = mocap.read(tmp_path, skeleton=HAND)
    np.testing.assert_allclose(clip.poses, hands.poses, atol=1e-3)
    clip_npz.write(tmp_path / "b.npz", Clip(random_poses(20), 50.0, "S1", "walk"))
    with pytest.raises(MocapError, match="b.npz: landmarks: .* two kinds of skeleton"):
        mocap.read(tmp_path, skeleton=HAND)
    with pytest.raises(MocapError, match="a.npz"):
        mocap.read(tmp_path)
