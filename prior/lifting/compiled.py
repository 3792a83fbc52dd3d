"""Loops that numba compiles when they are first called.

What this does to reference.py: nothing but speed. Where candidates or poses share no table, numpy's
passes over arrays of a few numbers for each take longer than the arithmetic; a loop over the
candidates, written as it comes, does not.
"""

import contextlib
import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache

# Of what LLVM may do to sums and products, all that leaves infinities and NaN what they are.
REORDERED = {"reassoc", "contract", "nsz", "arcp"}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator: `function`, compiled; threads run it side by side.

    It calls nothing but numpy and other compiled functions. Sums may be taken in another order; a
    division by 0 is no error. What is compiled is kept on disk.
    """
    compile_ = partial(numba.njit, nogil=True, error_model="numpy", fastmath=REORDERED)
    plain: Any = inspect.unwrap(function)  # Tests wrap it, to check the shapes in its signature.
    loop: Any = compile_()(plain)
    with contextlib.suppress(RuntimeError):  # No folder: each process compiles it anew.
        loop._cache = _Kept(plain)
    return loop


class _Kept(FunctionCache):
    """What is compiled, on disk, until a file of its folder changes, which may have in it what it
    calls. It is no file of a user's: if it is damaged, as by a power cut, or cannot be written, as
    on a full disk, it is as if it were not there."""

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

    def _index_key(self, *arguments: Any) -> tuple[Any, ...]:
        """By what it is kept; numba's looks at the function's own file alone."""
        folder = Path(self._py_func.__code__.co_filename).parent
        # Not the links by which editors lock what is open.
        files = [(path.name, path.stat()) for path in sorted(folder.glob("[!.]*.py"))]
        stamps = tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in files)
        return (*super()._index_key(*arguments), stamps)
