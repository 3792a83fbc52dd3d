"""A small software rasteriser in numpy: no display, no OpenGL, the same pixels on every machine.

The meshes here have triangles of a few pixels, so each triangle's bounding box is tested whole.
"""

from typing import NamedTuple

import numpy as np

NEAR_MM = 100.0  # what comes closer to the camera than this is not drawn


class Fragments(NamedTuple):
    """What is seen in n pixels: rows and columns (n,), triangle (n,), barycentric weights of its
    corners (n, 3) and depth (n,)."""

    rows: np.ndarray
    columns: np.ndarray
    triangle: np.ndarray
    weights: np.ndarray
    depth: np.ndarray


def rasterise(points, depth, triangles, size):
    """The nearest triangle at each pixel.

    points: (V, 2) px, pixel centres at integers; depth: (V,) along the optical axis, mm;
    triangles: (T, 3), anticlockwise seen from outside; the others are not drawn; size: height and
    width, px. Returns Fragments. Within a triangle everything is interpolated linearly on the
    image; for such small ones perspective does not matter.
    """
    height, width = size
    corners, z = points[triangles], depth[triangles]
    low = np.maximum(np.ceil(corners.min(axis=1)), 0)
    high = np.minimum(np.floor(corners.max(axis=1)), [width - 1, height - 1])
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    # Twice the signed area; negative is anticlockwise as the image's y points down.
    area = _cross(b - a, c - a)
    drawn = (area < 0) & (low <= high).all(axis=1) & (z.min(axis=1) > NEAR_MM)
    kept = np.flatnonzero(drawn)
    low, high, z, area = (x[kept] for x in (low.astype(np.int32), high.astype(np.int32), z, area))
    a, b, c = a[kept], b[kept], c[kept]

    columns = high[:, 0] - low[:, 0] + 1
    counts = columns * (high[:, 1] - low[:, 1] + 1)
    owner = np.repeat(np.arange(len(kept)), counts)
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    row, column = np.divmod(offset, columns[owner])
    column += low[owner, 0]
    row += low[owner, 1]
    # The weight of a corner is linear on the image: its value at the box's origin and two slopes.
    gradient_b = np.stack([c[:, 1] - a[:, 1], a[:, 0] - c[:, 0]], axis=1) / area[:, None]
    gradient_c = np.stack([a[:, 1] - b[:, 1], b[:, 0] - a[:, 0]], axis=1) / area[:, None]
    x, y = column - a[owner, 0], row - a[owner, 1]
    weight_b = x * gradient_b[owner, 0] + y * gradient_b[owner, 1]
    weight_c = x * gradient_c[owner, 0] + y * gradient_c[owner, 1]
    weight_a = 1 - weight_b - weight_c
    inside = np.flatnonzero((weight_a >= 0) & (weight_b >= 0) & (weight_c >= 0))

    weights = np.stack([weight_a[inside], weight_b[inside], weight_c[inside]], axis=1)
    owner, pixel = owner[inside], row[inside] * width + column[inside]
    fragment_depth = np.einsum("nk,nk->n", weights, z[owner])
    nearest = np.full(height * width, np.inf)
    np.minimum.at(nearest, pixel, fragment_depth)
    seen = np.flatnonzero(fragment_depth == nearest[pixel])
    # Two triangles at the very same depth: keep one.
    pixel, first = np.unique(pixel[seen], return_index=True)
    seen = seen[first]
    rows, columns = np.divmod(pixel, width)
    return Fragments(rows, columns, kept[owner[seen]], weights[seen], fragment_depth[seen])


def _cross(u, v):
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]


def interpolate(fragments, triangles, values):
    """Values (V, C) of the vertices, interpolated at the fragments: (n, C)."""
    corners = triangles[fragments.triangle]
    return np.einsum("nk,nkc->nc", fragments.weights, values[corners])
