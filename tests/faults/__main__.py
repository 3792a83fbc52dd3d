"""Faults at random moments, in every program that writes: python -m tests.faults --seed 1.

Kills, ends and interrupts each; fills its disk; takes its rights away; runs two at once; sets the
clock back. Prints a line for each promise that was broken (README.md says which there are), and a
table. Status 1 if there is any.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from prior import program
from tests.faults.programs import PROGRAMS
from tests.faults.trial import FAULTS, Reference, can_mount, strike
from tools import markdown
from tools.arguments import natural, positive


def campaign(options):
    """Try the faults; returns 1 where a promise was broken."""
    chosen = [one for one in PROGRAMS if options.only is None or one.name in options.only]
    counts, broken = {}, 0
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        faults = [fault for fault in FAULTS if options.faults is None or fault in options.faults]
        if "disk" in faults and not can_mount(folder / "disk"):
            print("no disk can be mounted: files are limited in size alone")
            faults.remove("disk")
        total = len(chosen) * len(faults) * options.trials
        with tqdm(desc="faults", total=total, unit="trial", disable=None) as bar:
            for one in chosen:
                began = time.monotonic()
                try:
                    reference = Reference(one, folder / "inputs", folder)
                except RuntimeError as error:
                    bar.write(str(error))
                    broken += 1
                    continue
                for fault in faults:
                    for i in range(options.first, options.first + options.trials):
                        dice = random.Random(f"{options.seed} {one.name} {fault} {i}")
                        said = strike(one, fault, reference, folder / "inputs", folder, dice)
                        for line in said:
                            bar.write(f"{one.name}, {fault}, trial {i}: {line}")
                        counts[one.name, fault] = counts.get((one.name, fault), 0) + bool(said)
                        broken += bool(said)
                        bar.update()
                bar.write(f"{one.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    rows = [[one.name, *(counts.get((one.name, fault)) for fault in faults)] for one in chosen]
    print(markdown.table(["program", *faults], rows))
    print(f"{total} trials, in {broken} a promise was broken")
    return 1 if broken else 0


def _parser():
    parser = argparse.ArgumentParser(
        "python -m tests.faults", description=__doc__, formatter_class=program.HelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="of the moments and sizes")
    parser.add_argument("--trials", type=positive, default=3, help="of each fault and program")
    parser.add_argument("--first", type=natural, default=0, metavar="N", help="the first trial")
    names = [one.name for one in PROGRAMS]
    parser.add_argument(
        "--only", nargs="+", metavar="PROGRAM", choices=names, help=", ".join(names)
    )
    parser.add_argument("--faults", nargs="+", choices=FAULTS, help="these alone")
    return parser


def main(arguments=None):
    """Run the program; returns its exit status."""
    return program.run(_parser(), campaign, arguments)


if __name__ == "__main__":
    sys.exit(main())
