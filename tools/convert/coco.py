"""COCO's person_keypoints_*.json, or other annotations in its form, and its images.

COCO's 17 keypoints are not Human3.6M's. Eyes and ears have no counterpart there; spine, neck and
head top are missing here. The hip is put in the middle of the two hips. For another skeleton, such
as COCO's own or a hand, keypoints are taken by its names as they are. Groups ("iscrowd") have no
landmarks.
"""

import numpy as np

from prior import foreign
from prior.errors import short
from prior.landmark_sets import COCO
from prior.skeleton import HUMAN36M
from python_layers.data.people import person
from tools.convert.entries import ConversionError, Entry

# Human3.6M's name of a landmark: COCO's.
JOINTS = COCO.direct


def read(annotations, folder, skeleton=HUMAN36M):
    """The Entries of the JSON file and the folder of its images, of people with a skeleton's
    landmarks. Raises ConversionError."""
    joints = JOINTS if skeleton == HUMAN36M else {name: name for name in skeleton.landmarks}
    try:
        document = foreign.read_json(annotations, ConversionError)
        category = _category(document["categories"], list(joints.values()), annotations)
        order = {ours: category["keypoints"].index(theirs) for ours, theirs in joints.items()}
        names = {image["id"]: str(image["file_name"]) for image in document["images"]}
        people = {}
        for record in document["annotations"]:
            if record.get("category_id", category.get("id")) != category.get("id"):
                continue
            annotated = _person(record, order, skeleton)
            if annotated:
                people.setdefault(names[record["image_id"]], []).append(annotated)
    except ConversionError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise ConversionError(
            f"{annotations}: expected keypoints in COCO's form: {type(error).__name__}: "
            f"{short(str(error), 100)}"
        ) from None
    return [Entry({"file_name": name}, group, folder / name) for name, group in people.items()]


def _category(categories, names, path):
    """The one category that has keypoints of these names. Raises ConversionError."""
    fits = [c for c in categories if set(names) <= set(c.get("keypoints") or ())]
    if len(fits) != 1:
        listed = {c.get("name"): c.get("keypoints") for c in categories}
        raise ConversionError(
            f"{path}: expected one category with the keypoints {short(', '.join(names), 80)}, got "
            f"{short(str(listed), 120)}; --skeleton says whose landmarks are wanted"
        )
    return fits[0]


def _person(record, order, skeleton):
    """The `person` of an annotation, or None. order: {our name: its place in `keypoints`}."""
    if record.get("iscrowd") or not record.get("num_keypoints", 1):
        return None
    keypoints = np.array(record["keypoints"], dtype=float).reshape(-1, 3)
    landmarks = {name: keypoints[place] for name, place in order.items()}
    landmarks = {name: row for name, row in landmarks.items() if row[2]}
    return person(landmarks, record["bbox"], skeleton, area=record.get("area"))
