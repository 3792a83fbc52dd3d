"""Cameras turned toward the persons they see, which is exact, and by which weak perspective is the
nearest to full perspective."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from prior.camera import focal_length, turn_to_axis
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
    focal = focal_length(inputs.intrinsics)
    finite = np.asarray(np.isfinite(points).all(axis=2, keepdims=True))
    rays = np.concatenate([np.where(finite, points, 0), np.ones((count, L, 1))], axis=2)
    rays = rays @ np.linalg.inv(inputs.intrinsics).swapaxes(1, 2)
    unit = rays / np.linalg.norm(rays, axis=2, keepdims=True)
    middle = (np.where(finite, unit, 0) * sureness(inputs)[..., None]).sum(axis=1)
    middle = np.where(finite.any(axis=1), middle, [0, 0, 1])
    turn = turn_to_axis(middle)
    rays = rays @ turn.swapaxes(1, 2)
    # A ray that is not before the turned camera has no place in its image.
    ahead = finite & (rays[..., 2:] > 0)
    flat = focal[:, None, None] * rays[..., :2] / np.where(ahead, rays[..., 2:], 1)
    points = np.where(ahead, flat, np.where(missing[..., None], np.nan, np.inf))
    return Toward(Inputs(points, turn @ inputs.camera, False, None), turn, focal)
