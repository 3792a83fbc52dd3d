"""One thing that is tried."""

from collections.abc import Callable
from typing import NamedTuple


class Target(NamedTuple):
    """make(folder): writes a good file, and others that it needs, and returns its path; read(path):
    reads it. What it raises is to be an InputError or an OSError."""

    name: str
    make: Callable
    read: Callable
