"""Reasons to think that landmarks are not what they are taken for, a line for each."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Complex, Float

from prior import landmark_names
from prior.landmark_sets import LandmarkSet
from prior.skeleton import LANDMARKS
from tools.lift import meaning
from tools.lift.coordinates import NEVER, Size, other_shape

# Left and right are judged where the body is at least as wide as this, by its height from hips to
# shoulders, and the face points the other way by this cosine. Our choice: a person who looks over
# the shoulder is narrower.
WIDE, OPPOSITE = 0.45, -0.5
# Eyes or ears nearer to each other, by the same height, do not say where the face looks.
FACE = 0.04
# People are upright in the image where the way from feet to shoulders is within 45 degrees of
# upwards; if more are upside down, or lie, than this share, it is said. Our choice.
TURNED = 0.5
# Detectors put landmarks of hidden limbs outside the image; if more of all are there than this
# share, theirs had another size. Our choice, between 4 of 17, of people who are all cut off above
# the knees, and 31 %, of landmarks that are spread over an image of 1.2 times the size.
OUTSIDE = 0.25
# Width and height are exchanged if all landmarks are inside an image of the exchanged size, and
# more people than this share are outside it as it is, by most landmarks. Our choice: people who
# leave an image are outside it in a few frames.
AWAY = 0.05
# Whole people of a lower score are nobody, as often as not. Our choice: what detectors leave out.
WEAK = 0.2
# Landmarks of lower confidence do not tell left from right, or up from down.
SURE = 0.3


def unsure(
    block: Float[np.ndarray, "n S 3"], scores: Sequence[Any], where: Sequence[object]
) -> list[str]:
    """A line where people have a low score as a whole, of 1, though their landmarks are sure.

    A score that all share says nothing.
    """
    if set(map(type, scores)) <= {type(None)}:
        return []
    # A larger one is no score, and may be no float.
    plain = [isinstance(s, int | float) and abs(s) < 1e9 for s in scores]
    score = np.array([s if p else np.nan for s, p in zip(scores, plain, strict=True)], dtype=float)
    sure = np.median(block[..., 2], axis=1) >= SURE
    weak = (score < WEAK) & sure
    if not weak.any() or len(np.unique(score)) == 1:
        return []
    first = int(np.flatnonzero(weak)[0])
    return [
        f"{np.count_nonzero(weak)} of {len(score)} people have a score below {WEAK:g} as a whole, "
        f"though their landmarks are sure (first: {score[first]:.3g} in {where[first]}): they may "
        "be nobody"
    ]


def sides(
    block: Float[np.ndarray, "n S 3"], landmark_set: LandmarkSet, where: Sequence[object]
) -> list[str]:
    """Lines where left and right of people's bodies contradict those of their faces, or of hips
    those of shoulders.

    Such people would be lifted turned around. Sets without eyes and ears say nothing of the face.
    """
    pairs = landmark_names.pairs(landmark_set)
    if not {"shoulder", "hip"} <= set(pairs):
        return []
    # As complex numbers, x + iy: NumPy is slow along axes of two.
    points = block[..., 0] + 1j * block[..., 1]
    points[block[..., 2] < SURE] = np.nan
    across = {part: points[:, left] - points[:, right] for part, (left, right) in pairs.items()}
    shoulders, hips = (points[:, list(pairs[part])].mean(axis=1) for part in ("shoulder", "hip"))
    height = np.abs(shoulders - hips)
    body = (across["shoulder"] + across["hip"]) / 2
    doubts = []
    for name, parts, one, least in (
        ("the face", ("eye", "ear"), body, FACE),
        ("the shoulders", ("shoulder",), across["hip"], WIDE / 2),
    ):
        wide = np.abs(one) > (WIDE if name == "the face" else WIDE / 2) * height
        judged, wrong = np.zeros((2, len(block)), dtype=bool)
        for other in (across[part] for part in parts if part in across):
            clear = wide & (np.abs(other) > least * height)
            judged |= clear
            wrong |= clear & (_cosine(one, other) < OPPOSITE)
        if wrong.any():
            first = where[int(np.flatnonzero(wrong)[0])]
            part = "body" if name == "the face" else "hips"
            doubts.append(
                f"left and right of the {part} contradict {name} in {np.count_nonzero(wrong)} of "
                f"{np.count_nonzero(judged)} people who show both (first: {first}): if they are "
                "mixed up, these people come out turned around"
            )
    return doubts


def turned(
    points: Float[np.ndarray, "n 17 2"],
    confidence: Float[np.ndarray, "n 17"],
    where: Sequence[object],
) -> list[str]:
    """A line where most people, of our landmarks, are upside down in the image, or lie in it: the
    image may be turned, its y may point up, or x and y may be exchanged."""
    ends = []
    for part in ("foot", "shoulder"):
        sides = [LANDMARKS.index(f"{side} {part}") for side in ("left", "right")]
        sure = confidence[:, sides] >= SURE
        ends.append(np.where(sure[..., None], points[:, sides], np.nan).mean(axis=1))
    x, y = (ends[1] - ends[0]).T
    shown = np.isfinite(x) & np.isfinite(y)
    for rows, how, what in (
        (y > np.abs(x), "are upside down", "its y may point up, or the image be turned"),
        (np.abs(x) >= np.abs(y), "lie", "the image may be turned, or x and y exchanged"),
    ):
        rows = rows & shown
        if np.count_nonzero(rows) > TURNED * np.count_nonzero(shown):
            return [
                f"{np.count_nonzero(rows)} of {np.count_nonzero(shown)} people {how} in the image "
                f"(first: {where[int(np.flatnonzero(rows)[0])]}): {what}"
            ]
    return []


def outside(
    points: Float[np.ndarray, "n 17 2"],
    confidence: Float[np.ndarray, "n 17"],
    sizes: Sequence[Size | None],
) -> list[str]:
    """A line where many landmarks are outside their images, of these (width, height), px, where
    they are known, or many people are who would not be if width and height were exchanged."""
    known = [i for i, one in enumerate(sizes) if one is not None]
    there = confidence[known] >= SURE
    if not there.any():
        return []
    limit = np.array([sizes[i] for i in known])
    beyond, exchanged = (
        ((points[known] < 0) | (points[known] > one[:, None])).any(axis=2) & there
        for one in (limit, limit[:, ::-1])
    )
    total = np.count_nonzero(there)
    share = np.count_nonzero(beyond) / total
    away = 2 * np.count_nonzero(beyond, axis=1) > np.count_nonzero(there, axis=1)
    fit = np.count_nonzero(exchanged) <= NEVER * total
    if share <= OUTSIDE and not (fit and away.mean() > AWAY):
        return []
    person, landmark = np.argwhere(beyond)[0]
    (x, y), (width, height) = points[known][person, landmark], limit[person]
    return [
        f"{100 * share:.0f} % of the landmarks are outside the image of {width:g} x {height:g} px, "
        f"the first at {x:.0f}, {y:.0f}: "
        + (
            f"as if width and height were exchanged, and it had {height:g} x {width:g} px"
            if fit
            else "they are of one of another size"
        )
    ]


def exchanged(
    points: Float[np.ndarray, "n 17 2"],
    confidence: Float[np.ndarray, "n 17"],
    sizes: Sequence[Size],
) -> list[str]:
    """A line where people, scaled to images of these sizes, px, would have more of a person's
    proportions if width and height were exchanged."""
    rows = np.linspace(0, len(points) - 1, min(meaning.SAMPLE, len(points))).astype(int)
    sample, sure = points[rows], np.where(confidence[rows] >= SURE, confidence[rows], 0)
    limit = np.array([sizes[i] for i in rows])
    other = sample / limit[:, None] * limit[:, None, ::-1]
    as_it_is = meaning.unlike_a_person(sample, sure)
    # Of nobody who shows all bones both are infinite.
    if not as_it_is > meaning.unlike_a_person(other, sure) + meaning.BETTER:
        return []
    width, height = sizes[0]
    return [
        f"scaled to {width:g} x {height:g} px, people have less of a person's proportions than "
        f"scaled to {height:g} x {width:g}: width and height may be exchanged"
    ]


def shapes(pairs: Iterable[tuple[Size | None, Size | None]], one: str, other: str) -> list[str]:
    """A line where `one` and `other` say of an image that its width and height, px, have other
    proportions."""
    for a, b in dict.fromkeys(pairs):
        if a is not None and b is not None and other_shape(a, b):
            return [
                f"{one} {a[0]:g} x {a[1]:g} px for an image, {other} {b[0]:g} x {b[1]:g}: taken as "
                "the first"
            ]
    return []


def _cosine(one: Complex[np.ndarray, " n"], other: Complex[np.ndarray, " n"]) -> np.ndarray:
    return (one * other.conj()).real / np.maximum(np.abs(one) * np.abs(other), 1e-9)
