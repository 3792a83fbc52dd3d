"""MPII Human Pose: mpii_human_pose_v1_u12_1.mat and its images.

    RELEASE.annolist(i).image.name
    RELEASE.annolist(i).annorect(k): scale (height / 200 px), objpos.x .y (the person's centre),
        annopoints.point(p): x, y, id, is_visible
    RELEASE.img_train(i): 1 where the annotation is public

Pixels count from 1 there. Of the 16 joints "upper neck" has no counterpart here: "neck" is the
thorax, which lies between the shoulders as Human3.6M's. Spine and nose are missing.
"""

import numpy as np

from prior.landmark_sets import MPII
from tools.convert.entries import Entry, person
from tools.convert.matlab import items, load, number

# Our landmark: MPII's joint id.
JOINTS = {ours: MPII.names.index(theirs) for ours, theirs in MPII.direct.items()}
UNIT = 200  # px of a person's height for a scale of 1


def read(annotations, folder):
    """(list of Entry, of the training images) from the .mat file and the folder of images.

    Raises ConversionError.
    """
    release = load(annotations, "RELEASE")
    entries = []
    trains = np.atleast_1d(release.img_train)
    for image, train in zip(items(release.annolist), trains, strict=True):
        if not train:
            continue
        people = [_person(rect) for rect in items(getattr(image, "annorect", None))]
        people = [found for found in people if found]
        if people:
            name = str(image.image.name)
            entries.append(Entry({"file_name": name}, people, folder / name))
    return entries


def _person(rect):
    joints = {}
    for points in items(getattr(rect, "annopoints", None)):
        for point in items(getattr(points, "point", None)):
            # Left empty for the head, whose visibility was not asked for.
            hidden = number(getattr(point, "is_visible", None), 1) == 0
            joints[int(point.id)] = (number(point.x) - 1, number(point.y) - 1, 1 if hidden else 2)
    found = {name: joints[i] for name, i in JOINTS.items() if i in joints}
    side = UNIT * number(getattr(rect, "scale", None), 0)
    centre = items(getattr(rect, "objpos", None))
    if not side or not centre:
        return person(found)
    x, y = number(centre[0].x) - 1, number(centre[0].y) - 1
    # CPM's person: centred at objpos, 200 px high at scale 1.
    return person(found, (x - side / 2, y - side / 2, side, side))
