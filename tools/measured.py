"""Where a figure is from: what every measuring command writes beside its results."""

import datetime
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from prior.files import write

ROOT = Path(__file__).resolve().parent.parent


def stamp() -> dict[str, str | int | None]:
    """Command, date (UTC), commit and machine of this run, for the key "measured" of a result.

    The commit is None outside a git checkout, and ends in "+" where files differ from it. Of a path
    outside the repository the command keeps only the last part.
    """
    return {
        "command": shlex.join(["python", *map(portable, sys.orig_argv[1:])]),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "machine": _processor(),
        "cores": len(os.sched_getaffinity(0)),
    }


def publish(out: Path, record: dict[str, Any], text: str) -> None:
    """Write a measuring command's record, with its stamp, as JSON, and print it as text."""
    write(out, json.dumps({"measured": stamp()} | record, indent=1) + "\n")
    print(f"{text}\n\nwrote {out}")


def portable(argument: str) -> str:
    """An argument of a command without this machine's folders: FILE, --option=FILE or NAME=FILE.

    A path in the repository becomes relative to its root; of another path the last part is left.
    """
    name, equals, path = argument.rpartition("=")
    if not (path.startswith(("/", "~")) or ".." in Path(path).parts):
        return argument
    whole = Path(path).expanduser().resolve()
    inside = whole.is_relative_to(ROOT)
    return name + equals + str(whole.relative_to(ROOT) if inside else whole.name)


def _commit() -> str | None:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"
