"""A detector that finds what the tests say."""

import json
import sys

import pytest

from prior.landmark_sets import MEDIAPIPE
from tests import landmark_files as files
from tools.lift import detecting

POINTS = files.image_points(files.walk(40, seed=2))
# Writes, for each frame of its input, the next person of points.json, or answers so each line of
# its standard input, null: nobody, "slow": not in time; or fails, as it is told.
DETECTOR = """
import json, sys, time
from pathlib import Path
import cv2
source, out = Path(sys.argv[1]), Path(sys.argv[3])
here = Path(__file__).parent
people = json.loads((here / "points.json").read_text())


def document(people, names):
    return json.dumps({
        "points": [[row[:2] for row in rows] for rows in people],
        "confidence": [[row[2] for row in rows] for rows in people],
        "frame": list(range(len(people))), "frames": names, "rate": None,
    })


if str(source) == "-":
    for rows, line in zip(people, sys.stdin):
        assert cv2.imread(line.strip()) is not None
        if rows == "slow":
            time.sleep(60)
        print(document([rows] if rows else [], [line.strip()]), flush=True)
    sys.exit()
if (here / "fail").exists():
    sys.exit("detector: out of order")
names = [str(source)]
if source.is_dir():
    names = [str(f) for f in sorted(source.iterdir())]
if source.suffix == ".mp4":
    count = int(cv2.VideoCapture(str(source)).get(cv2.CAP_PROP_FRAME_COUNT))
    names = [f"{source} {i:06d}" for i in range(count)]
people = people[: len(names)]
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(document(people, names))
if len(people) < len(names):
    print(f"{names[-1]}: nobody there", file=sys.stderr)
    sys.exit(3)
"""


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
