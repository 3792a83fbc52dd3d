"""What the reader of a data set returns, an Entry for each image, and how it is packed."""

from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from prior.errors import InputError
from prior.skeleton import HUMAN36M
from python_layers.data import images, packed, people


class ConversionError(InputError):
    """A data set that cannot be converted: what was expected, what came, what to try."""


class Entry(NamedTuple):
    """One image of a data set."""

    image: dict  # its object of the JSON format; without "width" and "height" if it is a file
    people: list  # their objects of the JSON format, by `people.person`
    content: Path | bytes  # the file, or its encoded bytes


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


def write(path, entries, cameras=None, total=None, report=None, skeleton=HUMAN36M):
    """Write Entries into a packed file, whole or not at all; returns a Report.

    cameras: {name: camera} of the JSON format. total: how many entries there are, for the progress
    bar. report: one to go on with. skeleton: whose landmarks the people have. Images that cannot be
    read and people that are wrong are left out and counted. Raises ConversionError when nobody is
    left.
    """
    report = report or Report()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with packed.Writer(path, cameras or {}, skeleton) as writer:
        # disable=None: no bar in a file.
        for entry in tqdm(entries, "convert", total, unit="image", disable=None):
            try:
                image, data = _content(entry)
            except images.ImageError as error:
                report.leave_out(str(error))
                continue
            size = image["width"], image["height"]
            placed = [people.inside(person, size) for person in entry.people]
            report.outside += sum(outside for _, outside in placed)
            refused = writer.add(image, [person for person, _ in placed], data)
            for reason in refused:
                report.leave_out(reason)
            report.images += len(refused) < len(placed)
            report.people += len(placed) - len(refused)
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
