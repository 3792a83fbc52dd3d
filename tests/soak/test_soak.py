"""A short soak of each job, and that leaks are seen."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.soak import watch
from tests.soak.__main__ import samples_of
from tests.soak.jobs import JOBS
from tests.soak.watch import Growth, growth, soak

ROOT = Path(__file__).parents[2]


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


def alone(call, calls):
    """The growth of so many calls of an expression, alone in a process: here other tests' memory
    comes and goes."""
    code = (
        "import json\nfrom tests.soak import watch\nkept, watch.SAMPLES = [], 12\n"
        f"print(json.dumps(watch.growth([*watch.soak(lambda: {call}, {calls})])))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    return Growth(*json.loads(run.stdout))


def test_a_leak_of_memory_is_seen():
    more = alone("kept.append(b'x' * (1 << 18))", 200)
    assert 20 < more.memory_mb < 30 and not more.flat  # 0.25 MB a call, of half of them


@pytest.mark.slow
def test_a_leak_of_descriptors_is_seen(ends):
    def leak():
        number = os.open(os.devnull, os.O_RDONLY)
        ends.append(lambda: os.close(number))

    more = growth([*soak(leak, 60)])
    assert 25 < more.descriptors < 35 and not more.flat


@pytest.mark.slow
def test_a_leak_of_threads_is_seen(ends):
    go = threading.Event()
    ends.append(go.set)
    more = growth([*soak(lambda: threading.Thread(target=go.wait, daemon=True).start(), 8)])
    assert more.threads == 4 and not more.flat


@pytest.mark.slow
def test_workers_of_a_browsers_pool_are_no_leak(ends):
    go = threading.Event()
    ends.append(go.set)

    def leak():
        named = threading.Event()

        def work():
            Path("/proc/thread-self/comm").write_text("ThreadPoolForegroundWorker"[:15])
            named.set()
            go.wait()

        threading.Thread(target=work, daemon=True).start()
        named.wait()

    assert growth([*soak(leak, 8)]).threads == 0


@pytest.mark.slow
def test_a_leak_of_processes_is_seen(ends):
    def leak():
        process = subprocess.Popen(["sleep", "60"])
        ends.append(lambda: (process.kill(), process.wait()))

    more = growth([*soak(leak, 8)])
    assert more.processes == 4 and not more.flat


def test_what_is_given_back_is_flat():
    assert alone("b'x' * (1 << 18)", 60).flat
