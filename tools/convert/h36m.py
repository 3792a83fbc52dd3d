"""Prepare Human3.6M: python -m tools.convert.h36m FOLDER --out build/h36m.

FOLDER has the dataset as it is downloaded, or extracted, anywhere inside:

    Videos_S1.tgz, Poses_D2_Positions_S1.tgz, Poses_D3_Positions_S1.tgz, ... or
    S1/Videos/, S1/MyPoseFeatures/D2_Positions/, S1/MyPoseFeatures/D3_Positions/, ...
    metadata.xml, of the dataset's code release

Writes into OUT: positions/S9.npz and S11.npz (2D and 3D truth of all frames, cameras),
human36m.json (the trials), motion/S1.npz ... S8.npz (the training subjects' motion, for the prior),
S1.pack ... S8.pack (training frames, 10 a second), test.pack (the frames of S9 and S11 that some
protocol tests on), and last shares.txt (the --data of prototxt.generate with which every training
frame is trained on as often). First it checks that all is there, and lists what is not. What is
already written stays: after an interruption, run it again.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from prior import npz, program
from prior.errors import InputError
from prior.files import write
from prior.mocap import human36m as reader
from python_layers.data import annotations
from tools.convert import entries, h36m_cameras, h36m_frames
from tools.convert.entries import ConversionError
from tools.convert.h36m_files import PLACES, POSITIONS, MissingError, Source, check
from tools.evaluate import protocols, truth

TRAINING, TEST = protocols.PROTOCOLS[0].training, protocols.PROTOCOLS[0].subjects
# Of the file with the most people. Our choice: the shares of the others are off by 5 % at most
# where their files are half as large.
LARGEST_SHARE = 20
MOTION = "motion"  # the folder of the training subjects' poses


def write_positions(path, source, subject, sequences, views):
    """Write the 2D and 3D truth of all frames of a subject, and its cameras, into one .npz.

    Leaves out the videos whose 3D positions do not project onto their 2D ones, and returns a line
    for each.
    """
    arrays, left_out = {}, []
    two, three = (source.place(subject, kind) for kind in POSITIONS)
    for camera in protocols.CAMERAS:
        arrays[f"rotation/{camera}"] = views[f"{subject}/{camera}"].rotation
        arrays[f"intrinsics/{camera}"] = views[f"{subject}/{camera}"].intrinsics
        arrays[f"distortion/{camera}"] = views[f"{subject}/{camera}"].distortion
    for name in tqdm(sequences, f"positions of {subject}", unit="sequence", disable=None):
        poses = reader.positions(three / f"{name}.cdf", 3) @ reader.Y_UP.T
        arrays[f"poses_mm/{name}"] = poses.astype(np.float32)
        for camera in protocols.CAMERAS:
            path_2d = two / f"{name}.{camera}.cdf"
            points = reader.positions(path_2d, 2)
            try:
                h36m_cameras.check(path_2d, points, poses, views[f"{subject}/{camera}"])
            except ConversionError as error:
                left_out.append(f"left out: {error}")
            else:
                arrays[f"points/{name}.{camera}"] = points.astype(np.float32)
    npz.write(path, **arrays)
    return left_out


def write_motion(path, source, subject, sequences):
    """Write the motion of a subject, all sequences, as prior.mocap reads it."""
    place = source.place(subject, "D3_Positions")
    clips = [
        reader.positions(place / f"{name}.cdf", 3) @ reader.Y_UP.T
        for name in tqdm(sequences, f"motion of {subject}", unit="sequence", disable=None)
    ]
    npz.write(
        path,
        poses_mm=np.concatenate(clips).astype(np.float32),
        rate=reader.RATE,
        subject=subject,
        clip=np.repeat(list(sequences), [len(clip) for clip in clips]),
    )


def frames(source, subjects, known, views, report):
    """Yields an Entry for each frame of the subjects' videos that is taken.

    Of the training subjects 10 frames a second are taken, protocol 1's; of the others those that
    some protocol tests on. What is left out is in the Report.
    """
    for subject, name, camera in tqdm(
        [(s, name, camera) for s in subjects for name in known[s] for camera in protocols.CAMERAS],
        "videos",
        unit="video",
        disable=None,
    ):

        def wanted(count, subject=subject, name=name, camera=camera):
            if subject in TRAINING:
                return range(0, count, protocols.PROTOCOLS[0].step)
            trials = {(subject, n): trial for n, (_, trial) in known[subject].items()}
            index = protocols.index(
                [subject] * count, [name] * count, [camera] * count, range(count), trials
            )
            return protocols.tested(index)

        path = source.place(subject, "Videos") / f"{name}.{camera}.mp4"
        places = {kind: source.place(subject, kind) for kind in POSITIONS}
        yield from h36m_frames.read(path, places, views, wanted, report)


def prepare(folder, out, videos=True):
    """Write all that the top of this module names into the folder `out`.

    videos: False leaves the frames out. Returns lines that say what was left out of the dataset.
    Raises MissingError, MocapError, ConversionError.
    """
    source = Source(folder, out / "raw")
    known = check(source, (*TRAINING, *TEST), list(PLACES) if videos else POSITIONS)
    views, left_out = h36m_cameras.cameras(source.metadata), []
    for subject in TEST:
        path = out / truth.POSITIONS / f"{subject}.npz"
        if not path.exists():
            left_out += write_positions(path, source, subject, known[subject], views)
    for subject in TRAINING:
        path = out / MOTION / f"{subject}.npz"
        if not path.exists():
            write_motion(path, source, subject, known[subject])
    trials = {s: {n: trial for n, (_, trial) in names.items()} for s, names in known.items()}
    marker = {"source": str(folder), "trials": trials}
    write(out / truth.MARKER, json.dumps(marker, indent=1) + "\n")
    parts = [*((f"{s}.pack", [s]) for s in TRAINING), ("test.pack", TEST)] if videos else []
    for name, subjects in parts:
        if not (out / name).exists():
            report = entries.Report()
            cameras = h36m_cameras.as_json(views, subjects)
            people = frames(source, subjects, known, views, report)
            entries.write(out / name, people, cameras, report=report)
            left_out += [f"{name}: {line}" for line in report.lines()]
    return left_out


def shares(paths):
    """Packed files as `python -m prototxt.generate --data` takes them: "FILE=SHARE FILE=SHARE".

    The shares are in proportion to the numbers of people, so that each is trained on as often.
    """
    counts = {path: len(annotations.load(path, check_images=False)) for path in paths}
    unit = max(counts.values()) / LARGEST_SHARE
    return " ".join(f"{path}={max(1, round(n / unit))}" for path, n in counts.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.convert.h36m",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of the dataset")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/h36m"),
        metavar="FOLDER",
        help="the folder to write into",
    )
    parser.add_argument(
        "--videos",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="convert the videos too; without them, the positions are enough to lift and score "
        "landmarks",
    )
    return parser


def prepare_release(options):
    """Prepare the dataset in a folder, and print what was left out. Raises InputError."""
    if not options.folder.is_dir():
        raise InputError(f"{options.folder}: expected the folder of Human3.6M, got none")
    try:
        left_out = prepare(options.folder, options.out, options.videos)
    except MissingError as error:
        for line in error.parts:
            print(f"missing: {line}", file=sys.stderr)
        raise
    for line in left_out:
        print(line)
    print(f"wrote {options.out}")
    if options.videos:
        packed = shares([options.out / f"{subject}.pack" for subject in TRAINING])
        write(options.out / "shares.txt", packed + "\n")
        print(f"to train on all of it: python -m prototxt.generate --data {packed}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(
        _parser(),
        prepare_release,
        arguments,
        interrupted="what is written is whole: the same command goes on",
    )


if __name__ == "__main__":
    sys.exit(main())
