"""Fusion of two belief maps with a learned weight (paper: eq. 7)."""

from dataclasses import dataclass

import caffe
import numpy as np

from prior.errors import InputError
from python_layers import params
from python_layers.params import Blobs, Flags

NAME = "FusionLayer"


@dataclass(frozen=True)
class Params:
    initial: float = 0.5  # the weight before training, in [0, 1]
    per_landmark: bool = False  # our option: a weight for each map, instead of one for all

    def __post_init__(self) -> None:
        if not 0 <= self.initial <= 1:
            raise InputError(f"initial: expected a weight in [0, 1], got {self.initial}")


class FusionLayer(caffe.Layer):
    """f = w b + (1 - w) bhat, eq. 7, with w learned.

    Bottoms: b, the network's belief maps, and bhat, the projected ones, both (N, L + 1, H, W).
    Top: f (N, L + 1, H, W). Blob: w (1,), or (L + 1,) with `per_landmark`.

    w stays in [0, 1] by projected gradient: the solver may step outside, and before each use
    `forward` puts w back on the nearer end. Give the layer's `param` decay_mult 0: weight decay
    would pull w to 0, where only the projected maps count.
    """

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        params.check_count(NAME, "bottoms", bottom, [2])
        params.check_count(NAME, "tops", top, [1])
        parameters = params.read(NAME, self.param_str, Params)
        params.check_shape(NAME, "bottom 1", bottom[0], (None, None, None, None))
        self.blobs.add_blob(bottom[0].shape[1] if parameters.per_landmark else 1)
        self.blobs[0].data[...] = parameters.initial

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        channels = self.blobs[0].shape[0] if self.blobs[0].shape[0] > 1 else None
        params.check_shape(NAME, "bottom 1", bottom[0], (None, channels, None, None))
        params.check_shape(NAME, "bottom 2", bottom[1], tuple(bottom[0].shape))
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        weight = self.blobs[0].data
        np.clip(weight, 0, 1, out=weight)
        weight = weight[:, None, None]
        top[0].data[...] = weight * bottom[0].data + (1 - weight) * bottom[1].data

    def backward(self, top: Blobs, propagate_down: Flags, bottom: Blobs) -> None:
        weight = self.blobs[0].data[:, None, None]
        per_map = np.einsum("nlhw,nlhw->l", top[0].diff, bottom[0].data - bottom[1].data)
        # Caffe wants the parameters' gradients added up: over iter_size batches, for example.
        self.blobs[0].diff[...] += per_map if len(weight) > 1 else per_map.sum()
        if propagate_down[0]:
            bottom[0].diff[...] = weight * top[0].diff
        if propagate_down[1]:
            bottom[1].diff[...] = (1 - weight) * top[0].diff
