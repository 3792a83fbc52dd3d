"""What the reader of a data set returns, an Entry for each image, and how it is packed."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from prior import skeleton
from prior.errors import InputError
from python_layers.data import columns, images, packed

# A person with fewer landmarks, or a box whose longer side has fewer px, is context for others and
# never a sample: as in the later work of CPM's authors (Cao et al. 2017).
LEAST_LANDMARKS = 5
LEAST_SIDE = 32
# How far a body reaches beyond its landmarks, in parts of the longer side. Our choice: about what a
# hand or the sole of a foot adds to a standing person.
MARGIN = 0.1


class ConversionError(InputError):
    """A data set that cannot be converted: what was expected, what came, what to try."""


class Entry(NamedTuple):
    """One image of a data set."""

    image: dict  # its object of the JSON format; without "width" and "height" if it is a file
    people: list  # their objects of the JSON format, by `person`
    content: Path | bytes  # the file, or its encoded bytes


def person(landmarks, box=None, **more):
    """A person's object of the JSON format, or None for one without landmarks.

    landmarks: {name: (x, y, v)}, px, v as in COCO: 2 visible, 1 hidden. A "hip" that is missing is
    put in the middle of the right and the left hip, where Human3.6M's skeleton has it. box: (x, y,
    width, height), px; None: round the landmarks. more: other keys of the object.
    """
    keypoints = np.zeros((skeleton.L, 3))
    for name, point in landmarks.items():
        keypoints[skeleton.LANDMARKS.index(name)] = point
    hip, right, left = (skeleton.LANDMARKS.index(n) for n in ("hip", "right hip", "left hip"))
    if not keypoints[hip, 2] and keypoints[right, 2] and keypoints[left, 2]:
        keypoints[hip, :2] = (keypoints[right, :2] + keypoints[left, :2]) / 2
        keypoints[hip, 2] = min(keypoints[right, 2], keypoints[left, 2])
    there = keypoints[:, 2] > 0
    if not there.any():
        return None
    box = box_round(keypoints[there, :2]) if box is None else np.asarray(box, dtype=float)
    small = there.sum() < LEAST_LANDMARKS or not box[2:].max() >= LEAST_SIDE
    return {"keypoints": keypoints, "bbox": box, "context": bool(small)} | more


def box_round(points):
    """The box (4,) x, y, width, height, px, round a body with landmarks (n, 2), px."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = MARGIN * max((high - low).max(), 1.0)
    return np.concatenate([low - margin, high - low + 2 * margin])


class Report:
    """Counts what is converted and what is left out, and keeps the reasons."""

    SHOWN = 5

    def __init__(self):
        self.images = self.people = self.outside = 0
        self.left_out = []

    def leave_out(self, reason):
        """Count an image or a person that is not converted."""
        self.left_out.append(reason)

    def lines(self):
        """Yields the lines of the report, with the first SHOWN reasons."""
        yield f"{self.images} images, {self.people} people"
        if self.outside:
            yield f"{self.outside} landmarks outside their image: marked as missing"
        if self.left_out:
            yield f"left out: {len(self.left_out)}"
            yield from (f"  {reason}" for reason in self.left_out[: self.SHOWN])
            if len(self.left_out) > self.SHOWN:
                yield "  ..."


def write(path, entries, cameras=None, total=None, report=None):
    """Write Entries into a packed file, whole or not at all; returns a Report.

    cameras: {name: camera} of the JSON format. total: how many entries there are, for the progress
    bar. report: one to go on with. Images that cannot be read and people that are wrong are left
    out and counted. Raises ConversionError when nobody is left.
    """
    report = report or Report()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with packed.Writer(path, cameras or {}) as writer:
        # disable=None: no bar in a file.
        for entry in tqdm(entries, "convert", total, unit="image", disable=None):
            try:
                image, data = _content(entry)
            except images.ImageError as error:
                report.leave_out(str(error))
                continue
            size = image["width"], image["height"]
            people = [_inside(p, size, report) for p in entry.people]
            refused = writer.add(image, people, data)
            for reason in refused:
                report.leave_out(reason)
            report.images += len(refused) < len(people)
            report.people += len(people) - len(refused)
        if not report.people:
            reason = report.left_out[0] if report.left_out else "there is no annotated person"
            raise ConversionError(f"nothing to convert: {reason}")
    return report


def _content(entry):
    """(the image's object with its size, its encoded bytes). Raises ImageError."""
    if isinstance(entry.content, bytes):
        return entry.image, entry.content
    path = str(entry.content)
    data = images.Files([path]).read(0)
    height, width = images.decode(data, path).shape[:2]
    return entry.image | {"width": width, "height": height}, data


def _inside(person, size, report):
    """The person's object, with the landmarks outside the image marked as missing."""
    keypoints = person["keypoints"].copy()
    outside = (keypoints[:, 2] > 0) & ~columns.inside(keypoints[:, :2], size)
    keypoints[outside] = 0
    report.outside += int(outside.sum())
    return person | {"keypoints": keypoints.ravel()}
