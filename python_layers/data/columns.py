"""Annotations as a table of columns, built from images and people that are checked one by one.

JSON, packed files and CPM's LMDBs become such a table. Its columns, for I images, P people, C
cameras, L landmarks and the strings of `label` (subjects and actions); -1 stands for none:

    landmark (L,) str, their names
    image_name (I,) str, image_size (I, 2) width and height, image_offset (I, 2) px,
    image_camera, image_subject, image_action, image_frame (I,) int
    camera_name (C,) str, camera_rotation (C, 3, 3), camera_position (C, 3) mm,
    camera_intrinsics (C, 3, 3) px, camera_distortion (C, 14), OpenCV's coefficients
    person_image (P,) int, person_context (P,) bool, person_keypoints (P, L, 3) x, y, v,
    person_box (P, 4), person_pose (P, L, 3) mm or NaN, person_area (P,) px^2 or NaN
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from numpy.typing import ArrayLike

from prior.camera import check_rotation
from prior.errors import InputError, short
from prior.skeleton import HUMAN36M, Skeleton
from python_layers.data import lens

Table: TypeAlias = dict[str, np.ndarray]
# An object of the JSON format.
Record: TypeAlias = Mapping[str, Any]

# Of each column: what its rows are, its other axes (None: L), and the kind of its type.
COLUMNS: dict[str, tuple[str, tuple[int | None, ...], str]] = {
    "landmark": ("landmark", (), "U"),
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
    "camera_distortion": ("camera", (lens.COEFFICIENTS[-1],), "f"),
    "person_image": ("person", (), "i"),
    "person_context": ("person", (), "b"),
    "person_keypoints": ("person", (None, 3), "f"),
    "person_box": ("person", (4,), "f"),
    "person_pose": ("person", (None, 3), "f"),
    "person_area": ("person", (), "f"),
}
UNKNOWN = ("person_pose", "person_area")  # columns that may have NaN
# No coordinate of an image (px) or of a person (mm) is larger, by far; our choice.
LARGEST = 1e9
# OpenCV's own limit, px.
LONGEST_SIDE = 1 << 20
# Characters of a name; our choice: a quarter of Linux's longest path.
LONGEST_NAME = 1024
KINDS: dict[str, type[np.generic]] = {"i": np.int64, "f": np.float64, "b": np.bool_, "U": np.str_}


class AnnotationError(InputError):
    """Annotations that cannot be used."""


class Builder:
    """Makes a table of images and people, which it takes one by one as objects of the JSON format.

    Every method raises AnnotationError on a value that is wrong; nothing is added then.
    """

    def __init__(self, cameras: Any, skeleton: Skeleton = HUMAN36M) -> None:
        """cameras: those of the JSON format, {name: object}. skeleton: what the people have."""
        if not isinstance(cameras, dict) or not all(isinstance(c, dict) for c in cameras.values()):
            raise AnnotationError(f'expected "cameras", an object of objects, got {short(cameras)}')
        self._skeleton = skeleton
        self._cameras = {
            _name(name, "cameras"): _camera(name, camera) for name, camera in cameras.items()
        }
        self._camera_number = {name: i for i, name in enumerate(cameras)}
        self._labels: dict[str, int] = {}
        # A tuple of columns for each image and for each person.
        self._images: list[tuple[Any, ...]] = []
        self._people: list[tuple[Any, ...]] = []

    def add_image(self, image: Record) -> int:
        """Add an image. Returns its number, from 0 on."""
        name = image.get("file_name")
        if not isinstance(name, str) or not name:
            raise AnnotationError(f"image {short(image.get('id'))}: file_name: got {short(name)}")
        name = _name(name, "file_name")
        size = numbers([image.get("width"), image.get("height")], (2,), f"image {name}: size")
        if not ((size > 0) & (size <= LONGEST_SIDE) & (size == np.floor(size))).all():
            raise AnnotationError(
                f"image {name}: expected width and height > 0, whole numbers to {LONGEST_SIDE}, "
                f"got {size.tolist()}"
            )
        camera = image.get("camera")
        if camera is not None and not (isinstance(camera, str) and camera in self._cameras):
            raise AnnotationError(
                f"image {name}: expected a camera of {short(sorted(self._cameras))}, "
                f"got {short(camera)}"
            )
        offset = numbers(image.get("offset", [0, 0]), (2,), f"image {name}: offset")
        frame = image.get("frame")
        if frame is not None and (type(frame) is not int or not 0 <= frame < 2**63):
            raise AnnotationError(f"image {name}: expected a frame >= 0, got {short(frame)}")
        number = -1 if camera is None else self._camera_number[camera]
        labels = [self._label(name, image.get(key)) for key in ("subject", "action")]
        self._images.append((name, size, offset, number, *labels, -1 if frame is None else frame))
        return len(self._images) - 1

    def drop_image(self) -> None:
        """Remove the last image, which must have no people."""
        del self._images[-1]

    def add_person(self, number: int, person: Record, what: str) -> None:
        """Add a person in image `number`; `what` names the record in errors."""
        name, size = self._images[number][:2]
        what, count = f"{what} ({name})", len(self._skeleton)
        keypoints = numbers(person.get("keypoints"), (3 * count,), f"{what}: keypoints")
        keypoints = keypoints.reshape(count, 3)
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
                f"{self._skeleton.landmarks[first]} at {keypoints[first, :2].tolist()}; mark it as "
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
            pose = np.full((count, 3), np.nan)
        else:
            pose = numbers(pose, (count, 3), f"{what}: pose_mm")
        area = person.get("area")
        if area is not None and not (area := numbers(area, (), f"{what}: area")) > 0:
            raise AnnotationError(f"{what}: area: expected px^2 > 0, got {area}")
        self._people.append(
            (number, context, keypoints, box, pose, np.nan if area is None else area)
        )

    def table(self) -> Table:
        """The columns of all that was added."""
        count = len(self._skeleton)
        table = {"landmark": np.array(self._skeleton.landmarks, dtype=np.str_)}
        names = ("name", "size", "offset", "camera", "subject", "action", "frame")
        table |= _stacked("image", names, self._images, count)
        of_person = ("image", "context", "keypoints", "box", "pose", "area")
        table |= _stacked("person", of_person, self._people, count)
        rows = [(name, *values) for name, values in self._cameras.items()]
        of_camera = ("name", "rotation", "position", "intrinsics", "distortion")
        table |= _stacked("camera", of_camera, rows, count)
        return table | {"label": np.array(list(self._labels), dtype=np.str_)}

    def _label(self, name: str, text: Any) -> int:
        """The number of a subject or an action of image `name`."""
        if text is None:
            return -1
        if not isinstance(text, str):
            raise AnnotationError(
                f"image {name}: expected a subject and an action in words, got {short(text)}"
            )
        return self._labels.setdefault(_name(text, name), len(self._labels))


def _name(text: str, where: str) -> str:
    """A name in a file, which is not so long that a column of such names fills the memory."""
    if len(text) > LONGEST_NAME:
        raise AnnotationError(
            f"{short(where)}: expected names up to {LONGEST_NAME} characters, got {short(text)}"
        )
    return text


def _axes(name: str, landmarks: int) -> tuple[int, ...]:
    """The axes of a column, but for its rows, of people with so many landmarks."""
    return tuple(landmarks if axis is None else axis for axis in COLUMNS[name][1])


def _stacked(
    whose: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]], landmarks: int
) -> Table:
    """The columns `whose`_`names`; each row has a value for each of the names."""
    table = {}
    for i, name in enumerate(names):
        key = f"{whose}_{name}"
        column: np.ndarray = np.array([row[i] for row in rows], dtype=KINDS[COLUMNS[key][2]])
        table[key] = column.reshape(len(rows), *_axes(key, landmarks))
    return table


def check(table: Table) -> None:
    """Raise AnnotationError unless a file's table has all columns, and they fit together."""
    sizes: dict[str, int] = {}
    landmarks = np.size(table.get("landmark", ()))
    for name, (whose, _, kind) in COLUMNS.items():
        column, axes = table.get(name), _axes(name, landmarks)
        shape = (len(column), *axes) if column is not None and column.ndim else None
        if column is None or column.dtype.kind != kind or column.shape != shape:
            got = "nothing" if column is None else f"{column.dtype} {column.shape}"
            raise AnnotationError(f"{name}: expected the shape (any, *{axes}), got {got}")
        if sizes.setdefault(whose, len(column)) != len(column):
            raise AnnotationError(f"{name}: expected {sizes[whose]} rows, got {len(column)}")
        if kind == "f" and name not in UNKNOWN and not np.isfinite(column).all():
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
    _check_values(table)


