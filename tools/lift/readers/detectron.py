"""The .npz of VideoPose3D: Detectron's detections (`keypoints`), and its data sets
(`positions_2d`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from prior.landmark_sets import COCO, HUMAN36M
from tools.lift.people import KeypointError, People

FORMAT = "VideoPose3D's .npz ('positions_2d', or Detectron's 'boxes' and 'keypoints')"


def recognises(content: Any) -> bool:
    """Whether there are a data set's positions, or boxes and keypoints."""
    return isinstance(content, Mapping) and (
        "positions_2d" in content or {"boxes", "keypoints"} <= set(content)
    )


def collect(content: Mapping[str, Any]) -> People:
    """The People in it. Raises KeypointError."""
    metadata = content.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    if "positions_2d" in content:
        return _positions(content["positions_2d"], metadata)
    size = metadata.get("w"), metadata.get("h")
    canvas = size if all(isinstance(v, int) for v in size) else None
    people = People(COCO)
    for i, classes in enumerate(_frames(content["keypoints"])):
        people.listed[i] = None
        # Detectron lists the people of each class: class 1 is a person.
        if not isinstance(classes, list) or len(classes) != 2:
            people.lose(i, "not Detectron's lists of two classes", f"frame {i}")
            continue
        for number, rows in enumerate(classes[1]):
            rows = np.asarray(rows)
            if rows.ndim == 2 and rows.shape[0] == 4 and rows.dtype.kind == "f":
                # x, y, logit, probability
                people.add(f"frame {i}, person {number}", rows[[0, 1, 3]].T, i, canvas=canvas)
            else:
                people.leave_out("not 4 rows x, y, logit, probability", f"frame {i}")
    return people


def _frames(objects: Any) -> list[Any]:
    """The lists of classes of each frame; NumPy may have made one array (frames, 2) of them."""
    if not isinstance(objects, list):
        raise KeypointError("expected Detectron's keypoints of each frame, got another form")
    nested = all(isinstance(entry, list) and len(entry) == 2 for entry in objects)
    return objects if nested else [objects[i : i + 2] for i in range(0, len(objects), 2)]


def _positions(videos: Any, metadata: Mapping[str, Any]) -> People:
    """One video of a data set: {video: {action: [(frames, S, 2) of each camera]}}."""
    if not isinstance(videos, dict) or not all(isinstance(v, dict) for v in videos.values()):
        raise KeypointError("expected positions_2d by video and action, got another form")
    clips = {
        f"{video}/{action}/{camera}": points
        for video, actions in videos.items()
        for action, cameras in actions.items()
        for camera, points in enumerate(cameras if isinstance(cameras, list) else [])
    }
    if len(clips) != 1:
        raise KeypointError(
            f"expected one video of one camera, got {len(clips)}: {', '.join(list(clips)[:4])}; "
            "save each by itself, as 'points' in an .npz"
        )
    layout = {"coco": COCO, "h36m": HUMAN36M}.get(str(metadata.get("layout_name")))
    people = People(layout)
    points = next(iter(clips.values()))
    for i, row in enumerate(points if isinstance(points, np.ndarray) else []):
        people.add(f"frame {i}", row, i, 0)
    return people
