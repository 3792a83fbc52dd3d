import dataclasses
import json

import pytest

from prior import skeleton_file
from prior.document import Document
from prior.errors import InputError
from prior.skeleton import HUMAN36M
from tests.hands import HAND

FILE = {
    "landmarks": ["hip", "neck", "left hand", "right hand"],
    "parents": {"neck": "hip", "left hand": "neck", "right hand": "neck"},
    "pairs": [["left hand", "right hand"]],
    "bones": ["left hand", "right hand"],
    "limb_scale_mm": [300, 2500],
    "vertical": False,
}


def test_a_file_says_what_the_skeleton_is(tmp_path):
    path = tmp_path / "skeleton.json"
    path.write_text(json.dumps(FILE))
    skeleton = skeleton_file.read(path)
    assert skeleton.parents == (-1, 0, 1, 1) and skeleton.pairs == ((2, 3),)
    assert skeleton.bones == (2, 3) and not skeleton.vertical
    assert skeleton.limb_scale_mm == (300, 2500)
    path.write_text(
        json.dumps({key: FILE[key] for key in ("landmarks", "parents", "limb_scale_mm")})
    )
    skeleton = skeleton_file.read(path)
    assert skeleton.pairs == () and skeleton.bones == (1, 2, 3) and skeleton.vertical


@pytest.mark.parametrize("skeleton", [HUMAN36M, HAND, dataclasses.replace(HAND, vertical=False)])
def test_round_trip(skeleton):
    document = json.loads(json.dumps(skeleton_file.to_json(skeleton)))
    assert skeleton_file.from_document(Document(document, "a file")) == skeleton


def test_known_names_and_files(tmp_path):
    assert skeleton_file.find("human36m") is HUMAN36M
    path = tmp_path / "skeleton.json"
    path.write_text(json.dumps(skeleton_file.to_json(HAND)))
    assert skeleton_file.find(str(path)) == HAND


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda d: d.pop("limb_scale_mm"), "the key 'limb_scale_mm'"),
        (lambda d: d.update(colour="red"), "unknown: colour"),
        (lambda d: d.update(landmarks="hip"), "landmarks: expected a list"),
        (lambda d: d.update(parents=["hip"]), "parents: expected"),
        (
            lambda d: d["parents"].update(neck="tail"),
            "parents.neck: expected one of hip, .*, got 'tail'",
        ),
        (lambda d: d["parents"].update(hip="left hand"), "a circle"),
        (lambda d: d["parents"].pop("neck"), "expected one root, got 2"),
        (lambda d: d.update(pairs=[["hip"]]), "pairs\\[0\\]: expected a left and"),
        (lambda d: d.update(pairs=[["left hand", "right hand"], ["right hand", "neck"]]), "mutual"),
        (lambda d: d.update(limb_scale_mm=["a", 1]), "limb_scale_mm: expected"),
        (lambda d: d.update(limb_scale_mm=[1]), "limb_scale_mm: expected"),
        (lambda d: d.update(vertical=1), "vertical: expected true or false"),
    ],
)
def test_what_is_no_skeleton_is_named(tmp_path, change, says):
    document = json.loads(json.dumps(FILE))
    change(document)
    path = tmp_path / "skeleton.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=says) as caught:
        skeleton_file.read(path)
    assert str(caught.value).startswith(str(path))
