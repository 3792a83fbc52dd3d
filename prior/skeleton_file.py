"""Skeletons as JSON: files that users write, and what a model file says of its skeleton.

    {"landmarks": ["wrist", "thumb 1", ...], "parents": {"thumb 1": "wrist", ...},
     "pairs": [["left eye", "right eye"], ...], "bones": ["thumb 1", ...],
     "limb_scale_mm": [80, 400], "vertical": false}

The landmark without a parent is the root. Optional are pairs (default: none, no mirror image),
bones (all) and vertical (true). The meaning is prior.skeleton.Skeleton's.
"""

from typing import Any

from prior import foreign
from prior.document import Document
from prior.errors import InputError
from prior.files import FilePath
from prior.skeleton import COCO, HUMAN36M, Skeleton

# What a program may name instead of a file.
KNOWN = {"human36m": HUMAN36M, "coco": COCO}

KEYS = ("landmarks", "parents", "pairs", "bones", "limb_scale_mm", "vertical")


def find(name: str) -> Skeleton:
    """The Skeleton of a name that the project knows, or of a file. Raises as `read`."""
    return KNOWN[name] if name in KNOWN else read(name)


def read(path: FilePath) -> Skeleton:
    """The Skeleton in a file. Raises InputError, which begins with its name."""
    return from_document(foreign.read_document(path))


def to_json(skeleton: Skeleton) -> dict[str, Any]:
    """The Skeleton as a JSON object."""
    names = skeleton.landmarks
    return {
        "landmarks": list(names),
        "parents": {
            names[i]: names[parent] for i, parent in enumerate(skeleton.parents) if parent >= 0
        },
        "pairs": [[names[i] for i in pair] for pair in skeleton.pairs],
        "bones": [names[i] for i in skeleton.bones],
        "limb_scale_mm": list(skeleton.limb_scale_mm),
        "vertical": skeleton.vertical,
    }


def from_document(document: Document) -> Skeleton:
    """The Skeleton of a JSON object. Raises the document's kind of InputError."""
    unknown = [key for key, _ in document.items() if key not in KEYS]
    if unknown:
        document.fail(f"the keys {', '.join(KEYS)}", f"unknown: {', '.join(unknown)}")
    names = tuple(name.text() for name in document["landmarks"].elements(1, "joints"))
    parents = [-1] * len(names)
    for child, parent in document["parents"].items():
        name = Document(child, document.path, document.error, "parents")
        parents[_index(name, names)] = _index(parent, names)
    pairs, bones, vertical = (document.get(key) for key in ("pairs", "bones", "vertical"))
    low, high = document["limb_scale_mm"].array((2,))
    fields: dict[str, Any] = {
        "landmarks": names,
        "parents": tuple(parents),
        "pairs": tuple(_pair(pair, names) for pair in pairs.elements()) if pairs else (),
        "limb_scale_mm": (float(low), float(high)),
        "bones": tuple(_index(name, names) for name in bones.elements()) if bones else (),
        "vertical": vertical.flag() if vertical else True,
    }
    try:
        return Skeleton(**fields)
    except InputError as error:
        where = f"{document.path}: {document.way}" if document.way else document.path
        raise document.error(f"{where}: {error}") from None


def _index(name: Document, names: tuple[str, ...]) -> int:
    """The number of a landmark."""
    return names.index(name.text(names))


def _pair(pair: Document, names: tuple[str, ...]) -> tuple[int, int]:
    """The numbers of a left and a right landmark."""
    if not isinstance(pair.value, list) or len(pair.value) != 2:
        pair.fail("a left and a right landmark")
    left, right = pair.elements()
    return _index(left, names), _index(right, names)
