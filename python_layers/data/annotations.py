"""People in images: landmarks, boxes, 3D poses and cameras, from COCO-keypoints-style JSON.

    info        {...}, ours to ignore
    categories  [{"keypoints": the 17 names in the order of prior.skeleton}]
    cameras     {"S1/54138969": {"rotation": 3x3 world to camera, "position_mm": [3],
                "intrinsics": 3x3 px}}
    images      [{"id", "file_name" (relative to the JSON's folder), "width", "height",
                "subject", "action", "camera", "frame", "offset"}]
    annotations [{"image_id", "keypoints" [x, y, v] * 17, "bbox" [x, y, width, height],
                "pose_mm" 17x3 world, y up, "context"}]

A keypoint with v = 0 is missing: it is left out of the loss. Others lie inside the image. Data
without 3D (Leeds, MPII, COCO) leaves out "camera" and "pose_mm"; "subject", "action" and "frame"
are for evaluation and may be left out too. "offset" is where the top-left pixel of the image lies
in the camera's whole picture, [0, 0] unless it was cropped. A person with "context": true is
never in the centre of a sample, only one of the others in it.

The same in one file, for millions of images, is `packed`; `load` reads both.
"""

import hashlib
import json
import os
from dataclasses import dataclass

import numpy as np

from prior import camera as cameras
from prior import skeleton
from python_layers.data import columns, images, packed
from python_layers.data.columns import AnnotationError, Builder, short

__all__ = ["AnnotationError", "Annotations", "digest", "load"]


@dataclass(frozen=True, eq=False)
class Annotations:
    """One record for each annotated person, M of them; arrays are float64 unless said."""

    path: str
    files: tuple  # (M,) paths of the images, or their names in a packed file
    image_sizes: np.ndarray  # (M, 2) int, width and height
    points: np.ndarray  # (M, 17, 2) image px, NaN where missing
    visible: np.ndarray  # (M, 17) int, COCO's v: 0 missing, 1 hidden, 2 visible
    boxes: np.ndarray  # (M, 4) x, y, width, height, image px
    poses_mm: np.ndarray  # (M, 17, 3) world, NaN without 3D
    camera_names: tuple  # (M,) str, None without a camera
    rotations: np.ndarray  # (M, 3, 3) world to camera, level without a camera
    positions_mm: np.ndarray  # (M, 3) world, NaN without a camera
    intrinsics: np.ndarray  # (M, 3, 3) px of the image, NaN without a camera
    offsets: np.ndarray  # (M, 2) px, of the image in the camera's whole picture
    subjects: tuple  # (M,) str or None
    actions: tuple  # (M,) str or None
    frames: tuple  # (M,) int or None
    crowd: "Crowd"
    store: object  # reads the bytes of an image by its number

    def __len__(self):
        return len(self.files)

    def has_camera(self, index):
        """Whether record `index` names the camera that took its image."""
        return self.camera_names[index] is not None

    def image(self, index):
        """The image of a record, (H, W, 3) uint8 BGR. Raises images.ImageError."""
        data = self.store.read(self.crowd.image[index])
        return images.decode(data, self.files[index], tuple(self.image_sizes[index]))

    def others(self, index):
        """Landmarks (K, 17, 2) of the other people in a record's image, NaN where missing."""
        return self.crowd.others(index)


class Crowd:
    """Who else is in the image of each record."""

    def __init__(self, points, image_of, record):
        """points (P, 17, 2) and image_of (P,) of all people; record (M,): which have a record."""
        self._points, self._record, self.image = points, record, image_of[record]
        self._order = np.argsort(image_of, kind="stable")
        self._sorted = image_of[self._order]

    def others(self, index):
        """As Annotations.others."""
        image = self.image[index]
        first, end = (np.searchsorted(self._sorted, image, side) for side in ("left", "right"))
        people = self._order[first:end]
        return self._points[people[people != self._record[index]]]


