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
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from prior.errors import LONGEST, InputError, short

NO_CAFFE = "expected Caffe on PYTHONPATH, got none: build it by make caffe, run this in make shell"


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
    `interrupted`, and 130. argparse ends with 2 by itself. Any other exception is a bug and keeps
    its traceback.
    """
    options = parser.parse_args(arguments)
    try:
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
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; {interrupted}", file=sys.stderr)
        return 130


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
