"""Motion capture as clips of the 17 landmarks; one module per file format."""

from pathlib import Path
from types import ModuleType

from prior.files import FilePath
from prior.mocap import acclaim, bvh, clip_npz, deepmimic, human36m, motion
from prior.mocap.clip import Clip, MocapError, check

__all__ = ["Clip", "MocapError", "find", "read"]

# Each has recognises(path) and read(path), which returns a list of Clip.
READERS = (acclaim, bvh, human36m, deepmimic, clip_npz, motion)


def _reader(path: FilePath) -> ModuleType | None:
    return next((reader for reader in READERS if reader.recognises(path)), None)


def find(path: FilePath) -> list[Path]:
    """The files with motion capture below `path`, a file or a folder, sorted by name.

    Raises MocapError when there is none.
    """
    path = Path(path)
    if not path.exists():
        raise MocapError(f"{path}: no such file or folder; expected motion capture")
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    files = [file for file in files if _reader(file)]
    if not files:
        raise MocapError(
            f"{path}: no motion capture found; expected .amc with .asf, .bvh, Human3.6M's "
            "D3_Positions/*.cdf (not D3_Positions_mono, which is in camera axes) or "
            "data_3d_h36m.npz, DeepMimic .txt clips, or .npz files with 'poses_mm'"
        )
    return files


def read(path: FilePath, joint_map: FilePath | None = None) -> list[Clip]:
    """All clips below `path`, a file or a folder, in the order of the files' names.

    joint_map: path of a JSON file that says where the landmarks are on the skeleton of .bvh files
    (prior.mocap.bvh.read_joint_map). Raises MocapError when there is no motion capture, a file is
    damaged, or a clip cannot be used (prior.mocap.clip.check).
    """
    places = None if joint_map is None else bvh.read_joint_map(joint_map)
    clips: list[Clip] = []
    for file in find(path):
        reader = _reader(file)
        assert reader is not None  # else `find` would have left the file out
        read_clips = bvh.read(file, places) if reader is bvh else reader.read(file)
        for clip in read_clips:
            alone = len(read_clips) == 1
            check(clip, file if alone else f"{file}: {clip.subject}, {clip.action}")
        clips += read_clips
    return clips
