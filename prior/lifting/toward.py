"""Cameras turned toward the persons they see, which is exact, and by which weak perspective is the
nearest to full perspective."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from prior.camera import focal_length, turn_to_axis
from prior.lifting.compiled import compiled
from prior.lifting.weak_perspective import Inputs


class Toward(NamedTuple):
    """Images as cameras that are turned toward the persons take them. inputs: for weak
    perspective, points px about the axis; turn (N, 3, 3): from the axes of the cameras before;
    focal (N,), px; infinite for weak perspective."""

    inputs: Inputs
    turn: Float[np.ndarray, "N 3 3"]
    focal: Float[np.ndarray, "N"]

    def slopes(self, inputs: Inputs, rows: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n L 2 2"]:
        """Derivatives of these rows' points by the points of `inputs`, which were turned."""
        points = self.inputs.points[rows]
        if inputs.intrinsics is None:
            return np.broadcast_to(np.eye(2), (*points.shape, 2))
        ahead = np.isfinite(points).all(axis=2, keepdims=True)
        flat = np.where(ahead, points, 0) / self.focal[rows, None, None]
        own = np.where(ahead, inputs.points[rows], 0)
        rays = np.concatenate([own, np.ones((*own.shape[:2], 1))], axis=2)
        by_point = self.turn[rows] @ np.linalg.inv(inputs.intrinsics[rows])
        depth = np.where(ahead, rays @ by_point[:, 2, :, None], 1)
        across = by_point[:, None, :2, :2] - flat[..., None] * by_point[:, None, 2:, :2]
        return self.focal[rows, None, None, None] * across / depth[..., None]


def sureness(inputs: Inputs) -> Float[np.ndarray, "N L"]:
    """How sure landmarks are, beside the surest of their pose: a share of its precision; 0 where
    one is missing."""
    there = np.asarray(np.isfinite(inputs.points).all(axis=2))
    precision = np.ones(there.shape)
    if inputs.covariance is not None:
        trace = np.trace(inputs.covariance, axis1=2, axis2=3)
        there = there & np.isfinite(trace)
        precision = 1 / np.where(there, trace, 1)
    if inputs.confidence is not None:
        precision = precision * np.square(inputs.confidence)
    precision = np.where(there, precision, 0)
    most = precision.max(axis=1, keepdims=True)
    return precision / np.where(most > 0, most, 1)


def toward_persons(inputs: Inputs) -> Toward:
    """The images turned; without intrinsics as they are, of confidences 1 and 0."""
    count, L = inputs.points.shape[:2]
    missing = np.asarray(np.isnan(inputs.points).any(axis=2))
    if inputs.confidence is not None:
        missing = missing | (inputs.confidence == 0)
    points = np.where(missing[..., None], np.nan, inputs.points)
    if inputs.intrinsics is None:
        flat = Inputs(points, inputs.camera, inputs.one_camera, None)
        return Toward(flat, np.broadcast_to(np.eye(3), (count, 3, 3)), np.full(count, np.inf))
    focal, intrinsics = focal_length(inputs.intrinsics), inputs.intrinsics.copy()
    turn = turn_to_axis(_middles(points, sureness(inputs), intrinsics))
    points = _turned(points, intrinsics, turn, focal)
    return Toward(Inputs(points, turn @ inputs.camera, False, None), turn, focal)


@compiled
def _middles(
    points: Float[np.ndarray, "N L 2"],
    weight: Float[np.ndarray, "N L"],
    intrinsics: Float[np.ndarray, "N 3 3"],
) -> Float[np.ndarray, "N 3"]:
    """Rays to the middles of persons in the cameras' axes, of landmarks of these weights; the
    optical axis where there is no landmark."""
    middles = np.zeros((len(points), 3))
    for p in range(len(points)):
        for i in range(points.shape[1]):
            if np.isfinite(points[p, i, 0]) and np.isfinite(points[p, i, 1]):
                x, y = _ray(intrinsics[p], points[p, i, 0], points[p, i, 1])
                share = weight[p, i] / np.sqrt(x * x + y * y + 1)
                middles[p, 0] += share * x
                middles[p, 1] += share * y
                middles[p, 2] += share
        if middles[p, 2] == 0:
            middles[p, 2] = 1
    return middles


@compiled
def _turned(
    points: Float[np.ndarray, "N L 2"],
    intrinsics: Float[np.ndarray, "N 3 3"],
    turn: Float[np.ndarray, "N 3 3"],
    focal: Float[np.ndarray, "N"],
) -> Float[np.ndarray, "N L 2"]:
    """The points in the turned cameras, px about the axis; missing as they are. A ray that is not
    before the turned camera has no place in its image: it is infinite there."""
    result = np.empty_like(points)
    for p in range(len(points)):
        m = turn[p]
        for i in range(points.shape[1]):
            u, v = points[p, i, 0], points[p, i, 1]
            x, y = _ray(intrinsics[p], u, v)
            ahead = m[2, 0] * x + m[2, 1] * y + m[2, 2]
            if np.isnan(u) or np.isnan(v):
                result[p, i] = np.nan
            elif np.isfinite(u) and np.isfinite(v) and ahead > 0:
                result[p, i, 0] = focal[p] * (m[0, 0] * x + m[0, 1] * y + m[0, 2]) / ahead
                result[p, i, 1] = focal[p] * (m[1, 0] * x + m[1, 1] * y + m[1, 2]) / ahead
            else:
                result[p, i] = np.inf
    return result


@compiled
def _ray(intrinsics: Float[np.ndarray, "3 3"], u: float, v: float) -> tuple[float, float]:
    """Where a pixel's ray is at a depth of 1."""
    y = (v - intrinsics[1, 2]) / intrinsics[1, 1]
    return (u - intrinsics[0, 2] - intrinsics[0, 1] * y) / intrinsics[0, 0], y
