"""Our own JSON of annotations (python_layers/data/annotations.py), packed with its images."""

from pathlib import Path

import numpy as np

from prior import foreign
from prior.skeleton import HUMAN36M
from python_layers.data import annotations
from tools.convert.entries import Entry


def read(path, skeleton=HUMAN36M):
    """(the cameras of the JSON format, the Entries), of people with a skeleton's landmarks. Raises
    AnnotationError."""
    annotations.load(path, skeleton=skeleton)  # checks all of it
    document = foreign.read_json(path)
    people = {}
    for record in document["annotations"]:
        record = record | {"keypoints": np.reshape(record["keypoints"], (-1, 3))}
        people.setdefault(record["image_id"], []).append(record)
    folder = Path(path).parent
    listed = [
        Entry(image, people[image["id"]], folder / image["file_name"])
        for image in document["images"]
        if image["id"] in people
    ]
    return document.get("cameras", {}), listed
