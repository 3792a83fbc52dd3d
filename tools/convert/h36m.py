"""Prepare Human3.6M: python -m tools.convert.h36m FOLDER --out build/h36m.

FOLDER has the dataset as it is downloaded, or extracted, anywhere inside:

    Videos_S1.tgz, Poses_D2_Positions_S1.tgz, Poses_D3_Positions_S1.tgz, ... or
    S1/Videos/, S1/MyPoseFeatures/D2_Positions/, S1/MyPoseFeatures/D3_Positions/, ...
    metadata.xml, of the dataset's code release

Writes into OUT: positions/S9.npz and S11.npz (2D and 3D truth of all frames, cameras),
human36m.json (the trials), S1.pack ... S8.pack (training frames, 10 a second) and test.pack (the
frames of S9 and S11 that some protocol tests on). First it checks that all is there, and lists what
is not. What is already written stays: after an interruption, run it again.
"""

import argparse
import itertools
import json
import re
import sys
import tarfile
import xml.etree.ElementTree
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from prior import program
from prior.errors import InputError
from prior.files import replacing, write
from prior.mocap import human36m as reader
from tools.convert import entries, human36m
from tools.convert.entries import ConversionError
from tools.evaluate import protocols, truth

TRAINING, TEST = protocols.PROTOCOLS[0].training, protocols.PROTOCOLS[0].subjects
PLACES = {  # kind: the folder of a subject
    "D2_Positions": "MyPoseFeatures/D2_Positions",
    "D3_Positions": "MyPoseFeatures/D3_Positions",
    "Videos": "Videos",
}
ARCHIVES = (".tgz", ".tar.gz", ".tar")
SHOWN = 5  # files of each kind that are named where more are missing


class MissingError(InputError):
    """Parts of the dataset that are not there; `parts` has a line for each."""

    def __init__(self, folder, parts):
        super().__init__(f"{folder}: {len(parts)} parts of Human3.6M are missing, listed above")
        self.parts = parts


def recordings(metadata):
    """{subject: {sequence: (action, trial)}} of metadata.xml, {} where it does not say.

    <mapping> is a table: number of the action, of the trial, and each subject's file name.
    """
    try:
        rows = xml.etree.ElementTree.parse(metadata).getroot().findall("mapping/tr")
    except (OSError, xml.etree.ElementTree.ParseError) as error:
        raise InputError(f"{metadata}: expected Human3.6M's metadata.xml, got {error}") from None
    if not rows:
        return {}
    subjects = [cell.text for cell in rows[0]][2:]
    found = {subject: {} for subject in subjects}
    for row in rows[1:]:
        _, trial, *names = [cell.text or "" for cell in row]
        for subject, name in zip(subjects, names, strict=False):
            action, _ = protocols.action_of(name.strip() or "_")
            if action in protocols.ACTIONS and trial.isdigit():
                found[subject][name.strip()] = action, int(trial)
    return found


class Source:
    """Where the parts of the dataset are: folders, and archives that are extracted to `raw`."""

    def __init__(self, folder, raw):
        self.folder, self.raw = Path(folder), Path(raw)
        files = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        self.metadata = next((path for path in files if path.name == "metadata.xml"), None)
        self.archives = [path for path in files if path.name.endswith(ARCHIVES)]

    def place(self, subject, kind):
        """The folder of a subject's files of a kind; None if there is none."""
        for root in (self.folder, self.raw):
            for path in (root / subject / PLACES[kind], *root.glob(f"*/{subject}/{PLACES[kind]}")):
                if path.is_dir() and any(path.iterdir()):
                    return path
        return None

    def archive(self, subject, kind):
        """The archive of a subject's files of a kind; None if there is none."""
        for path in self.archives:
            name = path.relative_to(self.folder).as_posix()
            subject_is = re.search(rf"(?<![A-Za-z0-9]){subject}(?!\d)", name)
            if subject_is and re.search(rf"{kind}(?!_mono)", path.name):
                return path
        return None

    def extract(self, subject, kind):
        """Extract an archive's files of the kind to `raw`; each is whole or not there."""
        archive = self.archive(subject, kind)
        try:
            with tarfile.open(archive, "r|*") as files:  # a stream: read once
                for member in tqdm(files, f"extract {archive.name}", unit="file", disable=None):
                    name = Path(member.name)
                    fits = member.isfile() and f"/{PLACES[kind]}/" in f"/{name.parent}/"
                    target = self.raw / subject / PLACES[kind] / name.name
                    if not fits or name.name.startswith("_"):
                        continue
                    if target.is_file() and target.stat().st_size == member.size:
                        continue
                    with replacing(target) as temporary, open(temporary, "wb") as file:
                        source = files.extractfile(member)
                        while block := source.read(1 << 20):
                            file.write(block)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise InputError(f"{archive}: expected an archive, got {error}; copy it") from None

    def missing(self, subject, kind, sequences):
        """Lines on what is not there of a subject's files of a kind."""
        place = self.place(subject, kind)
        if place is None:
            return [
                f"{subject}: {PLACES[kind]}: no such folder, nor an archive of it such as "
                f"Poses_{kind}_{subject}.tgz".replace("Poses_Videos", "Videos")
            ]
        lost = [name for name in _files(kind, sequences) if not (place / name).is_file()]
        if not lost:
            return []
        more = f", ... and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        return [
            f"{place}: {len(lost)} of {len(_files(kind, sequences))} files are missing: "
            f"{', '.join(lost[:SHOWN])}{more}"
        ]


