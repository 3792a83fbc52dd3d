"""Which landmarks a network's maps are of: the network says it itself, as its name.

The name of Caffe's NetParameter is free text, which Caffe copies into the .caffemodel files that it
writes. That of a network of another skeleton than Human3.6M's is the skeleton, in the JSON of
prior.skeleton_file; one of Human3.6M's has none. What other programs call their networks is no
JSON object, and says nothing of landmarks.
"""

import json
from pathlib import Path

from prior import foreign, skeleton_file
from prior.document import Document
from prior.errors import InputError
from prior.skeleton import HUMAN36M, Skeleton


def name_of(skeleton: Skeleton) -> str:
    """The name of a network of a skeleton."""
    if skeleton == HUMAN36M:
        return ""
    return json.dumps(skeleton_file.to_json(skeleton))


def skeleton_of(name: str, path: Path) -> Skeleton:
    """The skeleton of the network of that name, in the file `path`. Raises InputError."""
    if not name.startswith("{"):
        return HUMAN36M
    content = foreign.parse_json(name, f"{path}: name", InputError)
    return skeleton_file.from_document(Document(content, path, InputError, "name"))


def check_same(network: Skeleton, other: Skeleton, deploy: Path, path: object) -> None:
    """Raise InputError unless what `path` is of, weights or a pose model, is of the skeleton of the
    network in `deploy`."""
    if other != network:
        raise InputError(
            f"{path}: expected the skeleton of {deploy}, {_described(network)}, got "
            f"{_described(other)}; name what belongs together, or generate the network again with "
            "prototxt.generate --prior"
        )


def _described(skeleton: Skeleton) -> str:
    return f"{', '.join(skeleton.landmarks[:3])}, ... ({len(skeleton)} landmarks)"
