"""The options by which a command reads motion capture, and what it reads."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from prior import mocap, skeleton_file
from prior.mocap import motion, orientation, sampling
from prior.mocap.clip import Clip, say_kinds


def add_clips(parser: argparse.ArgumentParser) -> None:
    """Add the options that `read_clips` takes."""
    parser.add_argument(
        "clips",
        nargs="*",
        type=Path,
        metavar="CLIP_OR_FOLDER",
        help="motion capture, or folders of it: Acclaim .amc with .asf, .bvh, "
        "Human3.6M (D3_Positions/*.cdf or data_3d_h36m.npz), DeepMimic .txt, "
        ".npz with poses_mm and rate; default: the motion that the project carries",
    )
    parser.add_argument(
        "--carried",
        choices=(*motion.SPLITS, "all"),
        default="training",
        help="without clips: the motion that the project carries, of these subjects; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--joint-map",
        type=Path,
        metavar="JSON",
        help="where the landmarks are on the skeleton of .bvh files that no table knows: "
        "see prior/README.md",
    )
    parser.add_argument(
        "--marker-map",
        type=Path,
        metavar="JSON",
        help="where the landmarks are among the markers of .c3d and .trc files: see "
        "prior/README.md",
    )
    parser.add_argument(
        "--skeleton",
        default="human36m",
        metavar="JSON",
        help="the landmarks: a file that says what they are (see prior/README.md), or coco, its 17 "
        "keypoints; default: Human3.6M's 17 landmarks",
    )
    parser.add_argument(
        "--up",
        choices=orientation.UP,
        help="the axis of the files' world that points up, written --up=-y where it is negative; "
        "default: told from how the person stands",
    )
    _add_thinning(parser)


def _add_thinning(parser: argparse.ArgumentParser) -> None:
    """Add the options that leave out frames."""
    parser.add_argument(
        "--rate", type=float, metavar="HZ", help="leave out frames down to this rate"
    )
    parser.add_argument(
        "--min-change",
        type=float,
        metavar="MM",
        help="leave out frames in which no landmark has moved by so many mm since the last frame "
        "that was kept; walking on and turning do not count",
    )
    parser.add_argument(
        "--balance",
        type=int,
        metavar="N",
        help="then keep N frames: equally many of each kind of motion and, within it, subject, as "
        "far as there are so many; of clips without a kind, of each subject",
    )


def read_clips(options: argparse.Namespace) -> list[Clip]:
    """The clips that the options name, with fewer frames where they say so."""
    clips, frames = [], 0
    for clip in _all(options):
        frames += len(clip.poses)
        if options.rate is not None:
            clip = sampling.to_rate(clip, options.rate)
        if options.min_change is not None:
            clip = sampling.by_change(clip, options.min_change)
        clips.append(clip)
    say_kinds(clips)
    if options.balance is not None:
        clips = sampling.balanced(clips, options.balance)
    kept = sum(len(clip.poses) for clip in clips)
    if kept != frames:
        print(f"kept {kept} of {frames} frames")
    return clips


def _all(options: argparse.Namespace) -> Iterator[Clip]:
    """The clips with all their frames."""
    skeleton = skeleton_file.find(options.skeleton)
    if not options.clips:
        for clip in mocap.read(motion.PATH, skeleton=skeleton):
            if options.carried in ("all", motion.split_of(clip.subject)):
                yield clip
        return
    files = [file for path in options.clips for file in mocap.find(path)]
    interval = progress_interval()
    for file in tqdm(files, desc="read", unit="file", mininterval=interval, delay=1):
        yield from mocap.read(file, options.joint_map, skeleton, options.up, options.marker_map)


def poses_of(clips: Sequence[Clip]) -> Float[np.ndarray, "N L 3"]:
    """The poses of all clips, mm."""
    return np.concatenate([clip.poses for clip in clips])


def described(clips: Sequence[Clip]) -> str:
    """How many poses of how many clips there are, and of which subjects."""
    subjects = sorted({clip.subject for clip in clips})
    count = sum(len(clip.poses) for clip in clips)
    return f"{count} poses of {len(clips)} clips of subjects {', '.join(subjects)}"


def progress_interval() -> float:
    """Seconds between two updates of a progress bar: one on a terminal, ten in a log."""
    return 1.0 if sys.stderr.isatty() else 10.0
