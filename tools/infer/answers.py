"""A detector that stays open: paths of images come in, what is in each goes out.

Its INPUT and its --out are both "-": each line of standard input is the path of an image, and a
line of standard output, JSON, is what OUT would have of this image.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prior.errors import InputError

STREAM = Path("-")


def asked(inputs: Sequence[Path], out: Path) -> bool:
    """Whether a command line asks for answers. Raises InputError where half of it does."""
    if (STREAM in inputs) != (out == STREAM) or (out == STREAM and len(inputs) > 1):
        raise InputError("expected - as the only input and as --out, or as neither")
    return out == STREAM


def answer(document: Callable[[Path], Any]) -> int:
    """Answer until standard input ends; returns the exit status. document(path): of one image."""
    for line in sys.stdin:
        # Answers alone go to standard output.
        with contextlib.redirect_stdout(sys.stderr):
            result = document(Path(line.rstrip("\n")))
        print(json.dumps(result), flush=True)
    return 0
