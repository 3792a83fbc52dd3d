"""Where people are in an image: a network's own scan over places and scales.

A pose machine looks for the person in the middle of its input, at one size. So it is shown squares
of the image of several sizes, each overlapping its neighbours by half. Where it sees most of a
person, the square is put round the landmarks that it sees, and it looks again, better placed. What
remains is judged by the maxima of its last maps: low where nobody is.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from prior.camera import LEVEL
from python_layers import belief_maps
from python_layers.data import crop
from tools.infer.estimator import Person, inputs_of

# Sides of the squares, in parts of the image's longer side; the first for a person who is cut off,
# whose whole length would be larger than the image. Smaller people are not looked for.
SIDES = (1.4, 1.0, 0.7, 0.5, 0.35)
STEP = 0.5  # between squares, in parts of their side
REFINED = 8  # of all squares so many are looked at again
ROUNDS = 2  # times that a square is put round its landmarks
MARGIN = 0.1  # round the landmarks, in parts of their longer side, as boxes in training have it
# A landmark is there where its map reaches the first; a person where the score does the second.
# That is the mean of all maps' maxima, times this power of the box's part of the image: small
# patches of texture look like somebody more often than people in photographs are small. Our
# choices; the second is what the surest of 94 in 100 of the held-out photographs reaches with the
# network that comes along, and of 24 pictures without people in Python packages 5 do.
LEAST_LANDMARK, LEAST_PERSON, SMALLNESS = 0.15, 0.41, 0.25
# Somebody is no other person than those before if half of the landmarks are theirs, within a tenth
# of the box: the same one, a part of one, or made up of two. Our choice.
SAME, CLOSE = 0.5, 0.1
LEAST_SIDE = 32  # px, of the image: too little is seen of less, as in tools.convert


class Seen(NamedTuple):
    """A person in an image: box (x, y, width, height), px; score, 0 to about 1; points (L, 2), px,
    of the landmarks that are there, otherwise NaN."""

    box: Float[np.ndarray, "4"]
    score: float
    points: Float[np.ndarray, "L 2"]


def scan(network: Any, image: UInt8[np.ndarray, "H W 3"]) -> list[Seen]:
    """The people in an image, the surest first; empty where nobody is. network: a Network."""
    if max(image.shape[:2]) < LEAST_SIDE:
        return []
    looked = _look(network, image, list(squares(image.shape[1], image.shape[0])))
    best = sorted(looked, key=lambda person: -person.score)
    best = _apart(best)[:REFINED]
    for _ in range(ROUNDS):
        again = _look(network, image, [person.box for person in best])
        # Where a square that is placed anew shows less, it was better as it was.
        best = [
            max(pair, key=lambda person: person.score) for pair in zip(best, again, strict=True)
        ]
    best.sort(key=lambda person: -person.score)
    longest = max(image.shape[:2])
    judged = [
        person._replace(score=person.score * min(person.box[2:].max() / longest, 1) ** SMALLNESS)
        for person in _apart(best)
    ]
    judged.sort(key=lambda person: -person.score)
    return [person for person in judged if person.score >= LEAST_PERSON]


def squares(width: int, height: int) -> Iterator[Float[np.ndarray, "4"]]:
    """The squares (x, y, side, side), px, that a scan begins with."""
    for share in SIDES:
        side = share * max(width, height)
        for y in _middles(height, side):
            for x in _middles(width, side):
                yield np.array([x - side / 2, y - side / 2, side, side])


def _middles(length: int, side: float) -> Float[np.ndarray, "n"]:
    """Where the middles of squares lie along an axis of the image, evenly."""
    room = length - side
    if room <= 0:
        return np.array([(length - 1) / 2])
    count = int(np.ceil(room / (STEP * side))) + 1
    return side / 2 + np.linspace(0, room, count)


def _look(network: Any, image: np.ndarray, boxes: Sequence[np.ndarray]) -> list[Seen]:
    """What the network sees in each box: the box round its landmarks, and how sure it is."""
    people = [Person(image, box, LEVEL) for box in boxes]
    views = [crop.frame(person.box, network.size) for person in people]
    inputs = [inputs_of(person, view) for person, view in zip(people, views, strict=True)]
    name = network.maps_after(network.stages - 1)
    maps = network.run(inputs, [name])[name]
    points, peaks = belief_maps.argmax(maps, True, len(network.skeleton))
    points = belief_maps.to_input(points, network.stride)
    people_seen = []
    for own, peak, view, box in zip(points, peaks, views, boxes, strict=True):
        there = np.where(peak[:, None] >= LEAST_LANDMARK, crop.to_image(own, view), np.nan)
        people_seen.append(Seen(_round(there, box), float(np.mean(peak)), there))
    return people_seen


def _round(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The box round the landmarks that are there; as it was where there are too few."""
    there = points[np.isfinite(points).all(axis=1)]
    if len(there) < 4:
        return box
    low, high = there.min(axis=0), there.max(axis=0)
    margin = MARGIN * max((high - low).max(), 1.0)
    return np.concatenate([low - margin, high - low + 2 * margin])


def _apart(people: Sequence[Seen]) -> list[Seen]:
    """The people without those whose landmarks are those of others before them."""
    kept: list[Seen] = []
    for person in people:
        close = CLOSE * person.box[2:].max()
        theirs = np.zeros(len(person.points), dtype=bool)
        for other in kept:
            theirs |= np.linalg.norm(person.points - other.points, axis=1) < close
        if theirs.sum() < SAME * max(np.isfinite(person.points).all(axis=1).sum(), 1):
            kept.append(person)
    return kept
