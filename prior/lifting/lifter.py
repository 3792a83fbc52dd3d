"""Section 5.3 in batches: `lift`, and what follows from its result. Read reference.py first.

What this and its neighbours do to reference.py: its loop over images becomes arrays of them
(weak_perspective.py) and compiled loops (passes.py), in chunks on all cores. Its loops over
components and rotations become tables that depend on the camera's elevation alone (tables.py), a
search of all combinations in float32 (search.py), and an exact comparison of the few that may be
the best (candidates.py).
A Lifted (lifted.py) keeps what it was lifted from, so that derivatives (gradient.py) and
uncertainty (posterior.py) need nothing else.
"""

import dataclasses
import warnings
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from prior.chunks import each_chunk
from prior.errors import InputError
from prior.lifting import gradient, outliers, posterior, track
from prior.lifting import weak_perspective as weak
from prior.lifting.candidates import CandidateSearch
from prior.lifting.full import REACH, FullSearch
from prior.lifting.lifted import RESULTS, Full, Lifted
from prior.lifting.unlike import Known
from prior.model import PriorModel

# How many rotations about the vertical are tried (section 5.3). Its home: layers and networks take
# it from here.
ROTATIONS = 80

# The detector's noise at the scale of the body. Our choice: 20 mm, 5 px in Human3.6M's images.
NOISE_MM = 20.0

# A person's own size, mm, a few times: landmarks with such an error say nothing. Our choice.
LARGEST_NOISE_MM = 1e4

# The lifting to the letter of section 5.3: no noise but the model's, the R of equation 4.
AS_PUBLISHED: dict[str, Any] = {"rotations": ROTATIONS, "noise_mm": 0.0, "criterion": "cost"}

# Poses handled at once by one thread: bounds the memory, and is enough for large products.
CHUNK = 4096


