"""A joint map: what a user says of a skeleton that no table knows, and of its files."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from prior import foreign
from prior.errors import short
from prior.files import FilePath
from prior.mocap.clip import MocapError
from prior.mocap.kinematics import OnPerson, Place, Places
from prior.mocap.orientation import UP
from prior.mocap.skeletons import UNITS_MM
from prior.skeleton import LANDMARKS

# What a joint map may say beside the landmarks.
SETTINGS = ("unit", "up", "rate")


class JointMap(NamedTuple):
    """Where the landmarks are, None where a table knows; the unit of the file's lengths, the axis
    that points up and the frames per second, None where the file says them or they are told from
    it."""

    path: FilePath
    table: Places | None = None
    unit: str | None = None
    up: str | None = None
    rate: float | None = None


def read(path: FilePath) -> JointMap:
    """The joint map in a JSON file. Raises MocapError.

    {"hip": ["LThigh", "RThigh"], "nose": {"joint": "Head", "offset": [0, 40, 100]}, "neck": "Neck",
    ..., "unit": "cm", "up": "z", "rate": 60}: for each of the 17 landmarks, or for none, a joint,
    the joints that it is in the middle of, or a joint and an offset, mm, in its own axes or, with
    "axes": "person", to the person's left, up and forward. An End Site is "PARENT end". unit: a key
    of UNITS_MM; up: a key of orientation.UP; rate: frames per second.
    """
    document = foreign.read_json(path, MocapError)
    if not isinstance(document, dict):
        raise MocapError(
            f"{path}: expected a joint map, landmark to joint, got {short(repr(document), 40)}"
        )
    settings = {key: document.pop(key) for key in SETTINGS if key in document}
    _check_settings(path, settings)
    return JointMap(path, _table(path, document) if document else None, **settings)


def _check_settings(path: FilePath, settings: Mapping[str, Any]) -> None:
    for key, choices in (("unit", UNITS_MM), ("up", UP)):
        if key in settings and settings[key] not in tuple(choices):
            got = short(repr(settings[key]), 40)
            raise MocapError(f"{path}: {key}: expected one of {', '.join(choices)}, got {got}")
    rate = settings.get("rate", 1)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < np.inf:
        raise MocapError(f"{path}: rate: expected frames per second, got {short(repr(rate), 40)}")


def _table(path: FilePath, document: Mapping[str, Any]) -> Places:
    missing = [landmark for landmark in LANDMARKS if landmark not in document]
    unknown = [key for key in document if key not in LANDMARKS]
    if missing or unknown:
        raise MocapError(
            f"{path}: expected the 17 landmarks {', '.join(LANDMARKS)}; "
            f"missing: {', '.join(missing) or 'none'}; "
            f"unknown: {short(', '.join(unknown), 200) or 'none'}"
        )
    table = {}
    for landmark, value in document.items():
        try:
            table[landmark] = _place(value)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise MocapError(
                f"{path}: {landmark}: expected a joint, a list of joints, or "
                '{"joint": ..., "offset": [x, y, z]} in mm; write it so'
            ) from None
    return table


def _place(value: Any) -> Place:
    """A value of a joint map as a Place. Raises KeyError, TypeError, ValueError, OverflowError."""
    if isinstance(value, dict):
        axes = value.get("axes", "joint")
        known = set(value) <= {"joint", "offset", "axes"} and axes in ("joint", "person")
        if not known or not isinstance(value["joint"], str):
            raise ValueError
        offset = np.array(value["offset"], dtype=float)
        if offset.shape != (3,) or not np.isfinite(offset).all():
            raise ValueError
        place = value["joint"], tuple(offset.tolist())
        return OnPerson(*place) if axes == "person" else place
    joints = [value] if isinstance(value, str) else value
    if not isinstance(joints, list) or not joints:
        raise ValueError
    if not all(isinstance(joint, str) for joint in joints):
        raise ValueError
    return value
