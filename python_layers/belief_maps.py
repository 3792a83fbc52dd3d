"""Landmarks <-> belief maps, and the gradients of both (paper: 5.3 to 5.5 and the supplement).

Belief maps are (N, L + 1, H, W): one for each landmark, the background last. Landmarks are
(N, L, 2), x before y, in map pixels: the centre of the cell in row i and column j is at (j, i).
Gradients are those of a loss that is to go down, as in Caffe's diffs.
"""

import numpy as np
from jaxtyping import Float, Float32
from numpy.typing import ArrayLike

from prior import skeleton
from prior.errors import InputError

# The exponent at which the Gaussian of CPM's labels is cut off: ln(100), where it is down to 1 %.
CUT = 4.6052
# The Gaussian's height there. Subpixel refinement takes lower values of a map for this one: they
# hold no trace of a landmark.
FLOOR = np.exp(-CUT)
# CPM's label: the Gaussian's standard deviation, in pixels of its 368 px input (the defaults of the
# data layer in the Caffe of CPM's authors, and training/genProto.py of their release).
LABEL_SIGMA = 7
LABEL_INPUT = 368

# Values of a map below this share of its maximum do not count for the covariance of a belief: most
# cells are far from the landmark, so that their noise would be most of it. Our choice.
LEVEL = 0.1
# What is left of a Gaussian's sum and second moments, as shares of its own, when the level is
# subtracted from it, and what then is negative is left out.
LEFT_SUM = 1 - LEVEL + LEVEL * np.log(LEVEL)
LEFT_MOMENTS = 1 - LEVEL + LEVEL * np.log(LEVEL) - LEVEL * np.log(LEVEL) ** 2 / 2
# The least standard deviation of a landmark, as a share of the label's sigma. Our choice: in CPM's
# input 1.75 px, a centimetre at the body, which is what annotators differ by.
LEAST_DEVIATION = 0.25


def to_input(points: ArrayLike, stride: float) -> Float[np.ndarray, "..."]:
    """Map pixels to input pixels: cell x covers the inputs stride x to stride x + stride - 1."""
    return np.asarray(points) * stride + (stride - 1) / 2


def to_map(points: ArrayLike, stride: float) -> Float[np.ndarray, "..."]:
    """Input pixels to map pixels, the inverse of `to_input`."""
    return (np.asarray(points) - (stride - 1) / 2) / stride


def gaussians(
    centres: ArrayLike, height: int, width: int, sigma: float
) -> Float32[np.ndarray, "*centres {height} {width}"]:
    """Gaussians of height 1 at `centres` (..., 2), cut off as CPM's are: (..., H, W).

    centres and sigma: map px. A NaN centre, which is a missing landmark, gives zeros.
    """
    centres = np.asarray(centres, dtype=np.float32)
    scale = np.float32(1 / (np.sqrt(2) * sigma))
    x = (np.arange(width, dtype=np.float32) - centres[..., :1]) * scale
    y = (np.arange(height, dtype=np.float32) - centres[..., 1:]) * scale
    exponent = (y * y)[..., :, None] + (x * x)[..., None, :]
    # Most cells are beyond the cut: the exponential of the others alone is half the time.
    return np.exp(-exponent, out=np.zeros_like(exponent), where=exponent <= np.float32(CUT))


def render(
    landmarks: ArrayLike, height: int, width: int, sigma: float
) -> Float32[np.ndarray, "N maps {height} {width}"]:
    """Eq. 6 after its Gaussian filter, and the background: (N, L + 1, H, W).

    landmarks (N, L, 2) and sigma: map px. Eq. 6 marks the nearest cell; here the Gaussian sits at
    the landmark itself, as in CPM's label, so that the map keeps the landmark's fraction of a
    pixel. A landmark outside the map still gives the part of its Gaussian that lies inside; a
    missing one (NaN) gives zeros. The background is 1 - max over landmarks.
    """
    maps = gaussians(landmarks, height, width, sigma)
    return np.concatenate([maps, 1 - maps.max(axis=1, keepdims=True)], axis=1)


