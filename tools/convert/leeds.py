"""Leeds Sports Pose and its extended training set: joints.mat and images/.

    joints (3, 14, N) for images/im0001.jpg ...: x, y and 1 for a hidden joint; all are annotated
    joints (14, 3, N) for images/im00001.jpg ... (extended): x, y and 0 for a missing joint

Pixels count from 1 there. It has no spine and no nose; our hip is put in the middle of its hips.
"""

import numpy as np

from python_layers.data.people import person
from tools.convert.entries import ConversionError, Entry
from tools.convert.matlab import load

# In the order of the file.
JOINTS = (
    "right foot",
    "right knee",
    "right hip",
    "left hip",
    "left knee",
    "left foot",
    "right wrist",
    "right elbow",
    "right shoulder",
    "left shoulder",
    "left elbow",
    "left wrist",
    "neck",
    "head top",
)

# The images whose number ends in it are for validation: our choice, a tenth. Neighbouring numbers
# are not of one scene, so that every tenth is as good a sample as any.
VALIDATION_DIGIT = 7


def read(folder, part="all", split="all"):
    """The Entries of the set in a folder. Raises ConversionError.

    part: "all"; or, of the original set, "train", its first half, or "test", its second half.
    split: "validation", of the part those whose number ends in VALIDATION_DIGIT; "train", the
    others; or "all".
    """
    path = folder / "joints.mat"
    joints = np.asarray(load(path, "joints"))
    if joints.ndim == 3 and joints.shape[:2] == (3, len(JOINTS)):
        digits, visible = 4, 2 - joints[2].T  # 1: hidden
        points = joints[:2].transpose(2, 1, 0)
    elif joints.ndim == 3 and joints.shape[:2] == (len(JOINTS), 3):
        digits, visible = 5, 2 * joints[:, 2].T  # 0: missing
        points = joints[:, :2].transpose(2, 0, 1)
    else:
        raise ConversionError(
            f"{path}: expected joints (3, 14, N) or (14, 3, N), got {joints.shape}"
        )
    if joints.dtype.kind not in "fiu" or not np.isin(visible, (0, 1, 2)).all():
        raise ConversionError(f"{path}: expected numbers, and 0 or 1 for each joint's visibility")
    half = len(points) // 2
    chosen = {"all": slice(None), "train": slice(half), "test": slice(half, None)}[part]
    if part != "all" and digits == 5:
        raise ConversionError(f"{path}: the extended set is for training as a whole: --part all")
    wanted = {"train": (False,), "validation": (True,), "all": (False, True)}[split]
    entries = []
    for i in range(len(points))[chosen]:
        if ((i + 1) % 10 == VALIDATION_DIGIT) not in wanted:
            continue
        rows = np.column_stack([points[i] - 1, visible[i]])
        landmarks = {joint: row for joint, row in zip(JOINTS, rows, strict=True) if row[2]}
        name = f"im{i + 1:0{digits}}.jpg"
        if landmarks:
            people = [person(landmarks)]
            entries.append(Entry({"file_name": name}, people, folder / "images" / name))
    return entries
