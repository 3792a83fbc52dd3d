"""EasyMocap's YAML of several cameras: K_NAME, dist_NAME in intri.yml; R_NAME, Rot_NAME in
extri.yml beside it."""

from collections.abc import Mapping
from typing import Any

from tools.lift.cameras.raw import RawCamera

FORMAT = "EasyMocap's intri.yml and extri.yml (names, K_..., Rot_...)"
# What each file needs from the other, by the start of its name.
BESIDE = {"intri": "extri", "extri": "intri"}


def recognises(content: Any) -> bool:
    """Whether cameras are named, and have a matrix or a rotation by these names."""
    names = content.get("names") if isinstance(content, Mapping) else None
    return isinstance(names, list) and any(
        f"{key}_{name}" in content for name in names for key in ("K", "R", "Rot")
    )


def cameras(content: Mapping[str, Any]) -> dict[str, RawCamera]:
    """The cameras in it."""
    return {
        str(name): RawCamera(
            content.get(f"K_{name}"),
            content.get(f"dist_{name}", content.get(f"D_{name}")),
            content.get(f"Rot_{name}", content.get(f"R_{name}")),
        )
        for name in content["names"]
    }
