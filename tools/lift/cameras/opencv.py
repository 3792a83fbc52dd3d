"""One camera as OpenCV's samples and other programs name its matrices."""

from collections.abc import Mapping
from typing import Any

from tools.lift.cameras.raw import RawCamera

FORMAT = "a camera matrix (camera_matrix, K) and a rotation (R, rvec)"
# The names that programs have for the same thing.
KEYS = {
    "intrinsics": ("camera_matrix", "K", "M", "intrinsics", "cameraMatrix", "mtx", "matrix"),
    "distortion": (
        ("distortion_coefficients", "D", "dist", "distCoeffs", "distortion", "distortions")
        + ("dist_coeffs", "distCoef")
    ),
    "rotation": (
        "R",
        "rotation",
        "rvec",
        "rotation_vector",
        "R_world_to_camera",
        "rotation_matrix",
    ),
}


def camera(content: Mapping[str, Any]) -> RawCamera:
    """The camera whose matrices these are."""
    return RawCamera(
        *(
            next((content[name] for name in names if content.get(name) is not None), None)
            for names in KEYS.values()
        )
    )


def recognises(content: Any) -> bool:
    """Whether there is a camera matrix or a rotation."""
    return isinstance(content, Mapping) and any(
        content.get(key) is not None for key in (*KEYS["intrinsics"], *KEYS["rotation"])
    )


def cameras(content: Mapping[str, Any]) -> dict[str, RawCamera]:
    """The one camera in it."""
    return {"": camera(content)}
