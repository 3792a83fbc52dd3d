"""Motion as a recording of Rerun's viewer (.rrd), by its package, which is an extra.

Everybody's landmarks and limbs, in metres, y up, on two time lines: the input's `frame` and `time`.
Who is no plausible person is grey, as in pictures.
"""

import numpy as np
from matplotlib.colors import to_rgba_array

from prior.errors import InputError
from prior.files import replacing
from prior.show import limb_colours
from prior.skeleton import HUMAN36M, LANDMARKS, LIMBS
from tools.lift import timeline
from tools.lift.drawing import DOUBT

METRE = 1000.0  # mm
COLOURS = np.round(255 * to_rgba_array(limb_colours(HUMAN36M))).astype(np.uint8)
BALL, LINE = 0.02, 0.008  # radii, m; our choice


def _package():
    try:
        import rerun  # a large package that few need
    except ImportError:
        raise InputError(
            ".rrd: expected the package rerun-sdk, which writes it, got none; install it: "
            "build/venv/bin/python -m pip install --no-deps -r requirements-rerun.txt"
        ) from None
    return rerun


def write(path, poses):
    """Write lifted.Poses. Raises InputError where the package is not installed."""
    rerun = _package()
    rate = timeline.rate_of(poses)
    with replacing(path) as temporary:
        stream = rerun.RecordingStream("tools-lift")
        stream.save(temporary)
        stream.log("/", rerun.ViewCoordinates.RIGHT_HAND_Y_UP, static=True)
        for person, (track, frame) in timeline.tracks(poses).items():
            plausible = poses.plausible[poses.person == person]
            _person(rerun, stream, f"person_{person}", track / METRE, frame, plausible, rate)
        stream.flush()
        stream.disconnect()


def _person(rerun, stream, name, track, frame, plausible, rate):
    """Log one person's poses (n, 17, 3), m, at frames (n,); cleared in the frames between."""
    following = np.append(frame[1:], frame[-1] + 1)
    for pose, number, after, sure in zip(track, frame, following, plausible, strict=True):
        stream.set_time("frame", sequence=int(number))
        stream.set_time("time", duration=number / rate)
        colours = COLOURS if sure else DOUBT
        points = rerun.Points3D(pose, radii=BALL, labels=list(LANDMARKS), show_labels=False)
        stream.log(f"{name}/landmarks", points)
        limbs = rerun.LineStrips3D(pose[np.array(LIMBS)], radii=LINE, colors=colours)
        stream.log(f"{name}/limbs", limbs)
        if after > number + 1 or number == frame[-1]:
            stream.set_time("frame", sequence=int(number) + 1)
            stream.set_time("time", duration=(number + 1) / rate)
            stream.log(name, rerun.Clear(recursive=True))
