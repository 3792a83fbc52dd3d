"""Motion capture as clips of a skeleton's landmarks; one module per file format."""

from pathlib import Path
from types import ModuleType

from prior.errors import InputError
from prior.files import FilePath
from prior.mocap import acclaim, bvh, clip_npz, coco, deepmimic, human36m, markers, motion, smpl
from prior.mocap.clip import Clip, MocapError, check, say_kinds
from prior.mocap.joint_map import read as read_joint_map
from prior.mocap.orientation import UP, check_sides, find_up
from prior.skeleton import COCO, HUMAN36M, Skeleton

__all__ = ["Clip", "MocapError", "find", "read"]

# Each has recognises(path) and read(path), which returns a list of Clip.
READERS = (acclaim, bvh, human36m, deepmimic, clip_npz, motion, markers, smpl)


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
            "data_3d_h36m.npz, DeepMimic .txt clips, .c3d, .trc, or .npz files with 'poses_mm' or "
            "SMPL's 'joints'"
        )
    return files


def read(
    path: FilePath,
    joint_map: FilePath | None = None,
    skeleton: Skeleton = HUMAN36M,
    up: str | None = None,
    marker_map: FilePath | None = None,
) -> list[Clip]:
    """All clips below `path`, a file or a folder, in the order of the files' names.

    joint_map: path of a JSON file that says where the landmarks are on the skeleton of .bvh files,
    and what files do not say (prior.mocap.joint_map.read). up: the axis of the files' world that
    points up, y, z, x, -y, -z or -x; without it, it is told from how the person stands. skeleton:
    of the clips; COCO's keypoints are placed on motion of Human3.6M's landmarks, other skeletons'
    need .npz files that name theirs, or markers. marker_map: path of a JSON file that says where
    the skeleton's landmarks are among the markers of .c3d and .trc files, and what is up there
    (prior.mocap.markers.read_map). Raises MocapError when there is no motion capture, a file is
    damaged, or a clip cannot be used (prior.mocap.clip.check).
    """
    said = None if joint_map is None else read_joint_map(joint_map)
    clips: list[Clip] = []
    for file in find(path):
        reader = _reader(file)
        assert reader is not None  # else `find` would have left the file out
        if reader in (acclaim, bvh):
            read_clips = reader.read(file, said, up)
        elif reader is markers:
            read_clips = _of_markers(file, marker_map, skeleton)
        else:
            read_clips = clip_npz.read(file, skeleton) if reader is clip_npz else reader.read(file)
        for clip in read_clips:
            alone = len(read_clips) == 1
            where = str(file) if alone else f"{file}: {clip.subject}, {clip.action}"
            if reader is clip_npz and clip.skeleton == HUMAN36M:
                # It is y up by agreement, which not everybody keeps.
                turn = UP[find_up(where, clip.poses, None, up or (said and said.up))]
                clip = clip._replace(poses=clip.poses @ turn.T)
            if clip.skeleton == HUMAN36M and len(clip.poses) > 1:
                check_sides(where, clip.poses)
            clip = _of_skeleton(clip, skeleton, where)
            check(clip, where)
            clips.append(clip)
    say_kinds(clips)
    return clips


def _of_markers(file: Path, marker_map: FilePath | None, skeleton: Skeleton) -> list[Clip]:
    """The clips of a marker file. Raises MocapError."""
    if marker_map is None:
        raise MocapError(
            f"{file}: expected a marker map, which says where the landmarks are among the markers "
            "(--marker-map), got none"
        )
    return markers.read(file, markers.read_map(marker_map, skeleton), skeleton)


def _of_skeleton(clip: Clip, skeleton: Skeleton, where: str) -> Clip:
    """The clip with the skeleton's landmarks. Raises MocapError."""
    if clip.skeleton == skeleton:
        return clip
    if clip.skeleton != HUMAN36M or skeleton != COCO:
        raise MocapError(
            f"{where}: expected motion of the skeleton's {len(skeleton)} landmarks, got the "
            f"{len(clip.skeleton)} of Human3.6M; write .npz files with poses_mm, rate and landmarks"
        )
    try:
        return clip._replace(poses=coco.from_human36m(clip.poses), skeleton=COCO)
    except InputError as error:
        raise MocapError(f"{where}: {error}") from None
