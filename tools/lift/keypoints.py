"""2D landmarks from the files of other programs: `read` knows those of FORMATS.

The kind of a file is told by its content, and the landmark set by the file or by how many landmarks
there are. Coordinates are pixels of the image; confidences are 0 to 1, 0 for missing.
"""

import json
from pathlib import Path

from tools.lift import from_arrays, from_json
from tools.lift.people import FORMATS, KeypointError, looks_like


def read(path, landmarks=None):
    """The Keypoints in a file or folder.

    landmarks: a LandmarkSet, for files that do not say which it is. People and files that are
    damaged are left out, with a line for each in `problems`. Raises KeypointError if nothing can
    be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return from_json.folder(path, landmarks)
        if path.suffix.lower() == ".npz":
            return from_arrays.npz(path, landmarks)
        data = path.read_bytes()
        if path.suffix.lower() == ".csv":
            return from_arrays.csv_table(path, data.decode("utf-8-sig"), landmarks)
        return from_json.keypoints(path, json.loads(data), landmarks)
    except OSError as error:
        raise KeypointError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, KeypointError):
            raise
        raise KeypointError(f"{path}: expected {FORMATS}; found {looks_like(path)}") from None
