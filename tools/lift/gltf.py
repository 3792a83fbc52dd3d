"""Motion as binary glTF 2.0: stick figures that move, for Blender, three.js and other viewers.

Everything is in metres, y up, as glTF has it. Each person is a node, whose children are a ball for
each landmark and a rod for each limb; keyframes move the balls and rods to the very positions, so
that no bone has to be of constant length. A person who is not there has scale 0.
"""

import json
import struct

import numpy as np

from prior.files import write as write_whole
from prior.show import limb_colours
from prior.skeleton import HUMAN36M, LANDMARKS, LIMBS, L

METRE = 1000.0  # mm
COLOURS = limb_colours(HUMAN36M)
BALL, ROD = 0.036, 0.024  # radii, m; our choice: to be seen from a room's other side
ROUND = 12  # corners of a rod, and meridians of a ball
_FLOAT, _SHORT = 5126, 5123
_KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}


class _Buffer:
    """Collects arrays, and makes glTF's accessors of them."""

    def __init__(self):
        self.parts, self.views, self.accessors = [], [], []

    def add(self, array, target=None):
        """The number of the accessor of an array (n,) or (n, 3 or 4)."""
        integer = array.dtype.kind == "u"
        array = np.ascontiguousarray(array, dtype="<u2" if integer else "<f4")
        data = array.tobytes()
        start = sum(map(len, self.parts))
        self.parts.append(data + b"\0" * (-len(data) % 4))
        view = {"buffer": 0, "byteOffset": start, "byteLength": len(data)}
        self.views.append(view | ({"target": target} if target else {}))
        flat = array.reshape(len(array), -1)
        self.accessors.append({
            "bufferView": len(self.views) - 1,
            "componentType": _SHORT if integer else _FLOAT,
            "count": len(array),
            "type": _KINDS[flat.shape[1]],
            "min": flat.min(axis=0).tolist(),
            "max": flat.max(axis=0).tolist(),
        })  # fmt: skip
        return len(self.accessors) - 1


def _ball():
    """Vertices (n, 3) = normals, and triangles (m, 3), of a ball of radius 1."""
    polar = np.linspace(0, np.pi, ROUND // 2 + 1)
    around = np.linspace(0, 2 * np.pi, ROUND + 1)
    p, a = np.meshgrid(polar, around, indexing="ij")
    points = np.stack([np.sin(p) * np.sin(a), np.cos(p), np.sin(p) * np.cos(a)], axis=-1)
    return points.reshape(-1, 3), _quads(len(polar), len(around))


def _rod():
    """Vertices, normals (n, 3) and triangles of a rod of radius 1 from y = 0 to y = 1."""
    around = np.linspace(0, 2 * np.pi, ROUND + 1)
    ring = np.stack([np.sin(around), np.zeros_like(around), np.cos(around)], axis=1)
    points = np.concatenate([ring + [0, 1, 0], ring])
    return points, np.concatenate([ring, ring]), _quads(2, len(around))


def _quads(rows, columns):
    """Triangles of a grid of vertices, counter-clockwise from outside; the rows go down."""
    at = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]
    triangles = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], axis=2)
    return triangles.reshape(-1, 3).astype(np.uint16)


def _turns(directions):
    """Quaternions x, y, z, w (F, 4) that turn +y to directions (F, 3), of unit length, without a
    jump from one frame to the next."""
    x, y, z = directions.T
    # The half-way quaternion of the shortest arc; from straight down any half turn will do.
    result = np.stack([z, np.zeros_like(x), -x, 1 + y], axis=1)
    down = np.linalg.norm(result, axis=1) < 1e-6
    result[down] = [1, 0, 0, 0]
    result /= np.linalg.norm(result, axis=1, keepdims=True)
    same = np.einsum("fi,fi->f", result[1:], result[:-1]) >= 0
    result[1:] *= np.where(np.cumprod(np.where(same, 1, -1)) > 0, 1, -1)[:, None]
    return result


