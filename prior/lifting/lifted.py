"""What is known of poses after lifting: the result of prior.lift."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from prior.lifting.weak_perspective import Inputs


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

    inputs: points, cameras and confidences; the cameras as given, or as they came out where their
    tilt was searched.
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

    def __len__(self) -> int:
        return len(self.ok)

    @property
    def camera(self) -> Float[np.ndarray, "N 3 3"]:
        """The cameras, world to camera."""
        return self.inputs.camera

    def arrays(self) -> dict[str, np.ndarray]:
        """The results by name, with the cameras: what a file of them holds."""
        return {name: getattr(self, name) for name in _RESULTS} | {"camera": self.camera}

    def take(self, rows: slice | np.ndarray) -> "Lifted":
        """These of the poses: a slice, indices or a mask."""
        results = {name: getattr(self, name)[rows] for name in _RESULTS}
        return Lifted(**results, inputs=self.inputs.take(rows))


_RESULTS = [field.name for field in dataclasses.fields(Lifted) if field.name != "inputs"]


def joined(parts: Sequence[Lifted], inputs: Inputs) -> Lifted:
    """One Lifted of several, whose inputs together are `inputs`."""
    if len(parts) == 1:
        return dataclasses.replace(parts[0], inputs=inputs)
    results = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _RESULTS}
    return Lifted(**results, inputs=inputs)