def labels(
    landmarks: ArrayLike, side: int, sigma: float
) -> tuple[Float32[np.ndarray, "maps {side} {side}"], Float32[np.ndarray, "maps"]]:
    """The maps that one input should give, and a mask of those that the loss may judge.

    landmarks: (people, L, 2) map px, NaN where missing; side: cells along each side of the maps;
    sigma: map px. Returns maps (L + 1, side, side) and mask (L + 1,). Each cell of a map has the
    highest value of all people's Gaussians.

    The mask is 0 where a landmark is missing in any person: nobody knows where it lies, and an
    empty map would teach that it is nowhere. The background, 1 - max over all landmarks, is then
    unknown too. A landmark that is known to lie outside the input is not missing.
    """
    landmarks = np.asarray(landmarks)
    maps = gaussians(landmarks, side, side, sigma).max(axis=0)
    known = ~np.isnan(landmarks).any(axis=(0, 2))
    maps = np.concatenate([maps, 1 - maps.max(axis=0, keepdims=True)])
    mask = np.append(known, known.all()).astype(np.float32)
    return maps * mask[:, None, None], mask


def argmax(
    maps: ArrayLike, subpixel: bool = False, landmarks: int = skeleton.L
) -> tuple[Float32[np.ndarray, "N L 2"], Float32[np.ndarray, "N L"]]:
    """The landmark at each map's maximum, Y_p of section 5.3, and the map's value there.

    maps: (N, L + 1, H, W) or (N, L, H, W); the background is left out. landmarks: L, where maps
    are of other landmarks than ours. Returns landmarks (N, L, 2), map px, and peaks (N, L). Of
    equal maxima the first in row order counts.

    With `subpixel` (our option) each coordinate moves, by at most half a cell, to the top of the
    parabola through the logarithms of the maximum and its two neighbours. For a Gaussian this is
    exact. A maximum at the map's border stays there.

    Raises InputError on another number of maps.
    """
    maps = np.asarray(maps)
    if maps.ndim != 4 or maps.shape[1] not in (landmarks, landmarks + 1):
        raise InputError(
            f"belief maps: expected (N, {landmarks + 1} or {landmarks}, H, W), got {maps.shape}"
        )
    maps = maps[:, :landmarks]
    n, _, height, width = maps.shape
    flat = maps.reshape(n, landmarks, height * width)
    cell = flat.argmax(axis=-1)
    peak = np.take_along_axis(flat, cell[..., None], axis=-1)[..., 0]
    y, x = np.divmod(cell, width)
    points = np.stack([x, y], axis=-1).astype(np.float32)
    if subpixel:
        points[..., 0] += _parabola_top(flat, cell, x, width, step=1)
        points[..., 1] += _parabola_top(flat, cell, y, height, step=width)
    return points, peak.astype(np.float32)


def _parabola_top(
    flat: np.ndarray, cell: np.ndarray, position: np.ndarray, size: int, step: int
) -> Float[np.ndarray, "N L"]:
    """Shift, in [-1/2, 1/2], from a maximum to the top of the parabola along one axis.

    flat: (N, L, H W) maps; cell: (N, L) index of the maximum; position: (N, L) its coordinate along
    the axis, which has `size` cells; step: from a cell to the next one along the axis, in `flat`.
    """
    last = flat.shape[-1] - 1

    def log(index: np.ndarray) -> np.ndarray:
        index = np.clip(index, 0, last)[..., None]
        values = np.take_along_axis(flat, index, axis=-1)[..., 0]
        return np.log(np.maximum(values.astype(float), FLOOR))

    before, at, after = log(cell - step), log(cell), log(cell + step)
    curvature = 2 * at - before - after
    inside = (position > 0) & (position < size - 1) & (curvature > 0)
    return np.where(inside, (after - before) / (2 * np.where(inside, curvature, 1)), 0)


