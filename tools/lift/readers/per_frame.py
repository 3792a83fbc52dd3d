"""Frames with a list of people each: OpenPose and what has its form, MMPose and OpenPifPaf of a
video.

OpenPose writes a file for each frame, with `people`, whose landmarks are `pose_keypoints_2d`, of
before 2018 `pose_keypoints`; ControlNet and ComfyUI list such frames, with the canvas's size.
MMPose has `frame_id` and `instances`, under `instance_info` beside `meta_info` or in a list;
OpenPifPaf's video has a line with `frame` and `predictions` for each frame. Programs of users' own
list the lists of people that Ultralytics or PoseNet give for each frame.
"""

from typing import Any

from prior.landmark_sets import COCO, OPENPOSE_MPI
from tools.lift.people import People
from tools.lift.readers import fields, results

FORMAT = (
    "frames with 'people' (OpenPose, ControlNet), 'instances' (MMPose), 'predictions' (OpenPifPaf)"
)


def _frames(document: Any) -> list[Any] | None:
    """The frames' records of a document."""
    if isinstance(document, dict):
        for name in ("instance_info", "frames"):
            if isinstance(document.get(name), list):
                return document[name]
        is_dataset = "images" in document or "categories" in document
        return None if is_dataset or fields.people_in(document) is None else [document]
    return document if isinstance(document, list) else None


def recognises(document: Any) -> bool:
    """Whether some object is a frame with a list of people."""
    frames = _frames(document)
    return frames is not None and any(_people_in(frame) is not None for frame in frames)


def _people_in(frame: Any) -> list[Any] | None:
    """The list of people in a frame's record, which may be that list, or None."""
    if isinstance(frame, list) and all(
        isinstance(one, dict) and fields.first(one, fields.LANDMARKS) is not None for one in frame
    ):
        return frame
    return fields.people_in(frame)


def collect(document: Any) -> People:
    """The People in it. Frames that do not say which they are count from 0."""
    frames = _frames(document) or []
    fields.check_video(frames)
    openpose = any(isinstance(frame, dict) and "people" in frame for frame in frames)
    people = People(None if openpose else COCO, _names(document))
    single = isinstance(document, dict) and frames == [document]
    said = [fields.frame_of(frame) if isinstance(frame, dict) else None for frame in frames]
    counted = None in said or len(set(said)) < len(said)
    if not counted:
        people.unit = fields.unit_of(frames)
    elif any(one is not None for one in said) and not single:
        people.notes.append("not all frames say which they are, each another: counted from 0")
    elif not single:
        people.doubts += fields.unsaid_frames(frames, counted=True)
    canvases = [fields.canvas_of(f) if isinstance(f, dict) else None for f in frames]
    # OpenPose's own shares of the image are of the way to the last pixel (--keypoint_scale 3, 4).
    people.to_last = openpose and not any(canvases)
    for i, record in enumerate(frames):
        frame = (None if single else i) if counted else said[i]
        where = "" if single else f"frame {frame}, "
        listed = _people_in(record)
        if listed is None:
            people.lose(frame, "no list of people", f"frame {frame}")
            continue
        people.listed[frame] = None
        for number, person in enumerate(listed):
            results.add(people, person, frame, f"{where}person {number}", canvas=canvases[i])
    if openpose and people.values and all(_is_mpi(values) for values in people.values):
        people.default = OPENPOSE_MPI
    return people


def _is_mpi(values: Any) -> bool:
    """Whether a list has the 15 landmarks of OpenPose's MPI models, with or without confidences."""
    return isinstance(values, list) and len(values) in (45, 30)


def _names(document: Any) -> list[str] | None:
    """The landmarks' names in MMPose's meta_info."""
    meta = document.get("meta_info") if isinstance(document, dict) else None
    names = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(names, dict) or not all(str(i) in names for i in range(len(names))):
        return None
    return [str(names[str(i)]) for i in range(len(names))]
