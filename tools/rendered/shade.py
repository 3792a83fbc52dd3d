"""Draw a posed person: coverage, colour and shadow in the image of a camera."""

from typing import NamedTuple

import cv2
import numpy as np

from prior.camera import perspective
from tools.rendered.raster import NEAR_MM, interpolate, rasterise

SUPERSAMPLE = 2  # samples per pixel and axis
SHADOW_CELL_MM = 20.0  # the shadow map's, about the spacing of the mesh's vertices
SHADOW_BLUR = 1.2  # standard deviation of the shadow's edge on the floor, in 2 px
SHADOW_BIAS_MM = 45.0  # deeper below the lit surface than this is in shadow


class Light(NamedTuple):
    """direction (3,): unit, towards the light; colour, sky, ground: (3,) of the light itself and
    of what comes from above and below."""

    direction: np.ndarray
    colour: np.ndarray
    sky: np.ndarray
    ground: np.ndarray


class Drawing(NamedTuple):
    """colour (h, w, 3) 0 .. 1; cover (h, w) 0 .. 1; depth (h, w) mm, inf where nothing is."""

    colour: np.ndarray
    cover: np.ndarray
    depth: np.ndarray


def lit(vertices, light):
    """Whether each vertex (n, 3) sees the light: (n,) 0 or 1. A coarse shadow map."""
    # Two axes at right angles to the light; the first from whichever axis it is least along.
    across = np.cross(light.direction, np.eye(3)[np.abs(light.direction).argmin()])
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(across, light.direction), light.direction], axis=1)
    u, v, height = (vertices @ axes.astype(np.float32)).T
    u = ((u - u.min()) / SHADOW_CELL_MM).astype(int)
    v = ((v - v.min()) / SHADOW_CELL_MM).astype(int)
    top = np.full((u.max() + 1, v.max() + 1), -np.inf)
    np.maximum.at(top, (u, v), height)
    return (height > top[u, v] - SHADOW_BIAS_MM).astype(np.float32)


def draw(mesh, vertices, camera, light, size):
    """The person without background.

    mesh: look.Mesh; vertices (n, 3): its posed vertices, mm, world; camera: cameras.Camera;
    size: px. Returns a Drawing.
    """
    fine = SUPERSAMPLE * size
    points = perspective(vertices, camera.rotation, camera.position, camera.intrinsics)
    # The centre of the fine image's top-left pixel is up and left of the coarse one's.
    points = (points + 0.5) * SUPERSAMPLE - 0.5
    depth = (vertices - camera.position) @ camera.rotation[2]
    fragments = rasterise(points, depth, mesh.triangles, (fine, fine))
    per_vertex = np.column_stack([mesh.normals(vertices), lit(vertices, light), mesh.attributes])
    values = interpolate(fragments, mesh.triangles, per_vertex)
    normals = values[:, :3] / np.maximum(np.linalg.norm(values[:, :3], axis=1, keepdims=True), 1e-9)
    kind = mesh.kind[mesh.triangles[fragments.triangle, 0]]
    albedo = mesh.colours(values[:, 4:], kind)
    direct = np.maximum(normals @ light.direction, 0) * values[:, 3]
    up = (1 + normals[:, 1:2]) / 2
    shade = direct[:, None] * light.colour + up * light.sky + (1 - up) * light.ground

    colour = np.zeros((fine, fine, 3), dtype=np.float32)
    cover = np.zeros((fine, fine), dtype=np.float32)
    nearest = np.full((fine, fine), np.inf, dtype=np.float32)
    where = fragments.rows, fragments.columns
    colour[where] = np.minimum(albedo * shade, 1)
    cover[where] = 1
    nearest[where] = fragments.depth
    small = (size, size)
    cover_small = cv2.resize(cover, small, interpolation=cv2.INTER_AREA)
    colour = cv2.resize(colour, small, interpolation=cv2.INTER_AREA)
    each = range(SUPERSAMPLE)
    samples = [nearest[i::SUPERSAMPLE, j::SUPERSAMPLE] for i in each for j in each]
    depth = np.minimum.reduce(samples)
    return Drawing(colour / np.maximum(cover_small, 1e-6)[..., None], cover_small, depth)


def floor_shadow(vertices, camera, light, size):
    """How much of the light the person takes from the floor: (size, size), 0 .. 1."""
    fallen = vertices - light.direction * (vertices[:, 1:2] / light.direction[1])
    fallen = fallen[(fallen - camera.position) @ camera.rotation[2] > NEAR_MM]
    # At half the size the projected vertices lie close enough to cover the shadow once dilated.
    half = -(-size // 2)
    points = perspective(fallen, camera.rotation, camera.position, camera.intrinsics) / 2
    column, row = points[((points > 0) & (points < half - 1)).all(axis=1)].astype(int).T
    mask = np.zeros((half, half), dtype=np.float32)
    mask[row, column] = 1
    mask = cv2.GaussianBlur(cv2.dilate(mask, np.ones((3, 3))), (0, 0), SHADOW_BLUR)
    return cv2.resize(mask, (size, size), interpolation=cv2.INTER_LINEAR)