def _check_values(table: Table) -> None:
    """Raise AnnotationError unless a file's numbers are such as a Builder lets through."""
    for name, (_, _, kind) in COLUMNS.items():
        # NaN is smaller than nothing, and was checked before.
        if kind == "f" and (np.abs(table[name]) > LARGEST).any():
            raise AnnotationError(f"{name}: expected numbers up to {LARGEST:g}")
    size = table["image_size"]
    wrong = {
        "image_size": (size < 1) | (size > LONGEST_SIDE),
        "image_frame": table["image_frame"] < -1,
        "person_keypoints": ~np.isin(table["person_keypoints"][..., 2], (0, 1, 2)),
        "person_box": table["person_box"][:, 2:] <= 0,
        "person_area": table["person_area"] <= 0,
        "camera_intrinsics": np.diagonal(table["camera_intrinsics"], axis1=1, axis2=2) <= 0,
    }
    for name, rows in wrong.items():
        if rows.any():
            first = int(np.argwhere(rows)[0, 0])
            got = short(table[name][first].tolist())
            raise AnnotationError(f"{name}: expected what can be packed, got {got}; pack it again")


def named(names: np.ndarray, numbers: Int[np.ndarray, "M"]) -> tuple[str | None, ...]:
    """Of the names, text, those with these numbers; None for -1."""
    known = [*names.tolist(), None]
    return tuple(known[i] for i in numbers)


