"""What every reader of a data set gives, and how it is written into a packed file."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from prior import skeleton
from prior.errors import InputError
from python_layers.data import columns, images, packed

# A person with less to see is context only, never a sample, as in the later work of CPM's
# authors (Cao et al. 2017): landmarks; px of the longer side of the box.
LEAST_LANDMARKS = 5
LEAST_SIDE = 32
# Our choice: how far a body reaches beyond its landmarks, in parts of the longer side.
MARGIN = 0.1


class ConversionError(InputError):
    """A data set that cannot be converted: what was expected, what came, what to try."""


class Entry(NamedTuple):
    """One image: its object of the JSON format, its people's, and its file or encoded bytes."""

    image: dict  # without "width" and "height" if it is a file
    people: list  # of what `person` gives
    content: Path | bytes


def person(found, box=None, **more):
    """A person's object of the JSON format, or None for one of whom nothing is known.

    found: {landmark: (x, y, v)}, px; a "hip" that is not there is put in the middle of the two
    others, as Human3.6M's skeleton has it. box: (x, y, width, height), px; None: round the
    landmarks.
    """
    keypoints = np.zeros((skeleton.L, 3))
    for name, point in found.items():
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
    """The box (4,) x, y, width, height of a body with landmarks (n, 2)."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = MARGIN * max((high - low).max(), 1.0)
    return np.concatenate([low - margin, high - low + 2 * margin])


class Report:
    """Counts what was converted and what was left out, with the first reasons."""

    SHOWN = 5

    def __init__(self):
        self.images = self.people = self.outside = 0
        self.left_out = []

    def leave_out(self, reason):
        """One image or person that is not converted."""
        self.left_out.append(reason)

    def lines(self):
        """The report."""
        yield f"{self.images} images, {self.people} people"
        if self.outside:
            yield f"{self.outside} landmarks outside their image: marked as missing"
        if self.left_out:
            yield f"left out: {len(self.left_out)}"
            yield from (f"  {reason}" for reason in self.left_out[: self.SHOWN])
            if len(self.left_out) > self.SHOWN:
                yield "  ..."


def write(path, entries, cameras=None, total=None, report=None):
    """Write entries into a packed file; returns a Report. All of the file, or nothing.

    Images that cannot be read and people that are wrong are left out and counted. Raises
    ConversionError when nothing is left.
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
            reason = report.left_out[0] if report.left_out else "no annotated person was found"
            raise ConversionError(f"nothing to convert: {reason}")
    return report


def _content(entry):
    """(image with its size, encoded bytes)."""
    if isinstance(entry.content, bytes):
        return entry.image, entry.content
    path = str(entry.content)
    data = images.Files([path]).read(0)
    height, width = images.decode(data, path).shape[:2]
    return entry.image | {"width": width, "height": height}, data


def _inside(person, size, report):
    """The person with the landmarks outside the image marked as missing, as plain lists."""
    keypoints = person["keypoints"].copy()
    outside = (keypoints[:, 2] > 0) & ~columns.inside(keypoints[:, :2], size)
    keypoints[outside] = 0
    report.outside += int(outside.sum())
    return person | {"keypoints": keypoints.ravel()}
