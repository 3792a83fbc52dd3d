"""What a person wears: the drawn mesh and its colours.

Clothes are painted on MakeHuman's tights, a suit a little off the skin, which garments push out
further. Head and hands are the body's own; skirt, hair and eyes are helper meshes of MakeHuman.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from tools.rendered import makehuman
from tools.rendered.body import LANDMARK_VERTICES

BODY, SUIT, SKIRT, HAIR, EYE = range(5)
GROUPS = {
    "body": BODY,
    "helper-tights": SUIT,
    "helper-skirt": SKIRT,
    "helper-hair": HAIR,
    "helper-l-eye": EYE,
    "helper-r-eye": EYE,
}
# Heights on the body, so that clothes fit all of them: 0 ankles, 1 knees, 2 hips, 3 neck; and
# along the arm: 0 shoulder, 1 elbow, 2 wrist.
ANKLE, KNEE, HIP, NECK = range(4)
WRIST = 2
SHOE = 0.12  # the top of a shoe, in heights
ARMHOLE = 0.05  # where the trunk ends and the sleeve begins, along the arm
OVERLAP = 0.15  # of head and hands with the suit, in heights and along the arm
HAIR_MM = 14.0  # thickness of short hair over the skull
HAIR_FRONT_MM = 10.0  # long hair reaches no further forward than this before the neck's end
FINE_MM = 20.0  # edges of the drawn mesh at most: its vertices carry the colours; about 2 px
HAIR_PERIOD_MM, HAIR_SHADE = 15.0, 0.6  # of the darker locks
EYE_WHITE, IRIS = (0.9, 0.9, 0.9), (0.15, 0.1, 0.08)
# Colours of lips and brows are the skin's, times these.
LIPS = np.array([0.85, 0.55, 0.55])
BROW = np.array([0.35, 0.3, 0.3])


PATTERNS = ("plain", "stripes", "bands", "checks", "blots")


class Cloth(NamedTuple):
    """A pattern of two colours (3,) in 0 .. 1: kind, one of PATTERNS, of a period in mm; and how
    far it stands off the suit, mm."""

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
    """The drawn mesh of a person in a Style.

    vertices (n, 3) at rest, weights (n, B), triangles (T, 3), anticlockwise seen from outside;
    colours (n, 3), 0 .. 1.
    """

    def __init__(self, body, style):
        """body: body.Body."""
        from tools.rendered.stage import refine  # needs VTK, which the clips alone do not

        height, arm = _height(body), _arm(body)
        groups = makehuman.template().quads
        drawn = [
            (kind, groups[name][_kept(kind, body, style, height, arm, groups[name])])
            for name, kind in GROUPS.items()
        ]
        if not style.bald:  # short hair is the skin of the skull, pushed out
            drawn.append((HAIR, groups["body"][_on_scalp(body, groups["body"])]))
        # Vertices that are drawn, each once for every kind that uses it.
        keys = np.concatenate([quads * len(GROUPS) + kind for kind, quads in drawn])
        used, corners = np.unique(keys, return_inverse=True)
        index, kind = np.divmod(used, len(GROUPS))
        corners = corners.reshape(-1, 4)
        triangles = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
        rest, weights = body.vertices[index].astype(np.float32), body.weights[index]
        push = _push(style, kind, height[index], arm[index])
        pushed = rest + push[:, None] * _normals(rest, triangles, _faces_of(triangles, len(rest)))
        # Patterns are fixed to the body at rest, measured from the hips.
        painted = [rest - body.hip_centre, height[index], arm[index], _paint(body, style)[index]]
        points = np.column_stack([kind, weights, *painted]).astype(np.float32)
        self.vertices, self.triangles, points = refine(pushed, triangles, points, FINE_MM)
        kind, self.weights, attributes = np.split(points, [1, 1 + weights.shape[1]], axis=1)
        self.colours = _colours(style, attributes, kind[:, 0].round())
        self._faces_of = _faces_of(self.triangles, len(self.vertices))

    def normals(self, vertices):
        """Smooth unit normals (n, 3) of posed vertices (n, 3)."""
        return _normals(vertices, self.triangles, self._faces_of)


def _faces_of(triangles, count):
    """Which of the triangles (T, 3) each of `count` vertices is a corner of: a sparse matrix."""
    faces = np.repeat(np.arange(len(triangles)), 3)
    ones = np.ones(len(faces), dtype=np.float32)
    return sparse.csr_matrix((ones, (triangles.ravel(), faces)), shape=(count, len(triangles)))


def _normals(vertices, triangles, faces_of):
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    normals = faces_of @ np.cross(b - a, c - a)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


def _worn(style, height, arm):
    """0 skin, 1 top, 2 bottom, 3 shoes at points of the suit; height and arm (n,)."""
    rules = (
        (height < SHOE, 3),
        (arm > style.sleeve, 0),
        (arm > ARMHOLE, 1),
        (height > style.neckline, 0),
        (height > style.hem, 1),
        (height > style.leg, 2),
    )
    return np.select([where for where, _ in rules], [worn for _, worn in rules], 0)


def _push(style, kind, height, arm):
    """How far vertices are pushed out, mm: (n,) float32; kind, height and arm (n,)."""
    loose = np.array([0, style.top.loose, style.bottom.loose, style.shoes.loose])
    push = np.where(kind == SUIT, loose[_worn(style, height, arm)], 0)
    push[kind == SKIRT] = style.bottom.loose
    push[kind == HAIR] = HAIR_MM
    return push.astype(np.float32)


def _colours(style, attributes, kind):
    """Colours (n, 3) of vertices: kind (n,) is BODY to EYE; attributes (n, 8) are place at rest
    (3), height, arm, paint (3)."""
    rest, height, arm, paint = np.split(attributes, [3, 4, 5], axis=1)
    worn = np.where(kind == SUIT, _worn(style, height[:, 0], arm[:, 0]), 0)
    worn[kind == SKIRT] = 2
    colours = paint.copy()
    hair = kind == HAIR
    locks = Cloth(style.hair, HAIR_SHADE * style.hair, "blots", HAIR_PERIOD_MM, HAIR_MM)
    colours[hair] = _pattern(locks, rest[hair])
    for number, cloth in ((1, style.top), (2, style.bottom), (3, style.shoes)):
        here = worn == number
        colours[here] = _pattern(cloth, rest[here])
    return colours


def _height(body):
    """Height (V,) of each vertex at rest, in ANKLE, KNEE, HIP, NECK; straight on beyond them."""
    y = body.vertices[:, 1]
    joints = [body.heads[body.bone[b], 1] for b in ("LeftFoot", "LeftLeg", "LeftUpLeg", "Neck")]
    height = np.interp(y, joints, [ANKLE, KNEE, HIP, NECK])
    height += np.minimum(y - joints[0], 0) / (joints[1] - joints[0])
    return height + np.maximum(y - joints[3], 0) / (joints[3] - joints[2])


def _arm(body):
    """How far along the arm each vertex is, (V,): 0 elsewhere and at the shoulder, 3 at the
    fingertips."""
    along = np.zeros(len(body.vertices))
    for side in ("Left", "Right"):
        bones = [body.bone[side + name] for name in ("Arm", "ForeArm", "Hand")]
        fingers = [
            b
            for name, b in body.bone.items()
            if name.startswith(side) and "Finger" in name or name == side[0] + "Thumb"
        ]
        mine = body.weights[:, bones + fingers].sum(axis=1) > 0.5  # mostly moved by the arm
        shares = []
        for b in bones:
            axis = body.tails[b] - body.heads[b]
            shares.append((body.vertices - body.heads[b]) @ axis / (axis @ axis))
        upper, lower, hand = np.clip(shares, 0, 1)
        # Before the elbow the forearm's share is 0, but a bent one's crease is nearer than that.
        lower, hand = lower * (upper > 0.8), hand * (lower > 0.8)
        along[mine] = (upper + lower + hand)[mine]
    return along


def _kept(kind, body, style, height, arm, quads):
    """Which quads (n, 4) of a group are drawn: (n,) bool."""
    if kind == BODY:  # what the suit leaves bare, and a little more
        return ((height[quads] > NECK - OVERLAP) | (arm[quads] > WRIST - OVERLAP)).any(axis=1)
    if kind == SKIRT:
        end = np.inf if style.skirt is None else style.skirt
        return (height[quads] > end).all(axis=1)
    if kind == HAIR:  # MakeHuman's hangs all around: leave the face free
        behind = body.heads[body.bone["Head"], 2] + HAIR_FRONT_MM
        return (body.vertices[quads, 2] < behind).all(axis=1) & style.long_hair
    return np.ones(len(quads), dtype=bool)


def _on_scalp(body, quads):
    """Which quads (n, 4) of the body grow hair: above a line that falls from forehead to nape."""
    centre = body.vertices[quads].mean(axis=1)
    head = body.heads[body.bone["Head"]]
    eye = body.vertices[makehuman.template().quads["helper-l-eye"]].mean(axis=(0, 1))
    skull = body.vertices[LANDMARK_VERTICES["head top"], 1] - eye[1]
    # From the ears' place: 1 at the eyes, negative behind.
    forward = (centre[:, 2] - head[2]) / (eye[2] - head[2])
    line = eye[1] + skull / 2 * np.clip(forward, -1.6, 1)
    return (centre[:, 1] > line) & (centre[:, 1] > head[1] - 40)


def _paint(body, style):
    """Colour (V, 3) of skin and eyes."""
    vertices, groups = body.vertices, makehuman.template().quads
    paint = np.tile(style.skin, (len(vertices), 1))
    for group in ("helper-l-eye", "helper-r-eye"):
        index = np.unique(groups[group])
        eye = vertices[index].mean(axis=0)
        radius = np.ptp(vertices[index, 1]) / 2
        paint[index] = EYE_WHITE
        paint[index[vertices[index, 2] > eye[2] + 0.8 * radius]] = IRIS
        # A brow is a strip over the eye, in radii of it.
        across, up, out = ((vertices - eye) / radius).T
        paint[(np.abs(across) < 1.7) & (up > 1.1) & (up < 1.9) & (out > 0)] *= BROW
    mouth = vertices[groups["joint-mouth"]].mean(axis=(0, 1))
    nose = vertices[LANDMARK_VERTICES["nose"]]
    across, up, _ = np.abs(vertices - mouth).T
    paint[(across < 26) & (up < 9) & (vertices[:, 2] > nose[2] - 35)] *= LIPS  # mm
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
