"""A webcam is recorded while a page shows its newest pose; videos and made-up cameras stand in."""

import io
import json
import re
import shutil
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from prior.errors import InputError
from tests.browser import CHROMIUM, Browser
from tests.tools.lift.detector import POINTS
from tools.lift import __main__ as tool
from tools.lift import lifted, live

# What to look at afterwards.
PICTURES = Path("build/screenshots").absolute()
RATE = 25


def run(*arguments):
    return tool.main([str(a) for a in arguments])


@pytest.fixture
def recording(tmp_path):
    """A video of 12 frames that become brighter."""
    path = tmp_path / "camera.mp4"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (640, 480))
    for i in range(12):
        video.write(np.full((480, 640, 3), 10 * i, np.uint8))
    video.release()
    return path


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Camera:
    """A webcam as cv2.VideoCapture: `images`, each after `wait(number)`; then it is unplugged."""

    def __init__(self, images, wait=lambda number: None):
        self._images, self._wait, self._count = images, wait, 0

    def isOpened(self):
        return True

    def get(self, what):
        return {cv2.CAP_PROP_FPS: 10.0, cv2.CAP_PROP_FRAME_COUNT: -1.0}[what]

    def read(self):
        self._count += 1
        self._wait(self._count)
        if self._count > len(self._images):
            return False, None
        return True, self._images[self._count - 1]

    def release(self):
        pass


def plug_in(monkeypatch, camera):
    """Make it camera 0; files are opened as ever."""
    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda x: camera if x == 0 else real(x))


@pytest.mark.slow
def test_a_video_in_place_of_a_webcam(detector, recording, tmp_path, capsys):
    out = tmp_path / "out.npz"
    arguments = ("--out", out, "--elevation", 10, "--no-deviation")
    assert run(recording, "--live", 30, *arguments) == 0
    printed = capsys.readouterr().out
    # A file has the rate that it says, however fast this computer is.
    assert f"recorded 12 frames, {RATE}.0 a second" in printed
    poses = lifted.read(out)
    assert len(poses.frame) == 12 and poses.meta["rate"] == RATE
    page = Path(re.search(r"open (.*live.html) in a browser", printed)[1])
    assert page.parent.parent == tmp_path and not page.parent.exists()
    assert not list(tmp_path.glob("live-*")) and not list(tmp_path.glob(".part*"))


def test_what_cannot_be_recorded_is_one_line(detector, recording, tmp_path, capsys):
    def refused(*arguments):
        assert run(*arguments, "--out", tmp_path / "out.npz") == 1
        assert not list(tmp_path.glob("webcam*")) and not list(tmp_path.glob("live-*"))
        assert (error := capsys.readouterr().err).count("\n") == 1
        return error

    assert "expected a positive number of seconds" in refused(recording, "--live", 0)
    assert "no camera 99" in refused(99, "--live", 1)
    assert "no camera rtsp://127.0.0.1:9/x" in refused("rtsp://127.0.0.1:9/x", "--live", 1)
    # What is wrong with the lifting is said before anything is recorded.
    assert "--elevation" in refused(recording, "--live", 1, "--elevation", 90)
    assert "make another" in refused(recording, "--live", 1, "--detector", "absent")


@pytest.mark.slow
def test_the_newest_pose_is_seen_while_it_records(detector, tmp_path, monkeypatch):
    images, pictures = [np.full((480, 640, 3), 100 + 10 * i, np.uint8) for i in range(6)], []

    def wait(number):
        """Until the image before is on the page: the last image is recorded after it was shown."""
        end, shown = time.monotonic() + 20, None
        while number > 1 and time.monotonic() < end:
            for file in tmp_path.glob("live-*/live.jpg"):
                shown = cv2.imread(str(file))
            if shown is not None and abs(int(shown[60, 10, 0]) - 100 - 10 * (number - 2)) < 5:
                pictures.append(shown)
                return
            time.sleep(0.01)
        assert number == 1, "the page does not follow"

    plug_in(monkeypatch, Camera(images, wait))
    out = tmp_path / "out.npz"
    assert run(0, "--live", 60, "--out", out, "--elevation", 10) == 0
    assert len(lifted.read(out).frame) == len(images) == len(pictures)
    for i, picture in enumerate(pictures):
        # Left the image with the landmarks that the detector gave for it, right the pose.
        left, right = np.split(picture.astype(int), 2, axis=1)
        wrists = POINTS[i, [13, 16]] * 0.75 + [0, 60]
        for x, y in wrists.round().astype(int):
            patch = left[y - 2 : y + 3, x - 2 : x + 3]
            assert np.ptp(patch, axis=2).max() > 30
        assert np.ptp(right, axis=2).max() > 60
    PICTURES.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(PICTURES / "live.png"), pictures[-1])


