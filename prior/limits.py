"""How large what a foreign file holds may be. Checked before memory is allocated.

All are our choice: far above what people have, far below what harms a machine. A user whose data
are larger raises them for one command:

    PRIOR_LIMITS="frames=5000000,megapixels=400" python -m tools.lift ...
"""

import os
from typing import NamedTuple

from prior.errors import InputError

ENVIRONMENT = "PRIOR_LIMITS"


class Limit(NamedTuple):
    """The largest value, and what it counts, in words."""

    most: float
    words: str


LIMITS = {
    # COCO's largest annotations are 0.25 GB, Human3.6M's largest video 0.1 GB.
    "file_mb": Limit(2048, "MB in one file"),
    # A million frames of one person are 0.4 GB.
    "arrays_mb": Limit(4096, "MB of arrays in one file"),
    # Arrays of measured numbers shrink to a half or a tenth; a bomb to a thousandth.
    "expansion": Limit(100, "times the size of its archive"),
    "depth": Limit(100, "levels inside each other"),
    # Nine hours at 30 a second.
    "frames": Limit(1_000_000, "frames"),
    "people": Limit(100, "people in one frame"),
    # CMU's skeletons have 31, motion capture with fingers and a face some 150.
    "joints": Limit(1000, "joints"),
    # 200 megapixels: the largest sensor of a telephone.
    "megapixels": Limit(200, "megapixels"),
    "workers": Limit(256, "processes"),
}
# Below this, MB, the expansion of an archive does no harm.
HARMLESS_MB = 256


def of(name: str) -> float:
    """The limit of this name: the user's, or ours. Raises InputError where the user's is none."""
    most = LIMITS[name].most
    text = os.environ.get(ENVIRONMENT)
    return _users(text).get(name, most) if text else most


def check(where: object, name: str, count: float, error: type[InputError] = InputError) -> None:
    """Raise `error` if there are more than the limit of this name. where: begins the message."""
    most = of(name)
    if not count <= most:
        got = min(count, 1e300)  # a whole number of thousands of digits is no float
        raise error(
            f"{where}: expected at most {most:,.10g} {LIMITS[name].words}, got {got:,.10g}; if "
            f"that is right, raise the limit: {ENVIRONMENT}={name}=..."
        )


def _users(text: str) -> dict[str, float]:
    """The limits that the user sets: NAME=NUMBER, separated by commas."""
    limits = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, number = part.partition("=")
        try:
            limits[name] = float(number)
        except ValueError:
            limits[name] = float("nan")
        if name not in LIMITS or not limits[name] > 0:
            raise InputError(
                f"{ENVIRONMENT}: expected NAME=NUMBER, names of {', '.join(LIMITS)}, got {part!r}"
            )
    return limits
