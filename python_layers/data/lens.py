"""The distortion of a lens by OpenCV's model, taken off landmarks."""

import cv2
import numpy as np
from jaxtyping import Float

# How many coefficients OpenCV's model has: k1, k2, p1, p2; with k3; with k4 to k6; with the thin
# prism's s1 to s4; with the sensor's tilt.
COEFFICIENTS = (4, 5, 8, 12, 14)
# A ray that the lens sends further than this from its landmark is not the landmark's: the model is
# no lens out there. Our choice, px: of annotations the error is larger.
ASTRAY = 0.5
# OpenCV's iteration: its own default, 5 rounds, is off by a pixel at the edge of wide lenses.
ENDS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-9)


def rays(
    points: Float[np.ndarray, "*batch 2"],
    intrinsics: Float[np.ndarray, "3 3"],
    distortion: Float[np.ndarray, " coefficients"] | None,
) -> Float[np.ndarray, "*batch 2"]:
    """Where the rays through points, px, meet the plane one unit before the camera.

    NaN stays NaN, and so becomes a point that no ray comes to through this lens, by its model.
    """
    flat = points.reshape(-1, 1, 2)
    there = np.isfinite(flat).all(axis=(1, 2))
    result = np.full((len(flat), 2), np.nan)
    if there.any():
        seen = np.ascontiguousarray(flat[there])
        bends = np.zeros(COEFFICIENTS[0]) if distortion is None else distortion
        met = cv2.undistortPointsIter(seen, intrinsics, bends, np.eye(3), np.eye(3), ENDS)
        ahead = cv2.convertPointsToHomogeneous(met)
        back, _ = cv2.projectPoints(ahead, np.zeros(3), np.zeros(3), intrinsics, bends)
        astray = ~(np.linalg.norm(back - seen, axis=2) < ASTRAY)
        result[there] = np.where(astray, np.nan, met[:, 0])
    return result.reshape(points.shape)


def undistorted(
    points: Float[np.ndarray, "M L 2"],
    intrinsics: Float[np.ndarray, "M 3 3"],
    distortions: Float[np.ndarray, "M coefficients"],
) -> Float[np.ndarray, "M L 2"]:
    """Landmarks, px, as cameras of these intrinsics without distortion see them.

    They stay as they are where all coefficients are 0 or the intrinsics NaN, not known; and see
    `rays`.
    """
    result = points.copy()
    bent = np.isfinite(intrinsics).all(axis=(1, 2)) & (distortions != 0).any(axis=1)
    lenses = np.concatenate([intrinsics.reshape(-1, 9), distortions], axis=1)
    for lens in np.unique(lenses[bent], axis=0):
        rows = bent & (lenses == lens).all(axis=1)
        matrix = lens[:9].reshape(3, 3)
        result[rows] = rays(points[rows], matrix, lens[9:]) @ matrix[:2, :2].T + matrix[:2, 2]
    return result
