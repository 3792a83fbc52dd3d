"""What a file that no reader knows seems to be: what is in it, for the message."""

from pathlib import Path
from typing import Any

import numpy as np

from prior import foreign
from prior.errors import short

STARTS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8": "a JPEG image",
    b"GIF8": "a GIF image",
    b"PK": "a zip archive",
    b"\x1f\x8b": "a gzip archive (unpack it)",
    b"\x89HDF": "an HDF5 file (export it as CSV)",
    b"MATLAB": "a MATLAB file (save it as CSV)",
    b"\x80": "a Python pickle (save it as .npz or JSON)",
    b"HIERARCHY": "BVH motion",
    b"\x93NUMPY": "a NumPy array",
    b"%YAML": "YAML",
    b"<": "XML or HTML",
}
# Longer names and more parts are cut: a message is one line.
LONGEST, MOST = 24, 8


def looks_like(path: Path) -> str:
    """What the first bytes of a file say."""
    head = foreign.head(path, 512)
    for start, name in STARTS.items():
        if head.startswith(start):
            return name
    if head[4:8] == b"ftyp":
        return "a video"
    if not head.strip():
        return "an empty file"
    try:
        text = head.decode()
    except UnicodeDecodeError:
        return "binary data"
    return (
        "damaged JSON"
        if text.lstrip()[:1] in "[{"
        else f"text: {short(text.strip().split(chr(10))[0], 40)!r}"
    )


def describe(content: Any, depth: int = 2) -> str:
    """What is in a document: the keys of objects, the lengths of lists, the shapes of arrays."""
    if isinstance(content, np.ndarray):
        return f"{content.dtype} {' x '.join(map(str, content.shape)) or 'scalar'}"
    if isinstance(content, dict):
        keys = list(content)[:MOST]
        parts = [
            short(str(key), LONGEST) + (f": {describe(content[key], depth - 1)}" if depth else "")
            for key in keys
        ]
        return f"an object with {', '.join(parts) or 'nothing'}" + (
            ", ..." if len(content) > MOST else ""
        )
    if isinstance(content, list):
        inside = f" of {describe(content[0], depth - 1)}" if content and depth else ""
        return f"a list{inside} ({len(content)})"
    names = {str: "text", bool: "a truth value", type(None): "null"}
    return names.get(type(content), "a number")
