"""What tools.infer writes: one person in each image, with the landmarks' names."""

from typing import Any

from tools.lift.people import People

FORMAT = "what tools.infer writes ('landmark_names')"


def recognises(document: Any) -> bool:
    """Whether it says the names of the landmarks."""
    return isinstance(document, dict) and isinstance(document.get("landmark_names"), list)


def collect(document: dict[str, Any]) -> People:
    """The People in it.

    The maximum of a belief map is no probability: every landmark that is there counts alike.
    """
    people = People(names=document["landmark_names"])
    for name, pose in document.items():
        if name == "landmark_names":
            continue
        people.listed[name] = None
        points = pose.get("landmarks") if isinstance(pose, dict) else None
        if points is None:
            continue  # nobody there
        if isinstance(points, list):
            points = [
                [0, 0, 0] if p is None else [*p[:2], 1] if isinstance(p, list) else p
                for p in points
            ]
        people.add(name, points, name, 0)
    return people
