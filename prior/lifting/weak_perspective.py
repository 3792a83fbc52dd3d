"""Weak perspective: image points as the lifting wants them, and its least-squares systems.

The camera's roll only turns the image and its yaw only adds to the person's, so systems depend on
the camera's elevation alone.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from prior.camera import LEVEL, check_rotation, decompose, level_camera, vertical_rotation
from prior.normalise import PoseError
from prior.skeleton import L

# Scale and yaw take two of the 2 (n - 1) numbers that n landmarks give.
MIN_LANDMARKS = 3


class Views(NamedTuple):
    """N images' points, turned upright, centred and weighted; poses along the last axis.

    y (2, L, N), of unit norm; size (N,): what they were divided by, px; centre (2, N), px: the
    weighted mean taken off; weight (L, N); dimensions (N,): how many numbers the points are,
    without their mean; log_volume (N,): log of how much weighting stretches these; roll,
    elevation, yaw (N,) of the cameras; ok (N,): False where there is nothing to lift.
    """

    y: np.ndarray
    size: np.ndarray
    centre: np.ndarray
    weight: np.ndarray
    dimensions: np.ndarray
    log_volume: np.ndarray
    roll: np.ndarray
    elevation: np.ndarray
    yaw: np.ndarray
    ok: np.ndarray


class Systems(NamedTuple):
    """Least squares (equation 4) of M combinations of component, angle, elevation and weight.

    m (M, 2L), G (M, 2L, J): weighted, centred projections of mean and basis; solve (M, J, 2L) =
    H^-1 G^T with H = G^T G + nu std^-2; g (M, 2L) = Q m with Q = I - G solve; mqm (M,) = m^T Q m;
    nu (M,); log_det (M,), of the covariance of centred weighted points at scale 1.
    """

    m: np.ndarray
    G: np.ndarray
    solve: np.ndarray
    g: np.ndarray
    mqm: np.ndarray
    nu: np.ndarray
    log_det: np.ndarray


def check(points, camera, confidence):
    """Check the arguments of `Lifter.lift`. Returns points (N, L, 2), the cameras' roll, elevation
    and yaw (3, N), and confidence (N, L) or None, for `views`. Raises PoseError, ValueError."""
    points = np.asarray(points, dtype=float)
    if points.ndim != 3 or points.shape[1:] != (L, 2):
        raise PoseError(f"points: expected shape (N, {L}, 2), px, got {points.shape}")
    count = len(points)
    camera = np.asarray(LEVEL if camera is None else camera, dtype=float)
    if camera.shape == (3, 3):
        angles = np.broadcast_to(_angles(camera.tobytes()), (count, 3)).T
    else:
        camera = check_rotation(camera)
        if camera.shape != (count, 3, 3):
            raise PoseError(f"camera: expected (3, 3) or ({count}, 3, 3), got {camera.shape}")
        angles = np.stack(decompose(camera))
    if confidence is not None:
        confidence = np.asarray(confidence, dtype=float)
        if confidence.shape not in ((L,), (count, L)):
            raise PoseError(
                f"confidence: expected ({L},) or ({count}, {L}), got {confidence.shape}"
            )
        if not (np.isfinite(confidence) & (confidence >= 0)).all():
            raise PoseError("confidence: expected finite numbers of 0 or more")
        confidence = np.broadcast_to(confidence, (count, L))
    return points, angles, confidence


@lru_cache(maxsize=64)
def _angles(camera):
    """Roll, elevation and yaw of the bytes of a camera, which callers use again and again."""
    return np.array(decompose(check_rotation(np.frombuffer(camera).reshape(3, 3))))


def views(points, angles, confidence):
    """The Views of what `check` returned, or of some rows of it."""
    count = len(points)
    points = np.ascontiguousarray(points.reshape(count, -1).T).reshape(L, 2, count).swapaxes(0, 1)
    finite = np.isfinite(points)
    if confidence is None and finite.all():
        weight, ok = np.broadcast_to(1.0, (L, count)), np.ones(count, dtype=bool)
        numbers, log_volume = np.broadcast_to(2 * (L - 1), count), np.broadcast_to(0.0, count)
    else:
        missing = np.isnan(points).any(axis=0)
        weight = np.where(missing, 0, 1 if confidence is None else confidence.T)
        ok = (finite.all(axis=0) | missing).all(axis=0)
        ok &= np.count_nonzero(weight, axis=0) >= MIN_LANDMARKS
        points = np.where((weight > 0) & ok, points, 0)
        weight = np.where(ok, weight, 1)
        numbers = dimensions(weight.T)
        log_volume = 2 * np.log(np.where(weight > 0, weight, 1)).sum(axis=0)
        log_volume -= np.log(np.square(weight).sum(axis=0) / np.count_nonzero(weight, axis=0))
    roll, elevation, yaw = angles
    centre = (share(weight) * points).sum(axis=1)
    y = rolled(points - centre[:, None], -roll)
    y *= weight
    size = np.sqrt(np.square(y).sum(axis=(0, 1)))
    # Rounding of the coordinates is not an extent.
    ok &= size > 1e-9 * (1 + np.abs(points).max(axis=(0, 1), initial=0))
    size = np.where(ok, size, 1)
    y /= size
    return Views(y, size, centre, weight, numbers, log_volume, roll, elevation, yaw, ok)


def dimensions(weight):
    """How many numbers centred points of weights (..., L) are: (...)."""
    return 2 * (np.count_nonzero(weight, axis=-1) - 1)


def share(weight):
    """Each landmark's part (L, N) in the weighted mean of residuals' weights (L, N)."""
    squared = weight * weight
    return squared / squared.sum(axis=0)


def rolled(points, angle):
    """Image points (2, L, N) turned by angle (N,) about the origin, x towards y."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = points
    result = np.empty(points.shape)
    np.subtract(cos * x, sin * y, out=result[0])
    np.add(sin * x, cos * y, out=result[1])
    return result


