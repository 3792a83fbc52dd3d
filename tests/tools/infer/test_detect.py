import io
import json
import os
import re
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage

from prior.landmark_sets import MEDIAPIPE
from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tools import pictures
from tools.infer import detect
from tools.lift import __main__ as tool
from tools.lift import drawing, keypoints, lifted

PYTHON = Path("build/venv-mediapipe/bin/python")
POINTS = files.image_points(files.walk(8))


def image(value):
    return np.full((480, 640, 3), value, np.uint8)


@pytest.fixture
def video(tmp_path):
    """Eight frames, each of its own brightness."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 12, (640, 480))
    for i in range(8):
        writer.write(image(20 + 20 * i))
    writer.release()
    return path


class Detector:
    """Finds the pose that belongs to the image's brightness; nobody in the third frame."""

    def __init__(self, stop=None):
        self.calls, self.stop = 0, stop

    def __call__(self, picture):
        self.calls += 1
        if self.calls == self.stop:
            raise KeyboardInterrupt
        number = round((float(picture.mean()) - 20) / 20)
        if number == 2:
            return None
        return files.in_set(POINTS[number][None], MEDIAPIPE)[0].tolist()


def run(*arguments, detector=None):
    return detect.main([str(a) for a in arguments], lambda: detector or Detector())


def test_it_stays_open_and_answers_each_image(tmp_path, monkeypatch, capsys):
    names = []
    for i in (5, 2, 7):
        names.append(str(tmp_path / f"{i}.png"))
        cv2.imwrite(names[-1], image(20 + 20 * i))
    names.append(str(tmp_path / "absent.png"))
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{name}\n" for name in names)))
    assert run("-", "--out", "-") == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["frames"] for answer in answers] == [[name] for name in names]
    assert [len(answer["points"]) for answer in answers] == [1, 0, 1, 0]
    expected = files.in_set(POINTS[7][None], MEDIAPIPE)[..., :2]
    np.testing.assert_allclose(answers[2]["points"], expected, atol=0.01)


@pytest.mark.parametrize("words", [("-", "--out", "a.json"), ("a.png", "--out", "-")])
def test_half_of_what_asks_for_answers_is_one_line(words, capsys):
    assert run(*words) == 1
    assert "expected - as the only input and as --out" in capsys.readouterr().err


def test_video_to_poses(tmp_path, video, capsys):
    out = tmp_path / "keypoints.json"
    assert run(video, "--out", out) == 0
    assert "a person in 7 of 8 frames" in capsys.readouterr().out
    detected = keypoints.read(out)
    assert detected.frame.tolist() == [0, 1, 3, 4, 5, 6, 7] and detected.rate == 12
    there = np.isfinite(detected.points[0]).all(axis=1)
    assert {LANDMARKS[i] for i in np.flatnonzero(~there)} == {"spine", "head top"}
    np.testing.assert_allclose(
        detected.points[:, there], POINTS[detected.frame][:, there], atol=0.01
    )
    page = tmp_path / "page.html"
    assert (
        tool.main(
            [
                str(a)
                for a in (
                    out,
                    "--out",
                    page,
                    tmp_path / "p.npz",
                    "--images",
                    video,
                    "--elevation",
                    10,
                )
            ]
        )
        == 0
    )
    assert lifted.read(tmp_path / "p.npz").meta["rate"] == 12
    assert page.read_text().count("image/jpeg") == 8


def test_a_frame_of_a_video_is_found_by_its_number(video):
    photos = drawing.Photos(video)
    for number in (5, 2, 3):
        assert photos.read(f"{video} {number:06d}").mean() == pytest.approx(20 + 20 * number, abs=2)


def test_it_goes_on_where_it_was_stopped(tmp_path, video, capsys):
    out = tmp_path / "keypoints.json"
    assert run(video, "--out", out, detector=Detector(stop=6)) == 130
    assert not out.exists() and "the same command goes on" in capsys.readouterr().err
    (kept,) = tmp_path.glob(".*partial")
    with open(kept, "a") as file:
        file.write('{"cut o')
    again = Detector()
    assert run(video, "--out", out, detector=again) == 0
    assert again.calls == 3 and "going on after 5 frames" in capsys.readouterr().err
    whole = tmp_path / "whole.json"
    run(video, "--out", whole)
    assert whole.read_text() == out.read_text() and not list(tmp_path.glob(".*"))


