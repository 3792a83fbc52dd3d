"""Lists of people: COCO's results, AlphaPose's, MMPose's of an image, OpenPifPaf's of an image.

Each is an object with `keypoints`: x, y and a score of each landmark in one list, or rows x, y
beside `keypoint_scores`. Its image is `image_id`, or the list is of one image.
"""

from typing import Any

from prior.landmark_sets import COCO
from tools.lift.people import People
from tools.lift.readers import fields

FORMAT = "a list of people with 'keypoints' (COCO, AlphaPose, MMPose, OpenPifPaf)"


def recognises(document: Any) -> bool:
    """Whether it is a list of people with keypoints."""
    return fields.lists_people(document, "keypoints")


def collect(document: list[Any]) -> People:
    """The People in it."""
    people = People(COCO)
    several = fields.of_several_images(document)
    for i, record in enumerate(document):
        add(people, record, None, f"record {i}", several)
    return people


def add(
    people: People,
    record: Any,
    frame: Any,
    where: str,
    several: bool = False,
    canvas: tuple[float, float] | None = None,
) -> None:
    """Add one person. several: the record itself has to say the frame; canvas: the frame's size."""
    if not isinstance(record, dict):
        people.leave_out("not an object with landmarks", f"{where}: got {type(record).__name__}")
        return
    values = fields.first(record, fields.LANDMARKS)
    if several:
        frame = fields.frame_of(record)
        if frame is None:
            people.leave_out("does not say its image", where)
            return
    if values is None or values == []:
        people.listed[frame] = None
        people.leave_out("without landmarks of a body", where)
        return
    people.add(
        where,
        values,
        frame,
        fields.first(record, fields.PERSON),
        fields.first(record, fields.SCORES),
        canvas or fields.canvas_of(record),
    )
