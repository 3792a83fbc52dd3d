"""Landmarks <-> belief maps, and the gradients of both (paper: 5.3 to 5.5 and the supplement).

Maps are (N, L + 1, H, W), one for each landmark and the background last. Landmarks are (N, L, 2),
x before y, in map pixels: the centre of cell (row i, column j) has the coordinates (j, i).
Gradients are those of a loss, to be descended, as in Caffe's diffs.
"""

import numpy as np

from prior import skeleton

# CPM cuts its label's Gaussian where it falls below 1 %: exponent 4.6052.
CUT = 4.6052
# Below this a map holds no trace of a landmark, and subpixel refinement takes it for 0.
FLOOR = np.exp(-CUT)
# Standard deviation of CPM's label, in pixels of the 368 px input.
LABEL_SIGMA = 7.0
LABEL_INPUT = 368


def to_input(points, stride):
    """Map pixels to input pixels: cell x covers the inputs stride x to stride x + stride - 1."""
    return np.asarray(points) * stride + (stride - 1) / 2


def to_map(points, stride):
    """Input pixels to map pixels, the inverse of `to_input`."""
    return (np.asarray(points) - (stride - 1) / 2) / stride


def gaussians(centres, height, width, sigma):
    """Gaussians of height 1 at `centres` (..., 2), cut as CPM's. Returns (..., H, W) float32.

    `sigma` is in the pixels of the map. A NaN centre, a missing landmark, gives zeros.
    """
    centres = np.asarray(centres, dtype=np.float32)
    scale = np.float32(1 / (np.sqrt(2) * sigma))
    x = (np.arange(width, dtype=np.float32) - centres[..., :1]) * scale
    y = (np.arange(height, dtype=np.float32) - centres[..., 1:]) * scale
    exponent = (y * y)[..., :, None] + (x * x)[..., None, :]
    return np.where(exponent <= np.float32(CUT), np.exp(-exponent), np.float32(0))


def render(landmarks, height, width, sigma):
    """Eq. 6 after its Gaussian filter, and the background: (N, L + 1, H, W) float32.

    landmarks: (N, L, 2) map px; sigma: map px. The Gaussian sits at the landmark itself, not at
    the nearest cell as in eq. 6, so that the map keeps the landmark's fraction of a pixel, as
    CPM's label does. A landmark outside gives what falls inside; NaN, a missing one, zeros. The
    background is 1 - max over landmarks.
    """
    maps = gaussians(landmarks, height, width, sigma)
    return np.concatenate([maps, 1 - maps.max(axis=1, keepdims=True)], axis=1)


def labels(landmarks, side, sigma):
    """What the maps of one input are to become, and which of them the loss may judge.

    landmarks (K, L, 2) map px, of its K people, NaN where missing; side: cells of the square
    maps; sigma: map px. Returns maps (L + 1, side, side), the highest of all people's in each
    cell, and mask (L + 1,), both float32. The mask is 0 where a landmark of anyone is missing:
    where it lies nobody knows, and an empty map would teach that it is nowhere. Then it is 0 for
    the background too, which is 1 - max over all landmarks. A landmark that is known to lie
    outside the input is not missing.
    """
    landmarks = np.asarray(landmarks)
    maps = gaussians(landmarks, side, side, sigma).max(axis=0)
    known = ~np.isnan(landmarks).any(axis=(0, 2))
    maps = np.concatenate([maps, 1 - maps.max(axis=0, keepdims=True)])
    mask = np.append(known, known.all()).astype(np.float32)
    return maps * mask[:, None, None], mask


def argmax(maps, subpixel=False):
    """Landmark at each map's maximum, Y_p of section 5.3; the first in row order among equals.

    maps: (N, L + 1 or L, H, W); the background is left out. Returns the landmarks (N, L, 2) in
    map px and the maps' values there (N, L), both float32. With `subpixel` (our option) each
    coordinate moves to the top of the parabola through the logarithm of the maximum and its two
    neighbours, by less than half a cell: exact for a Gaussian. At the map's border it stays.
    Raises ValueError on another number of maps.
    """
    maps = np.asarray(maps)
    if maps.ndim != 4 or maps.shape[1] not in (skeleton.L, skeleton.L + 1):
        raise ValueError(
            f"belief maps: expected (N, {skeleton.L + 1} or {skeleton.L}, H, W), got {maps.shape}"
        )
    maps = maps[:, : skeleton.L]
    n, landmarks, height, width = maps.shape
    flat = maps.reshape(n, landmarks, height * width)
    cell = flat.argmax(axis=-1)[..., None]
    peak = np.take_along_axis(flat, cell, axis=-1)
    cell, peak = cell[..., 0], peak[..., 0]
    y, x = np.divmod(cell, width)
    points = np.stack([x, y], axis=-1).astype(np.float32)
    if subpixel:
        points[..., 0] += _parabola_top(flat, cell, x, width, step=1)
        points[..., 1] += _parabola_top(flat, cell, y, height, step=width)
    return points, peak.astype(np.float32)


