"""2D landmarks to 3D poses (section 5.3): exact, in batches, with derivatives.

The model of one image, with Pi the orthographic projection, E the camera rotation and R a turn of
the person about the vertical (equation 4, in full):

    y = s Pi E R (mu + sum_j a_j e_j) + noise,   a_j ~ N(0, std_j^2),
    noise ~ N(0, s^2 nu),   nu = noise_std^2 + noise_mm^2 in units of limb scale

R is enumerated. For each R and component, the scale s and a' = s a are linear least squares with a
ridge nu (a'_j / std_j)^2 (weak_perspective.Systems), and the marginal density of y tells how
probable (R, component) is (enumeration.py).
"""

import warnings
from collections import deque
from typing import NamedTuple

import numpy as np

from prior.camera import LEVEL, compose, turned
from prior.chunks import each_chunk
from prior.lifting import gradient, posterior
from prior.lifting import weak_perspective as weak
from prior.lifting.candidates import BATCH, Enumeration, some
from prior.skeleton import L

# Section 5.3.
ROTATIONS = 80

# The detector's noise at the scale of the body. Our choice: 20 mm, 5 px in Human3.6M's images.
NOISE_MM = 20.0

# Poses handled at once by one thread: bounds the memory, and is enough for large products.
CHUNK = 4096

# Poses described at once: these arrays stay near the processor.
BLOCK = 2048

# Combinations that are less probable than the best by more than this many nats do not count in
# the posterior: less than a thousandth.
REACH = 7.0


class Lifted(NamedTuple):
    """What `lift` knows of N poses.

    pose (N, L, 3), mm at the typical limb scale, world frame, centred on the mean landmark;
    projection (N, L, 2), px, equation 5; scale (N,), px per unit of limb scale; yaw (N,), of the
    person about the vertical, world; coefficients (N, J); component (N,); log_likelihood (N,), of
    the points with the weight of the component; component_probability (N, K), all rotations
    together; camera (N, 3, 3), as given, or as found where its tilt was searched; ok (N,): False
    where the points cannot be lifted (too few landmarks, all in one place, only upside down).
    There pose is the first component's mean, projection the mean of the points, and scale,
    coefficients and log_likelihood are 0, 0 and -inf.
    """

    pose: np.ndarray
    projection: np.ndarray
    scale: np.ndarray
    yaw: np.ndarray
    coefficients: np.ndarray
    component: np.ndarray
    log_likelihood: np.ndarray
    component_probability: np.ndarray
    camera: np.ndarray
    ok: np.ndarray


