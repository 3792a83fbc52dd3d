"""Human3.6M's protocols as data, and the frames that each selects.

A sequence is one recording of a subject, named as the dataset's files: "Walking 1", "WalkTogether".
Every subject does each of 15 actions twice: its trials.
"""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from prior.skeleton import PROTOCOL_14, L

# The rows of the paper's tables 1 and 2, and of its 2D comparison.
PUBLISHED = Path(__file__).with_name("published.json")

# In the order of the dataset's release.
CAMERAS = ("54138969", "55011271", "58860488", "60457274")

# Protocol 3's "frontal camera (cam 3)" (Bogo et al. 2016), counted from 0: the code of later papers
# that follow Bogo et al. (HMR, Kanazawa et al. 2018; SPIN, Kolotouros et al. 2019) takes 60457274.
FRONTAL = "60457274"

ACTIONS = (
    "Directions",
    "Discussion",
    "Eating",
    "Greeting",
    "Phoning",
    "Photo",
    "Posing",
    "Purchases",
    "Sitting",
    "SittingDown",
    "Smoking",
    "Waiting",
    "WalkDog",
    "Walking",
    "WalkTogether",
)

# S1's files have other names for two actions.
_OTHER_NAMES = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}

# (subject, sequence, camera) whose video is damaged, so that its 2D positions do not belong to the
# 3D ones. Left out by h36m-fetch (A. Nibali), and with all cameras of its sequence by VideoPose3D
# (Pavllo et al. 2019).
DAMAGED = frozenset({("S11", "Directions", "54138969")})


class Alignment(NamedTuple):
    """How poses are brought to their truth: to is "root", "mean" or "procrustes" (a similarity);
    scale is "typical" (the prior's: nothing of the truth is used) or "known" (the truth's limb
    scale), for Procrustes "fitted"."""

    to: str
    scale: str

    def __str__(self):
        return f"{self.to}, {self.scale} scale"


# Protocol 1 does not say what is aligned, nor which scale: every number of ours says it.
POSITION = tuple(Alignment(to, scale) for to in ("root", "mean") for scale in ("typical", "known"))
SIMILARITY = (Alignment("procrustes", "fitted"),)


@dataclass(frozen=True)
class Protocol:
    """Who is trained on and tested on, on which frames, and what is compared.

    step: every so many frames of the videos' 50 a second; cameras, trials (1, 2): those tested;
    landmarks: indices of those compared; published: the key of its table in published.json.
    """

    name: str
    training: tuple
    subjects: tuple
    step: int
    cameras: tuple
    trials: tuple
    landmarks: tuple
    alignments: tuple
    published: str


_FIVE = ("S1", "S5", "S6", "S7", "S8")
_FOURTEEN = tuple(PROTOCOL_14.tolist())

# Section 6 of the paper.
PROTOCOLS = (
    Protocol(
        "1", _FIVE, ("S9", "S11"), 5, CAMERAS, (1, 2), tuple(range(L)), POSITION, "protocol_1_mm"
    ),
    # Six subjects for training; the paper's own model saw only protocol 1's five, as ours.
    Protocol(
        "2", (*_FIVE, "S9"), ("S11",), 64, CAMERAS, (1, 2), _FOURTEEN, SIMILARITY, "protocol_2_mm"
    ),
    Protocol(
        "3", _FIVE, ("S9", "S11"), 1, (FRONTAL,), (1,), _FOURTEEN, SIMILARITY, "protocol_3_mm"
    ),
)


class Index(NamedTuple):
    """Which frame each of M records is: subject "S9", sequence "Walking 1", action "Walking", trial
    1 or 2, camera "54138969", frame from 0; arrays (M,) of str and int."""

    subject: np.ndarray
    sequence: np.ndarray
    action: np.ndarray
    trial: np.ndarray
    camera: np.ndarray
    frame: np.ndarray

    def keys(self):
        """(subject, sequence, camera, frame) of each record."""
        return list(
            zip(
                *(a.tolist() for a in (self.subject, self.sequence, self.camera, self.frame)),
                strict=True,
            )
        )

    def take(self, rows):
        """The Index of some rows."""
        return Index(*(array[rows] for array in self))