class Lifter:
    """Lifts batches of 2D poses with one model; keeps what can be precomputed.

    rotations: how many are enumerated; noise_mm: standard deviation of the detector's noise, mm
    at the body; criterion: of the rotations for one component, take that of highest density, or
    that of least "cost", as equation 4 has it. AS_PUBLISHED has the paper's values of all three.
    Raises InputError for fewer than 4 rotations, a negative noise or another criterion.
    """

    def __init__(
        self,
        model: PriorModel,
        rotations: int = ROTATIONS,
        noise_mm: float = NOISE_MM,
        criterion: str = "density",
    ) -> None:
        if rotations < 4:
            raise InputError(f"rotations: expected 4 or more, got {rotations}")
        if not 0 <= noise_mm <= LARGEST_NOISE_MM:
            raise InputError(
                f"noise_mm: expected 0 or more, up to {LARGEST_NOISE_MM:g}, got {noise_mm}"
            )
        if criterion not in ("density", "cost"):
            raise InputError(f"criterion: expected 'density' or 'cost', got {criterion!r}")
        self.model, self.noise_mm = model, noise_mm
        self.search = CandidateSearch(
            model, rotations, noise_mm / model.scale_mm, by_cost=criterion == "cost"
        )
        self.full = FullSearch(self.search)

    def lift(
        self,
        points: ArrayLike,
        *,
        camera: ArrayLike | None = None,
        confidence: ArrayLike | None = None,
        intrinsics: ArrayLike | None = None,
        covariance: ArrayLike | None = None,
        refine: bool = False,
        tilt: bool = False,
        robust: bool = False,
    ) -> Lifted:
        """The 3D poses of 2D landmarks: the most probable ones, or the paper's.

        points: (N, L, 2), px; NaN marks a missing landmark. camera: (3, 3) or (N, 3, 3), world to
        camera, a level one by default. confidence: (N, L) or (L,), a weight on each landmark's
        residuals, 0 for missing. intrinsics: (3, 3) or (N, 3, 3), OpenCV's camera matrix, of points
        without the lens's distortion: full perspective in place of weak, and `translation`.
        covariance: (N, L, 2, 2) or (L, 2, 2), px^2, of the detector's noise of each landmark, in
        place of noise_mm. refine: from the enumerated rotations on to the best in between, as the
        paper does with 20. Of a model whose skeleton has no vertical every rotation is searched:
        `camera` of the result is that from the pose's axes. tilt: the camera's elevation and roll
        are not known (of `camera` only the yaw counts): the most probable of ELEVATIONS and ROLLS
        is taken. robust: landmarks that the others contradict are left out (outliers.py);
        `Lifted.inlier` says which are not, and a pose with more than two fifths doubted is lost.

        Raises InputError for other shapes or values, or a camera that is no rotation. A pose that
        cannot be lifted is marked in `ok`, warned of, and leaves the others alone.
        """
        inputs = weak.validate(
            points, camera, confidence, intrinsics, covariance, len(self.model.skeleton)
        )
        if not self.model.skeleton.vertical:
            if camera is not None:
                raise InputError(
                    "camera: a skeleton without a vertical has none that could be known: it is "
                    "found, and is the rotation from the model's axes; leave it out"
                )
            tilt = True
        if robust and len(inputs.points):
            lifted = self._robust(inputs, refine, tilt)
        else:
            lifted = self._lifted(inputs, refine, tilt)
        lost = np.count_nonzero(~lifted.ok)
        if lost:
            warnings.warn(
                f"{lost} of {len(lifted)} poses could not be lifted (fewer than "
                f"{weak.MIN_LANDMARKS} landmarks, all in one place, "
                f"{'too many doubted, ' if robust else ''}or upside down): see Lifted.ok",
                stacklevel=2,
            )
        return lifted

    def _made(self, results: dict[str, np.ndarray], inputs: weak.Inputs) -> Lifted:
        """The Lifted of its fields' values and maybe Full's; what is not ok is replaced."""
        lost = ~results["ok"]
        if lost.any():
            nothing = self._nothing(inputs.points[lost])
            results = {name: values.copy() for name, values in results.items()}
            for name, values in results.items():
                values[lost] = nothing[name]
        full = Full(*(results[name] for name in Full._fields)) if "place" in results else None
        return Lifted(**{name: results[name] for name in RESULTS}, inputs=inputs, full=full)

    def _robust(self, inputs: weak.Inputs, refine: bool, tilt: bool) -> Lifted:
        """The Lifted of Inputs with NaN in the place of landmarks that the others contradict."""
        trial = self._lifted(inputs, False, True).inputs if tilt else inputs

        def lift(part: weak.Inputs, like: Lifted | None = None, *, weighed: bool = False) -> Lifted:
            known = None if like is None else self.full.known(part, like)
            return self._lifted(part, False, False, weighed=weighed, known=known)

        lifted = outliers.lift(self.full, trial, lift)
        if not (refine or tilt):
            return lifted
        return self._lifted(inputs._replace(points=lifted.inputs.points), refine, tilt)

    def _lifted(
        self,
        inputs: weak.Inputs,
        refine: bool,
        tilt: bool,
        *,
        weighed: bool = False,
        known: Known | None = None,
    ) -> Lifted:
        """The Lifted of Inputs. weighed: as of outliers.Lift: only the best combination is solved;
        known: of the persons, as FullSearch.lift takes it."""
        count = len(inputs.points)
        full = weighed or inputs.full
        results = self._unset(count, full)
        tilted = np.empty((count if tilt else 0, 3, 3))

        def lift_chunk(chunk: slice) -> None:
            part = inputs.take(chunk)
            if tilt:
                part = self.full.with_tilt(part)
                tilted[chunk] = part.camera
            own = None if known is None else Known(*(a[chunk] for a in known))
            into = {name: values[chunk] for name, values in results.items()}
            if full:
                reach = 0.0 if weighed else REACH
                for rows, described in self.full.lift(part, refine, own, reach):
                    _fill(into, rows, described)
            else:
                self._lift(part, refine, own, into)

        for _ in each_chunk(lift_chunk, count, self.full.chunk if full else CHUNK):
            pass
        if tilt:
            inputs = inputs._replace(camera=tilted, one_camera=False)
        return self._made(results, inputs)

    def _unset(self, count: int, full: bool) -> dict[str, np.ndarray]:
        """Arrays for the results of so many poses, by the names of the fields of Lifted, and, if
        they are lifted so, of Full."""
        L = len(self.model.skeleton)
        shapes: dict[str, tuple[int, ...]] = {
            "pose": (L, 3),
            "projection": (L, 2),
            "scale": (),
            "yaw": (),
            "coefficients": (self.model.basis_size,),
            "component": (),
            "rotation": (),
            "log_likelihood": (),
            "component_probability": (self.model.components,),
            "ok": (),
        }
        if full:
            shapes |= {"place": (2,), "whitening": (L, 2, 2), "translation": (3,)}
        kinds = {"component": int, "rotation": int, "ok": bool}
        return {
            name: np.empty((count, *shape), kinds.get(name, float))
            for name, shape in shapes.items()
        }

    def _nothing(self, points: Float[np.ndarray, "n L 2"]) -> dict[str, Any]:
        """What is said of poses that cannot be lifted."""
        visible = np.isfinite(points).all(axis=2, keepdims=True)
        middle = np.where(visible, points, 0).sum(axis=1) / np.maximum(visible.sum(axis=1), 1)
        return dict.fromkeys(RESULTS, 0) | {
            "pose": self.model.scale_mm * self.model.mean[0],
            "projection": middle[:, None],
            "component_probability": self.model.weight,
            "log_likelihood": -np.inf,
            "place": middle,
            "translation": np.nan,
            "whitening": 0,
        }

    def _lift(
        self,
        part: weak.Inputs,
        refine: bool,
        known: Known | None,
        results: dict[str, np.ndarray],
    ) -> None:
        """Fills in the results, by weak perspective and with one noise for all landmarks."""
        rare = self.full.rare(part)
        if not rare.any():
            self._alike(part, refine, np.arange(len(rare)), results)
            return
        rows = np.flatnonzero(rare)
        own = None if known is None else Known(*(a[rows] for a in known))
        for among, described in self.full.lift(part.take(rows), refine, own):
            _fill(results, rows[among], described)
        rows = np.flatnonzero(~rare)
        if len(rows):
            self._alike(part.take(rows), refine, rows, results)

    def _alike(
        self,
        part: weak.Inputs,
        refine: bool,
        rows: Int[np.ndarray, "n"],
        results: dict[str, np.ndarray],
    ) -> None:
        """Fills in these rows of the results, for Inputs whose weights are those of many, with
        tables that they share."""
        images = weak.observe(part)
        candidates, probability = self.search.near_best(images, refine=refine)
        if refine:
            candidates = self.search.refined(images, candidates)
        results["component_probability"][rows] = probability
        self.search.describe(images, candidates, rows, results)

    def lift_track(
        self,
        points: ArrayLike,
        rate: float,
        *,
        camera: ArrayLike | None = None,
        confidence: ArrayLike | None = None,
        intrinsics: ArrayLike | None = None,
        covariance: ArrayLike | None = None,
        tilt: bool = False,
        smooth: bool = True,
    ) -> Lifted:
        """The most probable motion of one person, beyond the paper, which lifts each image alone.

        points (N, L, 2), px, of consecutive frames, `rate` a second; NaN where missing. The others
        are as of `lift`, but tilt: one elevation and roll are searched for all frames. Of each
        frame the highest peaks of the density are kept, and of these the sequence is taken that is
        the most probable with a prior of smooth motion (track.py). smooth: the poses then are
        smoothed, the less the surer they are; the other fields are those of the sequence. Frames
        that cannot be lifted are bridged. Raises InputError as `lift`, and for no positive rate.
        """
        if not 0 < rate < np.inf:
            raise InputError(f"rate: expected frames a second, above 0, got {rate}")
        if not self.model.skeleton.vertical:
            raise InputError("track: expected a model of a skeleton with a vertical; use lift")
        inputs = weak.validate(
            points, camera, confidence, intrinsics, covariance, len(self.model.skeleton)
        )
        if not len(inputs.points):
            return self._lifted(inputs, False, False)
        if tilt:
            inputs = self.full.with_tilt(inputs, shared=True)
        parts = list(
            each_chunk(
                lambda chunk: self.full.candidates(inputs.take(chunk), True, 0.0),
                len(inputs.points),
                self.full.chunk,
            )
        )
        solved = track.joined(parts, self.full.chunk)
        which = track.most_probable(solved, rate)
        lifted = self._made(self.full.described(inputs, solved, which), inputs)
        if not smooth or len(lifted) < 3 or not lifted.ok.any():
            return lifted
        moments = self.posterior(lifted, spread=False)
        return dataclasses.replace(lifted, pose=track.smoothed(lifted.pose, moments, rate))

    def vjp(
        self,
        lifted: Lifted,
        *,
        projection: ArrayLike | None = None,
        pose: ArrayLike | None = None,
        scale: Literal["exact", "held"] = "exact",
    ) -> Float[np.ndarray, "N L 2"]:
        """Gradient of a function of the lifted poses with respect to the landmarks.

        lifted: what this Lifter's `lift` returned; projection (N, L, 2) and pose (N, L, 3): the
        function's gradients with respect to these. Rotation and component are held at their values.
        scale: "exact", or "held", the supplement's approximation that holds s too. 0 for poses
        that are not ok and for missing landmarks.
        """
        if scale not in ("exact", "held"):
            raise InputError(f"scale: expected 'exact' or 'held', got {scale!r}")
        by_projection = None if projection is None else np.asarray(projection, dtype=float)
        by_pose = None if pose is None else np.asarray(pose, dtype=float)

        def chunk_vjp(chunk: slice) -> np.ndarray:
            return gradient.to_points(
                self.search,
                self.full,
                lifted.take(chunk),
                None if by_projection is None else by_projection[chunk],
                None if by_pose is None else by_pose[chunk],
                scale == "held",
            )

        parts = list(each_chunk(chunk_vjp, len(lifted), CHUNK))
        return np.concatenate(parts) if parts else np.empty((0, len(self.model.skeleton), 2))

    def posterior(self, lifted: Lifted, spread: bool = True) -> Float[np.ndarray, "N V V"]:
        """How far the true poses may be from the lifted ones: second moments, mm^2.

        lifted: what this Lifter's `lift` returned. The moments are those of (truth - pose),
        coordinate by coordinate of each landmark, with the mean landmarks at the same place and the
        person's limb scale the typical one; posterior.deviation makes of them a standard deviation
        in mm for each landmark. spread: with the other components and rotations, as far as they are
        probable; otherwise for the component and rotation of the pose alone. NaN for poses that are
        not ok.
        """
        return posterior.moments(self.search, self.full, lifted, spread)

    def deviation(self, lifted: Lifted, spread: bool = True) -> Float[np.ndarray, "N L"]:
        """Standard deviation of each landmark, mm, the root of the mean squared distance in 3D:
        what posterior.deviation makes of `posterior`, without computing all of that."""
        return np.sqrt(posterior.variance(self.search, self.full, lifted, spread))


def _fill(
    results: dict[str, np.ndarray], rows: slice | np.ndarray, described: dict[str, np.ndarray]
) -> None:
    """Fills in these rows of the results that are described."""
    for name in results.keys() & described.keys():
        results[name][rows] = described[name]