def load(path, check_images=True):
    """Read and check a file of annotations, JSON or packed.

    `check_images` also looks for every image file of a JSON. Returns Annotations. Raises
    AnnotationError, never anything else, whatever is in the file.
    """
    path = os.fspath(path)
    try:
        if packed.is_packed(path):
            table, store = packed.open_(path)
            files = table["image_name"]
        else:
            table = _table(_read(path))
            folder = os.path.dirname(path)
            files = [os.path.join(folder, name) for name in table["image_name"]]
            store = images.Files(files)
            if check_images:
                _check_files({files[i] for i in set(table["person_image"].tolist())})
        return _join(path, table, files, store)
    except AnnotationError as wrong:
        raise AnnotationError(f"{path}: {wrong}") from None


def digest(path):
    """SHA-256 of a file of annotations; of a packed one that of its index, which has the
    checksums of the images. Raises OSError or AnnotationError."""
    if packed.is_packed(path):
        return hashlib.sha256(packed.index_of(path)).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        raise AnnotationError(
            "no such file; expected annotations in JSON or packed; run `make data`, or run from "
            "the repository root, to which paths are relative"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(
            f"expected annotations in JSON, got: {error}; make the file again"
        ) from None


def _table(document):
    """The columns of a JSON document."""
    names = _list(document, "categories")[0].get("keypoints")
    if names != list(skeleton.LANDMARKS):
        raise AnnotationError(
            f"categories: expected the keypoints {list(skeleton.LANDMARKS)}, got {names}; convert "
            "the landmarks with prior.skeleton"
        )
    builder = Builder(document.get("cameras", {}))
    numbers = {}
    for image in _list(document, "images"):
        identity = image.get("id")
        if not isinstance(identity, int | str) or identity in numbers:
            raise AnnotationError(
                f"image {short(image.get('file_name'))}: expected an id of its own, "
                f"got {short(identity)}"
            )
        numbers[identity] = builder.add_image(image)
    for index, person in enumerate(_list(document, "annotations")):
        identity = person.get("image_id")
        if not isinstance(identity, int | str) or identity not in numbers:
            raise AnnotationError(
                f"annotation {index}: expected the image_id of one of the images, "
                f"got {short(identity)}"
            )
        builder.add_person(numbers[identity], person, f"annotation {index}")
    return builder.table()


def _list(document, key):
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
        raise AnnotationError(
            f'expected "{key}", a list of at least one object; make the file again'
        )
    return value


def _check_files(files):
    missing = sorted(file for file in files if not os.path.isfile(file))
    if missing:
        raise AnnotationError(
            f"{len(missing)} of {len(files)} images are not there, the first is {missing[0]}; make "
            "the data again, or put the images beside the file of annotations"
        )


def _join(path, table, files, store):
    """Annotations, of the people that are no mere context, from checked columns."""
    people = np.flatnonzero(~table["person_context"])
    if not len(people):
        raise AnnotationError('expected a person without "context": true, got none')
    image = table["person_image"][people]
    camera = table["image_camera"][image]

    def seen(column, nowhere):
        # One more row, the last, for those with camera -1.
        return np.concatenate([table[column], np.asarray(nowhere)[None]])[camera]

    intrinsics = seen("camera_intrinsics", np.full((3, 3), np.nan))
    intrinsics[:, :2, 2] -= table["image_offset"][image]
    keypoints = table["person_keypoints"]
    points = np.where(keypoints[..., 2:] > 0, keypoints[..., :2], np.nan)
    return Annotations(
        path=path,
        files=tuple(files[i] for i in image),
        image_sizes=table["image_size"][image],
        points=points[people],
        visible=keypoints[people, :, 2].astype(int),
        boxes=table["person_box"][people],
        poses_mm=table["person_pose"][people],
        camera_names=columns.named(table["camera_name"], camera),
        rotations=seen("camera_rotation", cameras.LEVEL),
        positions_mm=seen("camera_position", np.full(3, np.nan)),
        intrinsics=intrinsics,
        offsets=table["image_offset"][image].astype(float),
        subjects=columns.named(table["label"], table["image_subject"][image]),
        actions=columns.named(table["label"], table["image_action"][image]),
        frames=tuple(None if f < 0 else f for f in table["image_frame"][image].tolist()),
        crowd=Crowd(points, table["person_image"], people),
        store=store,
    )
