"""Weak perspective: landmarks made ready for the lifting, and its least-squares systems.

What this does to reference.py: the camera's roll is undone in the image, and its yaw is added to
the person's, so that a system depends on the camera's elevation alone. The landmarks are divided by
their norm, so that the same thresholds serve every image. The coefficients are eliminated: the
scale is a linear form of the landmarks, the cost a quadratic one. Everything here is float64.

Shapes: M systems, D = 2L image coordinates, S = 1 + J unknowns, s and a'.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from prior.camera import LEVEL, check_rotation, decompose, level_camera, vertical_rotation
from prior.errors import InputError
from prior.lifting import passes
from prior.lifting.least_squares import PLACE, LeastSquares
from prior.lifting.perspective import Views
from prior.model import PriorModel

# Scale and yaw take two of the 2 (n - 1) numbers that n landmarks give.
MIN_LANDMARKS = 3

# Systems that are set up at once: few enough for a core's cache.
BATCH = 256


class Inputs(NamedTuple):
    """What N poses are lifted from.

    points (N, L, 2), px, NaN where a landmark is missing; camera (N, 3, 3), world to camera;
    one_camera: all poses have the same one; confidence (N, L), or None where all count alike;
    intrinsics (N, 3, 3), or None for weak perspective; covariance (N, L, 2, 2), px^2, of each
    landmark's noise, or None where it is that of the Lifter.
    """

    points: Float[np.ndarray, "N L 2"]
    camera: Float[np.ndarray, "N 3 3"]
    one_camera: bool
    confidence: Float[np.ndarray, "N L"] | None = None
    intrinsics: Float[np.ndarray, "N 3 3"] | None = None
    covariance: Float[np.ndarray, "N L 2 2"] | None = None

    def take(self, rows: slice | np.ndarray) -> "Inputs":
        """The Inputs of these poses: a slice, indices or a mask."""
        return Inputs(
            self.points[rows],
            self.camera[rows],
            self.one_camera,
            *(None if a is None else a[rows] for a in self[3:]),
        )

    @property
    def full(self) -> bool:
        """Whether they are lifted by full.py."""
        return self.intrinsics is not None or self.covariance is not None

    def angles(self) -> Float[np.ndarray, "3 N"]:
        """Roll, elevation and yaw of the cameras, radians."""
        if self.one_camera and len(self.camera):
            one = _angles(self.camera[0].tobytes())
            return np.repeat(one, len(self.camera)).reshape(3, -1)
        return np.stack(decompose(self.camera))


@lru_cache(maxsize=64)
def _angles(camera: bytes) -> Float[np.ndarray, "3"]:
    """Roll, elevation and yaw of one camera's bytes, checked: callers use the same camera again
    and again. Raises InputError if it is no rotation."""
    return np.array(decompose(check_rotation(np.frombuffer(camera).reshape(3, 3))))


class Observations(NamedTuple):
    """The landmarks of N images, turned upright, centred and weighted.

    y (N, 2, L), of unit norm; size (N,), what they were divided by, px; centre (N, 2), the weighted
    mean that was subtracted, px; weight (N, L); dimensions (N,), how many numbers the landmarks
    are, without their mean; log_volume (N,), log of how much the weights stretch these; ok (N,),
    False where there is nothing to lift; roll, elevation, yaw (N,) of the cameras, radians;
    one_camera: all have the same one.
    """

    y: Float[np.ndarray, "N 2 L"]
    size: Float[np.ndarray, "N"]
    centre: Float[np.ndarray, "N 2"]
    weight: Float[np.ndarray, "N L"]
    dimensions: Int[np.ndarray, "N"]
    log_volume: Float[np.ndarray, "N"]
    ok: Bool[np.ndarray, "N"]
    roll: Float[np.ndarray, "N"]
    elevation: Float[np.ndarray, "N"]
    yaw: Float[np.ndarray, "N"]
    one_camera: bool

    @property
    def flat(self) -> Float[np.ndarray, "N D"]:
        """y, a row for each image."""
        return self.y.reshape(len(self.y), self.y.shape[1] * self.y.shape[2])


class Systems(NamedTuple):
    """The least squares of equation 4 for M combinations of component, angle, elevation, weight.

    m (M, 2L) and G (M, 2L, J): weighted, centred projections of mean and basis; solve (M, J, 2L) =
    H^-1 G^T with H = G^T G + nu std^-2; g (M, 2L) = Q m with Q = I - G
    solve; mqm (M,) = m^T Q m; nu (M,); log_det (M,), of the covariance of centred weighted
    landmarks at scale 1.
    """

    m: Float[np.ndarray, "M D"]
    G: Float[np.ndarray, "M D J"]
    solve: Float[np.ndarray, "M J D"]
    g: Float[np.ndarray, "M D"]
    mqm: Float[np.ndarray, "M"]
    nu: Float[np.ndarray, "M"]
    log_det: Float[np.ndarray, "M"]


class LinearMaps(NamedTuple):
    """The solution of M Systems as linear maps: solution (M, 1 + J, 2L), y to (s, a'); by_scale
    (M, J) = H^-1 G^T m, what a' loses per unit of s; log_det (M,) of the Systems."""

    solution: Float[np.ndarray, "M S D"]
    by_scale: Float[np.ndarray, "M J"]
    log_det: Float[np.ndarray, "M"]


def validate(
    points: ArrayLike,
    camera: ArrayLike | None = None,
    confidence: ArrayLike | None = None,
    intrinsics: ArrayLike | None = None,
    covariance: ArrayLike | None = None,
    landmarks: int | None = None,
) -> Inputs:
    """The arguments of `Lifter.lift`, checked and copied; landmarks: L, None for as many as there
    are. Raises InputError."""
    points = np.array(points, dtype=float, order="C")
    L = points.shape[1] if landmarks is None and points.ndim == 3 else landmarks or 0
    if points.ndim != 3 or points.shape[1:] != (L, 2):
        raise InputError(f"points: expected shape (N, {L}, 2), px, got {points.shape}")
    count = len(points)
    camera = np.array(LEVEL if camera is None else camera, dtype=float)
    one_camera = camera.shape == (3, 3)
    if one_camera:
        _angles(camera.tobytes())
    elif check_rotation(camera).shape != (count, 3, 3):
        raise InputError(f"camera: expected (3, 3) or ({count}, 3, 3), got {camera.shape}")
    camera = np.broadcast_to(camera, (count, 3, 3))
    if confidence is not None:
        confidence = np.array(confidence, dtype=float)
        if confidence.shape not in ((L,), (count, L)):
            raise InputError(
                f"confidence: expected ({L},) or ({count}, {L}), got {confidence.shape}"
            )
        if not (np.isfinite(confidence) & (confidence >= 0)).all():
            raise InputError("confidence: expected finite numbers of 0 or more")
        confidence = np.broadcast_to(confidence, (count, L))
    if intrinsics is not None:
        intrinsics = _intrinsics(intrinsics, count)
    if covariance is not None:
        covariance = _covariance(covariance, points)
    return Inputs(points, camera, one_camera, confidence, intrinsics, covariance)


def _intrinsics(intrinsics: ArrayLike, count: int) -> Float[np.ndarray, "N 3 3"]:
    """Camera matrices (N, 3, 3), checked and copied."""
    matrix = np.array(intrinsics, dtype=float)
    if matrix.shape not in ((3, 3), (count, 3, 3)):
        raise InputError(f"intrinsics: expected (3, 3) or ({count}, 3, 3), got {matrix.shape}")
    last, first = matrix[..., 2, :], matrix[..., [0, 1], [0, 1]]
    good = (last == [0, 0, 1]).all() and (matrix[..., 1, 0] == 0).all()
    if not (good and np.isfinite(matrix).all() and (first > 0).all()):
        raise InputError(
            "intrinsics: expected camera matrices [[fx, skew, cx], [0, fy, cy], [0, 0, 1]], px, "
            f"with fx and fy above 0, got {np.array2string(matrix, threshold=9)}"
        )
    return np.broadcast_to(matrix, (count, 3, 3))


def _covariance(
    covariance: ArrayLike, points: Float[np.ndarray, "N L 2"]
) -> Float[np.ndarray, "N L 2 2"]:
    """Covariances (N, L, 2, 2), checked and copied; those of missing landmarks do not matter."""
    matrix, L = np.array(covariance, dtype=float), points.shape[1]
    if matrix.shape not in ((L, 2, 2), (*points.shape, 2)):
        raise InputError(
            f"covariance: expected ({L}, 2, 2) or {(*points.shape, 2)}, px^2, got {matrix.shape}"
        )
    matrix = np.broadcast_to(matrix, (*points.shape, 2))
    (a, b), (c, d) = np.moveaxis(matrix, (-2, -1), (0, 1))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        good = (np.abs(b - c) <= 1e-6 * (np.abs(a) + np.abs(d))) & (a > 0) & (d - b / a * c > 0)
    good &= np.isfinite(matrix).all(axis=(2, 3))
    bad = ~good & ~np.isnan(points).any(axis=2)
    if bad.any():
        i, landmark = np.argwhere(bad)[0]
        raise InputError(
            "covariance: expected symmetric, positive definite matrices, px^2, got "
            f"{matrix[i, landmark].tolist()} for landmark {landmark} of pose {i}"
        )
    return matrix


def observe(inputs: Inputs, angles: Float[np.ndarray, "3 N"] | None = None) -> Observations:
    """The Observations of Inputs; angles: roll, elevation and yaw of other cameras than theirs,
    one for each pose."""
    one_camera = inputs.one_camera and angles is None
    roll, elevation, yaw = inputs.angles() if angles is None else np.ascontiguousarray(angles)
    L = inputs.points.shape[1]
    confidence = np.ones((1, L)) if inputs.confidence is None else inputs.confidence
    fields = passes.observed(
        np.ascontiguousarray(inputs.points), np.array(confidence, order="C"), roll, MIN_LANDMARKS
    )
    return Observations._make([*fields, roll, elevation, yaw, one_camera])


def dimensions(weight: Float[np.ndarray, "*n L"]) -> Int[np.ndarray, "*n"]:
    """How many numbers centred landmarks of these weights are."""
    return np.asarray(2 * (np.count_nonzero(weight, axis=-1) - 1))


def share(weight: Float[np.ndarray, "N L"]) -> Float[np.ndarray, "N L"]:
    """Each landmark's part in the weighted mean, of the weights on the residuals."""
    squared = weight * weight
    return squared / squared.sum(axis=1, keepdims=True)


def rolled(
    points: Float[np.ndarray, "2 L N"], angle: Float[np.ndarray, "N"] | float
) -> Float[np.ndarray, "2 L N"]:
    """Image points turned by the angles, radians, about the origin, x towards y."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = points
    result = np.empty(points.shape)
    np.subtract(cos * x, sin * y, out=result[0])
    np.add(sin * x, cos * y, out=result[1])
    return result


def apply(
    matrices: Float[np.ndarray, "M A B"], vectors: Float[np.ndarray, "M B"]
) -> Float[np.ndarray, "M A"]:
    """Each matrix times its vector."""
    return np.matmul(matrices, vectors[..., None])[..., 0]


def linear_maps(systems: Systems) -> LinearMaps:
    """The solutions for any landmarks, as matrices."""
    by_scale = apply(systems.solve, systems.m)
    scale = systems.g / systems.mqm[:, None]
    scaled = systems.solve - by_scale[..., None] * scale[:, None]
    solution = np.concatenate([scale[:, None], scaled], axis=1)
    return LinearMaps(solution, by_scale, systems.log_det)


class Projector:
    """Projects a model's mean and basis, and sets up the Systems. nu (K,): the ridge's weight,
    the variance of body and detector, in units of limb scale."""

    def __init__(self, model: PriorModel, nu: Float[np.ndarray, "K"]) -> None:
        # Mean and basis side by side, coordinates first: (K, 3, L (1 + J)).
        shape = np.concatenate([model.mean[:, None], model.basis], axis=1)
        self._shape = np.ascontiguousarray(shape.transpose(0, 3, 2, 1)).reshape(len(nu), 3, -1)
        self._least_squares = LeastSquares(model, nu)
        self._nu = nu
        self._ridge = nu[:, None] / model.std**2
        self._log_std = np.log(model.std).sum(axis=1)

    def columns(
        self,
        component: Int[np.ndarray, "M"],
        angle: Float[np.ndarray, "M"],
        elevation: Float[np.ndarray, "M"],
        weight: Float[np.ndarray, "M L"],
    ) -> Float[np.ndarray, "M 2 L S"]:
        """Projections of mean and basis, less their weighted means."""
        projection = (level_camera(elevation) @ vertical_rotation(angle))[:, :2]
        columns = (projection @ self._shape[component]).reshape(
            len(projection), 2, weight.shape[1], -1
        )
        return columns - np.einsum("ml,mclj->mcj", share(weight), columns)[:, :, None]

    def systems(
        self,
        component: Int[np.ndarray, "M"],
        angle: Float[np.ndarray, "M"],
        elevation: Float[np.ndarray, "M"],
        weight: Float[np.ndarray, "M L"],
    ) -> Systems:
        """The Systems of these components, angles, elevations (radians) and weights."""
        columns = weight[:, None, :, None] * self.columns(component, angle, elevation, weight)
        columns = columns.reshape(len(weight), 2 * weight.shape[1], -1)
        m, G = columns[..., 0], columns[..., 1:]
        transposed = np.ascontiguousarray(G.swapaxes(1, 2))
        size = G.shape[2]
        H = transposed @ G
        H[:, np.arange(size), np.arange(size)] += self._ridge[component]
        solve = np.linalg.inv(H) @ transposed
        log_det = self._with_noise(component, weight, np.linalg.slogdet(H)[1])
        g = m - apply(G, apply(solve, m))
        nu = self._nu[component]
        return Systems(m, G, solve, g, np.einsum("ni,ni->n", m, g), nu, log_det)

    def solve(
        self,
        component: Int[np.ndarray, "M"],
        angle: Float[np.ndarray, "M"],
        elevation: Float[np.ndarray, "M"],
        weight: Float[np.ndarray, "M L"],
        y: Float[np.ndarray, "M 2 L"],
    ) -> tuple[Float[np.ndarray, "M S"], Float[np.ndarray, "M"]]:
        """s and a' of equation 4 for the landmarks y of Observations, one pose each, and log_det of
        their Systems, without making these."""
        matrix = level_camera(elevation) @ vertical_rotation(angle) * np.array([[1], [1], [0]])
        points = (y / np.where(weight > 0, weight, 1)[:, None]).swapaxes(1, 2)
        views = Views(component, matrix, points, weight[..., None, None] * np.eye(2))
        unknowns, log_det = self._least_squares.weakly(views)
        # Its place is no unknown of the Systems.
        log_det -= 2 * np.log(np.square(weight).sum(axis=1))
        return np.roll(unknowns[:, PLACE:], 1, axis=1), self._with_noise(component, weight, log_det)

    def _with_noise(
        self,
        component: Int[np.ndarray, "M"],
        weight: Float[np.ndarray, "M L"],
        log_det: Float[np.ndarray, "M"],
    ) -> Float[np.ndarray, "M"]:
        """Log determinant of nu I + G std^2 G^T over centred landmarks, by the matrix determinant
        lemma, from that of G^T G + nu std^-2."""
        others = dimensions(weight) - self._ridge.shape[1]
        return others * np.log(self._nu[component]) + 2 * self._log_std[component] + log_det
