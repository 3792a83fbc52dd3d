"""The 3D pose model of the paper: learn it from motion capture, lift 2D landmarks with it."""

import importlib
from typing import TYPE_CHECKING, Any

from prior import program

program.still_imports(__name__)

if TYPE_CHECKING:
    from prior.errors import InputError
    from prior.fitting.fit import fit
    from prior.lifting.lift import lift
    from prior.lifting.lifted import Lifted
    from prior.lifting.lifter import Lifter
    from prior.model import ModelFileError, PriorModel, load
    from prior.normalise import PoseError

__all__ = [
    "InputError",
    "Lifted",
    "Lifter",
    "ModelFileError",
    "PoseError",
    "PriorModel",
    "fit",
    "lift",
    "load",
]

# Where each of them is. They are imported when they are first used: programs that need only errors,
# files and program, in environments without scipy, do not wait for the rest, or lack it.
_HOMES = {
    "InputError": "prior.errors",
    "Lifted": "prior.lifting.lifted",
    "Lifter": "prior.lifting.lifter",
    "ModelFileError": "prior.model",
    "PoseError": "prior.normalise",
    "PriorModel": "prior.model",
    "fit": "prior.fitting.fit",
    "lift": "prior.lifting.lift",
    "load": "prior.model",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
