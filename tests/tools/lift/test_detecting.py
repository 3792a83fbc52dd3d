"""A photo, a video or a webcam in one command, with a detector that finds what the tests say."""

import json
import sys
import webbrowser

import cv2
import numpy as np
import pytest

from prior.landmark_sets import MEDIAPIPE
from tests import landmark_files as files
from tools.lift import __main__ as tool
from tools.lift import detecting, lifted

POINTS = files.image_points(files.walk(40, seed=2))
# Writes, for each frame of its input, the next person of points.json; or fails, as it is told.
DETECTOR = """
import json, sys
from pathlib import Path
import cv2
source, out = Path(sys.argv[1]), Path(sys.argv[3])
here = Path(__file__).parent
if (here / "fail").exists():
    sys.exit("detector: out of order")
names = [str(source)]
if source.is_dir():
    names = [str(f) for f in sorted(source.iterdir())]
if source.suffix == ".mp4":
    count = int(cv2.VideoCapture(str(source)).get(cv2.CAP_PROP_FRAME_COUNT))
    names = [f"{source} {i:06d}" for i in range(count)]
people = json.loads((here / "points.json").read_text())[: len(names)]
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(json.dumps({
    "points": [[row[:2] for row in rows] for rows in people],
    "confidence": [[row[2] for row in rows] for rows in people],
    "frame": list(range(len(people))), "frames": names, "rate": None,
}))
if len(people) < len(names):
    print(f"{names[-1]}: nobody there", file=sys.stderr)
    sys.exit(3)
"""


def run(*arguments):
    return tool.main([str(a) for a in arguments])


@pytest.fixture
def detector(tmp_path, monkeypatch):
    """The folder of the detector; the working folder is elsewhere, without a screen."""
    folder = tmp_path / "detector"
    folder.mkdir()
    (folder / "detect.py").write_text(DETECTOR)
    people = files.in_set(POINTS, MEDIAPIPE)
    (folder / "points.json").write_text(json.dumps(people.tolist()))
    command = [sys.executable, str(folder / "detect.py")]
    here = detecting.Detector("a detector of the tests", lambda: command, "nothing")
    absent = detecting.Detector("another", lambda: None, "make another")
    monkeypatch.setattr(detecting, "DETECTORS", {"absent": absent, "here": here})
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return folder


def photo(path, shade=120):
    assert cv2.imwrite(str(path), np.full((480, 640, 3), shade, np.uint8))
    return path


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


def test_a_webcam_is_recorded(detector, tmp_path, capsys):
    # A video stands for the stream of a camera.
    video = cv2.VideoWriter(
        str(tmp_path / "camera.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (640, 480)
    )
    for i in range(12):
        video.write(np.full((480, 640, 3), 10 * i, np.uint8))
    video.release()
    out = tmp_path / "out.npz"
    arguments = ("--out", out, "--elevation", 10, "--no-deviation")
    assert run(tmp_path / "camera.mp4", "--live", 30, *arguments) == 0
    assert "recorded 12 frames" in capsys.readouterr().out
    poses = lifted.read(out)
    assert len(poses.frame) == 12 and poses.meta["rate"] > 0
    assert run(tmp_path / "camera.mp4", "--live", 0, *arguments) == 1
    assert "expected a positive number of seconds" in capsys.readouterr().err
    assert run(99, "--live", 1, *arguments) == 1
    assert "no camera 99" in capsys.readouterr().err


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
