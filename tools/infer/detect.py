"""2D landmarks in photos and videos by MediaPipe's pose detector: an extra beside our networks.

    build/venv-mediapipe/bin/python -m tools.infer.detect IMAGE... --out keypoints.json
    python -m tools.lift keypoints.json --out page.html --images FOLDER

`make venv-mediapipe` installs it, in an environment of its own, since it needs an older NumPy. Code
and weights (BlazePose, in the wheel) are under the Apache licence 2.0. It detects one person in an
image. Stopped halfway, it keeps what it has detected beside OUT and goes on from there next time.
With - as input and as OUT it stays open (tools/infer/answers.py).

Exit status: 0; 1, nothing was written; 3, something could not be read, or nobody was detected.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from prior import foreign, program
from prior.errors import InputError
from prior.files import LOCK, alone, write
from tools.infer import answers
from tools.pictures import Pictures


def mediapipe_pose():
    """A function from an image (H, W, 3), uint8, BGR, to 33 x [x, y, visibility], px, or None."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    try:
        import mediapipe
    except ImportError:
        raise InputError(
            "expected MediaPipe; run make venv-mediapipe, and build/venv-mediapipe/bin/python"
        ) from None
    # Each image by itself: the answer does not depend on those before, so a run can be resumed.
    pose = mediapipe.solutions.pose.Pose(static_image_mode=True, model_complexity=1)

    def detect(image):
        landmarks = pose.process(image[..., ::-1].copy()).pose_landmarks
        if landmarks is None:
            return None
        height, width = image.shape[:2]
        # Its (0, 0) is the corner of the top-left pixel, ours the centre.
        return [[m.x * width - 0.5, m.y * height - 0.5, m.visibility] for m in landmarks.landmark]

    return detect


def run(source, detector, kept):
    """{frame name: rows or None} of Pictures.

    detector: as mediapipe_pose gives it. kept: a file with the frames that an earlier run has done,
    to which each frame is added.
    """
    known = {}
    if kept.exists():
        # The last line may be cut off.
        for line in foreign.read_text(kept).splitlines(keepends=True):
            if line.endswith("\n"):
                known |= foreign.parse_json(line, kept)
        write(kept, "".join(json.dumps({n: f}) + "\n" for n, f in known.items()))
        print(f"going on after {len(known)} frames", file=sys.stderr)
    result, shown = {}, sys.stderr.isatty()
    with open(kept, "a") as file:
        for name, image, factor in source:
            if name in known:
                result[name] = known[name]
                continue
            rows = _rows(detector, image, factor)
            if image is not None:
                file.write(json.dumps({name: rows}) + "\n")
                file.flush()
            result[name] = rows
            if shown:
                print(f"\rdetect: {len(result)} of {len(source)}", end="", file=sys.stderr)
    if shown:
        print(file=sys.stderr)
    return result


def _rows(detector, image, factor):
    """What the detector sees in an image, px of its file, or None."""
    rows = None if image is None else detector(image)
    return rows and [[round(factor * x, 2), round(factor * y, 2), round(v, 4)] for x, y, v in rows]


def document(rows_by_frame, rate=None):
    """The JSON of {frame name: rows or None}: points, confidence, frame, frames, rate."""
    people = [(i, rows) for i, rows in enumerate(rows_by_frame.values()) if rows is not None]
    return {
        "points": [[row[:2] for row in rows] for _, rows in people],
        "confidence": [[row[2] for row in rows] for _, rows in people],
        "frame": [i for i, _ in people],
        "frames": list(rows_by_frame),
        "rate": rate,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.infer.detect",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument(
        "input",
        type=Path,
        nargs="+",
        metavar="IMAGE_FOLDER_OR_VIDEO",
        help="an image, a folder of images, or a video",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="the JSON to write")
    return parser


def detect_in(options, make):
    """Write the landmarks that the detector `make()` sees; returns the exit status."""
    detector = make()
    if answers.asked(options.input, options.out):
        return answers.answer(
            lambda path: document({n: _rows(detector, *rest) for n, *rest in Pictures([path])})
        )
    source = Pictures(options.input)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    # What an earlier run has done is one file too: of two at once one has both.
    lock = options.out.with_name(f"{LOCK}.{options.out.name}")
    with alone(lock, options.out):
        return _detect_in(options, source, detector)


def _detect_in(options, source, detector):
    """The same of Pictures, by a detector."""
    kept = options.out.with_name(f".{options.out.name}.partial")
    frames = run(source, detector, kept)
    people = sum(rows is not None for rows in frames.values())
    for line in source.problems:
        print(line, file=sys.stderr)
    print(f"a person in {people} of {len(frames)} frames; not readable: {len(source.problems)}")
    if not frames:
        kept.unlink()
        return 1
    write(options.out, json.dumps(document(frames, source.rate)))
    kept.unlink()
    print(f"wrote {options.out}")
    return 0 if people and not source.problems else 3


def main(arguments: Sequence[str] | None = None, make=mediapipe_pose) -> int:
    """Run the program; returns its exit status. make: gives the detector, as mediapipe_pose."""
    return program.run(
        _parser(),
        lambda options: detect_in(options, make),
        arguments,
        interrupted="what was detected is kept beside OUT: the same command goes on",
    )


if __name__ == "__main__":
    sys.exit(main())
