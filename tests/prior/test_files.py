import contextlib
import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from prior import files, signals
from prior.errors import InputError
from prior.files import locked, replacing, scratch, write


def test_write_leaves_nothing_half_written(tmp_path):
    path = tmp_path / "new" / "a.json"
    write(path, "{}")
    write(path, b"[]")
    assert path.read_text() == "[]" and list(path.parent.iterdir()) == [path]


def test_what_fails_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write(path, "old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def _lock(folder):
    with locked(folder):
        pass


def _work_in(folder):
    with scratch(folder) as own:
        (own / "a").write_text("")


def _interrupted(work, when):
    """Call work() with Ctrl-C before the operation `when` of the modules that write, if it comes to
    that: whether it did."""
    traced = {files.__file__, signals.__file__, contextlib.__file__}
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if frame.f_code.co_filename not in traced:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            count += 1
            if count == when:
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace(), signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before[0])
        signal.signal(signal.SIGINT, before[1])
    return count >= when


def _writing(folder):
    path, when = folder / "a.txt", 0
    path.write_text("old")
    written = set()
    while _interrupted(lambda: write(path, "new"), when := when + 1):
        assert list(folder.iterdir()) == [path], when
        written.add(path.read_text())
        path.write_text("old")
    assert when > 300 and written == {"old", "new"}


def _locking(folder, work=_lock):
    when = 0
    while _interrupted(lambda: work(folder), when := when + 1):
        assert not list(folder.iterdir()), when
    assert when > 200


def _in_a_folder(folder):
    _locking(folder, _work_in)


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [_writing, _locking, _in_a_folder])
def test_a_signal_at_any_moment_leaves_nothing(tmp_path, sweep):
    """Of a file that is written, a lock and a folder. In a process of its own: exceptions that come
    between any two operations leave Python with one that it takes for being handled."""
    process = multiprocessing.get_context("spawn").Process(target=sweep, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0


def test_a_full_disk_names_the_file(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(OSError) as caught, replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(path) and not list(tmp_path.iterdir())


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PATIENCE", 0.1)
    path = tmp_path / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("first")
        with pytest.raises(InputError, match="a.txt: another process is writing it"):
            write(path, "second")
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]


def _write_often(path, letter):
    for _ in range(200):
        write(path, letter * 100_000)


@pytest.mark.slow
def test_two_processes_at_once_each_write_whole_files(tmp_path):
    path = tmp_path / "a.txt"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_often, args=(path, letter)) for letter in "ab"]
    for writer in writers:
        writer.start()
    contents = set()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            contents.add(path.read_text())
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert contents <= {"a" * 100_000, "b" * 100_000} and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path):
    path = tmp_path / "a.txt"
    code = (
        "import os, signal; from prior.files import replacing\n"
        f"with replacing({str(path)!r}) as temporary:\n"
        "    temporary.write_text('long and half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert not path.exists() and len(list(tmp_path.iterdir())) == 1
    with replacing(path) as temporary, open(temporary, "r+") as file:
        file.write("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_only_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", "/dev/null"):
        with pytest.raises(InputError, match="expected the name of a file to write"):
            write(path, "")


def test_a_folder_is_locked_as_long_as_the_child_that_has_its_lock_lives(tmp_path):
    with locked(tmp_path / "out") as lock:
        with pytest.raises(InputError, match="out: another process is writing it"):
            with locked(tmp_path / "out"):
                pass
    code = (
        "import os, subprocess, sys; from prior.files import locked\n"
        f"with locked({str(tmp_path / 'out')!r}) as lock:\n"
        "    child = subprocess.Popen(['sleep', '30'], pass_fds=[lock], stdout=-3, stderr=-3)\n"
        "    print(child.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    with pytest.raises(InputError, match="another process"), locked(tmp_path / "out"):
        pass
    os.kill(int(done.stdout), 9)
    until = time.monotonic() + 10
    while True:
        try:
            with locked(tmp_path / "out") as lock:
                assert lock
            break
        except InputError:
            assert time.monotonic() < until
            time.sleep(0.05)
    assert not list((tmp_path / "out").iterdir())


def test_a_folder_that_is_left_by_an_error_keeps_no_lock(tmp_path):
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / "out"):
        raise KeyboardInterrupt
    assert not list((tmp_path / "out").iterdir())
