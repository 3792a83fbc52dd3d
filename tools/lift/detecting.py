"""From photos, videos and a webcam to a file of 2D landmarks, by whichever detector is installed.

A detector is another program of this project, in an environment of its own where it needs one:
MediaPipe's (tools.infer.detect), which knows photographs of all kinds, or a network of ours
(tools.infer.predict).
"""

import importlib.util
import os
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
from tqdm import tqdm

from prior.errors import InputError
from prior.files import replacing
from tools.pictures import IMAGES, VIDEOS

ROOT = Path(__file__).resolve().parents[2]
# Networks of ours that lift, the better ones first: the one that comes with the project, if it
# does, and the demo's, if it was trained here.
NETWORKS = (
    ("prototxt/small/lifting/deploy.prototxt", "prototxt/small/lifting/photographs.caffemodel"),
    ("prototxt/lite/lifting/deploy.prototxt", "build/train/lite-lifting/final.caffemodel"),
)


class Detector(NamedTuple):
    """words: what it is; command: the program's words before its input, or None where it is not
    installed; install: how to get it."""

    words: str
    command: Callable[[], list[str] | None]
    install: str


def _mediapipe():
    python = ROOT / "build/venv-mediapipe/bin/python"
    return [str(python), "-m", "tools.infer.detect"] if python.exists() else None


def _ours():
    if importlib.util.find_spec("caffe") is None:
        return None
    for pair in NETWORKS:
        files = [ROOT / name for name in pair]
        if all(file.is_file() for file in files):
            return [sys.executable, "-m", "tools.infer.predict", *map(str, files)]
    return None


# The first that is installed is taken.
DETECTORS = {
    "mediapipe": Detector("MediaPipe's pose detector", _mediapipe, "make venv-mediapipe"),
    "ours": Detector(
        "our own network", _ours, "make train NET=lite/lifting, then source build/env.sh"
    ),
}


def is_pictures(path):
    """Whether a path is an image, a video, or a folder with images and no landmarks."""
    if path.is_dir():
        suffixes = {file.suffix.lower() for file in path.iterdir()}
        return bool(suffixes & IMAGES) and ".json" not in suffixes
    return path.suffix.lower() in IMAGES | VIDEOS


def choose(name=None):
    """(name, command) of the detector of this name, or of the first that is installed.

    Raises InputError, which says how to install one.
    """
    commands = {n: DETECTORS[n].command() for n in ([name] if name else DETECTORS)}
    for one, command in commands.items():
        if command:
            return one, command
    ways = "; or ".join(f"{DETECTORS[n].words}: {DETECTORS[n].install}" for n in commands)
    raise InputError(f"no detector of 2D landmarks is installed; expected {ways}")


def detect(path, out, name=None):
    """Write the landmarks in pictures into the file `out`; returns lines on what was left out.

    name: of DETECTORS. Raises InputError where none is installed, or nothing was written.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; expected images or a video")
    name, command = choose(name)
    print(f"2D landmarks by {DETECTORS[name].words} ({name})")
    # Progress is for a terminal; elsewhere the last line says what went wrong.
    shown = sys.stderr.isatty()
    done = subprocess.run(
        [*command, str(path), "--out", str(out)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *_python_path(name)])},
        stdout=subprocess.DEVNULL,
        stderr=None if shown else subprocess.PIPE,
        text=True,
        check=False,
    )
    lines = (done.stderr or "").strip().splitlines()
    if not out.is_file() or done.returncode not in (0, 3):
        raise InputError(
            f"{path}: {DETECTORS[name].words} gave nothing: "
            f"{lines[-1] if lines else f'status {done.returncode}'}"
        )
    return [line for line in lines if line.startswith(str(path))]


def _python_path(name):
    """What a detector's interpreter looks through besides the project: its own packages only."""
    return [] if name == "mediapipe" else os.environ.get("PYTHONPATH", "").split(os.pathsep)


def record(camera, seconds, out):
    """Record a webcam into the video `out`; returns its rate, frames a second.

    camera: its number, or its device's path. Ctrl-C ends the recording early. Raises InputError
    where there is none.
    """
    camera = str(camera)
    source = cv2.VideoCapture(int(camera) if camera.isdigit() else camera)
    there, image = source.read() if source.isOpened() else (False, None)
    if not there:
        raise InputError(f"--live: no camera {camera}; expected its number, 0 for the first")
    count, start, (height, width) = 0, time.monotonic(), image.shape[:2]
    with replacing(out) as temporary, tqdm(total=seconds, unit="s", disable=None) as bar:
        bar.set_description("record, Ctrl-C ends")
        # What the camera really gives is known at the end; players go by this rate.
        nominal = source.get(cv2.CAP_PROP_FPS) or 30.0
        code = cv2.VideoWriter_fourcc(*"mp4v")
        video = cv2.VideoWriter(str(temporary), code, nominal, (width, height))
        if not video.isOpened():
            raise InputError(f"{out}: this OpenCV has no encoder for MP4")
        try:
            while there and (passed := time.monotonic() - start) < seconds:
                video.write(image)
                count += 1
                bar.update(passed - bar.n)
                there, image = source.read()
        except KeyboardInterrupt:
            pass
        video.release()
        source.release()
    rate = max(count, 1) / max(time.monotonic() - start, 1e-3)
    print(f"recorded {count} frames, {rate:.1f} a second")
    return rate


def show(page):
    """Open a page in the browser, where there is a screen; else say where it is."""
    screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if not (screen and webbrowser.open(page.resolve().as_uri())):
        print(f"open {page} in a browser")
