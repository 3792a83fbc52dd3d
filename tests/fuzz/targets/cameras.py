"""Calibrations, in every format that is read."""

from tests.fuzz.target import Target
from tests.tools.lift import test_calibration as formats
from tools.lift import calibration


def _written(name):
    def make(folder):
        write, up, _ = formats.FORMATS[name]
        return write(folder / name, up)

    return make


def _text(name, text):
    def make(folder):
        (folder / name).write_text(text)
        return folder / name

    return make


def _read(name):
    up, chosen = formats.FORMATS[name][1], "right" if name in formats.SEVERAL else None
    return lambda path: calibration.read(path, up, chosen)


def _read_ros(path):
    calibration.read(path, None, None)


TARGETS = (
    *(Target(f"camera {name}", _written(name), _read(name)) for name in formats.FORMATS),
    Target("camera ROS", _text("ros.yaml", formats.ROS), _read_ros),
    Target("camera ROS echoed", _text("echoed.yaml", formats.ECHOED), _read_ros),
)
