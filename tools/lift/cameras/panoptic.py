"""The JSON of CMU's Panoptic Studio: "cameras", with name, K, distCoef, R; its world's y points
down."""

from collections.abc import Mapping
from typing import Any

from tools.lift.cameras.raw import RawCamera

FORMAT = "CMU Panoptic's JSON (a list of 'cameras' with K, R)"


def recognises(content: Any) -> bool:
    """Whether there is a list of cameras with their matrices."""
    listed = content.get("cameras") if isinstance(content, Mapping) else None
    return isinstance(listed, list) and any(
        isinstance(camera, Mapping) and {"K", "R"} <= set(camera) for camera in listed
    )


def cameras(content: Mapping[str, Any]) -> dict[str, RawCamera]:
    """The cameras in it, by their names."""
    return {
        str(camera.get("name", i)): RawCamera(
            camera.get("K"), camera.get("distCoef"), camera.get("R"), "-y"
        )
        for i, camera in enumerate(content["cameras"])
        if isinstance(camera, Mapping)
    }
