"""A limited process that tries bad files on the readers, one after another, and says what comes."""

import json
import os
import resource
import shutil
import sys
import time
import traceback
import zlib
from pathlib import Path

import numpy as np

from prior.errors import InputError
from tests.fuzz.mutate import mutate

# MB that a trial may take beyond what the process has: a reader that takes more is a finding, and
# stopped at twice as much.
MOST_MB = 1024
LONGEST_MESSAGE = 1000


def content_of(good, name, seed, trial):
    """The bad file of a trial."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), trial])
    return mutate(good, rng)


def tried(read, path):
    """What a reader makes of a file: ("ok" or a kind of finding, words)."""
    try:
        read(path)
        return "ok", ""
    except (InputError, OSError) as error:
        long = len(str(error)) > LONGEST_MESSAGE or "\n" in str(error)
        return ("message", f"{len(str(error))} characters") if long else ("refused", str(error))
    except MemoryError:
        return "memory", "MemoryError"
    except RecursionError as error:
        return "traceback", f"RecursionError {error}"
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if "/site-packages/" not in f.filename]
        where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
        return "traceback", f"{type(error).__name__} at {where}: {str(error)[:100]}"


def _peak_mb():
    """The largest resident memory, MB, since the last call."""
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    return peak


def _size_mb():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() / 2**20


def _say(**what):
    os.write(REPORT, json.dumps(what).encode() + b"\n")


REPORT = os.dup(1)  # what libraries print goes elsewhere


def main(seed, folder, plan):
    """plan: (target, first trial, end) for each target; a line of JSON before and after a trial."""
    from tests.fuzz.targets import TARGETS

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    unlimited = resource.getrlimit(resource.RLIMIT_AS)[1]
    by_name = {target.name: target for target in TARGETS}
    for name, first, end in plan:
        target, place = by_name[name], Path(folder) / "files"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        resource.setrlimit(resource.RLIMIT_AS, (unlimited, unlimited))
        try:
            path = target.make(place)
            good = path.read_bytes()
            target.read(path)
        except Exception as error:
            _say(failed=f"{name}: its good file: {type(error).__name__}: {error}")
            raise
        resource.setrlimit(resource.RLIMIT_AS, (int((_size_mb() + 2 * MOST_MB) * 2**20), unlimited))
        _peak_mb()
        for trial in range(first, end):
            _say(target=name, trial=trial)
            path.write_bytes(content_of(good, name, seed, trial))
            before, began = _peak_mb(), time.process_time()
            kind, words = tried(target.read, path)
            seconds, grown = time.process_time() - began, _peak_mb() - before
            if grown > MOST_MB:
                kind, words = "memory", f"{grown:.0f} MB; {words}"
            left = [part.unlink() or part.name for part in place.rglob(".part.*")]
            if left:
                kind, words = "half-written", f"{left[0]}; {words}"
            _say(target=name, trial=trial, kind=kind, words=words, seconds=seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
