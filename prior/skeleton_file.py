"""Skeletons as JSON: files that users write, and what a model file says of its skeleton.

    {"landmarks": ["wrist", "thumb 1", ...], "parents": {"thumb 1": "wrist", ...},
     "pairs": [["left eye", "right eye"], ...], "bones": ["thumb 1", ...],
     "limb_scale_mm": [80, 400], "vertical": false}

The landmark without a parent is the root. Optional are pairs (default: none, no mirror image),
bones (all) and vertical (true). The meaning is prior.skeleton.Skeleton's.
"""

from typing import Any

from prior.errors import InputError
from prior.files import FilePath, read_json
from prior.skeleton import HUMAN36M, Skeleton

# What a program may name instead of a file.
KNOWN = {"human36m": HUMAN36M}

KEYS = ("landmarks", "parents", "pairs", "bones", "limb_scale_mm", "vertical")
OPTIONAL = ("pairs", "bones", "vertical")


def read(path: FilePath) -> Skeleton:
    """The Skeleton in a file. Raises InputError, which begins with its name, and OSError."""
    document = read_json(path)
    try:
        return from_json(document)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


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


def from_json(document: Any) -> Skeleton:
    """The Skeleton of a JSON object. Raises InputError."""
    if not isinstance(document, dict):
        raise InputError(f"expected a skeleton, a JSON object, got {document!r:.40}")
    missing = [key for key in KEYS if key not in document and key not in OPTIONAL]
    unknown = [key for key in document if key not in KEYS]
    if missing or unknown:
        raise InputError(
            f"expected a skeleton with {', '.join(KEYS)}; missing: {', '.join(missing) or 'none'}; "
            f"unknown: {', '.join(map(str, unknown)) or 'none'}"
        )
    names = _names("landmarks", document["landmarks"])
    parents, pairs = document["parents"], document.get("pairs", [])
    if not isinstance(parents, dict):
        raise InputError(f'parents: expected {{"child": "parent", ...}}, got {parents!r:.40}')
    if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise InputError(f'pairs: expected [["left ...", "right ..."], ...], got {pairs!r:.60}')
    scale, vertical = document["limb_scale_mm"], document.get("vertical", True)
    numbers = isinstance(scale, list) and len(scale) == 2
    if not numbers or not all(type(x) in (int, float) for x in scale):
        raise InputError(f"limb_scale_mm: expected [low, high], mm, got {scale!r:.40}")
    if not isinstance(vertical, bool):
        raise InputError(f"vertical: expected true or false, got {vertical!r:.40}")
    of = _Index(names)
    chain = {of("parents", child): of("parents", parent) for child, parent in parents.items()}
    return Skeleton(
        landmarks=tuple(names),
        parents=tuple(chain.get(i, -1) for i in range(len(names))),
        pairs=tuple((of("pairs", left), of("pairs", right)) for left, right in pairs),
        limb_scale_mm=(float(scale[0]), float(scale[1])),
        bones=tuple(of("bones", name) for name in _names("bones", document.get("bones", []))),
        vertical=vertical,
    )


def _names(key: str, names: Any) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{key}: expected a list of names, got {names!r:.40}")
    return names


class _Index:
    """The number of a landmark by its name."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def __call__(self, key: str, name: Any) -> int:
        if name not in self._names:
            raise InputError(f"{key}: expected names of landmarks, got {name!r:.40}")
        return self._names.index(name)


def find(name: str) -> Skeleton:
    """The Skeleton of a name that the project knows, or of a file. Raises as `read`."""
    return KNOWN[name] if name in KNOWN else read(name)
