"""Motion capture as clips of the 17 landmarks; one module per file format."""

from pathlib import Path
from typing import NamedTuple

import numpy as np


class Clip(NamedTuple):
    """A stretch of motion capture of one person.

    poses: (F, 17, 3), mm, y up, the landmarks of prior.skeleton; rate: frames per second.
    """

    poses: np.ndarray
    rate: float
    subject: str
    action: str


class MocapError(ValueError):
    """A motion-capture file that cannot be used: which one, what was expected, what came."""


def read(path):
    """All clips below `path`, a file or a folder: a list of Clip in the order of their names.

    Raises MocapError: nothing readable there, or a damaged file.
    """
    from prior.mocap import clip_npz, deepmimic

    path = Path(path)
    if not path.exists():
        raise MocapError(f"{path}: no such file or folder; expected motion capture")
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    clips = []
    for file in files:
        for reader in (deepmimic, clip_npz):
            if reader.recognises(file):
                clips.append(reader.read(file))
    if not clips:
        raise MocapError(
            f"{path}: no motion capture found; expected DeepMimic .txt clips, "
            "or .npz files with 'poses_mm'"
        )
    return clips