class _Scene:
    """The document of glTF, as people are added to it."""

    def __init__(self):
        self.buffer, self.nodes, self.roots = _Buffer(), [], []
        self.channels, self.samplers, self.materials = [], [], []
        ball, triangles = _ball()
        self._ball = self._mesh(BALL * ball, ball, triangles)
        points, normals, triangles = _rod()
        self._rod = self._mesh(points * [ROD, 1, ROD], normals, triangles)
        self.meshes = []
        for colour in dict.fromkeys(COLOURS):
            self._paint(colour)

    def _mesh(self, points, normals, triangles):
        return {
            "attributes": {
                "POSITION": self.buffer.add(points, 34962),
                "NORMAL": self.buffer.add(normals, 34962),
            },
            "indices": self.buffer.add(triangles.ravel(), 34963),
        }

    def _paint(self, colour):
        """A material of this colour, and a ball and a rod of it."""
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [value**2.2 for value in (red, green, blue)]
        self.materials.append({
            "name": colour,
            "pbrMetallicRoughness": {
                "baseColorFactor": [*linear, 1], "metallicFactor": 0, "roughnessFactor": 0.7,
            },
        })  # fmt: skip
        material = len(self.materials) - 1
        for name, mesh in (("ball", self._ball), ("rod", self._rod)):
            self.meshes.append({"name": name, "primitives": [mesh | {"material": material}]})

    def _node(self, **node):
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _move(self, node, path, times, values, how="LINEAR"):
        """Keyframes of a node's translation, rotation or scale."""
        self.samplers.append(
            {"input": times, "output": self.buffer.add(values), "interpolation": how}
        )
        target = {"node": node, "path": path}
        self.channels.append({"sampler": len(self.samplers) - 1, "target": target})

    def add(self, person, track, frame, rate, count):
        """Add a person: poses (n, 17, 3), mm, of the frames (n,), of `count` frames in all."""
        metres = track / METRE
        times = self.buffer.add(frame / rate)
        colours = list(dict.fromkeys(COLOURS))
        side = dict(zip(LIMBS[:, 1].tolist(), COLOURS, strict=True))
        children = []
        for i in range(L):
            mesh = 2 * colours.index(side.get(i, colours[0]))
            name = f"{person} {LANDMARKS[i]}"
            children.append(self._node(name=name, mesh=mesh, translation=metres[0, i].tolist()))
            self._move(children[-1], "translation", times, metres[:, i])
        for (a, b), colour in zip(LIMBS, COLOURS, strict=True):
            rod = metres[:, b] - metres[:, a]
            length = np.maximum(np.linalg.norm(rod, axis=1), 1e-9)
            turns = _turns(rod / length[:, None])
            size = np.stack([np.ones_like(length), length, np.ones_like(length)], axis=1)
            node = self._node(
                name=f"{person} {LANDMARKS[a]} to {LANDMARKS[b]}",
                mesh=2 * colours.index(colour) + 1,
                translation=metres[0, a].tolist(),
                rotation=turns[0].tolist(),
                scale=size[0].tolist(),
            )
            children.append(node)
            for path, values in (
                ("translation", metres[:, a]), ("rotation", turns), ("scale", size),
            ):  # fmt: skip
                self._move(node, path, times, values)
        root = self._node(name=f"person {person}", children=children)
        self.roots.append(root)
        there = np.zeros(count)
        there[frame] = 1
        at = np.flatnonzero(np.diff(there, prepend=-1))
        shown = np.repeat(there[at, None], 3, axis=1)
        self._move(root, "scale", self.buffer.add(at / rate), shown, "STEP")

    def document(self, name):
        """The parts of the file: JSON and binary."""
        binary = b"".join(self.buffer.parts)
        return {
            "asset": {"version": "2.0", "generator": "python -m tools.lift"},
            "scene": 0,
            "scenes": [{"name": name, "nodes": self.roots}],
            "nodes": self.nodes,
            "meshes": self.meshes,
            "materials": self.materials,
            "animations": [
                {"name": "motion", "channels": self.channels, "samplers": self.samplers}
            ],
            "accessors": self.buffer.accessors,
            "bufferViews": self.buffer.views,
            "buffers": [{"byteLength": len(binary)}],
        }, binary


def write(path, people, rate, count):
    """Write {person: (poses (n, 17, 3), mm, y up; their frames (n,), of `count` in all)}."""
    scene = _Scene()
    for person, (track, frame) in people.items():
        scene.add(person, track, frame, rate, count)
    document, binary = scene.document(path.stem)
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    write_whole(path, struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
