"""Loops that numba compiles when they are first called.

What this does to reference.py: nothing but speed. Where candidates or poses share no table, numpy's
passes over arrays of a few numbers for each take longer than the arithmetic; a loop over the
candidates, written as it comes, does not.
"""

import contextlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numba
from numba.core.caching import FunctionCache

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
    loop: Any = compile_()(plain)
    with contextlib.suppress(RuntimeError):  # No folder: each process compiles it anew.
        loop._cache = _Kept(plain)
    return loop


class _Kept(FunctionCache):
    """What is compiled, on disk. It is no file of a user's: if it is damaged, as by a power cut, or
    cannot be written, as on a full disk, it is as if it were not there."""

    def load_overload(self, *arguments: Any) -> Any:
        """What is kept, or None."""
        try:
            return super().load_overload(*arguments)
        except Exception:  # Unpickling raises what it likes.
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        """Keep it, if there is room."""
        with contextlib.suppress(OSError):
            super().save_overload(*arguments)
