"""Loops that numba compiles when they are first called.

What this does to reference.py: nothing but speed. Where candidates or poses share no table, numpy's
passes over arrays of a few numbers for each take longer than the arithmetic; a loop over the
candidates, written as it comes, does not.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numba

# Of what LLVM may do to sums and products, all that leaves infinities and NaN what they are.
REORDERED = {"reassoc", "contract", "nsz", "arcp"}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator: `function`, compiled; threads run it side by side.

    It fills arrays that it is handed, and calls nothing but numpy and compiled functions of its own
    file: what is compiled is kept on disk until that file changes, whatever changes in others. Sums
    may be taken in another order; a division by 0 is no error.
    """
    compile_ = partial(numba.njit, nogil=True, error_model="numpy", fastmath=REORDERED)
    plain: Any = inspect.unwrap(function)  # Tests wrap it, to check the shapes in its signature.
    try:
        return compile_(cache=True)(plain)
    except RuntimeError:  # No folder to keep it in: each process compiles it anew.
        return compile_()(plain)