def _files(kind, sequences):
    if kind == "D3_Positions":
        return [f"{name}.cdf" for name in sequences]
    suffix = "mp4" if kind == "Videos" else "cdf"
    return [f"{name}.{camera}.{suffix}" for name in sequences for camera in protocols.CAMERAS]


def check(source, kinds):
    """{subject: {sequence: (action, trial)}} when all is there. Extracts archives.

    Raises MissingError, which lists all that is not, or InputError.
    """
    if source.metadata is None:
        raise InputError(
            f"{source.folder}: no metadata.xml (cameras and trials): it is in the code release of "
            "the dataset, Release-v1.2; put it into this folder"
        )
    known, lines = recordings(source.metadata), []
    for subject, kind in itertools.product((*TRAINING, *TEST), kinds):
        if (
            source.place(subject, kind) is None
            or known
            and source.missing(subject, kind, known.get(subject, {}))
        ):
            if source.archive(subject, kind):
                source.extract(subject, kind)
        # Without the table of metadata.xml, what is expected is what has 3D positions.
        if subject not in known and (place := source.place(subject, "D3_Positions")):
            names = [p.stem for p in place.glob("*.cdf") if not p.stem.startswith("_")]
            known[subject] = protocols.trials_of(sorted(names))
        lines += source.missing(subject, kind, known.get(subject, {}))
    if lines:
        raise MissingError(source.folder, lines)
    return known


def write_positions(path, source, subject, sequences, views):
    """2D and 3D truth of a subject's every frame, and cameras, into one .npz; names the videos
    whose 3D positions do not project onto their 2D ones, which are left out."""
    arrays, left_out = {}, []
    two, three = (source.place(subject, kind) for kind in ("D2_Positions", "D3_Positions"))
    for camera in protocols.CAMERAS:
        arrays[f"rotation/{camera}"] = views[f"{subject}/{camera}"].rotation
        arrays[f"intrinsics/{camera}"] = views[f"{subject}/{camera}"].intrinsics
    for name in tqdm(sequences, f"positions of {subject}", unit="sequence", disable=None):
        poses = reader.positions(three / f"{name}.cdf", 3) @ reader.Y_UP.T
        arrays[f"poses_mm/{name}"] = poses.astype(np.float32)
        for camera in protocols.CAMERAS:
            path_2d = two / f"{name}.{camera}.cdf"
            points = reader.positions(path_2d, 2)
            try:
                human36m.check(path_2d, points, poses, views[f"{subject}/{camera}"])
            except ConversionError as error:
                left_out.append(f"left out: {error}")
            else:
                arrays[f"points/{name}.{camera}"] = points.astype(np.float32)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
    return left_out


def frames(source, subjects, known, views, report):
    """Entries of the subjects' frames: training's 10 a second, or those of the protocols."""
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
        places = {kind: source.place(subject, kind) for kind in ("D2_Positions", "D3_Positions")}
        yield from human36m.read(path, views, wanted, report, places)


def prepare(folder, out, videos=True):
    """Do what the module says. Returns lines on what was left out. Raises MissingError,
    MocapError, ConversionError."""
    source = Source(folder, out / "raw")
    kinds = list(PLACES) if videos else ["D2_Positions", "D3_Positions"]
    known = check(source, kinds)
    views, left_out = human36m.cameras(source.metadata), []
    for subject in TEST:
        path = out / truth.POSITIONS / f"{subject}.npz"
        if not path.exists():
            left_out += write_positions(path, source, subject, known[subject], views)
    trials = {s: {n: trial for n, (_, trial) in names.items()} for s, names in known.items()}
    marker = {"source": str(folder), "trials": trials}
    write(out / truth.MARKER, json.dumps(marker, indent=1) + "\n")
    parts = [*((f"{s}.pack", [s]) for s in TRAINING), ("test.pack", TEST)] if videos else []
    for name, subjects in parts:
        if not (out / name).exists():
            report = entries.Report()
            cameras = {
                view: {
                    "rotation": c.rotation,
                    "position_mm": c.position,
                    "intrinsics": c.intrinsics,
                }
                for view, c in views.items()
                if view.split("/")[0] in subjects
            }
            found = frames(source, subjects, known, views, report)
            entries.write(out / name, found, cameras, report=report)
            left_out += [f"{name}: {line}" for line in report.lines()]
    return left_out


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
