"""People in images: landmarks, boxes, 3D poses and cameras, from COCO-keypoints-style JSON.

    info        {...}, ours to ignore
    categories  [{"keypoints": the names of the L landmarks, in the order of their skeleton}]
    cameras     {"S1/54138969": {"rotation": 3x3 world to camera, "position_mm": [3],
                "intrinsics": 3x3 px, "distortion": OpenCV's k1, k2, p1, p2, ...}}
    images      [{"id", "file_name" (relative to the JSON's folder), "width", "height",
                "subject", "action", "camera", "frame", "offset"}]
    annotations [{"image_id", "keypoints" [x, y, v] * L, "bbox" [x, y, width, height],
                "pose_mm" Lx3 world, y up, "area" px^2, "context"}]

A keypoint with v = 0 is missing: it is left out of the loss. Others lie inside the image. Data
without 3D (Leeds, MPII, COCO) leave out "camera" and "pose_mm"; "subject", "action", "frame" and
"area", that of the person's outline, are for evaluation and may be left out too. "offset" is where
the top-left pixel of the image lies in the camera's whole picture, [0, 0] unless the image was
cropped. A person with "context": true is never the one in the centre of a sample, only one of the
others in it.

The landmarks are Human3.6M's 17, or those of another skeleton that the caller has, a pose model's.

`packed` has the same in one file, for millions of images; `cpm_lmdb` is what CPM's authors train
on. `load` reads all three.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.typing import ArrayLike

from prior import camera as cameras
from prior import foreign
from prior.errors import short
from prior.files import FilePath
from prior.skeleton import HUMAN36M, Skeleton
from python_layers.data import columns, cpm_lmdb, images, lens, packed
from python_layers.data.columns import AnnotationError, Builder, Record, Table

__all__ = ["AnnotationError", "Annotations", "digest", "load"]

# Where images are, by their number.
Store: TypeAlias = images.Files | packed.Store | cpm_lmdb.Store
# The number of a record.
Index: TypeAlias = int | np.integer


@dataclass(frozen=True, eq=False)
class Annotations:
    """M records, one for each annotated person."""

    path: str
    skeleton: Skeleton
    files: tuple[str, ...]  # paths of the images, or their names in a packed file
    image_sizes: Int[np.ndarray, "M 2"]  # width and height
    points: Float[np.ndarray, "M L 2"]  # image px, NaN where missing
    visible: Int[np.ndarray, "M L"]  # COCO's v: 0 missing, 1 hidden, 2 visible
    boxes: Float[np.ndarray, "M 4"]  # x, y, width, height, image px
    poses_mm: Float[np.ndarray, "M L 3"]  # world, NaN without 3D
    areas: Float[np.ndarray, "M"]  # px^2 of the person's outline, NaN where it is not known
    camera_names: tuple[str | None, ...]  # None without a camera
    rotations: Float[np.ndarray, "M 3 3"]  # world to camera, level without a camera
    positions_mm: Float[np.ndarray, "M 3"]  # world, NaN without a camera
    intrinsics: Float[np.ndarray, "M 3 3"]  # px of the image, NaN without a camera
    distortions: Float[np.ndarray, "M 14"]  # OpenCV's coefficients, 0 without
    offsets: Float[np.ndarray, "M 2"]  # px, of the image in the camera's whole picture
    subjects: tuple[str | None, ...]
    actions: tuple[str | None, ...]
    frames: tuple[int | None, ...]
    crowd: "Crowd"
    store: Store  # reads the bytes of an image by its number

    def __len__(self) -> int:
        return len(self.files)

    def has_camera(self, index: Index) -> bool:
        """Whether record `index` names the camera that took its image."""
        return self.camera_names[index] is not None

    def image(self, index: Index) -> UInt8[np.ndarray, "H W 3"]:
        """The image of a record, BGR. Raises images.ImageError."""
        return self.reduced(index, 1)[0]

    def reduced(self, index: Index, block: int) -> tuple[UInt8[np.ndarray, "h w 3"], int]:
        """The image of a record, BGR, with blocks of pixels averaged to one, of a side that
        `block` is a multiple of, and that side. Raises images.ImageError."""
        data = self.store.read(self.crowd.image[index])
        width, height = self.image_sizes[index].tolist()
        part = images.part_of(data, block)
        return images.decode(data, self.files[index], (width, height), part=part), part

    def others(self, index: Index) -> Float[np.ndarray, "K L 2"]:
        """The landmarks of the other people in a record's image, NaN where missing."""
        return self.crowd.others(index)


class Crowd:
    """Who else is in the image of each record."""

    def __init__(
        self,
        points: Float[np.ndarray, "P L 2"],
        image_of: Int[np.ndarray, "P"],
        record: Int[np.ndarray, "M"],
    ) -> None:
        """points, image_of: landmarks of all people, and their images; record: who has a record."""
        self._points, self._record, self.image = points, record, image_of[record]
        self._order = np.argsort(image_of, kind="stable")
        self._sorted = image_of[self._order]

    def others(self, index: Index) -> Float[np.ndarray, "K L 2"]:
        """As Annotations.others."""
        image = self.image[index]
        first, end = (np.searchsorted(self._sorted, image, side) for side in ("left", "right"))
        people = self._order[first:end]
        return self._points[people[people != self._record[index]]]