def test_of_two_into_one_file_the_second_is_refused(tmp_path, video, capsys):
    out, statuses = tmp_path / "keypoints.json", []

    class Twice(Detector):
        def __call__(self, picture):
            if not statuses:
                statuses.append(run(video, "--out", out))
            return super().__call__(picture)

    assert run(video, "--out", out, detector=Twice()) == 0 and statuses == [1]
    assert f"{out}: another process is writing it" in capsys.readouterr().err
    assert list(tmp_path.glob(".*")) == [] and len(keypoints.read(out).points) == 7


def test_damaged_images_and_videos_are_left_out(tmp_path, video, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in (0, 1):
        cv2.imwrite(str(folder / f"{i}.png"), image(20 + 20 * i))
    (folder / "2.jpg").write_bytes(b"no image")
    (folder / "3.jpg").write_bytes(b"\xff\xd8" + bytes(2000))
    (folder / "notes.txt").write_text("not looked at")
    broken, none = tmp_path / "broken.avi", tmp_path / "none.mp4"
    broken.write_bytes(video.read_bytes()[:-9000])
    none.write_bytes(b"no video")
    out = tmp_path / "keypoints.json"
    assert run(folder, broken, none, tmp_path / "absent.jpg", "--out", out) == 3
    lines = capsys.readouterr().err.splitlines()
    for name in ("2.jpg", "3.jpg", "broken.avi", "none.mp4", "absent.jpg"):
        assert sum(name in line for line in lines) == 1, (name, lines)
    assert len(keypoints.read(out).frame) >= 2


def test_nobody_is_an_answer(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), image(60))
    out = tmp_path / "keypoints.json"
    assert run(tmp_path / "a.png", "--out", out) == 3
    assert tool.main([str(out), "--out", str(tmp_path / "p.npz")]) == 3
    assert not (tmp_path / "p.npz").exists()


def test_large_images_are_made_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "LARGEST", 320)
    cv2.imwrite(str(tmp_path / "a.png"), image(60))
    ((_, small, factor),) = pictures.Pictures([tmp_path / "a.png"])
    assert small.shape == (240, 320, 3) and factor == 2


def test_without_mediapipe_is_one_line(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), image(60))
    assert detect.main([str(tmp_path / "a.png"), "--out", str(tmp_path / "o.json")]) == 1
    assert "run make venv-mediapipe" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_what_predict_writes_is_read(tmp_path):
    path = tmp_path / "predicted.json"
    document = {"landmark_names": LANDMARKS}
    document |= {
        f"{i}.png": {"landmarks": POINTS[i].tolist(), "confidence": [0.1] * 17} for i in range(3)
    }
    path.write_text(json.dumps(document))
    detected = keypoints.read(path)
    np.testing.assert_allclose(detected.points, POINTS[:3])
    assert detected.frames == ("0.png", "1.png", "2.png") and (detected.confidence == 1).all()


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="no MediaPipe: make venv-mediapipe installs it")
def test_a_photo_of_a_package_to_a_page(tmp_path):
    photo = Path(skimage.__file__).parent / "data/astronaut.png"
    out, page = tmp_path / "keypoints.json", tmp_path / "page.html"
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [PYTHON, "-m", "tools.infer.detect", photo, "--out", out],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    detected = keypoints.read(out)
    shoulders = [
        detected.points[0, LANDMARKS.index(f"{side} shoulder")] for side in ("right", "left")
    ]
    # She looks at us: her right shoulder is on the left, below her face in the upper middle.
    assert 60 < shoulders[0][0] < 200 < shoulders[1][0] < 400
    assert tool.main([str(a) for a in (out, "--out", page, "--images", photo)]) == 0
    assert re.search("image/jpeg", page.read_text())
