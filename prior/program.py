"""What a program of the project does with bad input and with Ctrl-C."""

import functools
import sys


def one_line_errors(*errors, interrupted="nothing was written"):
    """Decorates main(arguments) -> exit status or None: the given errors become one line on stderr
    and status 1, Ctrl-C one line and status 130, and None 0."""

    def decorate(main):
        @functools.wraps(main)
        def run(arguments=None):
            try:
                return main(arguments) or 0
            except errors as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
            except KeyboardInterrupt:
                print(f"interrupted; {interrupted}", file=sys.stderr)
                return 130

        return run

    return decorate
