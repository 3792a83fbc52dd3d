"""A short campaign of fixed seed, and what the campaign itself promises."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz import __main__ as fuzz
from tests.fuzz.mutate import LARGEST, mutate
from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import tried


@pytest.mark.slow
def test_bad_files_are_read_or_refused_and_nothing_else(tmp_path, capsys):
    status = fuzz.main(["--seed", "0", "--trials", "4", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert all(target.name in printed for target in TARGETS)


def test_the_same_seed_gives_the_same_files():
    good = b'{"frames": [1, 2.5, "a"], "rate": 30}'
    files = [
        [mutate(good, np.random.default_rng([1, trial])) for trial in range(200)] for _ in range(2)
    ]
    assert files[0] == files[1] and len(set(files[0])) > 100
    assert max(map(len, files[0])) <= LARGEST


@pytest.mark.parametrize(
    "target", [t for t in TARGETS if t.name.startswith("video")], ids=lambda target: target.name
)
def test_a_video_that_breaks_off_is_refused(tmp_path, target):
    path = target.make(tmp_path)
    assert tried(target.read, path) == ("ok", "")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    kind, words = tried(target.read, path)
    assert kind == "refused" and "frames" in words


def test_a_campaign_of_nothing_is_refused(capsys):
    for options in (["--only", "video .mp3"], ["--trials", "0"]):
        with pytest.raises(SystemExit) as error:
            fuzz.main(options)
        assert error.value.code == 2
    assert fuzz.main(["--minutes", "0"]) == 1
    assert "--minutes: expected a positive number" in capsys.readouterr().err


def test_a_reader_that_fails_in_other_ways_is_a_finding(tmp_path):
    def bug(path):
        raise KeyError("frames")

    def memory(path):
        raise MemoryError

    assert tried(bug, tmp_path)[0] == "traceback" and tried(memory, tmp_path)[0] == "memory"
    assert tried(lambda path: 1, tmp_path) == ("ok", "")


def test_the_tests_that_hold_what_was_found_are_there():
    here = Path(__file__).parent
    named = re.findall(r"`([\w/]+[.]py)::(\w+)`", (here / "README.md").read_text())
    assert len(named) > 50
    for file, test in named:
        assert f"def {test}(" in (here.parent / file).read_text(), f"{file}::{test}"
