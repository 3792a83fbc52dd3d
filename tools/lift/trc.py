"""Motion as TRC, the markers of OpenSim: tab-separated text, mm, y up.

The markers are the 17 landmarks, named without spaces (RHip ...); the row of a frame without the
person has empty cells, as Motion Analysis writes it.
"""

import numpy as np

from prior.files import write as write_whole
from prior.skeleton import LANDMARKS


def marker(name):
    """A landmark's name as markers have it: "right hip" is RHip."""
    words = [{"left": "L", "right": "R"}.get(word, word.capitalize()) for word in name.split()]
    return "".join(words)


MARKERS = [marker(name) for name in LANDMARKS]


def write(path, poses, rate):
    """Write poses (F, 17, 3), mm, y up, NaN where the person is not there."""
    count = len(poses)
    head = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\t"
        "OrigNumFrames",
        f"{rate:.6f}\t{rate:.6f}\t{count}\t{len(MARKERS)}\tmm\t{rate:.6f}\t1\t{count}",
        "Frame#\tTime\t" + "\t\t\t".join(MARKERS) + "\t\t",
        "\t\t" + "\t".join(f"X{i}\tY{i}\tZ{i}" for i in range(1, len(MARKERS) + 1)),
        "",
    ]
    rows = []
    for number, values in enumerate(poses.reshape(count, -1).tolist()):
        cells = ["" if np.isnan(value) else f"{value:.3f}" for value in values]
        rows.append("\t".join([str(number + 1), f"{number / rate:.6f}", *cells]))
    write_whole(path, "\n".join([*head, *rows]) + "\n")