def index(subjects, sequences, cameras, frames, trials=None):
    """The Index of M records. trials: {(subject, sequence): trial}; what it does not name, or
    all, is found by `trials_of` from the names of the subject's sequences."""
    subjects, sequences, cameras = (
        np.array(list(map(str, names))) for names in (subjects, sequences, cameras)
    )
    known, actions = dict(trials or {}), {}
    for subject in np.unique(subjects):
        for name, (action, trial) in trials_of(np.unique(sequences[subjects == subject])).items():
            actions[name] = action
            known.setdefault((str(subject), name), trial)
    return Index(
        subjects,
        sequences,
        np.array([actions[name] for name in sequences.tolist()]),
        np.array([known[pair] for pair in zip(subjects.tolist(), sequences.tolist(), strict=True)]),
        cameras,
        np.array(list(frames), dtype=int),
    )


def action_of(sequence):
    """ "Walking 1" -> ("Walking", 1); a name without a number has None."""
    match = re.fullmatch(r"(.+?)(?: (\d{1,9}))?", sequence)
    action = _OTHER_NAMES.get(match[1], match[1])
    return action, int(match[2]) if match[2] else None


def trials_of(sequences):
    """{sequence: (action, trial)} of one subject's sequences.

    Numbers rise with the trials, and a name without one is the last: of "Directions 1" and
    "Directions" the latter is trial 2, as metadata.xml of the dataset has it for S11.
    """
    by_action = {}
    for name in map(str, sequences):
        action, number = action_of(name)
        by_action.setdefault(action, []).append((np.inf if number is None else number, name))
    return {
        name: (action, trial)
        for action, names in by_action.items()
        for trial, (_, name) in enumerate(sorted(names), start=1)
    }


def select(protocol, frames, video=True):
    """The rows of an Index that a protocol tests on, in their order.

    video: the index has every frame of the videos, of which each step-th is taken. False where it
    has separate images: then all of them are.
    """
    chosen = (
        np.isin(frames.subject, protocol.subjects)
        & np.isin(frames.camera, protocol.cameras)
        & np.isin(frames.trial, protocol.trials)
    )
    if video:
        chosen &= frames.frame % protocol.step == 0
    for subject, sequence, camera in DAMAGED:
        chosen &= ~(
            (frames.subject == subject) & (frames.sequence == sequence) & (frames.camera == camera)
        )
    return np.flatnonzero(chosen)


def lacking(protocol, frames):
    """The videos of a protocol of which an Index has no frame: [(subject, action, trial, camera)].
    Without them a mean is not the protocol's."""
    there = set(
        zip(
            *(a.tolist() for a in (frames.subject, frames.action, frames.trial, frames.camera)),
            strict=True,
        )
    )
    damaged = {(subject, action_of(name)[0], 2, camera) for subject, name, camera in DAMAGED}
    wanted = itertools.product(protocol.subjects, ACTIONS, protocol.trials, protocol.cameras)
    return [video for video in wanted if video not in there | damaged]


def tested(frames):
    """The rows of an Index of videos that some protocol tests on."""
    return np.unique(np.concatenate([select(protocol, frames) for protocol in PROTOCOLS]))


def describe(protocol, video=True):
    """The frames of a protocol in words."""
    step = protocol.step
    frames = "every frame" if step == 1 else f"every {step}th frame of 50 a second"
    cameras = "all cameras" if protocol.cameras == CAMERAS else f"camera {protocol.cameras[0]}"
    trials = "all trials" if len(protocol.trials) > 1 else f"trial {protocol.trials[0]}"
    return (
        f"{' and '.join(protocol.subjects)}, {cameras}, {trials}, "
        f"{frames if video else 'every image'}"
    )
