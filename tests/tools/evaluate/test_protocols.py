"""The protocols on an index in Human3.6M's naming."""

import itertools

import numpy as np
import pytest

from prior.skeleton import LANDMARKS
from tools.evaluate import protocols
from tools.evaluate.protocols import ACTIONS, CAMERAS, PROTOCOLS

ONE, TWO, THREE = PROTOCOLS
FRAMES = 200


def sequences(subject):
    """Names as in the dataset: numbered, or the second without a number."""
    for action in ACTIONS:
        if subject == "S1":  # has its own names
            action = {"Photo": "TakingPhoto", "WalkDog": "WalkingDog"}.get(action, action)
        if action == "Sitting":
            yield from ("Sitting 1", "Sitting 2")
        elif action == "Eating":
            yield from ("Eating 2", "Eating")
        else:
            yield from (f"{action} 1", action)


@pytest.fixture(scope="module")
def index():
    rows = [
        (subject, sequence, camera, frame)
        for subject in ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
        for sequence in sequences(subject)
        for camera in CAMERAS
        for frame in range(FRAMES)
    ]
    return protocols.index(*zip(*rows, strict=True))


def keys(index, protocol):
    return set(index.take(protocols.select(protocol, index)).keys())


def test_protocol_1(index):
    expected = {
        (subject, *rest)
        for subject in ("S9", "S11")
        for rest in itertools.product(sequences(subject), CAMERAS, range(0, FRAMES, 5))
    }
    expected -= {("S11", "Directions", "54138969", frame) for frame in range(FRAMES)}
    assert keys(index, ONE) == expected
    assert len(expected) == (2 * 30 * 4 - 1) * 40


def test_protocol_2(index):
    expected = set(itertools.product(["S11"], sequences("S11"), CAMERAS, [0, 64, 128, 192]))
    expected -= {("S11", "Directions", "54138969", frame) for frame in range(FRAMES)}
    assert keys(index, TWO) == expected


def test_protocol_3(index):
    """Each action's first trial; S11's damaged video is neither of this camera nor of this one."""
    first = {f"{action} 1" for action in ACTIONS} - {"Eating 1"} | {"Eating 2"}
    assert keys(index, THREE) == set(
        itertools.product(["S9", "S11"], first, ["60457274"], range(FRAMES))
    )


def test_the_damaged_video_only(index):
    chosen = index.take(protocols.select(ONE, index))
    damaged = (chosen.subject == "S11") & (chosen.action == "Directions")
    assert set(chosen.camera[damaged & (chosen.trial == 1)]) == set(CAMERAS)
    assert set(chosen.camera[damaged & (chosen.trial == 2)]) == set(CAMERAS[1:])
    assert "Directions" in chosen.sequence[chosen.subject == "S9"]


def test_what_the_data_lacks_of_a_protocol(index):
    for protocol in PROTOCOLS:
        chosen = index.take(protocols.select(protocol, index))
        assert protocols.lacking(protocol, chosen) == []
    chosen = index.take(protocols.select(ONE, index))
    part = chosen.take((chosen.sequence != "Walking") | (chosen.camera == "55011271"))
    assert set(protocols.lacking(ONE, part)) == {
        (subject, "Walking", 2, camera)
        for subject in ("S9", "S11")
        for camera in set(CAMERAS) - {"55011271"}
    }


def test_actions_that_begin_alike_are_kept_apart(index):
    one = index.take(protocols.select(ONE, index))
    for action, names in {
        "Walking": {"Walking 1", "Walking"},
        "WalkTogether": {"WalkTogether 1", "WalkTogether"},
        "WalkDog": {"WalkDog 1", "WalkDog"},
        "Sitting": {"Sitting 1", "Sitting 2"},
        "SittingDown": {"SittingDown 1", "SittingDown"},
    }.items():
        rows = one.action == action
        assert set(one.sequence[rows]) == names
        assert set(one.trial[rows]) == {1, 2}
        assert np.count_nonzero(rows) == 2 * 2 * 4 * 40
    assert set(one.action) == set(ACTIONS)
    assert set(index.action[index.subject == "S1"]) == set(ACTIONS)  # its own names too


def test_trials_of_metadata_come_first():
    rows = [("S9", name, CAMERAS[3], 0) for name in ("Eating", "Eating 2")]
    known = {("S9", "Eating"): 1, ("S9", "Eating 2"): 2}
    assert protocols.index(*zip(*rows, strict=True)).trial.tolist() == [2, 1]
    assert protocols.index(*zip(*rows, strict=True), known).trial.tolist() == [1, 2]


def test_separate_images_are_all_taken():
    rows = [("S11", "run", camera, frame) for camera in CAMERAS for frame in (3, 7)]
    index = protocols.index(*zip(*rows, strict=True))
    assert len(protocols.select(TWO, index)) == 0
    assert len(protocols.select(TWO, index, video=False)) == 8
    assert len(protocols.select(THREE, index, video=False)) == 2


def test_landmarks_and_subjects():
    assert ONE.landmarks == tuple(range(17))
    left_out = {"hip", "spine", "nose"}
    for protocol in (TWO, THREE):
        assert {LANDMARKS[i] for i in protocol.landmarks} == set(LANDMARKS) - left_out
    for protocol in PROTOCOLS:
        assert not set(protocol.training) & set(protocol.subjects)


def test_a_name_that_ends_in_thousands_of_digits_has_no_number():
    assert protocols.action_of("Walking 1") == ("Walking", 1)
    assert protocols.action_of("Walking " + "9" * 5000) == ("Walking " + "9" * 5000, None)
