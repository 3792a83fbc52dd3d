"""Files of 2D landmarks that `prior lift` reads: JSON, or .npz without pickle.

points: (N, L, 2), px. Optional are camera: (3, 3) or (N, 3, 3), world to camera; confidence:
(N, L); intrinsics: (3, 3) or (N, 3, 3), px; covariance: (N, L, 2, 2), px^2; landmarks: their
names, which are compared with the model's.
"""

from pathlib import Path

import numpy as np

from prior import foreign, npz
from prior.errors import short
from prior.files import FilePath
from prior.normalise import PoseError
from prior.skeleton import HUMAN36M, Skeleton

ARGUMENTS = ("points", "camera", "confidence", "intrinsics", "covariance")


def read(path: FilePath, skeleton: Skeleton = HUMAN36M) -> dict[str, np.ndarray]:
    """The arguments of `prior.lift` that an .npz or JSON file holds, by their names; skeleton: of
    the landmarks.

    Raises PoseError. The shapes are for `prior.lift` to check.
    """
    path = Path(path)
    if path.suffix == ".npz":
        values = npz.read(path, optional=(*ARGUMENTS, "landmarks"), error=PoseError)
    else:
        values = foreign.read_json(path, PoseError)
    if not isinstance(values, dict) or values.get("points") is None:
        raise PoseError(
            f"{path}: expected 'points', N x {len(skeleton)} x 2, px, and optionally "
            f"{', '.join(ARGUMENTS[1:])} and landmarks"
        )
    names = values.get("landmarks")
    if names is not None and tuple(map(str, np.ravel(names).tolist())) != skeleton.landmarks:
        raise PoseError(
            f"{path}: landmarks: expected {list(skeleton.landmarks)}, got {short(names)}"
        )
    try:
        return {
            name: np.asarray(values[name], dtype=float)
            for name in ARGUMENTS
            if values.get(name) is not None
        }
    except (TypeError, ValueError, OverflowError):
        raise PoseError(f"{path}: expected arrays of numbers, all rows alike") from None
