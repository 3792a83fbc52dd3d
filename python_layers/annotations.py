"""People in images: landmarks, boxes, 3D poses and cameras, from COCO-keypoints-style JSON.

    info        {...}, ours to ignore
    categories  [{"keypoints": the 17 names in the order of prior.skeleton}]
    cameras     {"S1/54138969": {"rotation": 3x3 world to camera, "position_mm": [3],
                "intrinsics": 3x3 px}}
    images      [{"id", "file_name" (relative to the JSON's folder), "width", "height",
                "subject", "action", "camera", "frame"}]
    annotations [{"image_id", "keypoints" [x, y, v] * 17, "bbox" [x, y, width, height],
                "pose_mm" 17x3 world, y up}]

A keypoint with v = 0 is missing. Data without 3D (Leeds, MPII) leaves out "camera" and "pose_mm";
"subject", "action" and "frame" are for evaluation and may be left out too.
"""

import json
import os
from dataclasses import dataclass

import numpy as np

from prior import camera as cameras
from prior import skeleton

L = skeleton.L


class AnnotationError(ValueError):
    """A file of annotations that cannot be used: what was expected, what came, what to try."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """One record for each annotated person, M of them; arrays are float64 unless said."""

    path: str
    files: tuple  # (M,) paths of the images
    image_sizes: np.ndarray  # (M, 2) int, width and height
    points: np.ndarray  # (M, 17, 2) image px, NaN where missing
    visible: np.ndarray  # (M, 17) int, COCO's v: 0 missing, 1 hidden, 2 visible
    boxes: np.ndarray  # (M, 4) x, y, width, height, image px
    poses_mm: np.ndarray  # (M, 17, 3) world, NaN without 3D
    camera_names: tuple  # (M,) str, None without a camera
    rotations: np.ndarray  # (M, 3, 3) world to camera, level without a camera
    positions_mm: np.ndarray  # (M, 3) world, NaN without a camera
    intrinsics: np.ndarray  # (M, 3, 3) px, NaN without a camera
    subjects: tuple  # (M,) as in the file
    actions: tuple  # (M,) as in the file
    frames: tuple  # (M,) as in the file

    def __len__(self):
        return len(self.files)

    def has_camera(self, index):
        """Whether record `index` names the camera that took its image."""
        return self.camera_names[index] is not None


def load(path, check_images=True):
    """Read and check a file of annotations; `check_images` also looks for every image file.

    Returns Annotations. Raises AnnotationError, never anything else, whatever is in the file.
    """
    path = os.fspath(path)
    document = _read(path)
    try:
        _check_names(document)
        views = _cameras(document)
        images = _by_id(_list(document, "images"))
        records = _list(document, "annotations")
        return _join(path, images, views, records, check_images)
    except _Wrong as wrong:
        raise AnnotationError(f"{path}: {wrong}") from None


class _Wrong(Exception):
    """What is wrong inside the file; `load` adds the file's name."""


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        raise AnnotationError(
            f"{path}: no such file; expected annotations in JSON; run `make data`, or run from "
            "the repository root, to which paths are relative"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(
            f"{path}: expected annotations in JSON, got: {error}; make the file again"
        ) from None


def _list(document, key):
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
        raise _Wrong(f'expected "{key}", a list of at least one object; make the file again')
    return value


def _check_names(document):
    names = _list(document, "categories")[0].get("keypoints")
    if names != list(skeleton.LANDMARKS):
        raise _Wrong(
            f"categories: expected the keypoints {list(skeleton.LANDMARKS)}, got {names}; convert "
            "the landmarks with prior.skeleton"
        )


def _numbers(value, shape, what):
    """`value` as a finite float64 array of `shape`."""
    try:
        array = np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise _Wrong(f"{what}: expected numbers of shape {shape}, got {_short(value)}") from None
    if array.shape != shape or not np.isfinite(array).all():
        raise _Wrong(f"{what}: expected finite numbers of shape {shape}, got {_short(value)}")
    return array


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _cameras(document):
    """{name: (rotation, position, intrinsics)}."""
    views = document.get("cameras", {})
    if not isinstance(views, dict) or not all(isinstance(v, dict) for v in views.values()):
        raise _Wrong(f'expected "cameras", an object of objects, got {_short(views)}')
    result = {}
    for name, view in views.items():
        rotation = _numbers(view.get("rotation"), (3, 3), f"camera {name}: rotation")
        try:
            cameras.check_rotation(rotation, f"camera {name}: rotation")
        except ValueError as error:
            raise _Wrong(f"{error}; is it transposed, or left-handed?") from None
        position = _numbers(view.get("position_mm"), (3,), f"camera {name}: position_mm")
        intrinsics = _numbers(view.get("intrinsics"), (3, 3), f"camera {name}: intrinsics")
        if not (np.diag(intrinsics) > 0).all() or (intrinsics[2] != [0, 0, 1]).any():
            raise _Wrong(
                f"camera {name}: intrinsics: expected focal lengths > 0 and the last row 0 0 1, "
                f"got {intrinsics.tolist()}"
            )
        result[name] = rotation, position, intrinsics
    return result


def _by_id(images):
    result = {}
    for image in images:
        name = image.get("file_name")
        if not isinstance(name, str) or not name:
            raise _Wrong(f"image {_short(image.get('id'))}: file_name: got {_short(name)}")
        if not isinstance(image.get("id"), int | str) or image["id"] in result:
            raise _Wrong(f"image {name}: expected an id of its own, got {_short(image.get('id'))}")
        size = _numbers([image.get("width"), image.get("height")], (2,), f"image {name}: size")
        if not (size > 0).all():
            raise _Wrong(f"image {name}: expected width and height > 0, got {size.tolist()}")
        result[image["id"]] = image
    return result


def _join(path, images, views, records, check_images):
    folder = os.path.dirname(path)
    nowhere = cameras.LEVEL, np.full(3, np.nan), np.full((3, 3), np.nan)
    rows, found, names = [], [], []
    for index, record in enumerate(records):
        image = _image_of(record, images, f"annotation {index}")
        name = image.get("camera")
        if name is not None and not (isinstance(name, str) and name in views):
            raise _Wrong(
                f"image {image['file_name']}: expected a camera of {sorted(views)}, "
                f"got {_short(name)}"
            )
        numbers = _person(record, f"annotation {index} ({image['file_name']})")
        rows.append((*numbers, *views.get(name, nowhere)))
        found.append(image)
        names.append(name)
    files = tuple(os.path.join(folder, image["file_name"]) for image in found)
    if check_images:
        _check_files(set(files))
    keypoints, boxes, poses, rotations, positions, intrinsics = (
        np.array([row[i] for row in rows]) for i in range(6)
    )
    visible = keypoints[..., 2].astype(int)
    return Annotations(
        path=path,
        files=files,
        image_sizes=np.array([[image["width"], image["height"]] for image in found], dtype=int),
        points=np.where(visible[..., None] > 0, keypoints[..., :2], np.nan),
        visible=visible,
        boxes=boxes,
        poses_mm=poses,
        camera_names=tuple(names),
        rotations=rotations,
        positions_mm=positions,
        intrinsics=intrinsics,
        subjects=tuple(image.get("subject") for image in found),
        actions=tuple(image.get("action") for image in found),
        frames=tuple(image.get("frame") for image in found),
    )


def _image_of(record, images, what):
    try:
        return images[record.get("image_id")]
    except (KeyError, TypeError):
        raise _Wrong(
            f"{what}: expected the image_id of one of the images, "
            f"got {_short(record.get('image_id'))}"
        ) from None


def _person(record, what):
    """Keypoints (17, 3), box (4,), pose (17, 3)."""
    keypoints = _numbers(record.get("keypoints"), (3 * L,), f"{what}: keypoints").reshape(L, 3)
    if not np.isin(keypoints[:, 2], (0, 1, 2)).all():
        raise _Wrong(f"{what}: keypoints: expected v of 0, 1 or 2, got {keypoints[:, 2]}")
    box = _numbers(record.get("bbox"), (4,), f"{what}: bbox")
    if not (box[2:] > 0).all():
        raise _Wrong(f"{what}: bbox: expected width and height > 0, got {box.tolist()}")
    pose = record.get("pose_mm")
    if pose is None:
        return keypoints, box, np.full((L, 3), np.nan)
    return keypoints, box, _numbers(pose, (L, 3), f"{what}: pose_mm")


def _check_files(files):
    missing = sorted(file for file in files if not os.path.isfile(file))
    if missing:
        raise _Wrong(
            f"{len(missing)} of {len(files)} images are not there, the first is {missing[0]}; make "
            "the data again, or put the images beside the file of annotations"
        )
