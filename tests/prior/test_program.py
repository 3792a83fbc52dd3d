import argparse
import os
import signal
import subprocess
import sys

import pytest

import prior
from prior import program
from prior.errors import InputError


def _run(work, arguments=(), **options):
    parser = argparse.ArgumentParser("python -m tools.example")
    parser.add_argument("--count", type=int, default=1)
    return program.run(parser, work, list(arguments), **options)


def _raises(error):
    def work(options):
        raise error

    return work


def test_options_reach_the_work_and_its_status_comes_back():
    assert _run(lambda options: options.count, ["--count", "3"]) == 3
    assert _run(lambda options: None) == 0


def test_bad_input_is_one_line_and_status_1(capsys):
    assert _run(_raises(InputError("points: expected 17,\n  got 16"))) == 1
    assert capsys.readouterr().err == "python -m tools.example: points: expected 17, got 16\n"


def test_a_file_that_is_not_there_is_named_first(capsys, tmp_path):
    assert _run(lambda options: open(tmp_path / "absent")) == 1
    line = f"python -m tools.example: {tmp_path / 'absent'}: No such file or directory\n"
    assert capsys.readouterr().err == line


def test_a_message_is_printable_and_of_bounded_length(capsys):
    assert _run(_raises(InputError("\x1b[2Ja\u202e" + 5000 * "b"))) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable() and len(line) < 1100


@pytest.mark.parametrize("inputs", [["a"], ["b", "a"], [("name", "a")], ["link"]])
def test_an_output_never_replaces_its_input(capsys, tmp_path, inputs):
    (tmp_path / "a").write_text("")
    (tmp_path / "b").write_text("")
    (tmp_path / "link").symlink_to("a")
    ran = []
    parser = argparse.ArgumentParser("python -m tools.example")
    paths = [(i[0], tmp_path / i[1]) if isinstance(i, tuple) else tmp_path / i for i in inputs]
    parser.set_defaults(input=paths, out=[tmp_path / "c", tmp_path / "a"])
    assert program.run(parser, ran.append, []) == 1 and not ran
    assert f"--out {tmp_path / 'a'}: it would replace its own input" in capsys.readouterr().err
    parser.set_defaults(input=paths, out=tmp_path / "c")
    assert program.run(parser, lambda options: None, []) == 0


def test_a_missing_caffe_is_one_line(capsys):
    assert _run(_raises(ModuleNotFoundError("No module named 'caffe'", name="caffe"))) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m tools.example: expected Caffe on PYTHONPATH, got none")


def test_ctrl_c_is_one_line_and_status_130(capsys):
    assert _run(_raises(KeyboardInterrupt()), interrupted="half is there") == 130
    assert capsys.readouterr().err == "python -m tools.example: interrupted; half is there\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_the_program_leaves_it_in_order(capsys, number):
    left = []

    def work(options):
        try:
            signal.raise_signal(number)
        finally:
            left.append(True)

    before = signal.getsignal(number)
    # Where the tests run under nohup, say, it is ignored.
    signal.signal(number, signal.SIG_DFL)
    try:
        assert _run(work) == 128 + number and left
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
    name = number.name
    expected = f"python -m tools.example: ended by {name}; nothing was written\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    "moment",
    [
        # Python ignores what is raised in each of them.
        "os.register_at_fork(before=end)\nif not os.fork(): os._exit(0)",
        "os.register_at_fork(after_in_parent=end)\nif not os.fork(): os._exit(0)",
        "weakref.finalize(object := type('', (), {})(), end); del object",
        "type('', (), {'__del__': lambda _: end()})()",
    ],
    ids=["before a fork", "after a fork", "as an object goes", "in a destructor"],
)
def test_a_signal_is_not_lost_where_python_ignores_exceptions(name, moment):
    code = (
        "import argparse, os, signal, sys, time, weakref; from prior import program\n"
        f"signal.signal(signal.{name}, signal.SIG_DFL)\n"  # nohup and shells ignore some
        f"def end(): signal.raise_signal(signal.{name})\n"
        "def work(_):\n"
        f"    exec({moment!r}, globals()); time.sleep(10)\n"
        "sys.exit(program.run(argparse.ArgumentParser('python -m tools.example'), work))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.Signals[name], done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("python -m tools.example: ") and line.endswith("; nothing was written")


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert _run(lambda options: signal.raise_signal(signal.SIGHUP)) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("module", ["prior", "tools.lift"])
def test_ctrl_c_while_a_program_imports_ends_it_without_a_word(tmp_path, module):
    """numpy, which every program imports, stands for all that takes time."""
    (tmp_path / "numpy.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_a_library_leaves_ctrl_c_alone():
    code = "import signal, prior; assert signal.getsignal(2) is signal.default_int_handler"
    done = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        check=False,
    )
    assert done.returncode == 0


def test_wrong_usage_is_argparse_s_status_2(capsys):
    with pytest.raises(SystemExit) as exit_:
        _run(lambda options: None, ["--count", "many"])
    assert exit_.value.code == 2


@pytest.mark.parametrize(
    "bug",
    [ZeroDivisionError(), ValueError("not ours"), ModuleNotFoundError("no numpi", name="numpi")],
)
def test_other_exceptions_are_bugs_and_keep_their_traceback(bug):
    with pytest.raises(type(bug)):
        _run(_raises(bug))


def test_programs_need_no_package_for_their_arguments_and_errors():
    # As in MediaPipe's environment, which has neither scipy nor jaxtyping.
    code = "import sys, prior.errors, prior.files, prior.program; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_public_names_are_there():
    assert all(getattr(prior, name).__name__ == name for name in prior.__all__)
    assert set(prior.__all__) <= set(dir(prior))
    with pytest.raises(AttributeError, match="has no attribute 'prior'"):
        prior.prior  # noqa: B018


def test_help_shows_each_default_once(capsys):
    parser = argparse.ArgumentParser("example", formatter_class=program.HelpFormatter)
    parser.add_argument("--count", type=int, default=4, help="how many")
    parser.add_argument("--sizes", nargs="+", default=[1, 2], help="px, at 100 %% zoom")
    parser.add_argument("--prior", help="the model (default: the ready one)")
    parser.add_argument("--name", help="of the person")
    parser.add_argument("--flip", action="store_true", help="mirror it")
    lines = [" ".join(line.split()) for line in parser.format_help().splitlines()]
    assert "--count COUNT how many (default: 4)" in lines
    assert "px, at 100 % zoom (default: 1 2)" in lines
    assert "--prior PRIOR the model (default: the ready one)" in lines
    assert "--name NAME of the person" in lines and "--flip mirror it" in lines