def load(path: FilePath, check_images: bool = True, skeleton: Skeleton = HUMAN36M) -> Annotations:
    """Read and check annotations: a file, JSON or packed, or the folder of CPM's LMDB.

    check_images: whether to look for the image files of a JSON. skeleton: whose landmarks the
    people have; others are refused. Raises AnnotationError, and nothing else, whatever is in the
    file.
    """
    path = os.fspath(path)
    store: Store
    try:
        if packed.is_packed(path):
            table, store = packed.open_(path)
            files = table["image_name"].tolist()
        elif os.path.isdir(path):
            table, store = cpm_lmdb.open_(path)
            files = table["image_name"].tolist()
        else:
            table = _table(_read(path), skeleton)
            folder = os.path.dirname(path)
            files = [os.path.join(folder, name) for name in table["image_name"]]
            store = images.Files(files)
            if check_images:
                _check_files({files[i] for i in set(table["person_image"].tolist())})
        _check_landmarks("its landmarks", table["landmark"].tolist(), skeleton)
        return _join(path, table, files, store, skeleton)
    except AnnotationError as wrong:
        said = str(wrong).removeprefix(f"{path}: ")
        raise AnnotationError(f"{path}: {said}") from None


def digest(path: FilePath) -> str:
    """The SHA-256 of a file of annotations. Raises OSError or AnnotationError.

    Of a packed file it is that of its index, which has the checksums of the images; of an LMDB that
    of its annotations.
    """
    if os.path.isdir(path):
        return cpm_lmdb.digest(path)
    if packed.is_packed(path):
        return hashlib.sha256(packed.index_of(path)).hexdigest()
    with foreign.open_file(path, AnnotationError) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: str) -> Any:
    """What a JSON file holds."""
    if not os.path.exists(path):
        raise AnnotationError(
            "no such file; expected annotations in JSON or packed, or the folder of an LMDB; run "
            "`make data`, or run from the repository root, to which paths are relative"
        )
    return foreign.read_json(path, AnnotationError)


def _check_landmarks(what: str, names: Any, skeleton: Skeleton) -> None:
    """Raise AnnotationError unless these are a skeleton's landmarks, in its order."""
    if names != list(skeleton.landmarks):
        raise AnnotationError(
            f"{what}: expected {list(skeleton.landmarks)}, got {short(names, 400)}; convert the "
            "landmarks, or name a model or a skeleton that has them"
        )


def _table(document: Any, skeleton: Skeleton) -> Table:
    """The columns of a JSON document."""
    names = _list(document, "categories")[0].get("keypoints")
    _check_landmarks("categories: keypoints", names, skeleton)
    builder = Builder(document.get("cameras", {}), skeleton)
    numbers: dict[int | str, int] = {}
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


def _list(document: Any, key: str) -> list[Record]:
    """A list of objects in the document."""
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
        raise AnnotationError(
            f'expected "{key}", a list of at least one object; make the file again'
        )
    return value


def _check_files(files: Iterable[str]) -> None:
    files = list(files)
    missing = sorted(file for file in files if not os.path.isfile(file))
    if missing:
        raise AnnotationError(
            f"{len(missing)} of {len(files)} images are not there, the first is {missing[0]}; make "
            "the data again, or put the images beside the file of annotations"
        )


def _join(
    path: str, table: Table, files: Sequence[str], store: Store, skeleton: Skeleton
) -> Annotations:
    """The Annotations of checked columns: of all people that are not only context."""
    people = np.flatnonzero(~table["person_context"])
    if not len(people):
        raise AnnotationError('expected a person without "context": true, got none')
    image = table["person_image"][people]
    camera = table["image_camera"][image]

    def of_camera(column: str, without: ArrayLike) -> np.ndarray:
        # People without a camera, whose camera is -1, get the last row.
        return np.concatenate([table[column], np.asarray(without)[None]])[camera]

    intrinsics = of_camera("camera_intrinsics", np.full((3, 3), np.nan))
    intrinsics[:, :2, 2] -= table["image_offset"][image]
    keypoints = table["person_keypoints"]
    points = np.where(keypoints[..., 2:] > 0, keypoints[..., :2], np.nan)
    return Annotations(
        path=path,
        skeleton=skeleton,
        files=tuple(files[i] for i in image),
        image_sizes=table["image_size"][image],
        points=points[people],
        visible=keypoints[people, :, 2].astype(int),
        boxes=table["person_box"][people],
        poses_mm=table["person_pose"][people],
        areas=table["person_area"][people],
        camera_names=columns.named(table["camera_name"], camera),
        rotations=of_camera("camera_rotation", cameras.LEVEL),
        positions_mm=of_camera("camera_position", np.full(3, np.nan)),
        intrinsics=intrinsics,
        distortions=of_camera("camera_distortion", np.zeros(lens.COEFFICIENTS[-1])),
        offsets=table["image_offset"][image].astype(float),
        subjects=columns.named(table["label"], table["image_subject"][image]),
        actions=columns.named(table["label"], table["image_action"][image]),
        frames=tuple(None if f < 0 else f for f in table["image_frame"][image].tolist()),
        crowd=Crowd(points, table["person_image"], people),
        store=store,
    )
