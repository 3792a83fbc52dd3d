"""Signals that wait, and the end of processes that work for another one."""

import os
import signal
import subprocess
import sys
import time

import pytest

from prior import signals


def test_signals_wait_for_the_end_of_the_block():
    order = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            with signals.held():
                signal.raise_signal(signal.SIGINT)
                order.append("whole")
            order.append("never")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert order == ["whole"]


def test_a_worker_ends_with_its_parent_and_not_before():
    code = (
        "import os, signal, time; from prior import signals\n"
        "parent = os.getpid()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    signals.begin_worker(parent); print(os.getpid(), flush=True); time.sleep(60)\n"
        "time.sleep(1.5 * signals.POLL)\n"
        "print(os.waitpid(child, os.WNOHANG), flush=True)\n"
        "os.kill(parent, signal.SIGKILL)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        child = int(run.stdout.readline())
        assert run.stdout.readline() == "(0, 0)\n"  # it lived as long as its parent
        run.stdout.close()
    until = time.monotonic() + 10
    while True:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < until, "it outlived its parent"
        time.sleep(0.05)


def test_a_worker_that_answers_nobody_ends_without_a_word():
    code = (
        "import multiprocessing, os, time; from prior import signals\n"
        "reads, writes = multiprocessing.Pipe(duplex=False)\n"
        "def work():\n"
        "    signals.begin_worker(os.getppid()); reads.close()\n"
        "    while True: writes.send('answer'); time.sleep(0.01)\n"
        "worker = multiprocessing.get_context('fork').Process(target=work); worker.start()\n"
        "reads.close(); worker.join(); print(worker.exitcode)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{-signal.SIGPIPE}\n", "")


def test_a_worker_leaves_to_its_parent_what_a_terminal_sends_and_ends_when_it_is_told_to():
    code = (
        "import os, signal, time; from prior import signals\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('the parent is told', flush=True))\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    signals.begin_worker(os.getppid()); print('ready', flush=True); time.sleep(600)\n"
        "print(child, flush=True)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        said = {run.stdout.readline().strip(), run.stdout.readline().strip()}
        (child,) = said - {"ready"}
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(int(child), number)
        time.sleep(0.2)
        assert run.poll() is None
        os.kill(int(child), signal.SIGTERM)
        assert run.stdout.read() == f"{-signal.SIGTERM}\n"
