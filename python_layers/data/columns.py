"""Annotations as a table of columns: each image and person checked as it comes.

Both storages of annotations, JSON and packed, go through it. The columns, with I images, P people,
C cameras and the strings of a list `label` (subjects and actions), -1 standing for none:

    image_name (I,) str, image_size (I, 2) width and height, image_offset (I, 2) px,
    image_camera, image_subject, image_action, image_frame (I,) int
    camera_name (C,) str, camera_rotation (C, 3, 3), camera_position (C, 3) mm,
    camera_intrinsics (C, 3, 3) px
    person_image (P,) int, person_context (P,) bool, person_keypoints (P, 17, 3) x, y, v,
    person_box (P, 4), person_pose (P, 17, 3) mm or NaN
"""

import numpy as np

from prior import camera as cameras
from prior import skeleton

L = skeleton.L
# Name: (of whose number the first axis is, the other axes, kind of the type)
COLUMNS = {
    "image_name": ("image", (), "U"),
    "image_size": ("image", (2,), "i"),
    "image_offset": ("image", (2,), "f"),
    "image_camera": ("image", (), "i"),
    "image_subject": ("image", (), "i"),
    "image_action": ("image", (), "i"),
    "image_frame": ("image", (), "i"),
    "label": ("label", (), "U"),
    "camera_name": ("camera", (), "U"),
    "camera_rotation": ("camera", (3, 3), "f"),
    "camera_position": ("camera", (3,), "f"),
    "camera_intrinsics": ("camera", (3, 3), "f"),
    "person_image": ("person", (), "i"),
    "person_context": ("person", (), "b"),
    "person_keypoints": ("person", (L, 3), "f"),
    "person_box": ("person", (4,), "f"),
    "person_pose": ("person", (L, 3), "f"),
}
KINDS = {"i": np.int64, "f": np.float64, "b": np.bool_, "U": np.str_}


class AnnotationError(ValueError):
    """Annotations that cannot be used: what was expected, what came, what to try."""


class Builder:
    """Takes images and people, as objects of the JSON format, one by one; gives the table.

    Every method raises AnnotationError on a value that is wrong; nothing is added then.
    """

    def __init__(self, views):
        """views: the "cameras" of the JSON format."""
        if not isinstance(views, dict) or not all(isinstance(v, dict) for v in views.values()):
            raise AnnotationError(f'expected "cameras", an object of objects, got {short(views)}')
        self._cameras = {name: _camera(name, view) for name, view in views.items()}
        self._camera_number = {name: i for i, name in enumerate(views)}
        self._labels = {}
        self._images, self._people = [], []

    def add_image(self, image):
        """Returns the image's number, from 0 on."""
        name = image.get("file_name")
        if not isinstance(name, str) or not name:
            raise AnnotationError(f"image {short(image.get('id'))}: file_name: got {short(name)}")
        size = numbers([image.get("width"), image.get("height")], (2,), f"image {name}: size")
        if not (size > 0).all():
            raise AnnotationError(
                f"image {name}: expected width and height > 0, got {size.tolist()}"
            )
        camera = image.get("camera")
        if camera is not None and not (isinstance(camera, str) and camera in self._cameras):
            raise AnnotationError(
                f"image {name}: expected a camera of {short(sorted(self._cameras))}, "
                f"got {short(camera)}"
            )
        offset = numbers(image.get("offset", [0, 0]), (2,), f"image {name}: offset")
        frame = image.get("frame")
        if frame is not None and (type(frame) is not int or frame < 0):
            raise AnnotationError(f"image {name}: expected a frame >= 0, got {short(frame)}")
        camera = -1 if camera is None else self._camera_number[camera]
        labels = [self._label(name, image.get(key)) for key in ("subject", "action")]
        self._images.append((name, size, offset, camera, *labels, -1 if frame is None else frame))
        return len(self._images) - 1

    def drop_image(self):
        """Take the last image back; it has no people."""
        del self._images[-1]

    def add_person(self, number, person, what):
        """A person in image `number`; `what` names the record in errors."""
        name, size = self._images[number][:2]
        what = f"{what} ({name})"
        keypoints = numbers(person.get("keypoints"), (3 * L,), f"{what}: keypoints").reshape(L, 3)
        there = keypoints[:, 2] > 0
        if not np.isin(keypoints[:, 2], (0, 1, 2)).all():
            raise AnnotationError(
                f"{what}: keypoints: expected v of 0, 1 or 2, got {keypoints[:, 2]}"
            )
        outside = there & ~inside(keypoints[:, :2], size)
        if outside.any():
            first = int(outside.argmax())
            raise AnnotationError(
                f"{what}: keypoints: expected them inside the image, got the "
                f"{skeleton.LANDMARKS[first]} at {keypoints[first, :2].tolist()}; mark it as "
                "missing, with v = 0"
            )
        box = numbers(person.get("bbox"), (4,), f"{what}: bbox")
        if not (box[2:] > 0).all():
            raise AnnotationError(
                f"{what}: bbox: expected width and height > 0, got {box.tolist()}"
            )
        context = person.get("context", False)
        if type(context) is not bool:
            raise AnnotationError(f"{what}: context: expected a bool, got {short(context)}")
        pose = person.get("pose_mm")
        if pose is None:
            pose = np.full((L, 3), np.nan)
        else:
            pose = numbers(pose, (L, 3), f"{what}: pose_mm")
        self._people.append((number, context, keypoints, box, pose))

    def table(self):
        """{column: array}."""
        names = ("name", "size", "offset", "camera", "subject", "action", "frame")
        table = _stacked("image", names, self._images)
        table |= _stacked("person", ("image", "context", "keypoints", "box", "pose"), self._people)
        rows = [(name, *values) for name, values in self._cameras.items()]
        table |= _stacked("camera", ("name", "rotation", "position", "intrinsics"), rows)
        return table | {"label": np.array(list(self._labels), dtype=np.str_)}

    def _label(self, name, text):
        if text is None:
            return -1
        if not isinstance(text, str):
            raise AnnotationError(
                f"image {name}: expected a subject and an action in words, got {short(text)}"
            )
        return self._labels.setdefault(text, len(self._labels))


