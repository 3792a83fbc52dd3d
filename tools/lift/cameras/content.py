"""What is in a calibration file: JSON, TOML, OpenCV's XML and YAML, plain YAML, .npz."""

import re
import tomllib
from pathlib import Path
from typing import Any

import cv2

from prior import foreign, limits, npz
from prior.errors import short
from tools.lift.cameras import easymocap
from tools.lift.cameras.raw import CalibrationError

# Characters of XML or YAML, and what may open a level in it. Our choice: a hundred cameras have
# fewer.
LONGEST = 2_000_000
MOST_LEVELS = 4000
FORMATS = "JSON, TOML, OpenCV's XML or YAML, ROS's YAML, or .npz"


def read(path: Path) -> dict[str, Any]:
    """{name: value} of a file, and of the one that belongs to it. Raises CalibrationError."""
    content = _one(path)
    for start, other in easymocap.BESIDE.items():
        beside = path.with_name(other + path.name.removeprefix(start))
        if path.name.startswith(start) and beside != path and beside.is_file():
            content = _one(beside) | content
    return content


def _one(path: Path) -> dict[str, Any]:
    if foreign.head(path, 2) == b"PK":
        return dict(npz.read(path, optional=None, error=CalibrationError))
    text = foreign.read_text(path, CalibrationError)
    start = text.lstrip()
    try:
        if start.startswith("{"):
            return foreign.parse_json(text, path, CalibrationError)
        if start.startswith(("<", "%YAML")):
            return _storage(text)
        if path.suffix.lower() == ".toml" or start.startswith("["):
            return _toml(text)
        # ROS's YAML lacks the first line, and what it prints of a message ends with dashes.
        return _storage("%YAML:1.0\n---\n" + start.removeprefix("---").split("\n---")[0] + "\n")
    except (ValueError, SystemError, cv2.error, RecursionError) as error:
        if isinstance(error, CalibrationError):
            raise
        raise CalibrationError(
            f"{path}: expected a camera, as {FORMATS}, got {short(start, 40) or 'nothing'}"
        ) from error


def _toml(text: str) -> dict[str, Any]:
    """What TOML says. Raises ValueError.

    Its parser takes memory by the square of the names that dots join: 1.5 GB for 20,000.
    """
    plain = re.sub(r"\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|[ \t]", "", text)
    joined = max(part.count(".") for part in re.split(r"[\n,={}\[\]]", plain))
    if joined > limits.of("depth"):
        raise ValueError("more than a calibration has")
    return tomllib.loads(text)


def _storage(text: str) -> dict[str, Any]:
    """What OpenCV's FileStorage reads. Raises ValueError.

    Its parser calls itself for each level, and crashes at some ten thousand. Whatever opens a level
    counts, in XML and in YAML, wherever it stands: so the depth is that at most.
    """
    indent = max((len(line) - len(line.lstrip(" -")) for line in text.splitlines()), default=0)
    opened = sum(text.count(sign) for sign in "[{") + len(re.findall(r"<\s*[^/!?\s]", text))
    if len(text) > LONGEST or max(indent, opened) > MOST_LEVELS:
        raise ValueError("more than a calibration has")
    storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    root = storage.root()
    value = _value(root) if root.isMap() else None
    if not isinstance(value, dict) or not value:
        raise ValueError("nothing that has a name")
    return value


def _value(node: Any) -> Any:
    if node.isMap():
        keys = node.keys()
        if {"dt", "data"} <= set(keys):
            return node.mat()
        return {key: _value(node.getNode(key)) for key in keys}
    if node.isSeq():
        return [_value(node.at(i)) for i in range(node.size())]
    return node.string() if node.isString() else node.real()
