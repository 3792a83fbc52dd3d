"""The one way in which a program of the project runs: arguments, bad input, Ctrl-C, exit status.

def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.example", description=__doc__, formatter_class=program.HelpFormatter
    )
    ...

def main(arguments=None) -> int:
    return program.run(_parser(), work, arguments)

if __name__ == "__main__":
    sys.exit(main())
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prior import signals
from prior.errors import LONGEST, InputError, short

NO_CAFFE = "expected Caffe on PYTHONPATH, got none: build it by make caffe, run this in make shell"

# Seconds until a signal that came at a bad moment is sent again. Our choice: forks take less.
SOON = 0.01


class Ended(KeyboardInterrupt):
    """A signal other than Ctrl-C asks the program to end. The first argument is its number."""


def run(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], int | None],
    arguments: Sequence[str] | None = None,
    *,
    interrupted: str = "nothing was written",
) -> int:
    """The exit status of work(options), the options parsed from `arguments` (the command line's).

    0 where `work` returns None. InputError and OSError become one line on stderr,
    "program: message", and status 1, and so does a missing Caffe; Ctrl-C a line that says
    `interrupted`, and 130, and SIGTERM and SIGHUP the same with 128 + their number. argparse ends
    with 2 by itself. Any other exception is a bug and keeps its traceback.
    """
    options = parser.parse_args(arguments)
    try:
        with _ended_by_exceptions():
            _check_outputs(options)
            return work(options) or 0
    except (InputError, OSError) as error:
        print(f"{parser.prog}: {_line(error)}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "caffe":
            raise
        print(f"{parser.prog}: {NO_CAFFE}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as end:
        number = _number(end)
        how = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
        print(f"{parser.prog}: {how}; {interrupted}", file=sys.stderr)
        return 128 + number


def still_imports(package: str) -> None:
    """A package says this as it is imported. If Python runs one of its programs, by -m, then Ctrl-C
    ends it at once until `run` begins: there is nothing to undo, and nothing to tell."""
    by_module = sys.argv[:1] == ["-m"]  # so long as Python looks for the module
    if not by_module or sys.orig_argv[-len(sys.argv)].partition(".")[0] != package:
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _raise_ended(number: int, _frame: Any) -> None:
    raise Ended(number)


@contextmanager
def _ended_by_exceptions() -> Iterator[None]:
    """What would end the process at once raises in the block, so that it is left in order: files
    are removed, processes end. What is ignored, as under nohup, stays so."""
    # Besides Ctrl-C: kill, a batch system or a shutdown; a terminal that closes.
    handlers: dict[int, Any] = dict.fromkeys(signals.ENDING, _raise_ended)
    handlers[signal.SIGINT] = signal.default_int_handler
    if threading.current_thread() is not threading.main_thread():
        handlers = {}
    before = {number: signal.getsignal(number) for number in handlers}
    mine = [number for number, handler in before.items() if handler == signal.SIG_DFL]
    ignored = sys.unraisablehook
    try:
        sys.unraisablehook = _tell_again_or(ignored)
        for number in mine:
            signal.signal(number, handlers[number])
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number])
        sys.unraisablehook = ignored


def _tell_again_or(ignored: Callable[[Any], Any]) -> Callable[[Any], None]:
    """What Python calls where an exception cannot be raised: in a function that it calls itself, as
    before and after a fork, or as an object goes. A signal that comes there would be lost: it is
    sent again a little later. All else is left to `ignored`."""

    def hook(unraisable: Any) -> None:
        end = unraisable.exc_value
        if not isinstance(end, KeyboardInterrupt):
            ignored(unraisable)
            return
        again = threading.Timer(SOON, os.kill, (os.getpid(), _number(end)))
        again.daemon = True
        again.start()

    return hook


def _number(end: KeyboardInterrupt) -> signal.Signals:
    """The signal that ends the program."""
    return signal.Signals(end.args[0] if isinstance(end, Ended) else signal.SIGINT)


def _check_outputs(options: argparse.Namespace) -> None:
    """Raise InputError where an output, --out, is a file that another option reads."""
    for out in _paths(getattr(options, "out", None)):
        for name, value in vars(options).items():
            for path in _paths(value) if name != "out" else ():
                if out.is_file() and path.is_file() and out.samefile(path):
                    raise InputError(f"--out {out}: it would replace its own input; name another")


def _paths(value: object) -> list[Path]:
    """The paths in the value of an option."""
    if isinstance(value, list | tuple):
        return [path for part in value for path in _paths(part)]
    return [value] if isinstance(value, Path) else []


def _line(error: Exception) -> str:
    """The message, on one line; of an OSError the file first, as in the project's own messages."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return short(f"{error.filename}: {error.strerror}", LONGEST)
    return short(str(error), LONGEST)


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Prints the description as it is written, and after each option's help the default.

    A help text that names the default itself is left as it is, and so is an option without one.
    """

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text, default = action.help or "", action.default
        if not action.option_strings or "default" in text:
            return text
        if default is None or default is argparse.SUPPRESS or isinstance(default, bool):
            return text
        values = default if isinstance(default, list | tuple) else [default]
        shown = " ".join(map(str, values)).replace("%", "%%")
        return f"{text} (default: {shown})" if shown else text
