"""The packed file: the same annotations as the JSON, random access, and what damage does."""

import io
import json
import struct
import tracemalloc
import zipfile
import zlib
from dataclasses import fields

import cv2
import numpy as np
import pytest

from prior import camera as cameras
from prior import files, limits, skeleton
from prior.errors import InputError
from python_layers.data import annotations, columns, images, packed
from python_layers.data.annotations import AnnotationError

SIZE = (80, 60)


def person(image, seed, **more):
    rng = np.random.default_rng(seed)
    keypoints = np.column_stack([rng.uniform(0, 59, (skeleton.L, 2)), np.full(skeleton.L, 2)])
    keypoints[seed % skeleton.L, 2] = 0
    box = [1, 2, 30 + seed, 40]
    return {"image_id": image, "bbox": box, "keypoints": keypoints.ravel().tolist()} | more


def document():
    view = {
        "rotation": cameras.look_at([0, 1000, 5000], [0, 1000, 0]).tolist(),
        "position_mm": [0, 1000, 5000],
        "intrinsics": [[1100, 0, 40], [0, 1100, 30], [0, 0, 1]],
    }
    facts = {"subject": "S1", "action": "Walking", "camera": "S1/1", "frame": 5, "offset": [7, 3]}
    pose = np.arange(51.0).reshape(17, 3).tolist()
    return {
        "categories": [{"keypoints": skeleton.LANDMARKS}],
        "cameras": {"S1/1": view},
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": SIZE[0], "height": SIZE[1]}
            | (facts if i == 1 else {})
            for i in range(3)
        ],
        "annotations": [
            person(0, 0),
            person(2, 1),
            person(1, 2, pose_mm=pose, area=700.5),
            person(2, 3, context=True),
            person(2, 4),
        ],
    }


@pytest.fixture
def source(tmp_path):
    for i in range(3):
        image = np.full((SIZE[1], SIZE[0], 3), 60 * i, np.uint8)
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), image)
    path = tmp_path / "train.json"
    path.write_text(json.dumps(document()))
    return path


@pytest.fixture
def pack(source):
    """The packed twin of `source`."""
    content, path = document(), source.with_suffix(".pack")
    with packed.Writer(path, content["cameras"]) as writer:
        for image in content["images"]:
            people = [p for p in content["annotations"] if p["image_id"] == image["id"]]
            data = (source.parent / image["file_name"]).read_bytes()
            assert writer.add(image, people, data) == []
    return path


def test_it_is_the_json(source, pack):
    one, other = annotations.load(source), annotations.load(pack)
    assert len(one) == len(other) == 4
    # The packed people are in the order of the images; in the JSON image 2 comes before 1.
    order = [0, 2, 1, 3]
    for field in fields(one):
        if field.name in ("path", "skeleton", "store", "crowd", "files"):
            continue
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, tuple):
            assert tuple(mine[i] for i in order) == theirs, field.name
        else:
            np.testing.assert_array_equal(mine[order], theirs, err_msg=field.name)
    for i, j in enumerate(order):
        np.testing.assert_array_equal(one.image(j), other.image(i))
        np.testing.assert_array_equal(one.others(j), other.others(i))
    assert [len(other.others(i)) for i in range(4)] == [0, 0, 2, 2]


def test_others_are_everyone_else_in_the_image(source):
    people = annotations.load(source)
    np.testing.assert_array_equal(people.others(1)[1], people.points[3])
    context = np.reshape(person(2, 3)["keypoints"], (17, 3))
    np.testing.assert_array_equal(people.others(3)[1][4], context[4, :2])
    assert np.isnan(people.others(3)[1][3]).all()


def test_the_camera_of_a_crop_has_its_centre_moved(source):
    people = annotations.load(source)
    np.testing.assert_array_equal(people.intrinsics[2], [[1100, 0, 33], [0, 1100, 27], [0, 0, 1]])


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_damaged_image_is_known_and_the_others_still_read(pack):
    flip(pack, packed.HEADER.size + 200)
    people = annotations.load(pack)
    with pytest.raises(images.ImageError, match=r"train.pack: image 0 \(0.jpg\): damaged"):
        people.image(0)
    assert people.image(1).shape == (60, 80, 3)


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def cut_to_header(path):
    path.write_bytes(path.read_bytes()[:12])


def other_version(path):
    data = bytearray(path.read_bytes())
    data[8:12] = struct.pack("<I", 7)
    path.write_bytes(data)


def rewritten(**changes):
    """Damage that has a valid checksum: columns changed by another program; None removes one."""

    def change(path):
        with np.load(path.with_suffix(".npz")) as arrays:
            table = dict(arrays)
        for name, value in changes.items():
            table[name] = value
            if value is None:
                del table[name]
        np.savez(path.with_suffix(".npz"), **table)
        index = path.with_suffix(".npz").read_bytes()
        crc = packed.zlib.crc32(index)
        header = packed.HEADER.pack(
            packed.MAGIC, packed.VERSION, crc, packed.HEADER.size, len(index)
        )
        path.write_bytes(header + index)

    def damage(path):
        path.with_suffix(".npz").write_bytes(packed.index_of(path)[packed.HEADER.size :])
        change(path)

    return damage


