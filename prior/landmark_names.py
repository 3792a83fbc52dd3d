"""Landmarks by their names: which set they are, in any order and spelling."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from prior.landmark_sets import LANDMARK_SETS, LandmarkSet, LandmarkTable
from prior.skeleton import LANDMARKS

# The name of a set that is none of LANDMARK_SETS: each landmark is known by its own name.
NAMED = "landmarks by name"
# Human3.6M's landmarks as others name them; in MMPose's order left comes first.
_HUMAN36M_NAMES = {
    "hip": "pelvis",
    "neck": "thorax",
    "nose": "neckbase",
    "head top": "head",
}
_LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
# Other words for a joint. A foot without heel or toe is its ankle, as Human3.6M's.
_WORDS = {
    "sho": "shoulder",
    "elb": "elbow",
    "wri": "wrist",
    "kne": "knee",
    "ank": "ankle",
    "foot": "ankle",
    "upleg": "hip",
    "midhip": "pelvis",
    "root": "pelvis",
    "hipcenter": "pelvis",
    "centerhip": "pelvis",
    "hip": "pelvis",  # without a side
    "headtop": "head top",
    "tophead": "head top",
    "topofhead": "head top",
}
# Words of animals: their joints have the names of a person's.
_ANIMAL = re.compile("paw|tail|hoof|withers|wing|beak|snout")
# Fewer named joints of the limbs do not tell that it is a person. Our choice: half of the twelve.
LEAST_LIMBS = 6


def plain(name: object) -> str:
    """A name by its letters and digits alone, in lower case."""
    return re.sub("[^a-z0-9]", "", str(name).lower())


def canonical(name: object) -> str:
    """A landmark's name in one spelling: "left knee" for LKnee, knee_l, Left Knee; "pelvis"."""
    return _canonical(str(name))


@lru_cache(1000)
def _canonical(name: str) -> str:
    text = re.sub(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z0-9]+", " ", name).strip()
    short = re.fullmatch(r"([LR])([a-z]+|(?:[A-Z][a-z]+)+)", text.replace(" ", ""))
    short = short or re.fullmatch(rf"([lr])({'|'.join([*_LIMBS, 'eye', 'ear', *_WORDS])})", text)
    words = [word.lower() for word in (short.groups() if short else text.split())]
    side = next((s for s in ("left", "right") for w in words if w in (s, s[0])), None)
    rest = "".join(word for word in words if word not in ("left", "right", "l", "r"))
    if side is None:
        for s in ("left", "right"):
            if rest.startswith(s):
                side, rest = s, rest.removeprefix(s)
    if side:
        word = _WORDS.get(rest, rest)
        return f"{side} {'hip' if word == 'pelvis' else word}"
    return _WORDS.get(rest, rest)


def find_set(names: Iterable[object]) -> LandmarkSet | None:
    """The LandmarkSet with these names in this order, or None.

    Case and punctuation do not count.
    """
    wanted = [plain(name) for name in names]
    return next((s for s in LANDMARK_SETS.values() if [plain(n) for n in s.names] == wanted), None)


def by_names(names: Sequence[object]) -> LandmarkSet | None:
    """The LandmarkSet of landmarks with these names, in any order and spelling; None if there is
    none.

    It is one of LANDMARK_SETS if all names are its own; otherwise the joints of the limbs, the nose
    and the top of the head are known by their names.
    """
    texts = tuple(str(name) for name in names)
    exact = find_set(texts)
    if exact is not None:
        return exact
    known: dict[str, int] = {}
    for i, text in enumerate(texts):
        known.setdefault(canonical(text), i)
    if len(known) < len(texts):
        return None
    if set(known) == {_human36m(name) for name in LANDMARKS}:
        table: LandmarkTable = {name: texts[known[_human36m(name)]] for name in LANDMARKS}
        return LandmarkSet("Human3.6M 17", texts, table)
    for candidate in LANDMARK_SETS.values():
        theirs = {canonical(name): name for name in candidate.names}
        if len(theirs) == len(candidate.names) and set(theirs) == set(known):
            of = {name: texts[known[key]] for key, name in theirs.items()}
            return LandmarkSet(candidate.name, texts, _renamed(candidate.table, of))
    return _by_joints(texts, known)


def _human36m(name: str) -> str:
    return _HUMAN36M_NAMES.get(name) or canonical(name)


def _renamed(table: LandmarkTable, of: dict[str, str]) -> LandmarkTable:
    return {
        ours: of[theirs] if isinstance(theirs, str) else (of[theirs[0]], of[theirs[1]])
        for ours, theirs in table.items()
    }


def _by_joints(texts: tuple[str, ...], known: dict[str, int]) -> LandmarkSet | None:
    if any(_ANIMAL.search(text.lower()) for text in texts):
        return None
    table: LandmarkTable = {}
    for side in ("left", "right"):
        for part in _LIMBS:
            if f"{side} {part}" in known:
                ours = f"{side} {'foot' if part == 'ankle' else part}"
                table[ours] = texts[known[f"{side} {part}"]]
    if len(table) < LEAST_LIMBS:
        return None
    for ours, part in (("hip", "hip"), ("neck", "shoulder")):
        if f"left {part}" in known and f"right {part}" in known:
            table[ours] = (texts[known[f"left {part}"]], texts[known[f"right {part}"]])
    if "hip" not in table and "pelvis" in known:
        table["hip"] = texts[known["pelvis"]]
    for ours in ("nose", "head top"):
        if ours in known:
            table[ours] = texts[known[ours]]
    return LandmarkSet(NAMED, texts, table)


def without_counterpart(landmark_set: LandmarkSet) -> list[str]:
    """The names of a set's landmarks that nothing of ours is made of."""
    used = {
        name
        for theirs in landmark_set.table.values()
        for name in ([theirs] if isinstance(theirs, str) else theirs)
    }
    return [name for name in landmark_set.names if name not in used]


def pairs(landmark_set: LandmarkSet) -> dict[str, tuple[int, int]]:
    """Where the left and the right one of a joint are among a set's landmarks: of eye, ear,
    shoulder and hip, those that it has."""
    at = {canonical(name): i for i, name in enumerate(landmark_set.names)}
    return {
        part: (at[f"left {part}"], at[f"right {part}"])
        for part in ("eye", "ear", "shoulder", "hip")
        if f"left {part}" in at and f"right {part}" in at
    }
