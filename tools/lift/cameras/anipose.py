"""Anipose's and Pose2Sim's TOML: a table with matrix, distortions and rotation for each camera."""

from collections.abc import Mapping
from typing import Any

from tools.lift.cameras.raw import RawCamera

FORMAT = "Anipose's or Pose2Sim's TOML (matrix, distortions, rotation of each camera)"


def recognises(content: Any) -> bool:
    """Whether some table has a matrix and a rotation."""
    return isinstance(content, Mapping) and any(
        isinstance(table, Mapping) and {"matrix", "rotation"} <= set(table)
        for table in content.values()
    )


def cameras(content: Mapping[str, Any]) -> dict[str, RawCamera]:
    """The cameras in it, by their names."""
    tables = {
        str(table.get("name", key)): table
        for key, table in content.items()
        if isinstance(table, Mapping) and "matrix" in table
    }
    return {
        name: RawCamera(
            table["matrix"],
            table.get("distortions"),
            table.get("rotation"),
            lens="fisheye" if table.get("fisheye") is True else None,
        )
        for name, table in tables.items()
    }
