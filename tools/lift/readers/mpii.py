"""The list of joints that is in use for MPII: "image", "joints" (16 x [x, y]), "joints_vis"."""

from typing import Any

from prior.landmark_sets import MPII
from tools.lift.people import People
from tools.lift.readers import fields

FORMAT = "MPII's list with 16 'joints' each"


def recognises(document: Any) -> bool:
    """Whether it is a list of people with joints."""
    return fields.lists_people(document, "joints")


def collect(document: list[Any]) -> People:
    """The People in it. Missing joints are at or below 0 and not visible."""
    people = People(MPII)
    several = fields.of_several_images(document)
    for i, record in enumerate(document):
        record = record if isinstance(record, dict) else {}
        frame = fields.frame_of(record) if several else None
        visible = record.get("joints_vis")
        people.add(f"record {i}", record.get("joints"), frame, scores=visible)
    return people
