"""Arrays by name as .npz files, that are complete or not there."""

import io
from typing import Any

import numpy as np

from prior import files, signals
from prior.files import FilePath


def content(compressed: bool = False, **arrays: Any) -> bytes:
    """The bytes of an .npz file. Raises ValueError where they would have to be pickled."""
    buffer = io.BytesIO()
    # An archive that an exception leaves in the midst of an array raises others as it is closed.
    with signals.held():
        (np.savez_compressed if compressed else np.savez)(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def write(path: FilePath, compressed: bool = False, **arrays: Any) -> None:
    """Write an .npz file: all of it, or nothing. The folder is made."""
    files.write(path, content(compressed, **arrays))
