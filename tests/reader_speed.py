"""Speed of tools.lift from a file of each format to a written .npz: frames a second.

    python -m tests.reader_speed [--frames 10000] [--out build/bench/readers.json]

Every format has the same motion of three people, or of one where it has no more, as the tests write
it. The tilt is given and the deviations are left out, so that what is left is reading, telling
people apart, lifting and writing. Times are the processor's, which other programs on the machine
hardly change, of the fastest of --repeats; the program has one thread.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

import prior
from prior import program
from prior.errors import InputError
from tests import landmark_files
from tests.landmark_formats import FORMATS, SINGLE, SIZE
from tools import measured
from tools.arguments import add_out_file
from tools.lift import keypoints, lifted
from tools.lift.lifting import lift
from tools.lift.people import How
from tools.report import readers_page

# A format of several people has so many: our choice, what a detector sees in a common video.
PEOPLE = 3
# px between them: three times the width of the widest person, so nobody is taken for another.
APART = 600.0


def measure(folder, frames, repeats):
    """[{format, people, read_s, whole_s, frames_per_second}], written in and read from a folder."""
    one = landmark_files.image_points(landmark_files.walk(frames))
    several = np.stack([one + [APART * k, 0] for k in range(PEOPLE)], axis=1).reshape(-1, 17, 2)
    model, result = prior.load(), []
    for name, (write_format, _) in tqdm(FORMATS.items(), "formats", disable=None):
        count = 1 if name in SINGLE else PEOPLE
        path = folder / name
        write_format(path, one) if count == 1 else write_format(path, several, count)
        times = []
        for _ in range(repeats):
            start = time.process_time()
            people = keypoints.read(path, How(size=lambda _: SIZE))
            read = time.process_time()
            poses, _ = lift(people, model, elevation=landmark_files.ELEVATION, deviation=False)
            lifted.write_npz(folder / "out.npz", poses)
            times.append((time.process_time() - start, read - start))
        whole, reading = min(times)
        result.append(
            {
                "format": name,
                "people": count,
                "read_s": reading,
                "whole_s": whole,
                "frames_per_second": frames / whole,
            }
        )
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.reader_speed",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    parser.add_argument("--frames", type=int, default=10_000, metavar="N", help="of each format")
    parser.add_argument("--repeats", type=int, default=1, metavar="N", help="of each measurement")
    add_out_file(parser, "build/bench/readers.json")
    return parser


def bench(options):
    """Measure, print the table, and write it. Raises InputError."""
    if min(options.frames, options.repeats) < 1:
        raise InputError("--frames and --repeats: expected 1 or more")
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options.frames, options.repeats)
    record = {"frames": options.frames, "formats": rows}
    measured.publish(options.out, record, readers_page.markdown(record))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
