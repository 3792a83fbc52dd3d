"""Data sets of people in images: their annotations."""

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np

from python_layers.data import annotations
from tests import annotated, cpm_lmdb, landmark_files
from tests.fuzz.target import Target
from tests.fuzz.targets.landmarks import points
from tools.convert import coco, leeds, mpii, native


def _document(images_too):
    document = annotated.document()
    document["images"], document["annotations"] = (
        document[key][:6] for key in ("images", "annotations")
    )
    for image in document["images"] if images_too else ():
        image |= {"width": 1000, "height": 1000}
    return document


def _annotations(folder):
    (folder / "train.json").write_text(json.dumps(_document(False)))
    return folder / "train.json"


def _converted(folder):
    path = _annotations(folder)
    for image in json.loads(path.read_text())["images"]:
        (folder / image["file_name"]).write_bytes(b"")  # they are only looked for
    return path


def _read_annotations(path):
    annotations.load(path, check_images=False)


def _packed(folder):
    from python_layers.data import packed

    document = _document(True)
    _, data = cv2.imencode(".jpg", np.zeros((1000, 1000, 3), np.uint8))
    with packed.Writer(folder / "a.pack", document["cameras"]) as writer:
        for image, person in zip(document["images"], document["annotations"], strict=True):
            writer.add(image, [person], data.tobytes())
    return folder / "a.pack"


def _read_packed(path):
    people = annotations.load(path)
    for i in range(len(people)):
        people.image(i)


def _record(folder):
    rng = np.random.default_rng(0)
    people = [cpm_lmdb.person(rng) for _ in range(3)]
    (folder / "record").write_bytes(cpm_lmdb.record(cpm_lmdb.picture(rng), "MPI", people))
    return folder / "record"


def _read_record(path):
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        people = annotations.load(cpm_lmdb.write(Path(folder), path.read_bytes()))
        people.image(0)


def _pages(folder):
    record = _record(folder).read_bytes()
    return cpm_lmdb.write(folder / "lmdb", *[record] * 3) / "data.mdb"


def _read_pages(path):
    people = annotations.load(path.parent)
    people.image(len(people) - 1)


def _mpii(folder):
    import scipy.io

    from tests.tools.convert.test_mpii import mpii_image, mpii_person, struct

    people = mpii_person(50, 40), mpii_person(150, 60, range(6))
    release = {
        "annolist": struct(mpii_image("a.jpg", *people), mpii_image("b.jpg")),
        "img_train": np.array([[1, 1]]),
    }
    scipy.io.savemat(folder / "mpii.mat", {"RELEASE": struct(release)})
    return folder / "mpii.mat"


def _leeds(folder):
    import scipy.io

    joints = np.full((3, 14, 2), 1.0)
    scipy.io.savemat(folder / "joints.mat", {"joints": joints}, do_compression=True)
    return folder / "joints.mat"


def _coco(folder):
    path = landmark_files.coco_annotations(folder / "a.json", points())
    document = json.loads(path.read_text())
    for record in document["annotations"]:
        record["bbox"] = [100, 100, 200, 300]
    path.write_text(json.dumps(document))
    return path


TARGETS = (
    Target("annotations .json", _annotations, _read_annotations),
    Target("annotations packed", _packed, _read_packed),
    Target("annotations LMDB", _record, _read_record),
    Target("annotations LMDB's pages", _pages, _read_pages),
    Target("annotations converted", _converted, native.read),
    Target("COCO", _coco, lambda path: coco.read(path, path.parent)),
    Target("MPII .mat", _mpii, lambda path: mpii.read(path, path.parent)),
    Target("Leeds .mat", _leeds, lambda path: leeds.read(path.parent)),
)
