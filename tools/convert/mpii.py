"""MPII Human Pose: mpii_human_pose_v1_u12_1.mat and its images.

    RELEASE.annolist(i).image.name
    RELEASE.annolist(i).annorect(k): scale (height / 200 px), objpos.x .y (the person's centre),
        annopoints.point(p): x, y, id, is_visible
    RELEASE.img_train(i): 1 where the annotation is public

Pixels count from 1 there. Of the 16 joints, "upper neck" has no counterpart here: our "neck" is its
thorax, which lies between the shoulders as Human3.6M's neck does. It has no spine and no nose.
"""

import numpy as np

from prior.errors import short
from python_layers.data.people import MPII_JOINTS, MPII_UNIT, person
from tools.convert.entries import ConversionError, Entry
from tools.convert.matlab import items, load, number


def read(annotations, folder):
    """The Entries of the training images, from the .mat file and the folder of images.

    Raises ConversionError.
    """
    release = load(annotations, "RELEASE")
    try:
        return list(_entries(release, folder))
    except (AttributeError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise ConversionError(
            f"{annotations}: expected MPII's structures: {short(str(error), 100)}; "
            "download it again"
        ) from None


def _entries(release, folder):
    """Yields an Entry for each training image with people."""
    trains = np.atleast_1d(release.img_train)
    for image, train in zip(items(release.annolist), trains, strict=True):
        if not train:
            continue
        people = [_person(rect) for rect in items(getattr(image, "annorect", None))]
        people = [annotated for annotated in people if annotated]
        if people:
            name = str(image.image.name)
            yield Entry({"file_name": name}, people, folder / name)


def _person(rect):
    """The `person` of an annorect, or None where it has no landmarks."""
    joints = {}
    for points in items(getattr(rect, "annopoints", None)):
        for point in items(getattr(points, "point", None)):
            # Empty for the head's joints: the annotators were not asked whether they are visible.
            hidden = number(getattr(point, "is_visible", None), 1) == 0
            joints[int(point.id)] = (number(point.x) - 1, number(point.y) - 1, 1 if hidden else 2)
    landmarks = {name: joints[i] for name, i in MPII_JOINTS.items() if i in joints}
    side = MPII_UNIT * number(getattr(rect, "scale", None), 0)
    centre = items(getattr(rect, "objpos", None))
    if not side or not centre:
        return person(landmarks)
    x, y = number(centre[0].x) - 1, number(centre[0].y) - 1
    # CPM's person: centred at objpos, 200 px high at scale 1.
    return person(landmarks, (x - side / 2, y - side / 2, side, side))
