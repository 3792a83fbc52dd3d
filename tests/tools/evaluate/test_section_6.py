"""The protocols of section 6 of the paper, typed in a second time, and what each compares."""

import itertools

import numpy as np
import pytest

from prior import metrics
from prior.camera import vertical_rotation
from prior.skeleton import HUMAN36M, LANDMARKS
from tests.poses import random_poses
from tools.evaluate import images, protocols, scoring

# Tome, Russell, Agapito, CVPR 2017, section 6; cameras by the names of Human3.6M's files.
ALL_CAMERAS = {"54138969", "55011271", "58860488", "60457274"}
FIVE = {"S1", "S5", "S6", "S7", "S8"}
SECTION_6 = {
    # protocol: (training, test, every so many frames, cameras, trials, landmarks, aligned, table)
    "1": (FIVE, {"S9", "S11"}, 5, ALL_CAMERAS, {1, 2}, 17, {"root", "mean"}, "protocol_1_mm"),
    "2": (FIVE | {"S9"}, {"S11"}, 64, ALL_CAMERAS, {1, 2}, 14, {"procrustes"}, "protocol_2_mm"),
    "3": (FIVE, {"S9", "S11"}, 1, {"60457274"}, {1}, 14, {"procrustes"}, "protocol_3_mm"),
}


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS, ids=lambda protocol: protocol.name)
def test_a_protocol_is_section_6s(protocol):
    training, test, step, cameras, trials, landmarks, aligned, table = SECTION_6[protocol.name]
    assert set(protocol.training) == training and set(protocol.subjects) == test
    assert protocol.step == step and set(protocol.cameras) == cameras
    assert set(protocol.trials) == trials and len(protocol.landmarks) == landmarks
    assert {alignment.to for alignment in protocol.alignments} == aligned
    assert protocol.published == table


def test_protocol_1_gives_both_scales_of_both_alignments_and_the_others_one_similarity():
    one, *others = protocols.PROTOCOLS
    assert set(one.alignments) == set(itertools.product(("root", "mean"), ("typical", "known")))
    assert one.alignments[0] == ("root", "typical")
    for protocol in others:
        assert protocol.alignments == (("procrustes", "fitted"),)


def test_the_root_is_the_hip():
    assert LANDMARKS[metrics.ROOT] == "hip" and metrics.ROOT == 0


def test_the_damaged_video_is_s11s_directions_before_the_first_camera():
    assert protocols.DAMAGED == {("S11", "Directions", "54138969")}


def moved(truth):
    """(name, poses, by which alignment they are free) of changes that one alignment undoes."""
    turn = vertical_rotation(0.3)
    return [
        ("shift", truth + [500, 20, -90], {"root", "mean", "procrustes"}),
        ("turn", truth @ turn.T, {"procrustes"}),
        ("turn, size and shift", 1.3 * truth @ turn.T + 70, {"procrustes"}),
    ]


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS, ids=lambda protocol: protocol.name)
def test_what_a_protocol_forgives(protocol):
    """A shift everywhere, a turn in protocols 2 and 3 alone; a mirror image nowhere."""
    truth = random_poses(8, seed=3)
    for name, poses, free in moved(truth):
        for alignment in protocol.alignments:
            error = scoring.errors_3d(poses, truth, alignment, protocol.landmarks)
            assert error.shape == (8, len(protocol.landmarks))
            if alignment.to in free:
                assert error.max() < 1e-6, name
            else:
                assert error.mean() > 20, name
    for alignment in protocol.alignments:
        mirror = truth * [-1, 1, 1]
        assert scoring.errors_3d(mirror, truth, alignment, protocol.landmarks).mean() > 20


def test_a_known_scale_forgives_the_size_and_a_typical_one_does_not():
    truth = random_poses(8, seed=3)
    for alignment in protocols.PROTOCOLS[0].alignments:
        error = scoring.errors_3d(1.2 * truth, truth, alignment, range(17))
        assert (error.max() < 1e-6) == (alignment.scale == "known")


def test_the_similarity_is_fitted_to_the_14_landmarks_alone():
    """The other three, wherever they are, change nothing."""
    truth, poses = random_poses(8, seed=3), random_poses(8, seed=4)
    protocol = protocols.PROTOCOLS[1]
    before = scoring.errors_3d(poses, truth, protocol.alignments[0], protocol.landmarks)
    for landmark in ("hip", "spine", "nose"):
        poses[:, LANDMARKS.index(landmark)] += 1000
    after = scoring.errors_3d(poses, truth, protocol.alignments[0], protocol.landmarks)
    np.testing.assert_array_equal(before, after)


def test_the_names_in_errors_json_are_what_they_say():
    truth, random = random_poses(20, seed=8), np.random.default_rng(9)
    poses = 1.1 * truth + random.normal(0, 50, truth.shape)
    some = [i for i, name in enumerate(LANDMARKS) if name not in ("hip", "spine", "nose")]
    expected = {
        "root_aligned": metrics.root_aligned(poses, truth),
        "mean_aligned": metrics.mean_aligned(poses, truth),
        "mean_aligned_known_scale": metrics.mean_aligned(
            metrics.with_scale_of(poses, truth), truth
        ),
        "procrustes": metrics.procrustes_aligned(poses, truth),
        "procrustes_14_landmarks": metrics.procrustes_aligned(poses[:, some], truth[:, some]),
    }
    errors = images.errors_3d(poses, truth, HUMAN36M)
    assert errors == pytest.approx({name: error.mean() for name, error in expected.items()})
    assert len({round(error, 6) for error in errors.values()}) == 5
