"""Lists of people: COCO's results, AlphaPose's; of an image MMPose's, OpenPifPaf's, Ultralytics',
PoseNet's; of a video MediaPipe's.

Each is an object with `keypoints` or `landmarks`: x, y and a score of each in one list, rows x, y
beside `keypoint_scores`, or objects (fields.rows_of). Its image is `image_id`, or the list is of
one image.
"""

from typing import Any

from prior.landmark_sets import COCO
from tools.lift.people import People
from tools.lift.readers import fields

FORMAT = "a list of people with 'keypoints' (COCO, AlphaPose, MMPose, OpenPifPaf, Ultralytics)"
# COCO's category of people.
PERSON = 1


def recognises(document: Any) -> bool:
    """Whether it is a list of people with keypoints."""
    return any(
        fields.lists_people(document, name) for name in ("keypoints", "landmarks", "pose_landmarks")
    )


def collect(document: list[Any]) -> People:
    """The People in it."""
    fields.check_video(document)
    several = fields.of_several_images(document)
    people = People(COCO, unit=fields.unit_of(document) if several else None)
    if not several:
        people.doubts += fields.unsaid_frames(document, counted=False)
    categories = [r.get("category_id") if isinstance(r, dict) else None for r in document]
    for i, record in enumerate(document):
        if categories[i] not in (None, PERSON) and PERSON in categories:
            people.leave_out("of another category than people", f"record {i}")
            continue
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
    values, names = fields.rows_of(fields.first(record, fields.LANDMARKS))
    if several:
        frame = fields.frame_of(record)
        if frame is None:
            people.leave_out("does not say its image", where)
            return
    if values is None or values == []:
        people.listed[frame] = None
        people.leave_out("without landmarks of a body", where)
        return
    people.names = people.names or names
    if names and names != people.names:
        people.leave_out("other names of landmarks than the first's", where)
        return
    people.add(
        where,
        values,
        frame,
        fields.person_of(record),
        fields.first(record, fields.SCORES),
        canvas or fields.canvas_of(record),
        fields.score_of(record),
    )
