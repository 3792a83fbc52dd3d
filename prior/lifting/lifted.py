"""What is known of poses after lifting: the result of prior.lift."""

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from prior.lifting.weak_perspective import Inputs

# Rows of a Lifted, and their results by name.
Described: TypeAlias = tuple[slice | np.ndarray, dict[str, np.ndarray]]


class Full(NamedTuple):
    """What lifts by full.py know besides. place (N, 2), px: where the mean landmark is seen;
    whitening (N, L, 2, 2): W of perspective.Views; translation (N, 3): where the mean landmark is
    in the camera's axes, mm, if the person is of the typical limb scale; NaN without intrinsics."""

    place: Float[np.ndarray, "N 2"]
    whitening: Float[np.ndarray, "N L 2 2"]
    translation: Float[np.ndarray, "N 3"]


@dataclass(frozen=True, eq=False)
class Lifted:
    """N lifted poses, and what they were lifted from.

    pose (N, L, 3), mm at the typical limb scale, world frame, centred on the mean landmark;
    projection (N, L, 2), px, equation 5; scale (N,), px per unit of limb scale; yaw (N,), of the
    person about the vertical, world, radians; coefficients (N, J); component (N,); rotation (N,),
    which of the enumerated ones, counted from the camera's yaw, or -1 where the angle was refined;
    log_likelihood (N,), of the landmarks with the weight of the component; component_probability
    (N, K), all rotations together; ok (N,), False where the landmarks cannot be lifted (too few,
    all in one place, only upside down). There pose is the first component's mean, projection the
    mean of the landmarks, rotation, scale and coefficients are 0, log_likelihood is -inf.

    inputs: points, cameras and what else was given; the cameras as they came out where their tilt
    was searched; NaN in the place of points that were doubted (`robust`). full: of lifts with
    intrinsics or covariances.
    """

    pose: Float[np.ndarray, "N L 3"]
    projection: Float[np.ndarray, "N L 2"]
    scale: Float[np.ndarray, "N"]
    yaw: Float[np.ndarray, "N"]
    coefficients: Float[np.ndarray, "N J"]
    component: Int[np.ndarray, "N"]
    rotation: Int[np.ndarray, "N"]
    log_likelihood: Float[np.ndarray, "N"]
    component_probability: Float[np.ndarray, "N K"]
    ok: Bool[np.ndarray, "N"]
    inputs: Inputs
    full: Full | None = None

    def __len__(self) -> int:
        return len(self.ok)

    @property
    def camera(self) -> Float[np.ndarray, "N 3 3"]:
        """The cameras, world to camera."""
        return self.inputs.camera

    @property
    def translation(self) -> Float[np.ndarray, "N 3"]:
        """Where the mean landmark is in the camera's axes, mm, if the person is of the typical limb
        scale; NaN without intrinsics, and for poses that are not ok."""
        return np.full((len(self), 3), np.nan) if self.full is None else self.full.translation

    @property
    def inlier(self) -> Bool[np.ndarray, "N L"]:
        """Which landmarks the poses are lifted from: those that are there and, with `robust`, not
        doubted."""
        there = ~np.isnan(self.inputs.points).any(axis=2)
        confidence = self.inputs.confidence
        return there if confidence is None else there & (confidence > 0)

    def arrays(self) -> dict[str, np.ndarray]:
        """The results by name, with the cameras, and the translation where it is known: what a
        file of them holds."""
        arrays = {name: getattr(self, name) for name in RESULTS} | {"camera": self.camera}
        if self.inputs.intrinsics is not None:
            arrays["translation"] = self.translation
        return arrays

    def take(self, rows: slice | np.ndarray) -> "Lifted":
        """These of the poses: a slice, indices or a mask."""
        results = {name: getattr(self, name)[rows] for name in RESULTS}
        full = None if self.full is None else Full(*(a[rows] for a in self.full))
        return Lifted(**results, inputs=self.inputs.take(rows), full=full)

    def replaced(self, rows: np.ndarray, by: "Lifted") -> "Lifted":
        """With these rows' results and points as another Lifted has them."""

        def merged(own: np.ndarray, other: np.ndarray) -> np.ndarray:
            result = own.copy()
            result[rows] = other
            return result

        results = {name: merged(getattr(self, name), getattr(by, name)) for name in RESULTS}
        points = merged(self.inputs.points, by.inputs.points)
        full = self.full and by.full and Full(*map(merged, self.full, by.full))
        return Lifted(**results, inputs=self.inputs._replace(points=points), full=full)


RESULTS = [
    field.name for field in dataclasses.fields(Lifted) if field.name not in ("inputs", "full")
]
