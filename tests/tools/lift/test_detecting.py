"""A photo, a video or a webcam in one command, with a detector that finds what the tests say."""

import json
import webbrowser

import cv2
import numpy as np
import pytest

from prior.landmark_sets import MEDIAPIPE
from tests import landmark_files as files
from tests.tools.lift.detector import POINTS
from tools.lift import __main__ as tool
from tools.lift import detecting, lifted


def run(*arguments):
    return tool.main([str(a) for a in arguments])


def photo(path, shade=120):
    assert cv2.imwrite(str(path), np.full((480, 640, 3), shade, np.uint8))
    return path


@pytest.mark.slow
def test_a_photo_becomes_a_page_that_is_opened(detector, tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    monkeypatch.setenv("DISPLAY", ":0")
    assert run(photo(tmp_path / "me.jpg")) == 0
    printed = capsys.readouterr().out
    assert "2D landmarks by a detector of the tests (here)" in printed
    page = tmp_path / "build" / "lift" / "me.html"
    assert opened == [page.as_uri()] and "data:image/jpeg" in page.read_text()
    poses = lifted.read(page.with_suffix(".npz"))
    assert len(poses.frame) == 1 and poses.plausible.all()
    nose = poses.meta["landmarks"].index("nose")
    np.testing.assert_allclose(poses.points[0, nose], POINTS[0, nose], atol=0.01)
    # Without a screen it says where the page is; with --out nothing is opened.
    monkeypatch.delenv("DISPLAY")
    assert run(tmp_path / "me.jpg") == 0 and len(opened) == 1
    assert "me.html in a browser" in capsys.readouterr().out
    monkeypatch.setenv("DISPLAY", ":0")
    assert run(tmp_path / "me.jpg", "--out", tmp_path / "other.png") == 0 and len(opened) == 1
    assert (tmp_path / "other.landmarks.json").exists()
    assert (cv2.imread(str(tmp_path / "other.png"))[100, 100] == 120).all()


def test_a_folder_of_images(detector, tmp_path):
    (tmp_path / "photos").mkdir()
    for i in range(3):
        photo(tmp_path / "photos" / f"{i}.png")
    out = tmp_path / "out.npz"
    assert run(tmp_path / "photos", "--out", out, "--elevation", 10) == 0
    assert len(lifted.read(out).frame) == 3


def test_nobody_in_some_is_said(detector, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    for i in range(3):
        photo(tmp_path / "photos" / f"{i}.png")
    (detector / "points.json").write_text(json.dumps(files.in_set(POINTS[:2], MEDIAPIPE).tolist()))
    out = tmp_path / "out.npz"
    assert run(tmp_path / "photos", "--out", out, "--elevation", 10) == 3
    assert "2.png: nobody there" in capsys.readouterr().err
    assert lifted.read(out).frame.tolist() == [0, 1]


def test_what_does_not_work_is_one_line(detector, tmp_path, capsys, monkeypatch):
    picture, out = photo(tmp_path / "me.jpg"), tmp_path / "out.npz"

    def refused(*arguments):
        assert run(*arguments, "--out", out) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and not out.exists()
        return error

    assert "no such file" in refused(tmp_path / "absent.jpg")
    assert "make another" in refused(picture, "--detector", "absent")
    (tmp_path / "points.json").write_text("[]")
    assert "expected pictures" in refused(tmp_path / "points.json", "--detector", "here")
    (detector / "fail").touch()
    assert "gave nothing: detector: out of order" in refused(picture)
    monkeypatch.setattr(detecting, "DETECTORS", {"absent": detecting.DETECTORS["absent"]})
    assert "no detector of 2D landmarks is installed" in refused(picture)


def test_the_detectors_are_real_programs():
    for detector in detecting.DETECTORS.values():
        command = detector.command()
        assert command is None or command[1:2] == ["-m"] and command[2].startswith("tools.infer.")
    for deploy, weights in detecting.NETWORKS:
        assert deploy.endswith("deploy.prototxt") and weights.endswith(".caffemodel")
    assert (detecting.ROOT / detecting.NETWORKS[-1][0]).is_file()
