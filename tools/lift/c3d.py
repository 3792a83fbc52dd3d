"""Motion as C3D, for Mokka, Visual3D, Vicon and others: the 17 landmarks as points, mm, y up.

A frame without the person has no valid points (residual -1). POINT:X_SCREEN and Y_SCREEN say that y
is up; LIFT:FRAMES_FROM, that frame 1 is frame 0 of the input.
"""

import ezc3d
import numpy as np

from prior.errors import InputError
from prior.files import replacing
from prior.skeleton import LANDMARKS
from tools.lift.trc import MARKERS

# Of C3D's head: the number, from 1, of the block with which the data begin (c3d.org, section 5).
BLOCK, DATA_START = 512, slice(16, 18)


def write(path, poses, rate):
    """Write poses (F, 17, 3), mm, y up, NaN where the person is not there."""
    file = ezc3d.c3d()
    points = np.full((4, len(MARKERS), len(poses)), 1.0)
    points[:3] = poses.transpose(2, 1, 0)
    parameters = file["parameters"]["POINT"]
    parameters["RATE"]["value"] = [float(rate)]
    parameters["LABELS"]["value"] = MARKERS
    parameters["DESCRIPTIONS"]["value"] = list(LANDMARKS)
    parameters["UNITS"]["value"] = ["mm"]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    file["data"]["points"] = points
    with replacing(path) as temporary:
        file.write(str(temporary))
        # ezc3d does not say when it cannot write.
        _check_written(path, temporary, 4 * points.size)


def _check_written(path, temporary, size):
    """Raise InputError unless a C3D has `size` bytes of data behind its head."""
    content = temporary.read_bytes()
    start = BLOCK * (int.from_bytes(content[DATA_START], "little") - 1)
    if start < BLOCK or len(content) < start + size:
        raise InputError(
            f"{path}: expected {size} bytes of data when it is read back, got "
            f"{max(len(content) - start, 0)}; is the disk full?"
        )
