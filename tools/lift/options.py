"""The options of tools.lift, in groups."""

import argparse
from pathlib import Path

from prior.lifting.lifter import NOISE_MM
from tools.arguments import add_as_published, add_fov
from tools.lift import calibration, detecting


def add_camera(group: argparse._ArgumentGroup) -> None:
    """What is known of the camera."""
    group.add_argument(
        "--camera",
        type=Path,
        metavar="FILE",
        help="the camera's matrix, distortion, rotation (world to camera): OpenCV's, OpenPose's, "
        "EasyMocap's, Anipose's, Panoptic's, ROS's or Human3.6M's file; with a matrix the lifting "
        "is by full perspective, and says where the person is",
    )
    group.add_argument(
        "--camera-name", metavar="NAME", help="which one, where that file has several cameras"
    )
    group.add_argument(
        "--up",
        choices=calibration.UP,
        help="the axis of that file's world that points up (default: the format's, or the one "
        "that is up in the image)",
    )
    add_fov(group, "weak perspective, unless a camera's file has a matrix")
    group.add_argument(
        "--elevation", type=float, metavar="DEGREES", help="how far the camera looks down"
    )
    group.add_argument(
        "--roll",
        type=float,
        default=0.0,
        metavar="DEGREES",
        help="with --elevation: the camera's turn about its own axis",
    )
    group.add_argument(
        "--search-each",
        action="store_true",
        help="search the tilt for each pose alone, as for photos of several cameras",
    )


def add_lifting(group: argparse._ArgumentGroup) -> None:
    """How the landmarks are lifted."""
    group.add_argument(
        "--prior", type=Path, metavar="FILE", help="the pose model (default: the ready one)"
    )
    group.add_argument(
        "--weigh",
        action="store_true",
        help="weigh landmarks by their confidence; without it, those that are there count alike",
    )
    group.add_argument(
        "--robust",
        action="store_true",
        help="leave out landmarks that the person's others contradict, as a wrist on someone else; "
        "not in the paper",
    )
    group.add_argument(
        "--noise-mm",
        type=float,
        default=NOISE_MM,
        metavar="MM",
        help="the error of the 2D landmarks, in mm at the body",
    )
    add_as_published(group, "landmarks")
    group.add_argument(
        "--refine",
        action="store_true",
        help="search turns about the vertical between the enumerated ones",
    )
    group.add_argument(
        "--constant-bones",
        action="store_true",
        help="lift again with the bones of each person's track: of one length in all frames, left "
        "as right; not in the paper",
    )
    group.add_argument(
        "--track",
        action="store_true",
        help="lift each person's frames as one motion, the most probable one, and smoothed by how "
        "sure each pose is; needs the frames a second; not in the paper",
    )
    group.add_argument(
        "--no-deviation",
        dest="deviation",
        action="store_false",
        help="leave out the uncertainty, which takes most of the time",
    )


def add_detecting(group: argparse._ArgumentGroup) -> None:
    """How landmarks are detected in pictures."""
    group.add_argument(
        "--detector",
        choices=detecting.DETECTORS,
        help="of photos and videos (default: the first that is installed)",
    )
    group.add_argument(
        "--live",
        type=float,
        metavar="SECONDS",
        help="INPUT is a webcam's number (0: the first), device or address; record so long, or "
        "until Ctrl-C, while a page shows the newest pose, and lift that",
    )
