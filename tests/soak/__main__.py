"""An hour's worth of calls to what runs for long: python -m tests.soak, or make soak.

Each job runs in a process of its own. Memory, descriptors, threads and processes of it and those
below it are looked at sixty times; in the last quarter of the calls they must be what they were in
the second one. Prints a table; status 1 if anything grows. Ctrl-C ends the job that runs: of the
calls that it had made the same is compared.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from prior import program
from prior.errors import InputError
from tests.soak.jobs import JOBS
from tests.soak.watch import Usage, growth, soak
from tools import markdown
from tools.arguments import positive

FEWEST = 4  # samples: one of each quarter


def run_job(name, calls):
    """In the process of a job: print each Usage as a line, as it is counted."""
    report = os.dup(1)
    os.dup2(2, 1)  # what else is printed is no Usage
    # A browser that still ends may write there.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        call = JOBS[name].make(Path(folder))
        for held in soak(call, calls):
            os.write(report, json.dumps(held).encode() + b"\n")


def samples_of(name, calls):
    """The Usages of a job, which runs in a process of its own: fewer if Ctrl-C ends it.

    Raises InputError where it fails.
    """
    command = [sys.executable, "-m", "tests.soak", "--job", name, "--calls", str(calls)]
    bar = tqdm(desc=name, total=calls, unit="call", disable=None)
    samples, interrupted = [], False
    with bar, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout:
                samples.append(Usage(*json.loads(line)))
                bar.update(samples[-1].calls - bar.n)
        except KeyboardInterrupt:
            interrupted = True
            process.terminate()
    if len(samples) < FEWEST or not (interrupted or process.returncode == 0):
        raise InputError(f"{name}: ended with {process.returncode}, {len(samples)} samples")
    return samples


def soak_all(options):
    """Run the jobs, and print the table; returns 1 where something grows."""
    if options.job:
        run_job(options.job, options.calls)
        return 0
    rows, grows = [], False
    for name in options.only or JOBS:
        calls = options.calls or max(1, round(options.share * JOBS[name].hour))
        samples = samples_of(name, calls)
        more, last = growth(samples), samples[-1]
        made = last.calls if last.calls == calls else f"{last.calls} of {calls}"
        counts = (last.descriptors, last.threads, last.processes)
        rows.append([name, made, round(last.seconds), last.memory_mb, more.memory_mb, *counts])
        rows[-1].append("yes" if more.flat else f"no: {more}")
        grows |= not more.flat
        if last.calls < calls:
            break
    head = ["job", "calls", "seconds", "MB", "MB more", "descriptors", "threads", "processes"]
    print(markdown.table([*head, "flat"], rows))
    return int(grows)


def _parser():
    parser = argparse.ArgumentParser(
        "python -m tests.soak", description=__doc__, formatter_class=program.HelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="JOB", choices=JOBS, help=", ".join(JOBS))
    parser.add_argument("--share", type=float, default=1.0, help="of an hour's calls")
    parser.add_argument("--calls", type=positive, help="of each job, in place of a share")
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    return parser


def main(arguments=None):
    """Run the program; returns its exit status."""
    return program.run(_parser(), soak_all, arguments)


if __name__ == "__main__":
    sys.exit(main())
