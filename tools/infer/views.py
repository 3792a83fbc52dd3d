"""A person shown in several ways, and the mean of the maps that a network makes of them."""

import cv2
import numpy as np

from prior.errors import InputError
from python_layers.data import crop


def variants(scales, flip):
    """How a person is shown: an Augmentation for each scale and, with `flip`, its mirror image.

    Raises InputError on scales outside 0.1 to 10.
    """
    scales = list(scales)
    if not scales or not all(0.1 <= scale <= 10 for scale in scales):
        raise InputError(f"scales: expected numbers of 0.1 to 10, got {scales}")
    flips = (False, True) if flip else (False,)
    return [crop.Augmentation(scale=s, flip=f) for s in scales for f in flips]


def mean_maps(maps, views, target, stride, mirror, background):
    """The mean (L + 1, S, S) of maps of several views, in the input px of the Crop `target`.

    maps: (V, L + 1, H, W), of V views; views: their Crops. Left and right of a flipped view are
    swapped: mirror is the map of the other side for each map. background: its index, or None. The
    interpolation is bicubic, as CPM's. Beyond its border a view shows nobody: there landmarks are 0
    and the background is 1.
    """
    total = np.zeros((maps.shape[1], target.size, target.size), np.float32)
    offset = (stride - 1) / 2  # as belief_maps.to_input
    to_input = np.array([[stride, 0, offset], [0, stride, offset], [0, 0, 1.0]])
    for own, view in zip(maps, views, strict=True):
        own = own[mirror] if view.augmentation.flip else own
        to_image = np.linalg.inv(np.vstack([view.matrix, [0, 0, 1]]))
        matrix = target.matrix @ to_image @ to_input
        for channel, values in enumerate(own):
            total[channel] += cv2.warpAffine(
                values,
                matrix,
                (target.size, target.size),
                flags=cv2.INTER_CUBIC,
                borderValue=float(channel == background),
            )
    return total / len(views)
