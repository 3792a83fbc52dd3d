"""OpenPose's XML of one camera: CameraMatrix (3 x 4, world to camera), Intrinsics, Distortion."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tools.lift.cameras.raw import RawCamera, numbers

FORMAT = "OpenPose's XML (CameraMatrix, Intrinsics, Distortion)"


def recognises(content: Any) -> bool:
    """Whether the three matrices are there, the first with a translation."""
    return (
        isinstance(content, Mapping)
        and {"CameraMatrix", "Intrinsics"} <= set(content)
        and np.shape(content["CameraMatrix"]) == (3, 4)
    )


def cameras(content: Mapping[str, Any]) -> dict[str, RawCamera]:
    """The one camera in it."""
    pose = numbers(content["CameraMatrix"], "CameraMatrix")
    assert pose is not None
    return {"": RawCamera(content["Intrinsics"], content.get("Distortion"), pose[:, :3])}
