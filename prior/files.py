"""Files that are complete or not there, and JSON that is damaged."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from prior.errors import InputError

# What functions take as the path of a file.
FilePath: TypeAlias = str | os.PathLike[str]


@contextmanager
def replacing(path: FilePath) -> Iterator[Path]:
    """A temporary path beside `path`, for the block to write.

    It is renamed to `path` if the block succeeds, and removed if it does not. The folder is made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: writers such as matplotlib's go by it.
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write(path: FilePath, content: bytes | str) -> None:
    """Write bytes or text: all of it, or nothing. The folder is made."""
    with replacing(path) as temporary:
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())


def read_json(path: FilePath) -> Any:
    """The content of a JSON file. Raises InputError where it is none, and OSError."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, got {error}; make it again") from None
