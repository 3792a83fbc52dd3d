"""Human3.6M's cameras as JSON: intrinsics by camera, extrinsics by subject and camera; its world's
z points up."""

from collections.abc import Mapping
from typing import Any

from tools.lift.cameras.raw import RawCamera

FORMAT = "Human3.6M's JSON (intrinsics of each camera, extrinsics of each subject)"


def recognises(content: Any) -> bool:
    """Whether cameras have a calibration matrix and, by subject, a rotation."""
    if not isinstance(content, Mapping):
        return False
    lenses, poses = content.get("intrinsics"), content.get("extrinsics")
    return (
        isinstance(lenses, Mapping)
        and isinstance(poses, Mapping)
        and any(isinstance(v, Mapping) and "calibration_matrix" in v for v in lenses.values())
    )


def cameras(content: Mapping[str, Any]) -> dict[str, RawCamera]:
    """The cameras in it, as SUBJECT/CAMERA: S1/54138969."""
    lenses = content["intrinsics"]
    return {
        f"{subject}/{name}": RawCamera(
            lenses[name].get("calibration_matrix"),
            lenses[name].get("distortion"),
            pose.get("R"),
            "z",
        )
        for subject, poses in content["extrinsics"].items()
        if isinstance(poses, Mapping)
        for name, pose in poses.items()
        if isinstance(pose, Mapping) and isinstance(lenses.get(name), Mapping)
    }
