"""The campaign: bad files, made of good ones by a seed, tried on every reader in limited processes.

    python -m tests.fuzz --trials 500 --seed 1      # of each target
    python -m tests.fuzz --minutes 10

Prints a line for each finding, and a table. A finding is a crash, more than 10 s, more than 1 GB, a
traceback, a message of many lines or a half-written file: its input is kept in --out, and `--only
TARGET --first N --trials 1` with the same seed tries it again. Status 1 if there is any.
"""

import argparse
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from prior import program
from prior.errors import InputError
from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import content_of
from tools import markdown
from tools.arguments import natural, positive

LONGEST = 10.0  # seconds of one trial
KINDS = ("crash", "hang", "memory", "traceback", "message", "half-written")
BATCH = 25  # trials of a target before the next one's turn, where time is limited


def _cpu_seconds(pid):
    """Seconds of a processor that a process has had."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _lines(process):
    """Yields the worker's lines as they come; None where a trial takes too long."""
    selector, rest = selectors.DefaultSelector(), b""
    selector.register(process.stdout, selectors.EVENT_READ)
    waited = False  # the first line comes when all is imported
    while True:
        began, silent = time.monotonic(), _cpu_seconds(process.pid)
        # On a busy machine a trial may wait long: its own seconds count.
        while not selector.select(1.0):
            worked = _cpu_seconds(process.pid) - silent
            if waited and (worked > LONGEST or time.monotonic() - began > 30 * LONGEST):
                yield None
                return
        block = process.stdout.read1(1 << 16)
        if not block:
            return
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            waited = True
            yield json.loads(line)


class Campaign:
    """Runs plans in workers, and collects what comes of the trials."""

    def __init__(self, seed, folder, out, bar):
        self.seed, self.folder, self.out, self.bar = seed, folder, out, bar
        self.results = {target.name: [] for target in TARGETS}  # (kind, seconds)

    def run(self, plan):
        """Try all of a plan: (target, first trial, end) of each; a dead worker is followed by one
        that goes on after its trial."""
        plan = [list(part) for part in plan]
        while plan:
            self._work(plan)

    def _work(self, plan):
        command = [sys.executable, "-m", "tests.fuzz.worker", str(self.seed), self.folder]
        at = None
        with subprocess.Popen([*command, json.dumps(plan)], stdout=subprocess.PIPE) as process:
            for line in _lines(process):
                if line is None:
                    process.kill()
                    self._note(*(at or (plan[0][0], plan[0][1])), "hang", f"over {LONGEST:g} s")
                    self._go_on(plan, at)
                    return
                if "failed" in line:
                    raise InputError(line["failed"])
                name, trial = line["target"], line["trial"]
                if "kind" in line:
                    self._note(name, trial, line["kind"], line["words"], line["seconds"])
                    at = None
                    self._go_on(plan, (name, trial))
                else:
                    at = name, trial
            status = process.wait()
        if status:
            where = at or (plan[0][0], plan[0][1])
            self._note(*where, "crash", f"status {status}")
            self._go_on(plan, where)
        else:
            plan.clear()

    def _go_on(self, plan, done):
        """Leave out of the plan what is done."""
        name, trial = done or (plan[0][0], plan[0][1])
        while plan and plan[0][0] != name:
            plan.pop(0)
        if plan:
            plan[0][1] = trial + 1
            if plan[0][1] >= plan[0][2]:
                plan.pop(0)

    def _note(self, name, trial, kind, words, seconds=0.0):
        self.results[name].append((kind, seconds))
        self.bar.update()
        if kind not in KINDS:
            return
        self.bar.write(f"{kind}: {name}, seed {self.seed}, trial {trial}: {words}")
        with tempfile.TemporaryDirectory() as folder:
            target = next(target for target in TARGETS if target.name == name)
            path = target.make(Path(folder))
            self.out.mkdir(parents=True, exist_ok=True)
            kept = self.out / f"{self.seed}-{trial}-{name.replace(' ', '-')}-{path.name}"
            kept.write_bytes(content_of(path.read_bytes(), name, self.seed, trial))

    def table(self):
        """The findings of each target, in Markdown."""
        rows = []
        for name, tried in filter(lambda result: result[1], self.results.items()):
            kinds = [kind for kind, _ in tried]
            counts = [kinds.count(kind) for kind in ("ok", "refused", *KINDS)]
            rows.append([name, len(tried), *counts, sum(seconds for _, seconds in tried)])
        head = ["target", "trials", "read", "refused", "crashes", "over 10 s", "over 1 GB",
                "tracebacks", "long messages", "half-written", "seconds"]  # fmt: skip
        total = ["all", *(sum(row[i] for row in rows) for i in range(1, len(head)))]
        return markdown.table(head, [*rows, total])

    @property
    def findings(self):
        return sum(kind in KINDS for tried in self.results.values() for kind, _ in tried)


def fuzz(options):
    """Run the campaign; returns 1 where something was found. Raises InputError."""
    if options.minutes is not None and not options.minutes > 0:
        raise InputError(f"--minutes: expected a positive number, got {options.minutes:g}")
    names = [t.name for t in TARGETS if options.only is None or t.name in options.only]
    seed = int(time.time()) % 10**6 if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    count = len(names) * options.trials if options.minutes is None else None
    bar = tqdm(desc="fuzz", total=count, unit="trial", disable=None)
    with tempfile.TemporaryDirectory() as folder, bar:
        campaign = Campaign(seed, folder, options.out, bar)
        until = time.monotonic() + 60 * (options.minutes or 0)
        first, end = options.first, options.first + options.trials
        if options.minutes is None:
            campaign.run([(name, first, end) for name in names])
        while options.minutes is not None and time.monotonic() < until:
            campaign.run([(name, first, first + BATCH) for name in names])
            first += BATCH
    print(campaign.table())
    return 1 if campaign.findings else 0


def _parser():
    parser = argparse.ArgumentParser(
        "python -m tests.fuzz", description=__doc__, formatter_class=program.HelpFormatter
    )
    parser.add_argument("--seed", type=int, help="of all trials (default: the time)")
    parser.add_argument("--trials", type=positive, default=100, help="of each target")
    parser.add_argument("--first", type=natural, default=0, metavar="N", help="the first trial")
    parser.add_argument("--minutes", type=float, help="so long, instead of a number of trials")
    names = [target.name for target in TARGETS]
    parser.add_argument(
        "--only", nargs="+", metavar="TARGET", choices=names, help="these targets alone"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/fuzz"), help="the folder for files of findings"
    )
    return parser


def main(arguments=None):
    """Run the program; returns its exit status."""
    return program.run(_parser(), fuzz, arguments)


if __name__ == "__main__":
    sys.exit(main())