def covariance(
    maps: ArrayLike, points: Float[np.ndarray, "N L 2"], sigma: float
) -> Float[np.ndarray, "N L 2 2"]:
    """How far each landmark may be from where `argmax` puts it: the second moments of the belief
    around that point, map px^2 (our option; the paper takes all landmarks as equally sure).

    maps: as for `argmax`; points: what it returned; sigma: the label's, map px.

    A network that is trained by squares answers with the mean of the labels that the image allows:
    the distribution of the landmark, convolved with the label's Gaussian. So the map's second
    moments are those of the landmark and the label's sigma^2. The map also has the label's sum;
    where it has less, the landmark may as well be elsewhere, and the moments are taken for as much
    larger. They are of what stands out of LEVEL, and exact for Gaussians.
    """
    points = np.asarray(points, dtype=float)
    maps = np.asarray(maps)[:, : points.shape[1]].astype(float)
    height, width = maps.shape[2:]
    peak = np.maximum(maps.max(axis=(2, 3), keepdims=True), FLOOR)
    above = np.maximum(maps - LEVEL * peak, 0)
    total = np.maximum(above.sum(axis=(2, 3)), 1e-9)
    above /= total[..., None, None]
    x, y = np.arange(width) - points[..., :1], np.arange(height) - points[..., 1:]
    by_column, by_row = above.sum(axis=2), above.sum(axis=3)
    middle = np.stack([(by_column * x).sum(axis=2), (by_row * y).sum(axis=2)], axis=-1)
    moments = np.empty((*points.shape, 2))
    moments[..., 0, 0] = (by_column * x * x).sum(axis=2)
    moments[..., 1, 1] = (by_row * y * y).sum(axis=2)
    moments[..., 0, 1] = ((above @ x[..., None])[..., 0] * y).sum(axis=2)
    moments[..., 1, 0] = moments[..., 0, 1]
    away = middle[..., :, None] * middle[..., None, :]
    share = np.clip(total / (2 * np.pi * sigma**2 * LEFT_SUM), FLOOR, 1)
    spread, axes = np.linalg.eigh((moments - away) * (LEFT_SUM / LEFT_MOMENTS))
    # No belief is narrower than the label.
    spread = np.maximum(spread, sigma**2) / share[..., None] - sigma**2
    spread = np.maximum(spread, (LEAST_DEVIATION * sigma) ** 2)
    return (axes * spread[..., None, :]) @ axes.swapaxes(-1, -2) + away


def argmax_vjp(
    landmarks: Float[np.ndarray, "N L 2"],
    gradient: Float[np.ndarray, "N L 2"],
    height: int,
    width: int,
    sigma: float,
) -> Float32[np.ndarray, "N maps {height} {width}"]:
    """The supplement's sub-gradient from coordinates to maps, its section "Updating B".

    landmarks: what `argmax` returned; gradient: the loss's on them; sigma: the label's, map px.
    Returns (N, L + 1, H, W), zero on the background.

    To move Y_p against its gradient g, the belief at Y_p must sink by |g|, and rise by |g| times a
    Gaussian of the label's width in the quadrant where -g points; x and y each add such a step.
    Our reading of "each": a cell rises with |g_x| if it lies in the wanted direction along x and
    not against it along y, and the same with x and y exchanged. So a gradient along one axis moves
    the landmark along that axis. What is returned is a gradient, to be subtracted: positive at Y_p
    and negative in the quadrant.
    """
    landmarks = np.asarray(landmarks, dtype=np.float32)
    gradient = np.asarray(gradient, dtype=np.float32)
    cells = np.rint(landmarks)
    sign, size = np.sign(gradient), np.abs(gradient)
    # How far each column and row lies in the wanted direction; 0 everywhere where g is 0.
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


def render_vjp(
    landmarks: Float[np.ndarray, "N L 2"], gradient: Float[np.ndarray, "N maps H W"], sigma: float
) -> Float32[np.ndarray, "N L 2"]:
    """The supplement's gradient from maps to coordinates: central differences over one pixel.

    landmarks: what was rendered, map px; gradient: the loss's on the L + 1 maps; sigma: map px.
    Returns, for x and y, the sum over cells z of gradient[z] (G(z; Y + 1) - G(z; Y - 1)) / 2, and
    zero for missing landmarks. The background is 1 - max over landmarks, so each cell of its
    gradient goes, negated, to the landmark whose map is the highest there.
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
