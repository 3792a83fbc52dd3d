"""COCO's annotations, and those of data sets in its form: images, categories, annotations."""

from collections import Counter
from typing import Any

from prior.landmark_sets import COCO
from tools.lift.people import KeypointError, People
from tools.lift.readers import fields, results

FORMAT = "COCO's annotations (an object with 'annotations')"


def recognises(document: Any) -> bool:
    """Whether there is a list of annotations."""
    return isinstance(document, dict) and isinstance(document.get("annotations"), list)


def collect(document: dict[str, Any]) -> People:
    """The People in it: annotations of one category, that with the most of them.

    Raises KeypointError where there are no landmarks.
    """
    records = _objects(document, "annotations")
    if not any("keypoints" in record for record in records):
        raise KeypointError(
            "expected COCO's keypoints, got annotations without any (instances or captions?)"
        )
    names = {
        _plain(c.get("id")): c["keypoints"]
        for c in _objects(document, "categories")
        if isinstance(c.get("keypoints"), list)
    }
    # Only one category's landmarks are read; an `id` may be left out where there is but one.
    category = Counter(
        _plain(r.get("category_id")) for r in records if r.get("keypoints") and not r.get("iscrowd")
    )
    main = next((key for key, _ in category.most_common() if not names or key in names), None)
    chosen = names.get(main) or (next(iter(names.values())) if len(names) == 1 else None)
    people = People(COCO, chosen)
    frames = _frames(document)
    canvas = {
        _plain(image.get("id")): fields.canvas_of(image) for image in _objects(document, "images")
    }
    people.listed.update(dict.fromkeys(frames.values()))
    for i, record in enumerate(document["annotations"]):
        where = f"annotation {i}"
        if not isinstance(record, dict) or "keypoints" not in record:
            people.leave_out("no landmarks", where)
        elif record.get("iscrowd"):
            people.leave_out("a crowd", where)
        elif record.get("num_keypoints") == 0:
            people.leave_out("none of its landmarks is labelled", where)
        elif main is not None and _plain(record.get("category_id")) not in (None, main):
            people.leave_out("of another category", where)
        elif frames and _plain(record.get("image_id")) not in frames:
            people.leave_out("its image_id is not among the images", where)
        else:
            image_id = _plain(record.get("image_id"))
            frame = frames.get(image_id, fields.frame_of(record))
            # An annotation's own id is nobody's.
            person = {name: value for name, value in record.items() if name != "id"}
            results.add(people, person, frame, where, canvas=canvas.get(image_id))
    return people


def _frames(document: dict[str, Any]) -> dict[Any, Any]:
    """The frame of each image's id: its number in a video, its file's name, or the id."""
    images = _objects(document, "images")
    videos = {_plain(image.get("video_id", image.get("vid_id"))) for image in images}
    numbers = [image.get("frame_id") for image in images]
    if len(videos) == 1 and all(isinstance(n, int) for n in numbers) and _differ(numbers):
        keys = numbers
    else:
        keys = [image.get("file_name", image.get("id")) for image in images]
        if not _differ(keys):
            keys = [image.get("id") for image in images]
    ids = [_plain(image.get("id")) for image in images]
    return dict(zip(ids, map(_plain, keys), strict=True))


def _objects(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects in a list of the document; none if it has no such list."""
    listed = document.get(key)
    return [part for part in listed if isinstance(part, dict)] if isinstance(listed, list) else []


def _differ(keys: list[Any]) -> bool:
    return len(set(map(_plain, keys))) == len(keys)


def _plain(key: Any) -> Any:
    return key if isinstance(key, str | int | float | None) else str(key)