class SlowDetector:
    """A detector's process that waits for `go` before each answer; nobody is there. seen: the
    brightness of what it gets."""

    def __init__(self, file):
        self.stdin, self.stdout = io.StringIO(), self
        self.go, self.seen, self._file = threading.Semaphore(0), [], file

    def readline(self):
        self.seen.append(int(cv2.imread(str(self._file))[0, 0, 0]))
        self.go.acquire()
        return "{}\n"

    def kill(self):
        self.go.release()


def test_of_the_images_that_wait_the_newest_is_lifted(tmp_path):
    detector = SlowDetector(tmp_path / "image.bmp")
    view = live.View(tmp_path, detector, None)
    view.show(np.full((4, 4, 3), 1, np.uint8))
    until(lambda: detector.seen == [1])
    for brightness in (2, 3, 4):
        view.show(np.full((4, 4, 3), brightness, np.uint8))
    detector.go.release()
    until(lambda: detector.seen == [1, 4])
    view.close()


@pytest.mark.parametrize("answers", [[None] * 4, ["slow"] * 4, []])
def test_nobody_in_sight_and_a_detector_that_is_slow_or_ends_do_not_stop_the_recording(
    detector, tmp_path, monkeypatch, answers
):
    (detector / "points.json").write_text(json.dumps(answers))
    (detector / "fail").touch()  # where it is to look at the whole
    images = [np.full((48, 64, 3), 9, np.uint8)] * 4
    plug_in(monkeypatch, Camera(images, lambda number: time.sleep(0.05)))
    assert run(0, "--live", 60, "--out", tmp_path / "out.npz") == 1
    assert not list(tmp_path.glob("live-*"))
    assert cv2.VideoCapture(str(tmp_path / "webcam.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 4


def test_what_stops_the_page_ends_the_recording_and_is_one_line(
    detector, tmp_path, monkeypatch, capsys
):
    def refuse(*_, **__):
        raise InputError("expected another prior, got this one")

    monkeypatch.setattr(tool, "lift", refuse)
    images = [np.full((480, 640, 3), 9, np.uint8)] * 500
    plug_in(monkeypatch, Camera(images, lambda number: time.sleep(0.02)))
    assert run(0, "--live", 60, "--out", tmp_path / "out.npz") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.endswith("expected another prior, got this one\n")
    # Ended at once, with what there was until then.
    count = cv2.VideoCapture(str(tmp_path / "webcam.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)
    assert 0 < count < len(images)
    assert not list(tmp_path.glob("live-*")) and not (tmp_path / "out.npz").exists()


def test_ctrl_c_ends_the_recording_and_what_there_is_is_lifted(detector, tmp_path, monkeypatch):
    def wait(number):
        if number == 4:
            raise KeyboardInterrupt

    images = [np.full((480, 640, 3), 9, np.uint8)] * 6
    plug_in(monkeypatch, Camera(images, wait))
    out = tmp_path / "out.npz"
    assert run(0, "--live", 60, "--out", out, "--elevation", 10) == 0
    assert len(lifted.read(out).frame) == 3
    assert cv2.VideoCapture(str(tmp_path / "webcam.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert sorted(f.name for f in tmp_path.iterdir() if f.is_file()) == [
        "out.landmarks.json",
        "out.npz",
        "webcam.mp4",
    ]


@pytest.mark.slow
def test_the_page_follows(tmp_path):
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH: apt-get install chromium")
    shutil.copyfile(live.PAGE, tmp_path / "live.html")
    with Browser(tmp_path / "profile") as browser:
        browser.open((tmp_path / "live.html").as_uri(), 1000, 600)
        assert "Waiting" in browser.value("document.body.innerText")
        for width in (960, 480):
            picture = np.full((480, width, 3), (60, 160, 60), np.uint8)
            cv2.imwrite(str(tmp_path / "live.jpg"), picture)
            browser.wait(f"document.getElementById('view').naturalWidth === {width}")
        assert "Recording" in browser.value("document.body.innerText")
        browser.screenshot(PICTURES / "live-page.png")
        (tmp_path / "live.jpg").unlink()
        browser.wait("document.body.innerText.includes('has ended')")
        assert browser.value("document.getElementById('view').naturalWidth") == 480
