"""Symmetric matrices of two rows, many at once: numpy's own ways are slow for small ones."""

import numpy as np
from jaxtyping import Float

from prior.lifting.compiled import compiled
from prior.lifting.newton import ROUNDING


@compiled
def inverse_root(a: float, b: float, d: float) -> tuple[float, float, float]:
    """The cells of W = [[first, across], [0, last]] with W^T W the inverse of the positive definite
    [[a, b], [b, d]]. However large that is, and however long its ellipse, W is finite."""
    share = b / d
    first = 1 / np.sqrt(max(a - share * b, ROUNDING * a))
    return first, -share * first, 1 / np.sqrt(d)


def whitenings(precision: Float[np.ndarray, "*n 2 2"]) -> Float[np.ndarray, "*n 2 2"]:
    """W, upper triangular, with W^T W the precision; 0 where that is 0."""
    a, b, d = precision[..., 0, 0], precision[..., 0, 1], precision[..., 1, 1]
    root = np.sqrt(a)
    cross = b / np.where(root > 0, root, 1)
    result = np.zeros(precision.shape)
    result[..., 0, 0], result[..., 0, 1] = root, cross
    result[..., 1, 1] = np.sqrt(np.maximum(d - cross**2, 0))
    return result


def precisions(whitening: Float[np.ndarray, "*n 2 2"]) -> Float[np.ndarray, "*n 2 2"]:
    """W^T W of each W."""
    a, b, c, d = (whitening[..., i, j] for i in range(2) for j in range(2))
    result = np.empty(whitening.shape)
    result[..., 0, 0], result[..., 1, 1] = a * a + c * c, b * b + d * d
    result[..., 0, 1] = result[..., 1, 0] = a * b + c * d
    return result
