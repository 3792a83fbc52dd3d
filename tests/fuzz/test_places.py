"""Values of other kinds in every place of a good JSON file: it is read, or refused in one line."""

import copy
import json

import numpy as np
import pytest

from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import tried

# A value of each kind that JSON has, and those on which code that expects another breaks.
EACH, MOST = 2, 25  # of them in a place, by a seed; places
VALUES = (None, True, -1, 10**400, 1.5, float("nan"), 1e308, "x", "", [], {}, [1, [2]], {"a": []})


def places(value, way=()):
    """The ways to all values inside a value; of lists those through the first and last."""
    yield way
    if isinstance(value, dict):
        keys = list(value)
    else:
        keys = sorted({0, len(value) - 1}) if isinstance(value, list) and value else ()
    for key in keys:
        yield from places(value[key], (*way, key))


def replaced(document, way, value):
    """A copy of the document with the value at the end of the way."""
    if not way:
        return value
    document = copy.deepcopy(document)
    inner = document
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = value
    return document


def json_targets():
    """Those whose file is JSON, by their names."""
    endings = (".json", "map", "skeleton", "DeepMimic", "converted", "COCO")
    lines = ("keypoints openpifpaf.json",)  # a document in each line
    targets = [t for t in TARGETS if t.name.endswith(endings) and t.name not in lines]
    slow = pytest.mark.slow
    return [pytest.param(t, marks=slow) if t.name == "lifted .json" else t for t in targets]


# What is too large for a float is infinite, and goes the way of what is infinite in the file.
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("target", json_targets(), ids=lambda target: target.name)
def test_other_values_are_read_or_refused(tmp_path, target):
    path = target.make(tmp_path)
    document = json.loads(path.read_text())
    bad, kinds, rng = [], [], np.random.default_rng(0)
    for way in list(places(document))[:MOST]:
        for value in (VALUES[i] for i in rng.permutation(len(VALUES))[:EACH]):
            path.write_text(json.dumps(replaced(document, way, value)))
            kind, words = tried(target.read, path)
            kinds.append(kind)
            if kind not in ("ok", "refused"):
                bad.append((way, value, kind, words))
    assert not bad, bad[:5]
    assert "refused" in kinds