def test_older_files_have_no_areas_and_no_distortion(pack):
    assert annotations.load(pack).areas[1] == 700.5
    rewritten(person_area=None, camera_distortion=None)(pack)
    people = annotations.load(pack)
    assert len(people) == 4 and np.isnan(people.areas).all()
    assert people.distortions.shape == (4, 14) and not people.distortions.any()


DAMAGE = {
    "cut": (cut, "cut short"),
    "cut to the header": (cut_to_header, "cut short"),
    "index": (lambda path: flip(path, -100), "its index is damaged"),
    "version": (other_version, "expected version 1 of the packed format, got 7"),
    "shape": (rewritten(person_box=np.zeros((5, 3))), "person_box: expected the shape"),
    "rows": (rewritten(person_box=np.zeros((4, 4))), "person_box: expected 5 rows, got 4"),
    "nan": (rewritten(person_box=np.full((5, 4), np.nan)), "person_box: expected finite"),
    "no box": (rewritten(person_box=None), "person_box: expected the shape"),
    "number": (rewritten(person_image=np.full(5, 3)), "person_image: expected 0 to 2"),
    "offsets": (rewritten(stored_offset=np.zeros(2, int)), "stored_offset: expected one"),
    "pickle": (rewritten(label=np.array([None])), "label: expected an array of numbers"),
    "zero boxes": (rewritten(person_box=np.zeros((5, 4))), "person_box: expected what can be"),
    "v of 3": (rewritten(person_keypoints=np.full((5, 17, 3), 3.0)), "person_keypoints: expected"),
    "no size": (rewritten(image_size=np.zeros((3, 2), int)), "image_size: expected what can be"),
    "far away": (rewritten(person_pose=np.full((5, 17, 3), 1e30)), "person_pose: expected numbers"),
    "one number": (rewritten(person_box=np.array(1.0)), "person_box: expected the shape"),
    "beyond the end": (rewritten(stored_length=np.full(3, 2**62)), "images beyond its end"),
}


def test_an_index_that_unpacks_to_gigabytes_is_not_unpacked(pack, monkeypatch):
    monkeypatch.setattr(limits, "HARMLESS_MB", 4)
    buffer, zeros = io.BytesIO(), np.zeros(1 << 16)
    np.savez_compressed(buffer, **{name: zeros for name in columns.COLUMNS})
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name in packed.STORED:
            archive.writestr(f"{name}.npy", bytes(8 << 20))
    index = buffer.getvalue()
    header = packed.HEADER.pack(
        packed.MAGIC, packed.VERSION, zlib.crc32(index), packed.HEADER.size, len(index)
    )
    pack.write_bytes(header + index)
    tracemalloc.start()
    with pytest.raises(AnnotationError, match="at most 100 times the size of its archive"):
        annotations.load(pack)
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()


def test_a_second_writer_is_refused_and_damages_nothing(source, pack, monkeypatch):
    monkeypatch.setattr(files, "PATIENCE", 0.0)
    before = pack.read_bytes()
    with pytest.raises(ZeroDivisionError), packed.Writer(pack, {}):
        with pytest.raises(InputError, match="another process is writing it"):
            packed.Writer(pack, {}).__enter__()
        1 / 0  # noqa: B018
    assert pack.read_bytes() == before and not list(pack.parent.glob(".part*"))


@pytest.mark.parametrize("damage, message", DAMAGE.values(), ids=DAMAGE)
def test_a_file_that_is_damaged_as_a_whole_is_refused(pack, damage, message):
    damage(pack)
    with pytest.raises(AnnotationError, match=message) as caught:
        annotations.load(pack)
    assert str(caught.value).startswith(str(pack)) and "\n" not in str(caught.value)


def test_people_that_are_wrong_are_left_out_with_a_reason(tmp_path):
    good = {"file_name": "a.jpg", "width": 80, "height": 60}
    with packed.Writer(tmp_path / "a.pack", {}) as writer:
        (reason,) = writer.add(good, [person(0, 1), person(0, 2, bbox=[1, 2, 0, 4])], b"one")
        assert "person 1 (a.jpg): bbox: expected width and height > 0" in reason
        assert len(writer.add(good, [person(0, 2, bbox=[1, 2, 0, 4])], b"two")) == 1
        assert "height > 0" in writer.add(good | {"width": 0}, [person(0, 1)], b"three")[0]
        assert writer.add(good, [person(0, 1)], b"four") == []
    people = annotations.load(tmp_path / "a.pack")
    assert [people.store.read(i) for i in range(2)] == [b"one", b"four"] and len(people) == 2


def test_an_error_leaves_no_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), packed.Writer(tmp_path / "a.pack", {}) as writer:
        writer.add({"file_name": "a.jpg", "width": 80, "height": 60}, [person(0, 1)], b"one")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_the_same_input_gives_the_same_bytes(source, pack):
    first = pack.read_bytes()
    content = document()
    with packed.Writer(pack, content["cameras"]) as writer:
        for image in content["images"]:
            people = [p for p in content["annotations"] if p["image_id"] == image["id"]]
            writer.add(image, people, (source.parent / image["file_name"]).read_bytes())
    assert pack.read_bytes() == first
