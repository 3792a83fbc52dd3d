"""CPM's LMDB as a source, beside what is put into it."""

import numpy as np
import pytest

from prior.skeleton import LANDMARKS
from python_layers.data import annotations, cpm_lmdb, images
from python_layers.data.prefetch import Prefetcher
from python_layers.data.samples import Samples
from tests.cpm_lmdb import HEIGHT, datum, person, picture, record, write
from tests.python_layers.data.test_samples import batch, parameters

MASK_1 = 5


@pytest.fixture
def folder(tmp_path):
    """Of two records: the first with two others, the second narrower than LMDB's 64 px."""
    rng = np.random.default_rng(0)
    people = [person(rng) for _ in range(3)]
    people[0][0][15] = 0  # its left wrist is missing
    alone = person(rng)
    alone[0][:, 0] = np.linspace(2, 38, 16)
    narrow = record(picture(rng, 64), "LEEDS", [alone], width=40)
    return write(tmp_path / "lmdb", record(picture(rng), "MPI", people), narrow)


def test_people_and_the_pixels_as_they_are(folder):
    people = annotations.load(folder)
    assert len(people) == 2 == cpm_lmdb.count(folder)
    assert people.files == ("MPI/0000000", "LEEDS/0000001")
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(people.image(0), picture(rng))
    np.testing.assert_array_equal(people.image(1), picture(rng, 64)[:, :40])
    assert people.image_sizes[1].tolist() == [40, HEIGHT]
    assert [len(people.others(i)) for i in range(2)] == [2, 0]


def test_each_person_has_a_box_of_their_own_scale(folder):
    rng = np.random.default_rng(0)
    people = [person(rng) for _ in range(3)]
    sides = [p["bbox"][2:] for p in next(cpm_lmdb.records(folder)).people]
    np.testing.assert_allclose(sides, [[200 * scale] * 2 for _, _, scale in people], rtol=1e-6)


def test_landmarks_outside_the_image_are_missing(tmp_path):
    joints, centre, scale = person(np.random.default_rng(0))
    joints[15, :2] = 100, 20  # the left wrist, right of an image of 80 px
    value = record(picture(None), "MPI", [(joints, centre, scale)])
    people = annotations.load(write(tmp_path / "lmdb", value))
    wrist = LANDMARKS.index("left wrist")
    assert people.visible[0, wrist] == 0 and np.isnan(people.points[0, wrist]).all()
    assert people.visible[0, LANDMARKS.index("right wrist")] == 2


def test_workers_share_it_and_make_the_same_samples(folder):
    """The workers are forks of a process that has it open, and has read from it."""
    people = annotations.load(folder)
    samples = Samples([(people, 1)], parameters(batch_size=2, augment=True))
    positions = range(0, 12, 2)
    expected = [batch(samples, position)[0] for position in positions]
    assert expected[0][MASK_1].min() == 0  # of the wrist
    prefetcher = Prefetcher(samples.batch, [array.shape for array in expected[0]], 2, workers=2)
    try:
        for position, arrays in zip(positions, expected, strict=True):
            made = [np.empty_like(array) for array in arrays]
            assert prefetcher.get(position, made) == []
            for ours, theirs in zip(made, arrays, strict=True):
                np.testing.assert_array_equal(ours, theirs)
    finally:
        prefetcher.stop()


def test_one_may_be_a_source_twice(folder, tmp_path):
    """As of a training net and a test net; and by another name."""
    (tmp_path / "link").symlink_to(folder)
    one, other = annotations.load(folder), annotations.load(tmp_path / "link")
    np.testing.assert_array_equal(one.image(0), other.image(0))


def test_the_digest_is_of_what_is_in_it(folder, tmp_path):
    rng = np.random.default_rng(0)
    first, second = person(rng), person(rng)
    same, other = (
        write(tmp_path / name, record(picture(rng), "MPI", [someone]))
        for name, someone in (("same", first), ("other", second))
    )
    again = write(tmp_path / "again", record(picture(rng), "MPI", [first]))
    assert annotations.digest(same) == annotations.digest(again) != annotations.digest(other)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"no datum", "record 0000000: expected a Datum"),
        (datum(picture(None), [b"FLIC"]), "expected a person of MPI or LEEDS, got 'FLIC'"),
        (
            datum(picture(None)[:2], [b"MPI"]),
            "expected 0 other people in 8 rows of 64 bytes at least, got 2 of 80",
        ),
        # Their heights have no place in a row.
        (
            datum(np.zeros((200, 64, 3), np.uint8), [b"MPI", b"", bytes([0, 17, 1])]),
            "expected 17 other people in 77 rows of 68 bytes at least, got 200 of 64",
        ),
    ],
)
def test_a_record_that_cannot_be_is_one_line(tmp_path, value, said):
    folder = write(tmp_path / "lmdb", value)
    with pytest.raises(annotations.AnnotationError, match=said) as caught:
        annotations.load(folder)
    assert str(caught.value).startswith(f"{folder}: ")


def test_a_record_that_is_damaged_meanwhile_is_named(folder):
    people = annotations.load(folder)
    with open(folder / "data.mdb", "r+b") as file:
        content = file.read()
        file.seek(content.index(b"MPI\0"))
        file.write(b"NON")
    with pytest.raises(images.ImageError, match="record 0000000: expected a person of MPI"):
        people.image(0)


def test_a_file_that_is_cut_short_or_damaged_is_one_line(folder):
    content = (folder / "data.mdb").read_bytes()
    (folder / "data.mdb").write_bytes(content[: len(content) // 2])
    with pytest.raises(
        annotations.AnnotationError, match="expected an LMDB, got a value .* outside"
    ):
        annotations.load(folder)
    (folder / "data.mdb").write_bytes(b"")
    with pytest.raises(annotations.AnnotationError, match="expected an LMDB, got pages of 0 bytes"):
        annotations.load(folder)


def test_another_folder_is_one_line(tmp_path):
    with pytest.raises(annotations.AnnotationError, match="folder of an LMDB, with data.mdb"):
        annotations.load(tmp_path)
