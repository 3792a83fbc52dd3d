"""2D landmarks from the files of other programs: `read` knows those of tools.lift.readers.

The kind of a file is told by its content. Coordinates are pixels of the image; confidences are 0 to
1, 0 for missing.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from prior import foreign, npz
from prior.errors import short
from tools.lift import frames, unknown
from tools.lift.people import UNSAID, How, KeypointError, Keypoints, People
from tools.lift.readers import (
    archive,
    by_image,
    coco,
    deeplabcut,
    detectron,
    long_table,
    mpii,
    per_frame,
    points,
    predicted,
    results,
    table,
    yolo,
)

# The first that recognises what is in the file reads it.
JSON = (predicted, points, coco, by_image, per_frame, results, mpii)
ARRAYS = (points, detectron)
TABLES = (deeplabcut, table, long_table, yolo)
FORMATS = "; ".join(dict.fromkeys(reader.FORMAT for reader in (*JSON, *ARRAYS, *TABLES)))

# Between digits that are all there is on both sides in a cell.
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d+(?:[eE][+-]?\d+)?\s*(?:$|[;\t\r\n\"]))")


def read(path: str | Path, how: How = UNSAID) -> Keypoints:
    """The Keypoints in a file, or in a folder with a file for each frame.

    how: what the user says. People and frames that are damaged are left out, and counted in `left`.
    Raises KeypointError if nothing can be read, or if what it means is not certain.
    """
    with foreign.no_collection():
        return _read(Path(path), how)


def _read(path: Path, how: How) -> Keypoints:
    try:
        people = _folder(path) if path.is_dir() else _file(path)
    except KeypointError as error:
        text = str(error)
        raise KeypointError(text if text.startswith(str(path)) else f"{path}: {text}") from None
    keypoints = people.keypoints(path, how)
    if people.values and not len(keypoints.frame) or not people.listed and people.left:
        raise KeypointError(f"{path}: nobody in it can be read: {keypoints.left[0]}")
    return keypoints


def _file(path: Path) -> People:
    if foreign.head(path, 2) == b"PK":
        return _collect(ARRAYS, archive.content(path))
    if foreign.head(path, 6) == b"\x93NUMPY":
        return points.collect_array(npz.read_npy(path, KeypointError))
    data = foreign.read_bytes(path, KeypointError)
    try:
        text = foreign.decode(data, path, KeypointError)
    except KeypointError:
        raise _unknown(unknown.looks_like(path)) from None
    if text.lstrip()[:1] in ("[", "{"):
        return _collect(JSON, _document(path, text))
    rows = _rows(text)
    if not any(reader.recognises(rows) for reader in TABLES):
        header = f", a table of {','.join(rows[0])[:80]}" if len(rows) > 1 else ""
        raise _unknown(unknown.looks_like(path) + header)
    return _collect(TABLES, rows)


def _document(path: Path, text: str) -> Any:
    """The value of JSON; of a document in each line, OpenPifPaf's of a video, their list."""
    try:
        return foreign.parse_json(text, path, KeypointError)
    except KeypointError as error:
        first, _, rest = text.partition("\n")
        if not rest.strip() or not first.rstrip().endswith("}"):
            raise _unknown(unknown.looks_like(path), str(error)) from None
    return [foreign.parse_json(s, f"{path}, line {i}", KeypointError) for i, s in _lines(text)]


def _collect(readers: Sequence[ModuleType], content: Any) -> People:
    if isinstance(content, list) and not content:
        return People()
    for reader in readers:
        if reader.recognises(content):
            return reader.collect(content)
    raise _unknown(unknown.describe(content))


def _unknown(what: str, why: str = "") -> KeypointError:
    why = f" ({why.split(': ')[-1]})" if why else ""
    return KeypointError(f"got {what}{why}; expected 2D landmarks, as {FORMATS}")


def _rows(text: str) -> list[list[str]]:
    """The rows of CSV, between whose cells are commas, semicolons or tabs, or spaces; of all but
    commas with commas in numbers, as much of Europe writes them, these are points."""
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    delimiter = delimiter if delimiter in head else " "
    lines = text.splitlines()
    try:
        rows = _spaced(lines) if delimiter == " " else list(csv.reader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise KeypointError(f"expected CSV, got {error}") from None
    if delimiter == "," or not _DECIMAL_COMMA.search(text):
        return rows
    return [[_DECIMAL_COMMA.sub(".", one) for one in row] for row in rows]


def _spaced(lines: list[str]) -> list[list[str]]:
    """The rows of lines with spaces between their cells, if they are of a table; else each line
    is one cell."""
    # Several in a row align the columns; single ones may have empty cells between them.
    aligned = "  " in lines[0].strip() if lines else False
    stripped = [line.strip() if aligned else line for line in lines]
    rows = list(csv.reader(stripped, delimiter=" ", skipinitialspace=aligned))
    return rows if any(one.recognises(rows) for one in TABLES) else [[line] for line in lines]


def _folder(path: Path) -> People:
    """A folder with a file for each frame: OpenPose's, MMPose's, OpenPifPaf's, AlphaPose's as JSON;
    YOLO's .txt."""
    suffix, read_files = ".json", _json_files
    if not any(path.glob("*.json")):
        suffix, read_files = ".txt", _text_files
    files = sorted(path.glob(f"*{suffix}"), key=lambda file: frames.natural(file.name))
    if not files:
        kinds = sorted({file.suffix for file in path.iterdir() if file.suffix})
        raise KeypointError(
            "expected a folder with a JSON file, or YOLO's .txt, for each frame, got none in it, "
            f"but files {', '.join(kinds[:6]) or 'without a suffix'}"
        )
    people = read_files(files)
    if len(people.left) >= len(files) and not people.values:
        raise KeypointError(f"expected a {suffix} file for each frame; {people.left[0].first}")
    return people


def _json_files(files: Sequence[Path]) -> People:
    people = People()
    for file in files:
        name = file.stem.removesuffix("_keypoints").removesuffix(".predictions")
        try:
            people.absorb(_collect(JSON, foreign.read_json(file, KeypointError)), name)
        except KeypointError as error:
            _lose(people, name, file, error)
    return people


def _text_files(files: Sequence[Path]) -> People:
    """YOLO's, which are judged together; an empty one has nobody."""
    people, lines = People(), []
    for file in files:
        try:
            text = foreign.read_text(file, KeypointError)
            own = [(file.stem, f"{file.name}, line {i}", line) for i, line in _lines(text)]
            if own and not any(yolo.recognises([[line]]) for _, _, line in own):
                raise _unknown(unknown.looks_like(file))
        except KeypointError as error:
            _lose(people, file.stem, file, error)
            continue
        people.listed[file.stem] = None
        lines += own
    yolo.add(people, lines)
    return people


def _lines(text: str) -> list[tuple[int, str]]:
    """The lines that are not empty, numbered from 1."""
    return [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]


def _lose(people: People, name: str, file: Path, error: KeypointError) -> None:
    said = short(str(error).removeprefix(f"{file}: "), 100)
    people.lose(name, "could not be read", f"{file.name}: {said}")
