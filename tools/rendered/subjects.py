"""Who is in the dataset: bodies, clothes and hair.

Subjects are Human3.6M's, S9 and S11 for testing; what they do is in recordings.py.
"""

import numpy as np

from tools.rendered.look import PATTERNS, Cloth, Style

TRAIN_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("S9", "S11")
SUBJECTS = TRAIN_SUBJECTS + TEST_SUBJECTS

ARM, FOREARM = "arms/measure-upperarm-length", "arms/measure-lowerarm-length"
THIGH, SHANK = "legs/measure-upperleg-height", "legs/measure-lowerleg-height"
TORSO, SHOULDERS = "torso/torso-scale-vert", "torso/measure-shoulder-dist"

# Arguments of makehuman.shape: our choice, adults of 1.5 to 1.9 m of varied build and limbs.
SHAPES = {
    "S1": {
        "male": 0,
        "old": 0.1,
        "muscle": 0.1,
        "weight": -0.2,
        "height": 0.05,
        "ethnicity": "caucasian",
        "details": {ARM: 0.3, THIGH: -0.2},
    },
    "S5": {
        "male": 0,
        "old": 0.4,
        "muscle": -0.2,
        "weight": 0.45,
        "height": -0.05,
        "ethnicity": "african",
        "details": {FOREARM: -0.3, TORSO: 0.3},
    },
    "S6": {
        "male": 1,
        "old": 0.0,
        "muscle": 0.4,
        "weight": -0.1,
        "height": 0.0,
        "ethnicity": "asian",
        "details": {THIGH: 0.3, SHANK: 0.2},
    },
    "S7": {
        "male": 0,
        "old": 0.0,
        "muscle": 0.0,
        "weight": 0.0,
        "height": 0.15,
        "ethnicity": "asian",
        "details": {SHANK: 0.4, ARM: -0.2},
    },
    "S8": {
        "male": 1,
        "old": 0.6,
        "muscle": -0.1,
        "weight": 0.5,
        "height": 0.1,
        "ethnicity": "caucasian",
        "details": {TORSO: -0.3, SHOULDERS: 0.3},
    },
    "S9": {
        "male": 1,
        "old": 0.2,
        "muscle": 0.2,
        "weight": 0.15,
        "height": -0.1,
        "ethnicity": "african",
        "details": {ARM: 0.3, SHANK: -0.2},
    },
    "S11": {
        "male": 0,
        "old": 0.2,
        "muscle": 0.1,
        "weight": 0.1,
        "height": 0.1,
        "ethnicity": "caucasian",
        "details": {THIGH: 0.2, SHOULDERS: -0.3},
    },
}


def _rgb(text):
    return np.array([int(text[i : i + 2], 16) for i in (0, 2, 4)]) / 255


def _cloth(first, second, kind="plain", period=80.0, loose=8.0):
    return Cloth(_rgb(first), _rgb(second), kind, period, loose)


def _style(skin, hair, top, bottom, shoes, **cut):
    usual = {
        "sleeve": 0.6,
        "hem": 1.9,
        "leg": 0.15,
        "neckline": 2.97,
        "skirt": None,
        "long_hair": False,
        "bald": False,
    }
    return Style(_rgb(skin), _rgb(hair), top, bottom, shoes, **usual | cut)


# Each person's first look, our choice: nobody is cut or dressed like another.
STYLES = {
    "S1": _style(
        "e8b896",
        "7a4a22",
        _cloth("c23b3b", "f0ece4", "stripes", 70),
        _cloth("35507f", "3f5c8e", "blots", 60, 4),
        _cloth("efefef", "bbbbbb"),
        long_hair=True,
    ),
    "S5": _style(
        "7a4b35",
        "1c1513",
        _cloth("e0b040", "7a3f8c", "blots", 160),
        _cloth("26262b", "33333a", "bands", 40),
        _cloth("5a3824", "5a3824"),
        sleeve=1.85,
        skirt=0.9,
        leg=1.2,
        long_hair=True,
    ),
    "S6": _style(
        "d9a878",
        "15110f",
        _cloth("4d8f5b", "4d8f5b"),
        _cloth("b59a6a", "a88d5c", "blots", 90, 14),
        _cloth("2b2b2b", "444444"),
        leg=1.05,
    ),
    "S7": _style(
        "e9c29c",
        "241a16",
        _cloth("f2f2f2", "3c6fb5", "checks", 110),
        _cloth("6b2d4a", "6b2d4a", loose=2),
        _cloth("d05a8a", "d05a8a"),
        sleeve=0.35,
        neckline=2.85,
    ),
    "S8": _style(
        "dba98a",
        "9a9a9a",
        _cloth("5a6878", "dfe3e6", "bands", 45, 14),
        _cloth("4a4036", "4a4036", loose=14),
        _cloth("3a2a1c", "3a2a1c"),
        sleeve=1.9,
        bald=True,
    ),
    "S9": _style(
        "5b3a29",
        "120d0b",
        _cloth("e27a2c", "2e3338", "stripes", 150, 12),
        _cloth("7d8790", "6d7780", "blots", 70, 12),
        _cloth("e8e8e8", "777777"),
        sleeve=0.9,
        hem=1.85,
    ),
    "S11": _style(
        "f0c8ac",
        "c59a4e",
        _cloth("2f7f86", "e7dfc8", "checks", 70, 6),
        _cloth("8e3b2e", "7c3025", "blots", 90, 4),
        _cloth("27272e", "27272e"),
        sleeve=1.3,
        leg=0.8,
        neckline=2.9,
        long_hair=True,
    ),
}


# Looks of each person, the first of them that of STYLES: with one alone, a network would learn the
# clothes and heads of five people instead of people.
LOOKS = 12
PALEST, DARKEST = _rgb("f0c8ac"), _rgb("5b3a29")  # skins of STYLES


def styled(subject, look, generator):
    """The subject's Style in a look, 0 .. LOOKS - 1: the first that of STYLES; then other skin,
    hair and clothes, with the subject's own neckline, hem and skirt."""
    style = STYLES[subject]
    if look == 0:
        return style

    def other(cloth):
        colour, second = generator.uniform(0.05, 0.95, (2, 3))
        kind = str(generator.choice(PATTERNS))
        return Cloth(colour, second, kind, generator.uniform(40, 160), cloth.loose)

    bright, (green, blue) = generator.uniform(0.05, 0.8), generator.uniform(0.7, 1, 2)
    return style._replace(
        skin=PALEST + generator.uniform() * (DARKEST - PALEST),
        hair=bright * np.array([1, green, green * blue]),  # black, grey, brown, blond
        long_hair=bool(generator.random() < 0.4),
        bald=bool(generator.random() < 0.2),
        top=other(style.top),
        bottom=other(style.bottom),
        shoes=other(style.shoes),
        sleeve=generator.uniform(0.3, 1.9),
        leg=generator.uniform(0.1, 1.2),
    )
