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
    if "positions_2d" in content:
        return _positions(_item(content["positions_2d"]), _item(content.get("metadata")))
    people = People(COCO)
    metadata = _item(content.get("metadata"))
    size = [metadata.get(k) for k in ("w", "h")] if isinstance(metadata, dict) else [None]
    canvas = (size[0], size[1]) if all(isinstance(v, int) for v in size) else None
    for i, entry in enumerate(content["keypoints"]):
        people.listed[i] = None
        # Detectron lists the people of each class: class 1 is a person.
        classes = list(entry) if isinstance(entry, list | tuple | np.ndarray) else []
        if len(classes) != 2:
            people.lose(i, "not Detectron's classes", f"frame {i}")
            continue
        for number, rows in enumerate(classes[1]):
            rows = np.asarray(rows)
            if rows.ndim == 2 and rows.shape[0] == 4 and rows.dtype.kind == "f":
                # x, y, logit, probability
                people.add(f"frame {i}, person {number}", rows[[0, 1, 3]].T, i, canvas=canvas)
            else:
                people.leave_out("not 4 rows x, y, logit, probability", f"frame {i}")
    return people


def _item(value: Any) -> Any:
    """What an array of one object holds."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _positions(videos: Any, metadata: Any) -> People:
    """One video of a data set: {video: {action: [(frames, S, 2) of each camera]}}."""
    if not isinstance(videos, dict) or not all(isinstance(v, dict) for v in videos.values()):
        raise KeypointError("expected positions_2d by video and action, got another form")
    clips = {
        f"{video}/{action}/{camera}": points
        for video, actions in videos.items()
        for action, cameras in actions.items()
        for camera, points in enumerate(cameras)
    }
    if len(clips) != 1:
        raise KeypointError(
            f"expected one video of one camera, got {len(clips)}: {', '.join(list(clips)[:4])}; "
            "save each by itself, as 'points' in an .npz"
        )
    layout = metadata.get("layout_name") if isinstance(metadata, dict) else None
    people = People({"coco": COCO, "h36m": HUMAN36M}.get(str(layout)))
    for i, points in enumerate(next(iter(clips.values()))):
        people.add(f"frame {i}", points, i, 0)
    return people
