"""COCO's person_keypoints_*.json and its images.

Its 17 keypoints are not ours. Eyes and ears have no counterpart here; spine, neck and head top are
missing there. Our hip is put in the middle of its two hips. Groups ("iscrowd") have no landmarks.
"""

import numpy as np

from prior import foreign
from prior.errors import short
from prior.landmark_sets import COCO
from python_layers.data.people import person
from tools.convert.entries import ConversionError, Entry

# Our name of a landmark: COCO's.
JOINTS = COCO.direct


def read(annotations, folder):
    """The Entries of the JSON file and the folder of its images. Raises ConversionError."""
    try:
        document = foreign.read_json(annotations, ConversionError)
        (category,) = (c for c in document["categories"] if c.get("name") == "person")
        order = {name: category["keypoints"].index(name) for name in JOINTS.values()}
        names = {image["id"]: str(image["file_name"]) for image in document["images"]}
        people = {}
        for record in document["annotations"]:
            annotated = _person(record, order)
            if annotated:
                people.setdefault(names[record["image_id"]], []).append(annotated)
    except ConversionError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise ConversionError(
            f"{annotations}: expected COCO's person keypoints: {type(error).__name__}: "
            f"{short(str(error), 100)}"
        ) from None
    return [Entry({"file_name": name}, group, folder / name) for name, group in people.items()]


def _person(record, order):
    """The `person` of an annotation, or None. order: {COCO's name: its place in `keypoints`}."""
    if record.get("iscrowd") or not record.get("num_keypoints", 1):
        return None
    keypoints = np.array(record["keypoints"], dtype=float).reshape(-1, 3)
    landmarks = {name: keypoints[order[theirs]] for name, theirs in JOINTS.items()}
    landmarks = {name: row for name, row in landmarks.items() if row[2]}
    return person(landmarks, record["bbox"], area=record.get("area"))
