"""The names that formats have for the same things in JSON objects."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple

from tools.lift.coordinates import is_size
from tools.lift.readers import table, unsaid

# The landmarks of one person, and their confidences where these stand apart.
LANDMARKS = (
    "pose_keypoints_2d",
    "keypoints",
    "pose_keypoints",
    "joints",
    "keypoints_2d",
    "landmarks",
    "pose_landmarks",
)
SCORES = ("keypoint_scores", "keypoints_scores", "kp_score", "kp_scores", "scores")
# How sure a landmark is that is an object, and what it is called.
SURE = ("visible", "score", "visibility", "confidence", "conf", "likelihood")
NAME = ("name", "part", "label")
# The people of one frame.
PEOPLE = ("people", "instances", "predictions", "bodies", "persons", "annotations", "detections")


def first(record: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value of the first of the names that the record has, or None."""
    for name in names:
        if name in record:
            return record[name]
    return None


def rows_of(values: Any) -> tuple[Any, list[Any] | None]:
    """Landmarks as rows x, y, confidence, and their names, where they are objects with x and y, or
    one with lists of these (Ultralytics); otherwise as they are."""
    if isinstance(values, dict) and {"x", "y"} <= values.keys():
        columns = [values["x"], values["y"], *_sure(values)]
        if all(isinstance(c, list) for c in columns) and len(set(map(len, columns))) == 1:
            return [list(row) for row in zip(*columns, strict=True)], None
    if isinstance(values, dict):
        return _by_name(values)
    if not (isinstance(values, list) and values and all(isinstance(v, dict) for v in values)):
        return values, None
    if {"x", "y"} <= values[0].keys() and len({tuple(value) for value in values}) == 1:
        return _alike(values)
    places = [value.get("position", value) for value in values]
    if not all(isinstance(place, dict) and {"x", "y"} <= place.keys() for place in places):
        return values, None
    rows = [
        [place["x"], place["y"], *(_sure(value) or [1.0])]
        for place, value in zip(places, values, strict=True)
    ]
    names = [first(value, NAME) for value in values]
    return rows, None if None in names else names


def _by_name(values: dict[str, Any]) -> tuple[Any, list[Any] | None]:
    """The same of an object with each landmark by its name: an object with x and y, or a list."""
    points = list(values.values())
    if points and all(isinstance(p, dict) and {"x", "y"} <= p.keys() for p in points):
        points = [[p["x"], p["y"], *(_sure(p) or [1.0])] for p in points]
    alike = points and all(isinstance(p, list) for p in points) and len(set(map(len, points))) == 1
    return (points, list(values)) if alike else (values, None)


def _alike(values: list[dict[str, Any]]) -> tuple[list[Any], list[Any] | None]:
    """The same of objects that all have the first one's fields, as programs write them: quicker."""
    sure, name = (next((key for key in keys if key in values[0]), None) for keys in (SURE, NAME))
    columns = [map(itemgetter(key), values) for key in ("x", "y", sure) if key]
    rows = list(zip(*columns, *([] if sure else [repeat(1.0)]), strict=False))
    names = [value[name] for value in values] if name else [None]
    return rows, None if None in names else names


def _sure(record: Mapping[str, Any]) -> list[Any]:
    """The confidence that the record has, if any; null, as for coordinates, is a missing one."""
    return [record[name] for name in SURE if name in record][:1]


def frame_of(record: Mapping[str, Any]) -> Hashable:
    """The key of a record's frame, or its time, or None."""
    name = _names(tuple(record)).frame
    value = None if name is None else record[name]
    while isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, str | int | float) else None


def person_of(record: Mapping[str, Any]) -> Any:
    """Who a record of a person says it is, or None."""
    name = _names(tuple(record)).person
    return None if name is None else record[name]


def score_of(record: Mapping[str, Any]) -> Any:
    """How sure the whole person is, or None."""
    name = _names(tuple(record)).score
    return None if name is None else record[name]


def unit_of(records: Iterable[Any]) -> str | None:
    """The unit of the records' times, as People has it; None if they say frames, or nothing."""
    names = (_names(tuple(record)).frame for record in records if isinstance(record, dict))
    name = next(filter(None, names), "")
    return table.unit_of(name) if table.TIME.fullmatch(table.plain(name)) else None


def unsaid_frames(records: Sequence[Any], counted: bool) -> list[str]:
    """A line where no field is known to say the frame, but one may; as unsaid.doubts."""
    return unsaid.doubts(unsaid.fields(records, _is_known), counted)


def check_video(records: Sequence[Any]) -> None:
    """Raise KeypointError where a field says that records are of several videos or cameras."""
    names = {tuple(record) for record in records if isinstance(record, dict)}
    header = list(dict.fromkeys(video for each in names for video in _videos(each)))
    if header:
        rows = [[str(r.get(n, "")) for n in header] for r in records if isinstance(r, dict)]
        table.check_video([header, *rows])


@lru_cache(1000)
def _videos(names: tuple[str, ...]) -> list[str]:
    """Those of a record's names that say the video or the camera."""
    return [name for name in names if table.VIDEO.fullmatch(table.plain(name))]


def _is_known(name: str) -> bool:
    """Whether a field is none of a frame: who, where or how sure somebody is, or of which kind."""
    plain = table.plain(name)
    person = table.PERSON.fullmatch(plain) or plain in table.ID or table.SCORE.fullmatch(plain)
    return bool(person) or plain in ("categoryid", "class", "classid", "numkeypoints", "area")


class Names(NamedTuple):
    """Which of a record's names say the frame or the time, the person, and how sure it is."""

    frame: str | None
    person: str | None
    score: str | None


@lru_cache(1000)
def _names(names: tuple[str, ...]) -> Names:
    """Those of a record's names, in any spelling."""
    texts = [name for name in names if isinstance(name, str)]
    header = [table.plain(name) for name in texts]
    places = (
        table.place(header, *table.FRAME, table.TIME),
        table.place(header, table.PERSON, *reversed(table.ID)),
        table.place(header, table.SCORE),
    )
    return Names(*(None if i is None else texts[i] for i in places))


def people_in(record: Any) -> list[Any] | None:
    """The list of people in a frame's record, or None."""
    if not isinstance(record, dict):
        return None
    value = first(record, PEOPLE)
    return value if isinstance(value, list) else None


def lists_people(document: Any, landmarks: str) -> bool:
    """Whether some object in a list has its landmarks by this name, and none has people of its
    own, as the records of frames have."""
    return (
        isinstance(document, list)
        and any(isinstance(record, dict) and landmarks in record for record in document)
        and not any(people_in(record) for record in document)
    )


def of_several_images(document: list[Any]) -> bool:
    """Whether some object in a list says its frame; none does in a list of one image."""
    return any(isinstance(record, dict) and frame_of(record) is not None for record in document)


def canvas_of(record: Mapping[str, Any]) -> tuple[float, float] | None:
    """The (width, height) of the image, where the record says it."""
    for wide, high in (("canvas_width", "canvas_height"), ("width", "height")):
        if wide in record and high in record:
            size = record[wide], record[high]
            if all(isinstance(side, int | float) for side in size) and is_size(size):
                return size
    return None