def _stacked(whose, names, rows):
    table = {}
    for i, name in enumerate(names):
        _, axes, kind = COLUMNS[f"{whose}_{name}"]
        column = np.array([row[i] for row in rows], dtype=KINDS[kind])
        table[f"{whose}_{name}"] = column.reshape(len(rows), *axes)
    return table


def check(table):
    """AnnotationError unless `table`, from a file, has the columns, and they fit together."""
    sizes = {}
    for name, (whose, axes, kind) in COLUMNS.items():
        column = table.get(name)
        if column is None or column.dtype.kind != kind or column.shape[1:] != axes:
            got = "nothing" if column is None else f"{column.dtype} {column.shape}"
            raise AnnotationError(f"{name}: expected the shape (any, *{axes}), got {got}")
        if sizes.setdefault(whose, len(column)) != len(column):
            raise AnnotationError(f"{name}: expected {sizes[whose]} rows, got {len(column)}")
        if kind == "f" and name != "person_pose" and not np.isfinite(column).all():
            raise AnnotationError(f"{name}: expected finite numbers")
    for name, whose, low in (
        ("person_image", "image", 0),
        ("image_camera", "camera", -1),
        ("image_subject", "label", -1),
        ("image_action", "label", -1),
    ):
        column = table[name]
        if len(column) and not (column.min() >= low and column.max() < sizes[whose]):
            raise AnnotationError(f"{name}: expected {low} to {sizes[whose] - 1}")


def named(names, numbers):
    """Tuple of the strings with these numbers, None for -1."""
    names = [*names.tolist(), None]
    return tuple(names[i] for i in numbers)


def inside(points, size):
    """Which points (..., 2) lie on a pixel of an image of `size` (width, height)."""
    return ((points >= -0.5) & (points <= np.asarray(size) - 0.5)).all(axis=-1)


def numbers(value, shape, what):
    """`value` as a finite float64 array of `shape`. Raises AnnotationError."""
    try:
        array = np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise AnnotationError(
            f"{what}: expected numbers of shape {shape}, got {short(value)}"
        ) from None
    if array.shape != shape or not np.isfinite(array).all():
        raise AnnotationError(
            f"{what}: expected finite numbers of shape {shape}, got {short(value)}"
        )
    return array


def short(value):
    """A value as text for an error, not too long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _camera(name, view):
    rotation = numbers(view.get("rotation"), (3, 3), f"camera {name}: rotation")
    try:
        cameras.check_rotation(rotation, f"camera {name}: rotation")
    except ValueError as error:
        raise AnnotationError(f"{error}; is it transposed, or left-handed?") from None
    position = numbers(view.get("position_mm"), (3,), f"camera {name}: position_mm")
    intrinsics = numbers(view.get("intrinsics"), (3, 3), f"camera {name}: intrinsics")
    if not (np.diag(intrinsics) > 0).all() or (intrinsics[2] != [0, 0, 1]).any():
        raise AnnotationError(
            f"camera {name}: intrinsics: expected focal lengths > 0 and the last row 0 0 1, "
            f"got {intrinsics.tolist()}"
        )
    return rotation, position, intrinsics
