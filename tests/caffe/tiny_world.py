"""A few drawn people and a made-up prior: what a network needs to load, and to run a little."""

import json

import cv2
import numpy as np

from prior import skeleton
from prior.camera import LEVEL
from prior.model import PriorModel

SIZE = 96  # px, side of the images
FOCAL = 800.0  # px
DISTANCE = 10000.0  # mm; a person of 1.7 m is then 136 px / 96 px... of the image's height


def standing():
    """A standing person, (17, 3) mm, y up, feet near 0."""
    right = -1.0
    side = np.array([0, right, right, right, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, right, right, right])
    width = np.array([0, 130, 130, 130, 130, 130, 130, 0, 0, 0, 0, 160, 300, 400, 160, 300, 400])
    up = np.array(
        [930, 930, 480, 60, 930, 480, 60, 1160, 1400, 1500, 1650, 1380, 1150, 950, 1380, 1150, 950]
    )
    depth = np.array([0, 0, 20, 0, 0, 20, 0, 10, 0, 60, 20, 0, -20, 30, 0, -20, 30])
    return np.stack([side * width, up, depth], axis=1).astype(float)


def write_prior(path):
    """A prior of one component with three random basis vectors. Returns its path."""
    mean = standing()
    mean -= mean.mean(axis=0)
    scale = skeleton.limb_scale(mean)
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((3 * skeleton.L, 3)))[0].T
    mean = mean / scale
    PriorModel(
        mean=mean[None],
        basis=basis.reshape(1, 3, skeleton.L, 3),
        std=np.array([[0.1, 0.05, 0.02]]),
        noise_std=np.array([0.01]),
        weight=np.ones(1),
        scale_mm=float(scale),
        seeds=mean[None],
        sample=mean[None],
    ).save(path)
    return path


def write_data(folder, people=6):
    """Images of stick figures and their train.json. Returns its path."""
    rng = np.random.default_rng(1)
    images, annotations = [], []
    centre = np.array([SIZE / 2, SIZE / 2])
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(people):
        pose = standing() + rng.normal(0, 60, (skeleton.L, 3))
        points = centre + FOCAL / DISTANCE * 0.6 * ((pose - [0, 850, 0]) @ LEVEL.T)[:, :2]
        image = np.full((SIZE, SIZE, 3), 90, np.uint8)
        for a, b in skeleton.LIMBS:
            colour = [int(c) for c in rng.integers(120, 255, 3)]
            cv2.line(image, *(tuple(int(v) for v in points[k].round()) for k in (a, b)), colour, 3)
        name = f"{i}.png"
        cv2.imwrite(str(folder / name), image)
        low, high = points.min(axis=0), points.max(axis=0)
        images.append(
            {"id": i, "file_name": name, "width": SIZE, "height": SIZE, "camera": "front"}
            | {"subject": "S1", "action": "stand", "frame": i}
        )
        keypoints = np.concatenate([points, np.full((skeleton.L, 1), 2.0)], axis=1)
        annotations.append(
            {"image_id": i, "keypoints": keypoints.ravel().tolist(), "pose_mm": pose.tolist()}
            | {"bbox": [*low, *(high - low)]}
        )
    front = {
        "rotation": LEVEL.tolist(),
        "position_mm": [0, 850, -DISTANCE],
        "intrinsics": [[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]],
    }
    document = {
        "info": {},
        "categories": [{"keypoints": list(skeleton.LANDMARKS)}],
        "cameras": {"front": front},
        "images": images,
        "annotations": annotations,
    }
    path = folder / "train.json"
    path.write_text(json.dumps(document))
    return path


def settle(net):
    """Give a network that never trained the statistics of normalised outputs: mean 0, variance 1,
    of one batch. Caffe's own start is a variance of 0."""
    for layer in net.layers:
        if layer.type == "BatchNorm":
            for blob, value in zip(layer.blobs, (0, 1, 1), strict=True):
                blob.data[...] = value


def adapt(net, data=None, prior=None, **parameters):
    """The text of a network with its data and prior, and values of the data layer, replaced."""
    text = net.read_text()
    if data:
        text = text.replace('"build/data/photographs.pack": 3, ', "")  # of two sources
        for source in "build/data/train.json", "build/data/photographs.pack":
            text = text.replace(source, str(data))
    if prior:
        text = text.replace("build/prior.npz", str(prior))
    for key, value in parameters.items():
        before, after = text.split(f'"{key}": ', 1)
        rest = after[min(after.index(end) for end in ",}" if end in after) :]
        text = f'{before}"{key}": {json.dumps(value)}{rest}'
    return text