class Lifter:
    """Lifts batches of 2D poses with one model; keeps what can be precomputed.

    rotations: how many are enumerated; noise_mm: standard deviation of the detector's noise, mm
    at the body. Raises ValueError for fewer than 4 rotations or a negative noise.
    """

    def __init__(self, model, rotations=ROTATIONS, noise_mm=NOISE_MM):
        if rotations < 4:
            raise ValueError(f"rotations: expected 4 or more, got {rotations}")
        if not 0 <= noise_mm < np.inf:
            raise ValueError(f"noise_mm: expected 0 or more, got {noise_mm}")
        self.model = model
        self.enumeration = Enumeration(model, rotations, noise_mm / model.scale_mm)

    def lift(self, points, camera=None, confidence=None, refine=False, tilt=False):
        """The most probable 3D poses of 2D landmarks.

        points: (N, L, 2), px; NaN marks a missing landmark. camera: (3, 3) or (N, 3, 3), world to
        camera, a level one by default. confidence: (N, L) or (L,), a weight on each landmark's
        residuals, 0 for missing. refine: from the enumerated rotations on to the best in between,
        as the paper does with 20. tilt: the camera's elevation and roll are not known (of `camera`
        only the yaw counts): the most probable of ELEVATIONS and ROLLS is taken.

        Returns Lifted. Raises PoseError for other shapes, values or confidences, ValueError if
        the camera is no rotation. A pose that cannot be lifted is marked in `ok`, warned of, and
        leaves the others alone.
        """
        points, angles, confidence = weak.check(points, camera, confidence)
        count, size = len(points), self.model.basis_size
        cameras = np.broadcast_to(LEVEL if camera is None else camera, (count, 3, 3))
        lifted = Lifted(
            np.empty((count, L, 3)),
            np.empty((count, L, 2)),
            np.empty(count),
            np.empty(count),
            np.empty((count, size)),
            np.empty(count, dtype=int),
            np.empty(count),
            np.empty((count, self.model.components)),
            np.empty((count, 3, 3)) if tilt else cameras,
            np.empty(count, dtype=bool),
        )

        def work(rows):
            given = None if confidence is None else confidence[rows]
            out = Lifted(*(a[rows] for a in lifted))
            angle, find = angles[:, rows], self.enumeration
            if tilt:
                level = weak.views(points[rows], angle * [[0], [0], [1]], given)
                angle = find.tilt(level)
                out.camera[:] = compose(*angle)
            views = weak.views(points[rows], angle, given)
            pairs = find.candidates(views, out.component_probability, refine=refine)
            if refine:
                pairs = find.refined(views, pairs)
            pairs = find.best(views, pairs)
            for i in range(0, len(pairs.row), BLOCK):
                self._describe(views, some(pairs, slice(i, i + BLOCK)), out)

        deque(each_chunk(work, count, CHUNK), maxlen=0)
        lost = count - np.count_nonzero(lifted.ok)
        if lost:
            warnings.warn(
                f"{lost} of {count} poses could not be lifted (fewer than {weak.MIN_LANDMARKS} "
                "landmarks, all in one place, or upside down): see Lifted.ok",
                stacklevel=2,
            )
        return lifted

    def vjp(
        self,
        points,
        lifted,
        camera=None,
        confidence=None,
        *,
        projection=None,
        pose=None,
        scale="exact",
    ):
        """Gradient of a function of the lifted poses with respect to the points.

        points, camera, confidence: as given to `lift`, lifted: what it returned; projection
        (N, L, 2) and pose (N, L, 3): the function's gradients with respect to these. Rotation and
        component are held at their values. scale: "exact", or "held", the supplement's
        approximation that holds s too. Returns (N, L, 2); 0 for poses that are not ok and for
        missing landmarks.
        """
        if scale not in ("exact", "held"):
            raise ValueError(f"scale: expected 'exact' or 'held', got {scale!r}")
        points, angles, confidence = weak.check(points, camera, confidence)
        grads = np.empty(points.shape)

        def work(rows):
            given = None if confidence is None else confidence[rows]
            views = weak.views(points[rows], angles[:, rows], given)
            grads[rows] = gradient.to_points(
                self.enumeration,
                views,
                Lifted(*(a[rows] for a in lifted)),
                *(None if g is None else np.asarray(g, float)[rows] for g in (projection, pose)),
                scale == "held",
            )

        deque(each_chunk(work, len(points), CHUNK), maxlen=0)
        return grads

    def posterior(self, points, lifted, camera=None, confidence=None, spread=True):
        """How far the true poses may be from the lifted ones: second moments (N, 3L, 3L), mm^2.

        Arguments as for `vjp`. The moments are those of (truth - pose), landmark by landmark,
        with the mean landmarks at the same place and the person's limb scale the typical one;
        posterior.deviation makes of them a standard deviation in mm for each landmark. spread:
        with the other components and rotations, as far as they are probable; otherwise given
        (component, rotation). NaN for poses that are not ok.
        """
        how = posterior.given, posterior.spread if spread else None
        return self._posterior((3 * L, 3 * L), *how, points, lifted, camera, confidence)

    def deviation(self, points, lifted, camera=None, confidence=None, spread=True):
        """Standard deviation (N, L) of each landmark, mm, the root of the mean squared distance in
        3D: of `posterior`, whose arguments it takes, only what it needs. NaN as there."""
        how = posterior.variance, posterior.spread_variance if spread else None
        return np.sqrt(self._posterior((L,), *how, points, lifted, camera, confidence))

    def _posterior(self, shape, given, spread, points, lifted, camera, confidence):
        """The sum (N, *shape) of two functions of posterior.py; spread may be None."""
        points, angles, confidence = weak.check(points, camera, confidence)
        moments = np.full((len(points), *shape), np.nan)
        for start in range(0, len(points), BATCH):
            rows = np.arange(start, min(start + BATCH, len(points)))
            rows = rows[lifted.ok[rows]]
            if not len(rows):
                continue
            own = None if confidence is None else confidence[rows]
            views = weak.views(points[rows], angles[:, rows], own)
            part = Lifted(*(a[rows] for a in lifted))
            moments[rows] = given(self.enumeration, views, part)
            if spread is not None:
                pairs = self.enumeration.candidates(views, part.component_probability, reach=REACH)
                *found, _, density = self.enumeration.seen(views, pairs)
                found = np.stack(found, axis=-1).swapaxes(0, 1) / pairs.solution[0][:, None, None]
                pose = turned(self.model.scale_mm * found, -views.yaw[pairs.row])
                off = (pose - part.pose[pairs.row]).reshape(-1, 3 * L)
                moments[rows] += spread(pairs.row, off, density)
        return moments

    def _describe(self, views, pairs, out):
        """Write what the Pairs, one a row, say into `out`, a Lifted."""
        model, row = self.model, pairs.row
        x, height, z, flat, density = self.enumeration.seen(views, pairs)
        ok = views.ok[row] & (pairs.solution[0] > 0)
        scale = np.where(ok, pairs.solution[0], 1)
        size, yaw, roll = views.size[row], views.yaw[row], views.roll[row]
        out.ok[row], out.scale[row], out.component[row] = ok, scale * size, pairs.component
        out.coefficients[row] = (pairs.solution[1:] / scale).T
        # From centred weighted points of unit norm to the points in px.
        density += views.log_volume[row] - views.dimensions[row] * np.log(size)
        out.log_likelihood[row] = density
        # The camera's yaw is part of the angle enumerated.
        out.yaw[row] = np.remainder(pairs.angle - yaw + np.pi, 2 * np.pi) - np.pi
        mm = model.scale_mm / scale
        cos, sin = np.cos(yaw) * mm, np.sin(yaw) * mm
        pose = np.empty((len(row), L, 3))
        pose[..., 0], pose[..., 1] = (cos * x - sin * z).T, (height * mm).T
        pose[..., 2] = (cos * z + sin * x).T
        out.pose[row] = pose
        share = weak.share(np.take(views.weight, row, axis=1))
        flat -= (share * flat).sum(axis=1, keepdims=True)
        flat *= size
        flat = weak.rolled(flat, roll)
        flat += views.centre[:, None, row]
        out.projection[row] = np.ascontiguousarray(flat.transpose(2, 1, 0))
        if not ok.all():
            lost = row[~ok]
            for array in (out.scale, out.component, out.coefficients, out.yaw):
                array[lost] = 0
            out.log_likelihood[lost] = -np.inf
            out.pose[lost] = model.scale_mm * model.mean[0]
            out.projection[lost] = views.centre.T[lost, None]


def lift(
    points,
    model,
    *,
    camera=None,
    confidence=None,
    rotations=ROTATIONS,
    noise_mm=NOISE_MM,
    refine=False,
    tilt=False,
):
    """Lift 2D landmarks (N, L, 2) to 3D: `Lifter.lift` for a single call."""
    return Lifter(model, rotations, noise_mm).lift(points, camera, confidence, refine, tilt)
