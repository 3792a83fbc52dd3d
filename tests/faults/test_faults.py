"""A short part of the campaign of faults, with a fixed seed; and that the campaign can fail."""

import random
import re

import pytest

from tests.faults import trial
from tests.faults.programs import PROGRAMS, Program
from tests.faults.trial import Reference, strike

SHORT = [
    ("lift .npz", "SIGTERM"),
    ("lift .npz", "SIGINT"),
    ("lift .json", "SIGHUP"),
    ("lift .html", "SIGKILL"),
    ("lift .npz", "read-only"),
    ("lift .csv", "two at once"),
    ("lift .npz", "clock"),
    *((f"lift .{kind}", "full") for kind in ("bvh", "png", "gif", "mp4", "html")),
    ("fit", "SIGKILL"),
    ("fit", "SIGTERM"),
    ("rendered clips", "SIGKILL"),
]


@pytest.fixture(scope="module")
def struck(tmp_path_factory):
    """Promises that a fault breaks in a program; each program runs without a fault once."""
    folder, references = tmp_path_factory.mktemp("faults"), {}

    def struck(program, fault, seed):
        name = program.name
        if name not in references:
            references[name] = Reference(program, folder / "inputs", folder)
        return strike(
            program, fault, references[name], folder / "inputs", folder, random.Random(seed)
        )

    return struck


@pytest.mark.slow
@pytest.mark.parametrize(("name", "fault"), SHORT, ids=map(" ".join, SHORT))
def test_a_program_keeps_its_promises(struck, name, fault):
    program = next(program for program in PROGRAMS if program.name == name)
    assert not struck(program, fault, seed=0)


CARELESS = Program("careless", "tests.faults.careless OUT/a.json")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        ("SIGTERM", "still running.*sleep"),
        ("SIGINT", "left behind.*[.]part[.]a"),
        ("SIGKILL", "a.json is half-written"),
        ("full", "a.json is half-written"),
        ("read-only", "a traceback"),
    ],
)
def test_the_campaign_sees_what_a_careless_program_does(struck, monkeypatch, fault, broken):
    monkeypatch.setattr(trial, "SOON", 0.5)
    # Moments are random, and machines busy: one of some trials is enough.
    said = (line for seed in range(10) for line in struck(CARELESS, fault, seed))
    assert any(re.search(broken, line.replace("\n", " ")) for line in said)
