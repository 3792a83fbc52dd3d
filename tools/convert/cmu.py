"""The motion that the project carries, from files of CMU's motion-capture database.

Reads the folder's Acclaim, BVH and .npz files, packed in .zip files or not, names the clips as CMU
does (cmu_clips.tsv), drops frames that no person can have moved through, and writes cmu.npz and
the list of its clips, CLIPS.md. Of a clip that comes in several forms the one with its subject's
own skeleton is taken.
"""

import argparse
import csv
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from tqdm import tqdm

from prior import mocap, program
from prior.errors import InputError
from prior.files import scratch, write
from prior.mocap import motion, sampling
from prior.mocap.arguments import progress_interval
from prior.mocap.clip import Clip
from tools.markdown import table

# What CMU calls each clip (mocap.cs.cmu.edu), and its kind, our choice. The folders indian, martial
# and salsa stand for subjects whose numbers are not known.
TABLE = Path(__file__).with_name("cmu_clips.tsv")
# Forms of a clip, the best first: .amc and CMU's own skeletons in .bvh; .npz were made of the
# conversion for DAZ, which has one skeleton for all.
FORMS = (".amc", ".bvh", ".npz")
# Clips in which the legs are not those of a person: one hip turns through the other.
DAMAGED = ("07_12", "09_10")

RATE = 30.0  # Hz
# No landmark moves faster relative to the hip, mm/s. A hand that punches and a foot that kicks stay
# below 11 m/s in all clips; a limb that flips, and a T-pose that a conversion put first, are above.
FASTEST = 12_000.0
# What lies between two such jumps less than so many seconds apart, or between one and an end, is
# wrong as well; and so are the frames so close to a jump.
BETWEEN, CLOSE = 0.5, 0.1
# A first step of so many times the 99th percentile of the others is from a T-pose.
T_POSE = 3.0


def names() -> dict[str, tuple[str, str]]:
    """(kind, action) of each clip that is taken."""
    with open(TABLE, encoding="utf-8") as file:
        return {
            row["clip"]: (row["kind"], row["action"])
            for row in csv.DictReader(file, delimiter="\t")
        }


def name_of(clip: Clip) -> str:
    """CMU's name of a clip, such as 13_01; that of a folder and a file where it has no number."""
    numbered = clip.action.replace("_", "").isdigit() and "_" in clip.action
    return clip.action if numbered else f"{clip.subject}_{clip.action}"


def impossible(clip: Clip) -> Bool[np.ndarray, "F"]:
    """The frames that no person can have moved through."""
    poses, count = clip.poses, len(clip.poses)
    steps = np.linalg.norm(np.diff(poses - poses[:, :1], axis=0), axis=-1).max(axis=1) * clip.rate
    jumps = np.flatnonzero(steps > FASTEST)
    if len(steps) > 1 and steps[0] > T_POSE * np.percentile(steps[1:], 99):
        jumps = np.union1d(jumps, [0])
    bad = np.zeros(count, dtype=bool)
    between, close = round(BETWEEN * clip.rate), round(CLOSE * clip.rate)
    ends = np.concatenate([[-1], jumps, [count - 1]])
    for start, end in zip(ends, ends[1:], strict=False):
        if end - start < between:
            bad[start + 1 : end + 1] = True
    for jump in jumps:
        # The step from a T-pose at the start is followed by good frames at once.
        bad[max(jump + 1 - close, 0) : jump + 1 + (close if jump >= close else 0)] = True
    return bad


def cleaned(clip: Clip) -> tuple[Clip, int]:
    """The clip at RATE without impossible frames, and how many frames at its own rate they were."""
    bad = impossible(clip)
    marked = clip.poses.copy()
    marked[bad] = np.nan
    fewer = sampling.to_rate(clip._replace(poses=marked), RATE)
    good = np.isfinite(fewer.poses).all(axis=(1, 2))
    return fewer._replace(poses=fewer.poses[good], rate=RATE), int(bad.sum())


def unpacked(folder: Path, into: Path) -> Iterator[Path]:
    """The folder, and a folder in `into` for each .zip file in it."""
    yield folder
    for path in sorted(folder.glob("*.zip")):
        try:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(into / path.stem)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: expected a .zip file, got {error}; copy it again") from None
        yield into / path.stem


class Taken(NamedTuple):
    """A clip that is taken: what it was read from, and how many frames, at which rate, it lost."""

    clip: Clip
    form: str
    dropped: int
    rate: float


def collect(folders: Iterable[Path]) -> tuple[list[Taken], int]:
    """The clips that TABLE names, cleaned, by name; and how many others there were."""
    wanted, taken = names(), {}
    files = [file for folder in folders for file in _files(folder)]
    files.sort(key=lambda file: FORMS.index(file.suffix.lower()))
    unnamed = 0
    for file in tqdm(files, desc="read", unit="file", mininterval=progress_interval()):
        for clip in mocap.read(file):
            name = name_of(clip)
            if name not in wanted:
                unnamed += 1
            elif name not in taken and name not in DAMAGED:
                kind, action = wanted[name]
                subject = name.rpartition("_")[0]
                kept, dropped = cleaned(clip)
                kept = kept._replace(subject=subject, action=action, name=name, kind=kind)
                taken[name] = Taken(kept, file.suffix.lower(), dropped, clip.rate)
    missing = sorted(set(wanted) - set(taken) - set(DAMAGED))
    if missing:
        raise InputError(f"expected the clips {', '.join(missing)} too; they are not in the folder")
    return [taken[name] for name in sorted(taken)], unnamed


def _files(folder: Path) -> list[Path]:
    return [file for file in mocap.find(folder) if file.suffix.lower() in FORMS]


def listed(taken: Sequence[Taken], unnamed: int) -> str:
    """The content of CLIPS.md."""
    head = ("clip", "split", "kind", "action, as CMU calls it", "frames", "from", "left out")
    rows = [
        (
            clip.name,
            motion.split_of(clip.subject),
            clip.kind,
            clip.action,
            len(clip.poses),
            form,
            f"{dropped} at {rate:.0f} Hz" if dropped else None,
        )
        for clip, form, dropped, rate in taken
    ]
    subjects = len({each.clip.subject for each in taken})
    frames = sum(len(each.clip.poses) for each in taken)
    return "\n".join(
        [
            "# The clips in cmu.npz",
            "",
            f"{len(taken)} clips of {subjects} subjects, {frames:,} frames at {RATE:.0f} Hz. What "
            "comes before the last underscore is the subject. Left out are frames that no person "
            f"can have moved through; the clips {' and '.join(DAMAGED)}, whose legs are not a "
            f"person's; and {unnamed} clips of the folder of which no subject is known. "
            "`make motion` writes this list.",
            "",
            table(head, rows),
            "",
        ]
    )


def convert(options: argparse.Namespace) -> None:
    """Write cmu.npz and CLIPS.md."""
    with scratch() as into:
        taken, unnamed = collect(unpacked(options.folder, into))
    motion.write(options.out / "cmu.npz", [each.clip for each in taken])
    write(options.out / "CLIPS.md", listed(taken, unnamed))
    print(f"wrote {len(taken)} clips to {options.out}/cmu.npz, and their list to CLIPS.md")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.convert.cmu", description=__doc__, formatter_class=program.HelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of CMU's files, or of .zip files of them")
    parser.add_argument(
        "--out",
        type=Path,
        default=motion.PATH.parent,
        metavar="FOLDER",
        help="where cmu.npz and CLIPS.md go",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), convert, arguments)


if __name__ == "__main__":
    sys.exit(main())
