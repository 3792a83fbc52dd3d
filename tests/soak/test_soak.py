"""A short soak of each job, and that leaks are seen."""

import os
import subprocess
import threading

import pytest

from tests.soak import watch
from tests.soak.__main__ import samples_of
from tests.soak.jobs import JOBS
from tests.soak.watch import growth, soak


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_nothing_grows(name):
    more = growth(samples_of(name, JOBS[name].short))
    assert more.flat, more


@pytest.fixture
def ends():
    """What a test leaves to the end: functions without arguments."""
    later = []
    yield later
    for function in later:
        function()


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    monkeypatch.setattr(watch, "SAMPLES", 12)


def test_a_leak_of_memory_is_seen():
    kept = []
    more = growth(soak(lambda: kept.append(b"x" * (1 << 18)), 200))
    assert 20 < more.memory_mb < 30 and not more.flat  # 0.25 MB a call, of half of them


def test_a_leak_of_descriptors_is_seen(ends):
    def leak():
        number = os.open(os.devnull, os.O_RDONLY)
        ends.append(lambda: os.close(number))

    more = growth(soak(leak, 60))
    assert 25 < more.descriptors < 35 and not more.flat


def test_a_leak_of_threads_is_seen(ends):
    go = threading.Event()
    ends.append(go.set)
    more = growth(soak(lambda: threading.Thread(target=go.wait, daemon=True).start(), 8))
    assert more.threads == 4 and not more.flat


def test_a_leak_of_processes_is_seen(ends):
    def leak():
        process = subprocess.Popen(["sleep", "60"])
        ends.append(lambda: (process.kill(), process.wait()))

    more = growth(soak(leak, 8))
    assert more.processes == 4 and not more.flat


def test_what_is_given_back_is_flat():
    more = growth(soak(lambda: b"x" * (1 << 18), 60))
    assert more.flat
