"""AlphaPose's forms `cmu` and `open`: an object for each image, with `bodies` or `people`."""

from typing import Any

from prior.landmark_sets import OPENPOSE_COCO
from tools.lift.people import People
from tools.lift.readers import fields, results

FORMAT = "images by name with 'bodies' or 'people' (AlphaPose)"


def recognises(document: Any) -> bool:
    """Whether every value of an object is an image with a list of people."""
    return (
        isinstance(document, dict)
        and bool(document)
        and all(fields.people_in(image) is not None for image in document.values())
    )


def collect(document: dict[str, Any]) -> People:
    """The People in it."""
    people = People(OPENPOSE_COCO)
    for name, image in document.items():
        people.listed[name] = None
        for number, person in enumerate(fields.people_in(image) or []):
            results.add(people, person, name, f"{name}, person {number}")
    return people