def apply(matrices, vectors):
    """Each matrix (M, A, B) times its vector (M, B)."""
    return np.matmul(matrices, vectors[..., None])[..., 0]


def solve(systems, y):
    """Scale (M,) and a' (M, J) of equation 4 for points y (M, 2L)."""
    scale = np.einsum("ni,ni->n", systems.g, y) / systems.mqm
    return scale, apply(systems.solve, y - scale[:, None] * systems.m)


def log_density(cost, scale, nu, log_det, dimensions):
    """Log density of centred weighted points of least-squares minimum `cost` at scale s, -inf
    where s is not positive. All (M,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = cost / (nu * scale**2) + log_det + dimensions * np.log(2 * np.pi * scale**2)
    return np.where(scale > 0, -0.5 * value, -np.inf)


class Projector:
    """Projects a model's mean and basis, and sets up the systems. nu (K,): the ridge's weight."""

    def __init__(self, model, nu):
        # Mean and basis side by side, coordinates first: (K, 3, L (1 + J)).
        shape = np.concatenate([model.mean[:, None], model.basis], axis=1)
        self._shape = np.ascontiguousarray(shape.transpose(0, 3, 2, 1)).reshape(len(nu), 3, -1)
        self._nu = nu
        self._ridge = nu[:, None] / model.std**2
        self._log_std = np.log(model.std).sum(axis=1)

    def columns(self, component, angle, elevation, weight):
        """Projections of mean and basis (M, 2, L, 1 + J), less their weighted means, for
        component, angle, elevation (M,) and weight (M, L)."""
        view = (level_camera(elevation) @ vertical_rotation(angle))[:, :2]
        columns = (view @ self._shape[component]).reshape(len(view), 2, L, -1)
        return columns - np.einsum("lm,mclj->mcj", share(weight.T), columns)[:, :, None]

    def systems(self, component, angle, elevation, weight):
        """Systems for component, angle, elevation (M,) and weight (M, L)."""
        columns = weight[:, None, :, None] * self.columns(component, angle, elevation, weight)
        columns = columns.reshape(len(weight), 2 * L, -1)
        m, G = columns[..., 0], columns[..., 1:]
        transposed = np.ascontiguousarray(G.swapaxes(1, 2))
        size = G.shape[2]
        H = transposed @ G
        H[:, np.arange(size), np.arange(size)] += self._ridge[component]
        inverse = np.linalg.solve(H, transposed)
        g = m - apply(G, apply(inverse, m))
        nu = self._nu[component]
        # |nu I + G std^2 G^T| over centred points, by the matrix determinant lemma.
        log_det = (dimensions(weight) - size) * np.log(nu) + 2 * self._log_std[component]
        log_det += np.linalg.slogdet(H)[1]
        return Systems(m, G, inverse, g, np.einsum("ni,ni->n", m, g), nu, log_det)
