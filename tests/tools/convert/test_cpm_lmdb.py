"""CPM's LMDB, converted."""

import numpy as np
import pytest

from prior.skeleton import LANDMARKS
from python_layers.data import annotations
from tests.cpm_lmdb import HEIGHT, datum, person, picture, record, write
from tools.convert import __main__ as convert

# Our name of a landmark: its place among MPII's 16, as genJSON.m lists them.
MPII_ORDER = {
    "right foot": 0,
    "right knee": 1,
    "right hip": 2,
    "left hip": 3,
    "left knee": 4,
    "left foot": 5,
    "hip": 6,
    "neck": 7,
    "head top": 9,
    "right wrist": 10,
    "right elbow": 11,
    "right shoulder": 12,
    "left shoulder": 13,
    "left elbow": 14,
    "left wrist": 15,
}


def run(folder, out):
    return convert.main(["cpm", str(folder), "--out", str(out)])


def test_people_their_neighbours_and_pixels(tmp_path):
    rng = np.random.default_rng(0)
    people = [person(rng) for _ in range(3)]
    people[0][0][0, 2] = 0  # its right ankle is hidden,
    people[0][0][15] = 0  # its left wrist missing
    image = picture(rng)
    write(tmp_path / "lmdb", record(image, "MPI", people), record(image, "MPI", people[:1]))
    assert run(tmp_path / "lmdb", tmp_path / "a.pack") == 0
    converted = annotations.load(tmp_path / "a.pack")
    assert len(converted) == 2 and converted.files == ("MPI/0000000.jpg", "MPI/0000001.jpg")
    joints, centre, scale = people[0]
    for name, i in MPII_ORDER.items():
        ours = LANDMARKS.index(name)
        if i == 15:
            assert converted.visible[0, ours] == 0
            continue
        # Pixels count from 1 there.
        np.testing.assert_allclose(converted.points[0, ours], joints[i, :2] - 1, atol=1e-4)
        assert converted.visible[0, ours] == (1 if i == 0 else 2)
    for name in ("spine", "nose"):
        assert converted.visible[0, LANDMARKS.index(name)] == 0
    side = 200 * scale
    np.testing.assert_allclose(
        converted.boxes[0], [*(centre - 1 - side / 2), side, side], atol=1e-4
    )
    assert np.abs(converted.image(0).astype(int) - image).max() < 12
    others = converted.others(0)
    assert len(others) == 2 and len(converted.others(1)) == 0
    for other, (theirs, *_) in zip(others, people[1:], strict=True):
        hip = LANDMARKS.index("hip")
        np.testing.assert_allclose(other[hip], theirs[6, :2] - 1, atol=1e-4)


def test_leeds_neck_and_what_it_does_not_see(tmp_path):
    joints, centre, scale = person(np.random.default_rng(0))
    joints[6:8] = 0  # it has neither pelvis nor thorax
    joints[10, 2] = 0
    value = record(picture(None), "LEEDS", [(joints, centre, scale)])
    assert run(write(tmp_path / "lmdb", value), tmp_path / "a.pack") == 0
    converted = annotations.load(tmp_path / "a.pack")
    neck, hip, wrist = (LANDMARKS.index(n) for n in ("neck", "hip", "right wrist"))
    np.testing.assert_allclose(converted.points[0, neck], joints[8, :2] - 1, atol=1e-4)
    np.testing.assert_allclose(
        converted.points[0, hip], joints[2:4, :2].mean(axis=0) - 1, atol=1e-4
    )
    assert converted.visible[0, wrist] == 0


def test_the_padding_of_narrow_images_is_cut_off(tmp_path):
    rng = np.random.default_rng(0)
    joints, centre, scale = person(rng)
    joints[:, 0] = np.linspace(2, 38, 16)
    value = record(picture(rng, 64), "MPI", [(joints, centre, scale)], width=40)
    assert run(write(tmp_path / "lmdb", value), tmp_path / "a.pack") == 0
    assert annotations.load(tmp_path / "a.pack").image(0).shape == (HEIGHT, 40, 3)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"no datum", "0000000: expected a Datum"),
        (datum(picture(None), [b"FLIC"]), "expected a person of MPI or LEEDS, got 'FLIC'"),
        (datum(picture(None), [b"MPI", b"", bytes([0, 90])]), "expected 90 other people"),
    ],
)
def test_a_record_that_cannot_be_is_one_line(tmp_path, capsys, value, said):
    assert run(write(tmp_path / "lmdb", value), tmp_path / "a.pack") == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("python -m")]
    assert said in line and not (tmp_path / "a.pack").exists()


def test_what_is_no_lmdb_is_one_line(tmp_path, capsys):
    assert run(tmp_path, tmp_path / "a.pack") == 1
    assert "expected the folder of an LMDB, with data.mdb" in capsys.readouterr().err
    (tmp_path / "data.mdb").write_bytes(b"something else" * 1000)
    assert run(tmp_path, tmp_path / "a.pack") == 1
    assert "expected an LMDB, got" in capsys.readouterr().err