def _parabola_top(flat, cell, position, size, step):
    """Shift (N, L), in [-1/2, 1/2], from a maximum to the top of the parabola along one axis."""
    last = flat.shape[-1] - 1

    def log(index):
        index = np.clip(index, 0, last)[..., None]
        values = np.take_along_axis(flat, index, axis=-1)[..., 0]
        return np.log(np.maximum(values.astype(float), FLOOR))

    before, at, after = log(cell - step), log(cell), log(cell + step)
    curvature = 2 * at - before - after
    inside = (position > 0) & (position < size - 1) & (curvature > 0)
    return np.where(inside, (after - before) / (2 * np.where(inside, curvature, 1)), 0)


def argmax_vjp(landmarks, gradient, height, width, sigma):
    """The supplement's sub-gradient from coordinates to maps, its section "Updating B".

    landmarks (N, L, 2): what `argmax` returned; gradient (N, L, 2): that of the loss on them.
    Returns (N, L + 1, H, W) float32, zero on the background.

    To move Y_p against its gradient g the belief must sink at Y_p, by |g|, and rise by |g| times
    a Gaussian of the label's width in the quadrant where -g points; x and y each add such a step.
    Our reading of "each": a cell rises with |g_x| if it lies that way in x and not the wrong way
    in y, and the other way round; so a gradient along one axis moves the landmark along it. This
    is a gradient, to be subtracted: positive at Y_p, negative in the quadrant.
    """
    landmarks = np.asarray(landmarks, dtype=np.float32)
    gradient = np.asarray(gradient, dtype=np.float32)
    cells = np.rint(landmarks)
    sign, size = np.sign(gradient), np.abs(gradient)
    # How far each column, row lies in the wanted direction: 0 everywhere if none is wanted.
    x = -sign[..., :1] * (np.arange(width, dtype=np.float32) - cells[..., :1])
    y = -sign[..., 1:] * (np.arange(height, dtype=np.float32) - cells[..., 1:])
    rise_x = (size[..., :1] * (x > 0))[..., None, :] * (y >= 0)[..., :, None]
    rise_y = (size[..., 1:] * (y > 0))[..., :, None] * (x >= 0)[..., None, :]
    n, count = landmarks.shape[:2]
    result = np.zeros((n, count + 1, height, width), dtype=np.float32)
    maps = result[:, :count]
    np.multiply(gaussians(cells, height, width, sigma), -(rise_x + rise_y), out=maps)
    column, row = cells.astype(int)[..., 0], cells.astype(int)[..., 1]
    maps[np.arange(n)[:, None], np.arange(count), row, column] = size.sum(axis=-1)
    return result


def render_vjp(landmarks, gradient, sigma):
    """The supplement's gradient from maps to coordinates: central differences over one pixel.

    landmarks (N, L, 2): what was rendered; gradient (N, L + 1, H, W): that of the loss on the
    maps. Returns (N, L, 2) float32, zero for missing landmarks:
    sum over cells z of gradient[z] (G(z; Y + 1) - G(z; Y - 1)) / 2, for x and y. The background is
    1 - max over landmarks, so a cell of its gradient goes, negated, to the landmark whose map is
    the highest there.
    """
    landmarks = np.asarray(landmarks, dtype=np.float32)
    gradient = np.asarray(gradient, dtype=np.float32)
    height, width = gradient.shape[2:]
    maps = gaussians(landmarks, height, width, sigma)
    highest = maps.argmax(axis=1)[:, None]
    count = landmarks.shape[1]
    own = np.arange(count)[:, None, None] == highest
    on_maps = gradient[:, :count] - np.where(own, gradient[:, count:], 0)
    result = np.empty_like(landmarks)
    for axis, step in enumerate(np.eye(2, dtype=np.float32)):
        difference = gaussians(landmarks + step, height, width, sigma)
        difference -= gaussians(landmarks - step, height, width, sigma)
        result[..., axis] = np.einsum("nlhw,nlhw->nl", on_maps, difference) / 2
    return result
