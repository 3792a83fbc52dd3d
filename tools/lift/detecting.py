"""From photos and videos to a file of 2D landmarks, by whichever detector is installed.

A detector is another program of this project, in an environment of its own where it needs one:
MediaPipe's (tools.infer.detect), which knows photographs of all kinds, or a network of ours
(tools.infer.predict).
"""

import importlib.util
import os
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from prior.errors import InputError
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
        env=_environment(name),
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


@contextmanager
def opened(name=None):
    """The process of a detector that answers paths of images (tools/infer/answers.py).

    name: of DETECTORS. It is no child of the terminal, whose Ctrl-C is for the program. Raises
    InputError where none is installed.
    """
    name, command = choose(name)
    print(f"2D landmarks by {DETECTORS[name].words} ({name})")
    with subprocess.Popen(
        [*command, "-", "--out", "-"],
        env=_environment(name),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
            with suppress(BrokenPipeError):  # of what it was still to read
                process.stdin.close()


def _environment(name):
    """A detector's: it looks for modules in the project, and ours also where this program does."""
    others = [] if name == "mediapipe" else os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *others])}


def show(page):
    """Open a page in the browser, where there is a screen; else say where it is."""
    screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if not (screen and webbrowser.open(page.resolve().as_uri())):
        print(f"open {page} in a browser")
