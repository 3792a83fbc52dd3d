"""Symmetric matrices of two rows, many at once: numpy's own ways are slow for small ones."""

import numpy as np
from jaxtyping import Float


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
    a, b, c, d = _cells(whitening)
    result = np.empty(whitening.shape)
    result[..., 0, 0], result[..., 1, 1] = a * a + c * c, b * b + d * d
    result[..., 0, 1] = result[..., 1, 0] = a * b + c * d
    return result


def _cells(matrices: Float[np.ndarray, "*n 2 2"]) -> tuple[np.ndarray, ...]:
    """By rows."""
    return matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 1, 0], matrices[..., 1, 1]