def inside(
    points: Real[np.ndarray, "*batch 2"], size: ArrayLike | Sequence[float]
) -> Bool[np.ndarray, "*batch"]:
    """Which points lie on a pixel of an image of `size` (width, height)."""
    return np.all((points >= -0.5) & (points <= np.asarray(size) - 0.5), axis=-1)


def numbers(value: Any, shape: tuple[int, ...], what: str) -> Float[np.ndarray, "..."]:
    """`value` as a finite float64 array of `shape`. Raises AnnotationError, which begins with
    `what`."""
    try:
        array = np.array(value, dtype=float)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise AnnotationError(
            f"{what}: expected numbers of shape {shape}, got {short(value)}"
        ) from None
    if array.shape != shape or not (np.abs(array) <= LARGEST).all():
        raise AnnotationError(
            f"{what}: expected finite numbers of shape {shape}, {LARGEST:g} at most, "
            f"got {short(value)}"
        )
    return array


def _camera(name: str, camera: Record) -> tuple[np.ndarray, ...]:
    """The rotation (3, 3), position (3,), intrinsics (3, 3) and distortion (14,) of a camera of
    the JSON format."""
    rotation = numbers(camera.get("rotation"), (3, 3), f"camera {name}: rotation")
    try:
        check_rotation(rotation, f"camera {name}: rotation")
    except InputError as error:
        raise AnnotationError(f"{error}; is it transposed, or left-handed?") from None
    position = numbers(camera.get("position_mm"), (3,), f"camera {name}: position_mm")
    intrinsics = numbers(camera.get("intrinsics"), (3, 3), f"camera {name}: intrinsics")
    if not (np.diag(intrinsics) > 0).all() or (intrinsics[2] != [0, 0, 1]).any():
        raise AnnotationError(
            f"camera {name}: intrinsics: expected focal lengths > 0 and the last row 0 0 1, "
            f"got {intrinsics.tolist()}"
        )
    distortion = camera.get("distortion", [])
    most = lens.COEFFICIENTS[-1]
    if not isinstance(distortion, list | np.ndarray) or len(distortion) not in (
        0,
        *lens.COEFFICIENTS,
    ):
        raise AnnotationError(
            f"camera {name}: distortion: expected {', '.join(map(str, lens.COEFFICIENTS))} numbers "
            f"in OpenCV's order, got {short(distortion)}"
        )
    told = numbers(distortion, (len(distortion),), f"camera {name}: distortion")
    return rotation, position, intrinsics, np.append(told, np.zeros(most - len(told)))
