"""The commands that tools/lift/README.md and its tutorial show, as they stand there."""

import importlib
import json
import os
import re
import shlex
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import prior
from prior import show
from prior.mocap import Clip, clip_npz
from prior.skeleton import LANDMARKS
from tests import landmark_files as files
from tests.poses import random_poses

pytestmark = pytest.mark.slow

PAGES = (Path("tools/lift/README.md"), Path("tools/lift/tutorial/README.md"))
# In the order of the pages: a command may read what one before it wrote.
COMMANDS = [
    line.strip()
    for page in PAGES
    for line in page.read_text().splitlines()
    if line.startswith("    ") and ("python -m tools." in line or "python -m prior" in line)
]
MEDIAPIPE = Path("build/venv-mediapipe/bin/python")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the commands read: links to the project, and inputs by their names."""
    folder = tmp_path_factory.mktemp("use")
    for name in ("tools", "prior", "python_layers"):
        (folder / name).symlink_to(Path(name).absolute())
    (folder / "build").mkdir()
    for name in ("venv", "venv-mediapipe"):
        (folder / "build" / name).symlink_to(Path("build", name).absolute())
    points = files.image_points(files.walk(30))
    files.openpose(folder / "openpose", points)
    files.coco_results(folder / "keypoints.json", points)
    files.table(folder / "points.csv", points)
    calibration = {
        "K": [[1100, 0, 320], [0, 1100, 240], [0, 0, 1]],
        "R": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    }
    (folder / "camera.json").write_text(json.dumps(calibration))
    _video(folder / "video.mp4")
    (folder / "clips").mkdir()
    for i in range(4):
        clip = Clip(random_poses(150, seed=i), 25, "me", f"dance {i}")
        clip_npz.write(folder / "clips" / f"{i}.npz", clip)
    return folder


def _video(path):
    """A photo of a person that moves sideways: a detector finds somebody in every frame."""
    photo = cv2.imread("build/venv/site-packages/skimage/data/astronaut.png")
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (512, 512))
    for i in range(8):
        shift = np.array([[1.0, 0, 4 * i - 14], [0, 1, 0]])
        writer.write(cv2.warpAffine(photo, shift, (512, 512), borderMode=cv2.BORDER_REPLICATE))
    writer.release()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_line_of_code_is_run(page):
    code = [line.strip() for line in page.read_text().splitlines() if line.startswith("    ")]
    assert code and set(code) <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_options_in_the_text_are_those_of_the_program(page, capsys):
    helps = {}
    for code in re.findall(r"`([^`\n]+)`", page.read_text()):
        words = code.split()
        name = words[words.index("-m") + 1] if "-m" in words else "tools.lift"
        if name not in helps:
            is_folder = Path(*name.split(".")).is_dir()
            with pytest.raises(SystemExit):
                importlib.import_module(f"{name}.__main__" if is_folder else name).main(["--help"])
            helps[name] = re.findall(r"--[a-z-]+", capsys.readouterr().out)
        assert {word for word in words if word.startswith("--")} <= {*helps[name]}, code
    assert len(helps["tools.lift"]) > 20


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_runs(place, command):
    words = shlex.split(command, comments=True)
    if "build/venv-mediapipe/bin/python" in words and not MEDIAPIPE.exists():
        pytest.skip("no MediaPipe: make venv-mediapipe installs it")
    needs = ("build/photo.json", "astronaut.png", "video.mp4", "video.npz", "landmarks.json")
    if any(word.endswith(needs) for word in words[1:]) and not MEDIAPIPE.exists():
        pytest.skip("needs what MediaPipe finds: make venv-mediapipe")
    if words[0] == "python":
        words[0] = "build/venv/bin/python"
    start = time.monotonic()
    done = subprocess.run(
        words,
        cwd=place,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(place)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    # Seconds on an idle machine: a page from landmarks, and landmarks from a photo.
    assert time.monotonic() - start < 60
    after_out = (
        words[words.index("--out") + 1 :] if "--out" in words else ["build/lift/astronaut.html"]
    )
    for word in after_out:
        if word.startswith("-"):
            break
        assert (place / word).stat().st_size > 0, word


def test_the_first_command_is_the_one_of_the_top_readme(place):
    (command,) = [
        line.strip()
        for line in Path("README.md").read_text().splitlines()
        if line.startswith("    ") and "tools.lift" in line
    ]
    done = subprocess.run(
        shlex.split(command),
        cwd=place,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(place)},
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_picture_of_the_landmarks_is_there_for_all_of_them(tmp_path):
    # As prior/landmarks.png was drawn.
    model = prior.load()
    figure = show.landmarks_figure(model.scale_mm * model.mean[np.argmax(model.weight)])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {f"{i} {name}" for i, name in enumerate(LANDMARKS)} < set(texts)
    figure.savefig(tmp_path / "landmarks.png", dpi=90)
    shown, kept = (cv2.imread(str(p)) for p in (tmp_path / "landmarks.png", "prior/landmarks.png"))
    assert shown.shape == kept.shape


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_pictures_and_pages_that_are_named_are_there(page):
    named = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert named
    for name in named:
        assert name.startswith("http") or (page.parent / name).exists(), name
