"""What a person wears: the drawn mesh, and its colour at every point.

Clothes are painted on MakeHuman's tights, a suit a little off the skin, which garments push out
further. Head and hands are the body's own; skirt, hair and eyes are helper meshes of MakeHuman.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from tools.rendered import makehuman

BODY, SUIT, SKIRT, HAIR, EYE = range(5)
GROUPS = {
    "body": BODY, "helper-tights": SUIT, "helper-skirt": SKIRT, "helper-hair": HAIR,
    "helper-l-eye": EYE, "helper-r-eye": EYE,
}  # fmt: skip
# Heights on the body, so that clothes fit all of them: 0 ankles, 1 knees, 2 hips, 3 neck; and
# along the arm: 0 shoulder, 1 elbow, 2 wrist.
ANKLE, KNEE, HIP, NECK = range(4)
WRIST = 2
SHOE = 0.12  # the top of a shoe, in heights
SHOE_MM = 8.0
HAIR_MM = 14.0  # thickness of short hair over the skull
# Colours of lips and brows are the skin's, times these.
LIPS = np.array([0.85, 0.55, 0.55])
BROW = np.array([0.35, 0.3, 0.3])


class Cloth(NamedTuple):
    """A pattern of two colours (3,) in 0 .. 1: kind "plain", "stripes", "bands", "checks" or
    "blots", of a period in mm; and how far it stands off the suit, mm."""

    colour: np.ndarray
    second: np.ndarray
    kind: str
    period: float
    loose: float


class Style(NamedTuple):
    """skin and hair: colours (3,); top, bottom and shoes: Cloth; sleeve: where sleeves end along
    the arm; hem and leg: heights where top and bottom end; neckline: height; skirt: height where
    a skirt ends, or None; long_hair; bald."""

    skin: np.ndarray
    hair: np.ndarray
    top: Cloth
    bottom: Cloth
    shoes: Cloth
    sleeve: float
    hem: float
    leg: float
    neckline: float
    skirt: float | None
    long_hair: bool
    bald: bool


class Mesh:
    """The drawn mesh of a person: vertices (n, 3) at rest, weights (n, B), triangles (T, 3).

    normals(vertices) gives smooth normals for a pose; colours(fragments) the albedo.
    """

    def __init__(self, body, style):
        template = makehuman.template()
        self.style = style
        height, arm = _height(body), _arm(body)
        rest = body.vertices.copy()
        quads, kinds = [], []
        for name, kind in GROUPS.items():
            group = template.quads[name]
            keep = _kept(kind, body, style, height, arm, group)
            quads.append(group[keep])
            kinds.append(np.full(keep.sum(), kind))
        if not style.bald:  # short hair is the skin of the skull, pushed out
            quads.append(self._scalp(body, template.quads["body"], rest))
            kinds.append(np.full(len(quads[-1]), HAIR))
        # Groups never share vertices, except the scalp: it gets its own copies.
        corners = np.concatenate(quads)
        kind = np.repeat(np.concatenate(kinds), 4)
        used, inverse = np.unique(
            corners.ravel() * len(GROUPS) + kind, return_inverse=True
        )
        index, self.kind = used // len(GROUPS), used % len(GROUPS)
        corners = inverse.reshape(-1, 4)
        self.triangles = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
        ones = np.ones(3 * len(self.triangles), dtype=np.float32)
        faces = np.repeat(np.arange(len(self.triangles)), 3)
        self._incidence = sparse.csr_matrix(
            (ones, (self.triangles.ravel(), faces)), shape=(len(index), len(self.triangles))
        )
        self.weights = body.weights[index]
        vertices = rest[index]
        self.height, self.arm = height[index], arm[index]
        self.paint = _paint(body, style)[index]
        self.vertices = vertices.astype(np.float32)
        push = self._push()
        self.vertices = (vertices + push[:, None] * self.normals(self.vertices)).astype(np.float32)
        self.rest = vertices - body.hip_centre  # where patterns are fixed

    @staticmethod
    def _scalp(body, quads, rest):
        head = body.bone["Head"]
        top = rest[:13380, 1].max()
        ear = body.heads[head]
        # The skull's cap: above a plane that falls from the forehead to the nape.
        eye = rest[makehuman.template().quads["helper-l-eye"]].mean(axis=(0, 1))
        front = rest[quads].mean(axis=1)
        line = eye[1] + (top - eye[1]) * np.clip((front[:, 2] - ear[2]) / (eye[2] - ear[2]), -1.6, 1) * 0.5
        return quads[(front[:, 1] > line) & (front[:, 1] > ear[1] - 40)]

    def _push(self):
        style = self.style
        worn = self._worn(self.height, self.arm)
        loose = np.array([0.0, style.top.loose, style.bottom.loose, SHOE_MM])
        push = np.where(self.kind == SUIT, loose[worn], 0.0)
        push[self.kind == SKIRT] = style.bottom.loose
        push[self.kind == HAIR] = HAIR_MM
        return push

    def _worn(self, height, arm):
        """0 skin, 1 top, 2 bottom, 3 shoes at points of the suit; height and arm (n,)."""
        s = self.style
        return np.select(
            [height < SHOE, arm > s.sleeve, arm > 0.05, height > s.neckline, height > s.hem,
             height > s.leg],
            [3, 0, 1, 0, 1, 2],
            0,
        )  # fmt: skip

    def normals(self, vertices):
        """Smooth unit normals (n, 3) of posed vertices (n, 3)."""
        a, b, c = (vertices[self.triangles[:, k]] for k in range(3))
        normals = self._incidence @ np.cross(b - a, c - a)
        return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)

    @property
    def attributes(self):
        """What colours needs at a point: (n, 8), to be interpolated."""
        return np.column_stack([self.rest, self.height, self.arm, self.paint]).astype(np.float32)

    def colours(self, attributes, kind):
        """Albedo (m, 3) at m points: their interpolated attributes (m, 8) and kind (m,)."""
        style = self.style
        rest, height, arm, paint = np.split(attributes, [3, 4, 5], axis=1)
        worn = np.where(kind == SUIT, self._worn(height[:, 0], arm[:, 0]), 0)
        worn[kind == SKIRT] = 2
        colours = paint.copy()
        colours[kind == HAIR] = style.hair
        hair = kind == HAIR
        colours[hair] *= _pattern(Cloth(np.ones(3), np.full(3, 0.6), "blots", 15, 0), rest[hair])
        for number, cloth in ((1, style.top), (2, style.bottom), (3, style.shoes)):
            here = worn == number
            colours[here] = _pattern(cloth, rest[here])
        return colours


def _height(body):
    joints = [body.heads[body.bone[b], 1] for b in ("LeftFoot", "LeftLeg", "LeftUpLeg", "Neck")]
    slope = 1 / (joints[3] - joints[2])
    above = NECK + (body.vertices[:, 1] - joints[3]) * slope
    below = (body.vertices[:, 1] - joints[0]) / (joints[1] - joints[0])
    inside = np.interp(body.vertices[:, 1], joints, [ANKLE, KNEE, HIP, NECK])
    y = body.vertices[:, 1]
    return np.where(y > joints[3], above, np.where(y < joints[0], below, inside))


def _arm(body):
    along = np.zeros(len(body.vertices))
    for side in ("Left", "Right"):
        bones = [side + "Arm", side + "ForeArm", side + "Hand"]
        hand = [b for b in body.bones if b.startswith(side) and ("Hand" in b or "Finger" in b)]
        columns = [body.bone[b] for b in (*bones[:2], *hand, side[0] + "Thumb")]
        mine = body.weights[:, columns].sum(axis=1) > 0.5
        for start, bone in enumerate(bones):
            head, tail = body.heads[body.bone[bone]], body.tails[body.bone[bone]]
            share = (body.vertices - head) @ (tail - head) / np.sum((tail - head) ** 2)
            reached = mine & (share > 0) & ((start == 0) | (along > start - 0.2))
            along[reached] = np.maximum(along[reached], start + np.minimum(share[reached], 1))
    return along


def _kept(kind, body, style, height, arm, quads):
    """Which quads (n, 4) of a group are drawn: (n,) bool."""
    if kind == BODY:  # all that the suit leaves bare, and a little more
        return ((height[quads] > NECK - 0.1) | (arm[quads] > WRIST - 0.15)).any(axis=1)
    if kind == SKIRT:
        cut = -np.inf if style.skirt is None else style.skirt
        return (height[quads] > cut).all(axis=1) & (style.skirt is not None)
    if kind == HAIR:  # MakeHuman's hangs all around: leave the face free
        behind = body.heads[body.bone["Head"], 2] + 10
        return (body.vertices[quads, 2] < behind).all(axis=1) & style.long_hair
    return np.ones(len(quads), dtype=bool)


def _paint(body, style):
    """Colour (V, 3) of skin and eyes."""
    paint = np.tile(style.skin, (len(body.vertices), 1))
    template = makehuman.template()
    v = body.vertices
    mouth = v[np.unique(template.quads["joint-mouth"])].mean(axis=0)
    for group in ("helper-l-eye", "helper-r-eye"):
        index = np.unique(template.quads[group])
        eye = v[index].mean(axis=0)
        radius = np.ptp(v[index, 1]) / 2
        paint[index] = [0.9, 0.9, 0.9]
        front = v[index, 2] > eye[2] + 0.8 * radius
        paint[index[front]] = [0.15, 0.1, 0.08]
        away = np.abs(v - eye)[:, :2] / radius
        up = (v - eye)[:, 1] / radius
        brow = (away[:, 0] < 1.7) & (up > 1.1) & (up < 1.9) & (v[:, 2] > eye[2])
        paint[brow] *= BROW
    nose = v[297]
    lips = (np.abs(v[:, 0]) < 26) & (np.abs(v[:, 1] - mouth[1]) < 9) & (v[:, 2] > nose[2] - 35)
    paint[lips] *= LIPS
    return paint


def _pattern(cloth, rest):
    """Colour (m, 3) of a cloth at points (m, 3) of the rest pose."""
    phase = 2 * np.pi * rest / cloth.period
    if cloth.kind == "plain":
        share = np.zeros(len(rest))
    elif cloth.kind == "stripes":
        share = np.sin(phase[:, 1]) > 0
    elif cloth.kind == "bands":
        share = np.sin(phase[:, 0]) > 0
    elif cloth.kind == "checks":
        share = (np.sin(phase[:, 1]) > 0.3) * 0.5 + (np.sin(phase[:, 0]) > 0.3) * 0.5
    elif cloth.kind == "blots":  # a few waves in different directions
        share = 0.5 + 0.5 * np.sin(
            phase @ [0.7, 1.1, 0.4] + 2 * np.sin(phase @ [1.3, -0.6, 0.9]) + phase[:, 2]
        )
    else:
        raise ValueError(f"cloth: unknown kind {cloth.kind!r}")
    return cloth.colour + np.asarray(share)[:, None] * (cloth.second - cloth.colour)
