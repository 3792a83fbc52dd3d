"""ROS's camera_info: camera_calibration's YAML, or a message of it. It has no camera's pose: its R
turns the images of a stereo pair."""

from collections.abc import Mapping
from typing import Any

from tools.lift.cameras.raw import RawCamera

FORMAT = "ROS's camera_info (camera_matrix or K, distortion_model)"
# OpenCV's own model of a lens, by ROS's names.
_OPENCV = ("plumb_bob", "rational_polynomial", "")


def recognises(content: Any) -> bool:
    """Whether there are the image's size and the model of the lens."""
    if not isinstance(content, Mapping):
        return False
    sized = {"image_width", "image_height"} <= set(content) or {"width", "height"} <= set(content)
    return sized and bool(
        {"distortion_model", "camera_model", "rectification_matrix"} & set(content)
    )


def cameras(content: Mapping[str, Any]) -> dict[str, RawCamera]:
    """The one camera in it."""
    model = str(content.get("distortion_model", content.get("camera_model", "")))
    camera = RawCamera(
        content.get("camera_matrix", content.get("K", content.get("k"))),
        content.get("distortion_coefficients", content.get("D", content.get("d"))),
        lens=None if model in _OPENCV else model,
    )
    return {str(content.get("camera_name", "")): camera}
