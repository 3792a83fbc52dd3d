"""2D landmarks in JSON: OpenPose's, COCO's, MPII's, what tools.infer writes, or plain arrays."""

import json
import re

from prior import landmark_sets
from tools.lift import from_arrays
from tools.lift.people import FORMATS, KeypointError, People, looks_like, set_named


def keypoints(path, document, landmarks):
    """The Keypoints in a JSON document, whose kind is told by its keys."""
    first = document[0] if isinstance(document, list) and document else document
    if isinstance(document, list) and not document:
        return People().keypoints(path, (), landmarks)
    if isinstance(document, dict):
        if "people" in document:
            return _openpose(path, [(path.stem, document)], landmarks)
        if "points" in document:
            return from_arrays.keypoints(path, document, landmarks)
        if "landmark_names" in document:
            return _predicted(path, document, landmarks)
        if isinstance(document.get("annotations"), list):
            return _coco(path, document["annotations"], document, landmarks)
    elif isinstance(first, dict) and isinstance(document, list):
        if "keypoints" in first:
            return _coco(path, document, {}, landmarks)
        if "joints" in first:
            return _mpii(path, document, landmarks)
    keys = sorted(first)[:6] if isinstance(first, dict) else type(first).__name__
    raise KeypointError(f"{path}: expected {FORMATS}; found JSON with {keys}")


def folder(path, landmarks):
    """OpenPose's folder: one file for each frame, in the order of their names."""
    files = sorted(path.glob("*.json"), key=natural)
    if not files:
        raise KeypointError(f"{path}: expected OpenPose's JSON files in the folder, found none")
    documents = []
    for file in files:
        try:
            documents.append((file.stem, json.loads(file.read_bytes())))
        except (OSError, ValueError, RecursionError):
            documents.append((file.stem, f"{file}: expected JSON, found {looks_like(file)}"))
    return _openpose(path, documents, landmarks)


def _openpose(path, documents, landmarks):
    """documents: (name, document) of each frame, or what is wrong in its place."""
    people = People()
    for frame, (name, document) in enumerate(documents):
        listed = document.get("people") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            problem = document if isinstance(document, str) else f"{name}: found no 'people'"
            people.problems.append(problem)
            continue
        for person in listed:
            values = person.get("pose_keypoints_2d") if isinstance(person, dict) else None
            identity = person.get("person_id", -1) if isinstance(person, dict) else -1
            identity = identity[0] if isinstance(identity, list) and identity else identity
            people.add(name, values, frame, identity)
    if len(people.problems) and not people.values and len(people.problems) >= len(documents):
        raise KeypointError(f"{path}: expected OpenPose JSON; {people.problems[0]}")
    names = [name.removesuffix("_keypoints") for name, _ in documents]
    return people.keypoints(path, names, landmarks)


def _coco(path, records, document, landmarks):
    """COCO's annotations, whose v is 0, 1 or 2, or its results, with a score of each landmark."""
    categories = document.get("categories") or [{}]
    names = categories[0].get("keypoints") if isinstance(categories[0], dict) else None
    named_set = landmark_sets.find_set(names) if names else None
    annotated = bool(document)
    images = {
        image.get("id"): image.get("file_name", image.get("id"))
        for image in document.get("images", [])
        if isinstance(image, dict)
    }
    records = [record for record in records if isinstance(record, dict)]
    if not any("keypoints" in record for record in records):
        raise KeypointError(
            f"{path}: expected COCO's keypoints, found annotations without any "
            "(instances or captions?)"
        )
    if not annotated:
        images = {i: i for i in sorted({r.get("image_id") for r in records}, key=natural)}
    number = {identity: i for i, identity in enumerate(images)}
    people = People()
    for i, record in enumerate(records):
        if record.get("iscrowd") or record.get("num_keypoints") == 0:
            continue
        if record.get("image_id") not in number:
            people.problems.append(f"record {i}: its image_id is not among the images")
            continue
        values = record.get("keypoints")
        if annotated and isinstance(values, list):
            values = [
                min(v, 1) if k % 3 == 2 and isinstance(v, int | float) else v
                for k, v in enumerate(values)
            ]
        identity = record.get("track_id", record.get("idx", -1))
        people.add(f"record {i}", values, number[record["image_id"]], identity)
    return people.keypoints(path, images.values(), landmarks or named_set, landmark_sets.COCO)


def _mpii(path, records, landmarks):
    """A list of {"image", "joints": 16 x [x, y], "joints_vis": 16 numbers}."""
    number, people = {}, People()
    for i, record in enumerate(records):
        record = record if isinstance(record, dict) else {}
        joints = record.get("joints")
        visible = record.get("joints_vis") or [1] * len(joints or ())
        frame = number.setdefault(record.get("image", i), len(number))
        try:
            # Missing ones are at or below 0 and not visible.
            values = [[x, y, float(v > 0)] for (x, y), v in zip(joints, visible, strict=True)]
        except (TypeError, ValueError):
            values = joints
        people.add(f"record {i}", values, frame)
    return people.keypoints(path, number, landmarks or landmark_sets.MPII)


def _predicted(path, document, landmarks):
    """What tools.infer.predict wrote: one person in each image.

    The maximum of a belief map is no probability: every landmark that is there counts alike.
    """
    people = People()
    images = {name: pose for name, pose in document.items() if name != "landmark_names"}
    for frame, (name, pose) in enumerate(images.items()):
        points = pose.get("landmarks") if isinstance(pose, dict) else None
        if isinstance(points, list):
            points = [[0, 0, 0] if point is None else [*point, 1] for point in points]
        people.add(name, points, frame, 0)
    return people.keypoints(path, images, landmarks or set_named(path, document["landmark_names"]))


def natural(name):
    """A key that sorts names by the numbers in them: frame 2 before frame 10."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"(\d+)", str(name))
        if part
    ]
